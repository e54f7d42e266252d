"""The job stream over gRPC: frames in, frames out, one writer that sends what is waiting."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from swatow_protocol import codec, limits
from swatow_protocol.carriers.grpc._calls import Finish, Read, Write, error_of
from swatow_protocol.errors import FrameRefused, OutcomeUnknown
from swatow_protocol.messages import Frame
from swatow_protocol.multiplex import FrameSource, Outbox


class FrameStream:
    """One end of a job stream.

    `push` and `ready` are synchronous and never block; `write_out` must run beside the reader for
    as long as the stream lives.
    """

    def __init__(self, read: Read, write: Write, peer: str, finish: Finish | None = None) -> None:
        self.peer = peer
        self._finish = finish
        self._read = read
        self._write = write
        self._outbox = Outbox()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def push(self, frame: Frame) -> None:
        """Send a frame, after those that are waiting.

        Raises:
            FrameRefused: the peer does not read.
        """
        self._outbox.push(frame)
        self._rouse()

    def ready(self, source: FrameSource) -> None:
        """Let `source` make a frame as soon as the stream has room."""
        self._outbox.ready(source)
        self._rouse()

    def drop(self, source: FrameSource) -> None:
        """Forget a source that has ended."""
        self._outbox.drop(source)

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield the peer's frames until it closes its side.

        Raises:
            FrameRefused: more frames in a message than FRAMES_PER_MESSAGE_MAX.
            MessageRefused: a frame that does not decode.
            OutcomeUnknown, Unreachable, CallRefused: the stream broke.
        """
        while True:
            message = await self._next()
            if message is grpc.aio.EOF:
                return
            if len(message) > limits.FRAMES_PER_MESSAGE_MAX:
                raise FrameRefused(f"{len(message)} frames in one message")
            for encoded in message:
                yield codec.decode(Frame, encoded)

    async def discard(self) -> None:
        """Read the peer's messages, unseen, until it closes its side. Errors as in `frames`."""
        while await self._next() is not grpc.aio.EOF:
            pass

    async def write_out(self) -> None:
        """Write what is waiting, one message at a time, until cancelled.

        Raises:
            OutcomeUnknown, Unreachable, CallRefused: the stream broke.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while batch := self._outbox.take():
                    await self._write(batch)
            except grpc.aio.AioRpcError as status:
                raise error_of(status, self.peer) from None
            except asyncio.InvalidStateError:
                raise OutcomeUnknown(f"{self.peer}: the stream has ended") from None
            if not self._outbox:
                self._empty.set()

    async def flush(self) -> None:
        """Wait until everything that was pushed has been handed to gRPC. Safe to cancel."""
        await self._empty.wait()

    async def finish(self) -> None:
        """Client: send what waits, then close this side; the peer answers by closing its own."""
        assert self._finish is not None, "only a client closes its side first"
        await self.flush()
        await self._finish()

    async def _next(self) -> Any:
        try:
            return await self._read()
        except grpc.aio.AioRpcError as status:
            raise error_of(status, self.peer) from None

    def _rouse(self) -> None:
        self._empty.clear()
        self._wake.set()
