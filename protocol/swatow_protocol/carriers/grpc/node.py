"""The Node service: what a node's handler offers, and the client of it."""

from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Protocol

from swatow_protocol import limits, parts
from swatow_protocol.carriers.grpc._calls import Read, Write
from swatow_protocol.carriers.grpc.connection import Connection
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.carriers.grpc.server import Server
from swatow_protocol.errors import CallRefused


class NodeHandler(Protocol):
    """What a node answers."""

    async def jobs(self, stream: FrameStream) -> None:
        """Run the job stream of one buyer. Cancelled when the buyer goes away."""
        ...

    def tokenizer(self, digest: bytes) -> bytes | None:
        """Return the tokenizer file with this SHA-256, if the node has it."""
        ...


def add_node(server: Server, handler: NodeHandler) -> None:
    """Serve the Node service on `server`."""

    async def jobs(read: Read, write: Write, peer: str) -> None:
        await handler.jobs(FrameStream(read, write, peer))

    async def get_tokenizer(digest: bytes) -> AsyncIterator[bytes]:
        tokenizer = handler.tokenizer(digest)
        if tokenizer is None:
            raise CallRefused(f"no tokenizer {digest.hex()[:64]} here")
        for part in parts.split(tokenizer):
            yield part

    server.add("Node", {"Jobs": jobs, "GetTokenizer": get_tokenizer})


class NodeClient:
    """Calls to a node. Errors are those of `Connection.call`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def jobs(self) -> tuple[FrameStream, Callable[[], bool]]:
        """Open the job stream; return it and the function that ends it."""
        return self.connection.frames("Node", "Jobs")

    async def tokenizer(self, digest: bytes) -> bytes:
        """Fetch the tokenizer file with this SHA-256.

        Raises:
            CallRefused: the node has none, or sent another file.
        """
        stream = self.connection.stream("Node", "GetTokenizer", [digest])
        tokenizer = await parts.join(stream, limits.TOKENIZER_BYTES_MAX)
        if sha256(tokenizer).digest() != digest:
            raise CallRefused(f"{self.connection.address}: not the tokenizer {digest.hex()}")
        return tokenizer
