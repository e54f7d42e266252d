"""Carriers in tests: let them run, and remember what they hear."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from swatow_protocol.carriers.carrier import Carrier, Heard
from swatow_protocol.messages.answers import Decision
from tests.support.world import soon


class Listener:
    """Remembers what a carrier hears."""

    def __init__(self, carrier: Carrier, *patterns: str) -> None:
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        for pattern in patterns:
            carrier.subscribe(pattern, self._hear)

    def _hear(self, heard: Heard) -> Decision:
        self._heard.put_nowait(heard)
        return Decision.ACCEPT

    async def next(self) -> tuple[str, bytes]:
        """Return what was heard next."""
        return tuple(await soon(self._heard.get()))  # type: ignore[return-value]

    async def until(self, topic: str) -> list[tuple[str, bytes]]:
        """Return what is heard before something is heard on a topic."""
        before = []
        while (found := await self.next())[0] != topic:
            before.append(found)
        return before


@asynccontextmanager
async def carrying(*carriers: Carrier) -> AsyncIterator[None]:
    """Let carriers run; each is connected on entry."""
    async with running(*carriers):
        await reached(lambda: all(carrier.statistics.connected for carrier in carriers))
        yield


async def reached(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""

    async def holds() -> None:
        while not condition():  # noqa: ASYNC110 - statistics are counters, not events
            await asyncio.sleep(0.01)

    await soon(holds())


@asynccontextmanager
async def running(*carriers: Carrier) -> AsyncIterator[None]:
    """Let carriers run, connected or not."""
    tasks = [asyncio.create_task(carrier.run()) for carrier in carriers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await soon(asyncio.gather(*tasks, return_exceptions=True))
