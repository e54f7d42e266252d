"""An award as its buyer uses it."""

from collections.abc import Mapping
from typing import Any, Protocol

from swatow._answers import CompletionStream
from swatow._awards import HeldAward
from swatow_protocol.messages import Service


class Drawer(Protocol):
    """What an award needs of the client that holds it."""

    async def run_on(
        self, award: HeldAward, request: Mapping[str, Any], *, service: Service
    ) -> CompletionStream:
        """Run a request on the award."""
        ...

    async def release(self, award: HeldAward) -> None:
        """Give back what is left of the award."""
        ...


class Award:
    """Lots of a model at a node, bought and ready to be drawn upon."""

    def __init__(self, client: "Drawer", held: HeldAward) -> None:
        self._client = client
        self._held = held

    @property
    def id(self) -> str:
        """The award's id, in hexadecimal."""
        return self._held.id.hex()

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._held.model.name

    @property
    def node(self) -> str:
        """Key of the node, in hexadecimal."""
        return self._held.award.node.hex()

    @property
    def zone(self) -> str:
        """Where the tokens are made."""
        return self._held.award.zone

    @property
    def lots(self) -> int:
        """Lots awarded."""
        return self._held.award.lots

    @property
    def price(self) -> int:
        """Nanos a lot, which is millionths of a unit for a million standard tokens."""
        return self._held.award.price

    @property
    def currency(self) -> str:
        """Currency of the price."""
        return self._held.award.currency

    @property
    def from_us(self) -> int:
        """No job may be opened before this time."""
        return self._held.award.from_us

    @property
    def expires_us(self) -> int:
        """No job may be opened after this time."""
        return self._held.award.expires_us

    @property
    def standard_tokens_left(self) -> int:
        """Standard tokens that no job has taken or may take."""
        return self._held.left()

    async def run(
        self, request: Mapping[str, Any], *, service: Service = Service.CHAT
    ) -> CompletionStream:
        """Run an OpenAI request body on this award.

        Raises:
            TooEarly: its time has not begun.
            InvalidRequest, NodeError: the node does not run it; nothing was paid.
        """
        return await self._client.run_on(self._held, request, service=service)

    async def release(self) -> None:
        """Give back what is left. Does nothing if the node cannot be reached: then it expires."""
        await self._client.release(self._held)

    def __repr__(self) -> str:
        return f"Award({self.id[:16]}, {self.lots} lots of {self.model} in {self.zone})"
