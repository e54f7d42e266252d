"""A small world in one process: real market, real nodes, real sockets, simulated engines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from swatow import AsyncClient
from swatow_market.admin import Books, books, deposit
from swatow_market.config import MarketSettings
from swatow_market.service.market import Market, open_market, serve_market
from swatow_node.config import NodeSettings
from swatow_node.daemon import Node
from swatow_node.engines.engine import Engine
from swatow_protocol.identity import Identity
from swatow_protocol.shell.clock import now_us, random_bytes
from swatow_protocol.shell.keyfile import load_or_create_key
from tests.support.engines import SimulatedEngine

T = TypeVar("T")

MODEL = "smollm2-135m-instruct-q4_1"
FAST = {"round_ms": 200, "listen": "127.0.0.1:0"}
SOON_S = 20.0
"""Far more than anything here takes; a wait that reaches it has hung."""


async def soon(work: Awaitable[T]) -> T:
    """Await something that should be there at once, but do not hang."""
    async with asyncio.timeout(SOON_S):
        return await work


@dataclass
class Clock:
    """The system's clock, which a test may set forward."""

    ahead_us: int = 0

    def now_us(self) -> int:
        """Return the time of this world."""
        return now_us() + self.ahead_us


@dataclass
class Running:
    """A service that runs as a task until it is stopped."""

    task: "asyncio.Task[None]"
    stop: asyncio.Event
    address: str

    async def end(self) -> None:
        """Stop the service as a signal would."""
        self.stop.set()
        await soon(self.task)

    async def kill(self) -> None:
        """End the service at once, with nothing told to anyone."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class World:
    """A market and whoever joined it."""

    directory: Path
    clock: Clock
    settings: MarketSettings
    market: Market
    serving: Running
    services: list[Running] = field(default_factory=list)
    clients: list[AsyncClient] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The market's address, KEY@host:port."""
        return self.serving.address

    async def node(
        self,
        name: str = "node",
        engine: Engine | None = None,
        *,
        clock: Clock | None = None,
        **settings: Any,
    ) -> Running:
        """Start a node with a simulated engine; its offer stands on return."""
        made = NodeSettings(
            **{
                "market": self.address,
                "zone": "cn-gd-shantou",
                "listen": "127.0.0.1:0",
                "price": "0.08",
                "voucher_wait_s": 5,
                "offer_life_s": 60,
                **settings,
            }
        )
        home = self.directory / name
        time = clock or self.clock
        node = Node(
            made,
            home,
            load_or_create_key(home / "key"),
            now_us=time.now_us,
            random_bytes=random_bytes,
            engine_of=lambda *_: engine or SimulatedEngine(),
        )
        running = await run_service(node.serve)
        self.services.append(running)
        return running

    async def client(
        self, name: str = "buyer", money: int = 5_000_000_000, **settings: Any
    ) -> AsyncClient:
        """Open a client whose account holds `money` nanos."""
        client = AsyncClient(
            market=self.address,
            directory=self.directory / name,
            **{"max_price": "0.20", "order_wait_s": 5.0, "silence_s": 10.0, **settings},
        )
        self.clients.append(client)
        if money:
            await self.deposit(client, money)
        return client

    async def deposit(self, client: AsyncClient, nanos: int) -> None:
        """Credit a client."""
        await deposit(
            self.settings,
            self.directory / "market",
            buyer=client.wallet.identity.key,
            amount=nanos,
            reference=random_bytes(16),
            now_us=now_us,
        )

    async def books(self) -> Books:
        """Return the market's accounts, which must add up."""
        found = await books(self.settings, self.directory / "market")
        assert found.cash == found.claims, "the books balance to the nano"
        return found

    async def balance(self, kind: str) -> int:
        """Return the sum over all accounts of a kind, in nanos."""
        found = await self.books()
        return sum(line.balance for line in found.lines if line.account.partition(":")[0] == kind)

    async def held(self) -> int:
        """Return what is held on all accounts, in nanos."""
        return sum(line.held for line in (await self.books()).lines)

    async def until(self, condition: Any) -> None:
        """Wait until an asynchronous condition holds."""
        async with asyncio.timeout(SOON_S):
            while not await condition():  # noqa: ASYNC110 - the state is a database's
                await asyncio.sleep(0.02)


@asynccontextmanager
async def world(directory: Path, **settings: Any) -> AsyncIterator[World]:
    """Run a market; whatever joins it is stopped at the end."""
    clock = Clock()
    made = MarketSettings(**{**FAST, **settings})
    home = directory / "market"
    identity: Identity = load_or_create_key(home / "key")
    market = await open_market(made, home, identity, now_us=clock.now_us, random_bytes=random_bytes)

    async def serve(stop: asyncio.Event, on_ready: Any) -> None:
        await serve_market(made, market, stop, on_ready)

    made_world = World(directory, clock, made, market, await run_service(serve))
    try:
        yield made_world
    finally:
        for client in made_world.clients:
            await client.aclose()
        for service in reversed(made_world.services):
            if not service.task.done():
                await service.end()
        await made_world.serving.end()


async def run_service(serve: Any) -> Running:
    """Start a service and wait until it says its address."""
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serve(stop, ready.set_result))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=SOON_S)
    if not ready.done():
        task.cancel()
        await task  # raises what went wrong
    return Running(task, stop, ready.result())
