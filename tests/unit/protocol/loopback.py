"""Servers and connections over real sockets of this machine, for the tests of the gRPC carrier."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from swatow_protocol import limits
from swatow_protocol.carriers.grpc.connection import Connection, connect
from swatow_protocol.carriers.grpc.server import Server
from swatow_protocol.identity import Identity
from swatow_protocol.shell.clock import now_us
from tests.support.samples import NETWORK, NODE

T = TypeVar("T")

LISTEN = "127.0.0.1:0"
HUNG_S = 30.0
"""Far more than anything here takes."""


async def soon(work: Awaitable[T]) -> T:
    """Await what is there at once unless the code is broken, and fail then instead of hanging."""
    async with asyncio.timeout(HUNG_S) as guard:
        result = await work
    assert not guard.expired(), "it hung, and then swallowed its cancellation"
    return result


@dataclass
class Clock:
    """A clock that stands where a test puts it. TLS itself goes by the system's clock, so a test
    of certificates starts in the past, that all of them are valid today."""

    at_us: int

    def __call__(self) -> int:
        return self.at_us


def clock_before_renewal() -> Clock:
    """Return a clock that is to be set to today's date to renew what was made by it before."""
    return Clock(now_us() - limits.CERTIFICATE_LIFE_US // 2)


@asynccontextmanager
async def serving(
    add: Callable[[Server], None] = lambda _: None,
    *,
    kind: type[Server] = Server,
    identity: Identity = NODE,
    clock: Callable[[], int] = now_us,
    **options: Any,
) -> AsyncIterator[Server]:
    """Run a server on a free port; `add` adds its services."""
    server = kind(identity=identity, network=NETWORK, now_us=clock, **options)
    add(server)
    await server.start(LISTEN)
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def connected(
    server: Server, clock: Callable[[], int] = now_us, **options: Any
) -> AsyncIterator[Connection]:
    """Connect to a server of `serving`, as a buyer does."""
    arguments: dict[str, Any] = {"server": NODE.key, "network": NETWORK, **options}
    connection, _ = await connect(server.address, now_us=clock, **arguments)
    try:
        yield connection
    finally:
        await connection.close()
