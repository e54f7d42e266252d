"""The node's line to its market: one connection, made again whenever it is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from swatow_protocol.carriers.grpc.connection import connect
from swatow_protocol.carriers.grpc.market import MarketClient
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import ConfigError, NetworkError, SwatowError
from swatow_protocol.messages import MarketTerms, Model
from swatow_protocol.messages.answers import QueryAnswer, Verdict

T = TypeVar("T")

RETRY_S_MIN, RETRY_S_MAX = 0.5, 30.0
"""Pause before the market is tried again; doubles from the one to the other."""

log = structlog.get_logger("swatow.market_link")


class MarketLink:
    """Calls to the market."""

    def __init__(
        self, *, address: str, market: bytes, network: str, now_us: Callable[[], int]
    ) -> None:
        self.market = market
        self._address = address
        self._network = network
        self._now_us = now_us
        self._client: MarketClient | None = None
        self._connecting = asyncio.Lock()

    async def catalogue(self, name: str) -> tuple[Signed[MarketTerms], Signed[Model]]:
        """Return the market's terms and the model that it lists under `name`.

        Waits, with growing pauses, for a market that cannot be reached yet.

        Raises:
            ConfigError: the market lists no such model.
            RemoteError: whoever answers is not this market.
        """
        pause_s = RETRY_S_MIN
        while True:
            try:
                found = await (await self._connected()).catalogue()
                break
            except NetworkError as error:
                await self._drop()
                log.warning("market_unreachable", error=str(error), retry_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)
        terms = verify(
            found.terms, MarketTerms, network=self._network, now_us=None, sender=self.market
        )
        models = {
            signed.message.name: signed
            for signed in (
                verify(each, Model, network=self._network, now_us=None, sender=self.market)
                for each in found.models
            )
        }
        if name not in models:
            listed = ", ".join(sorted(models)) or "none"
            raise ConfigError(f"model: the market does not list {name!r}; it lists: {listed}")
        return terms, models[name]

    async def submit_offer(self, envelope: bytes) -> Verdict:
        """Send an offer. Errors as in `MarketClient`."""
        return await self._call(lambda client: client.submit_offer(envelope))

    async def redeem(self, envelope: bytes) -> Verdict:
        """Send a redemption. Errors as in `MarketClient`."""
        return await self._call(lambda client: client.redeem(envelope))

    async def ask(self, envelope: bytes) -> QueryAnswer:
        """Send a query. Errors as in `MarketClient`."""
        return await self._call(lambda client: client.ask(envelope))

    async def close(self) -> None:
        """Close the connection."""
        await self._drop()

    async def _call(self, call: Callable[[MarketClient], Awaitable[T]]) -> T:
        client = await self._connected()
        try:
            return await call(client)
        except SwatowError:
            await self._drop()
            raise

    async def _connected(self) -> MarketClient:
        async with self._connecting:
            if self._client is None:
                connection, _ = await connect(
                    self._address,
                    server=self.market,
                    network=self._network,
                    now_us=self._now_us,
                )
                self._client = MarketClient(connection)
            return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.connection.close()
