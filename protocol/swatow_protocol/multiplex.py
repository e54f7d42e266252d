"""Many jobs on one stream: which frames go into the next message, and in which order.

The cost of a gRPC stream is paid for each message, whatever its size, so a writer takes everything
that is waiting and sends it as one. Frames that exist already come first, in order; then each job
that has something to say is asked for a frame, in turn. A job makes its chunk only when asked:
while the pipe is busy its tokens gather, and when it is idle they leave at once, without a timer.

Pure: the carrier does the writing (carriers/grpc/frames.py).
"""

from collections import deque
from typing import Protocol

from swatow_protocol import codec, limits
from swatow_protocol.errors import FrameRefused
from swatow_protocol.messages import Frame

OUTBOX_BYTES_MAX = 8 << 20
"""Frames waiting for one stream. A peer that lets more gather is not reading: the stream ends."""


class FrameSource(Protocol):
    """A job that makes its frames when the stream has room for them."""

    def take(self) -> Frame | None:
        """Make the next frame, or return None if there is nothing to say now."""
        ...


class Outbox:
    """What waits to be written to one stream."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._ready: dict[FrameSource, None] = {}  # a dict is an ordered set

    def __bool__(self) -> bool:
        """Whether there may be something to write."""
        return bool(self._frames or self._ready)

    def push(self, frame: Frame) -> None:
        """Queue a frame that exists already.

        Raises:
            FrameRefused: OUTBOX_BYTES_MAX is reached; the stream should be closed.
        """
        encoded = codec.encode(frame)
        if self._bytes + len(encoded) > OUTBOX_BYTES_MAX:
            raise FrameRefused(f"the peer left {self._bytes} bytes unread")
        self._frames.append(encoded)
        self._bytes += len(encoded)

    def ready(self, source: FrameSource) -> None:
        """Note that `source` has something to say. Saying so twice is saying it once."""
        self._ready[source] = None

    def drop(self, source: FrameSource) -> None:
        """Forget a source that has ended."""
        self._ready.pop(source, None)

    def take(self) -> list[bytes]:
        """Return the frames of the next message, about FRAMES_BYTES at most; [] if none."""
        batch: list[bytes] = []
        size = 0
        while size < limits.FRAMES_BYTES and len(batch) < limits.FRAMES_PER_MESSAGE_MAX:
            encoded = self._next()
            if encoded is None:
                break
            if batch and size + len(encoded) > limits.FRAME_BYTES_MAX - _MESSAGE_OVERHEAD:
                self._frames.appendleft(encoded)
                self._bytes += len(encoded)
                break
            batch.append(encoded)
            size += len(encoded)
        return batch

    def _next(self) -> bytes | None:
        if self._frames:
            encoded = self._frames.popleft()
            self._bytes -= len(encoded)
            return encoded
        while self._ready:
            source = next(iter(self._ready))
            del self._ready[source]
            frame = source.take()
            if frame is not None:
                self._ready[source] = None  # to the back: it may have more
                return codec.encode(frame)
        return None


_MESSAGE_OVERHEAD = 16 * limits.FRAMES_PER_MESSAGE_MAX  # protobuf tags and lengths of the frames
