"""The job stream: everything in order, one writer that sends what waits, and clean ends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from swatow_protocol import codec, limits
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.carriers.grpc.node import NodeClient, add_node
from swatow_protocol.errors import (
    CallRefused,
    FrameRefused,
    MessageRefused,
    NetworkError,
    OutcomeUnknown,
    RemoteError,
    SwatowError,
    Unreachable,
)
from swatow_protocol.messages import Frame, FrameKind
from swatow_protocol.multiplex import OUTBOX_BYTES_MAX
from tests.unit.protocol.loopback import connected, serving, soon

SECRET = "words of an answer"

Jobs = Callable[[FrameStream], Coroutine[Any, Any, None]]


def frame(job: int, body: bytes = b"") -> Frame:
    return Frame(job=job, kind=FrameKind.CHUNK, body=body)


class Job:
    """A job whose tokens gather until it is asked for them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tokens: deque[bytes] = deque()

    def take(self) -> Frame | None:
        if not self.tokens:
            return None
        body = b"".join(self.tokens)
        self.tokens.clear()
        return frame(self.number, body)


class Pipe:
    """One side's end of a call, which takes a message only when it has room for it."""

    def __init__(self, incoming: list[Any] | None = None) -> None:
        self.incoming = deque([*(incoming or []), grpc.aio.EOF])
        self.written: list[list[Frame]] = []
        self.busy = asyncio.Event()
        self.room = asyncio.Event()

    async def read(self) -> Any:
        return self.incoming.popleft()

    async def write(self, message: list[bytes]) -> None:
        self.written.append([codec.decode(Frame, encoded) for encoded in message])
        self.busy.set()
        await self.room.wait()

    def stream(self) -> FrameStream:
        return FrameStream(self.read, self.write, "peer")


@asynccontextmanager
async def writing(stream: FrameStream) -> AsyncIterator[None]:
    """Run the writer of a stream beside the test."""
    writer = asyncio.create_task(stream.write_out())
    try:
        yield
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


class Node:
    """A node whose job stream is given as a function."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs

    def tokenizer(self, digest: bytes) -> bytes | None:
        return None


@asynccontextmanager
async def line(jobs: Jobs) -> AsyncIterator[tuple[FrameStream, Callable[[], bool]]]:
    """Open a job stream at a node that runs `jobs` on its end of it."""
    async with (
        serving(lambda server: add_node(server, Node(jobs))) as server,
        connected(server) as connection,
    ):
        stream, end = NodeClient(connection).jobs()
        async with writing(stream):
            yield stream, end
        end()


async def echo(stream: FrameStream) -> None:
    """Send every frame back, under the next job's number."""
    async with writing(stream):
        async for received in stream.frames():
            stream.push(frame(received.job + 1, received.body))
        await stream.flush()


class TestWriter:
    async def test_an_idle_pipe_gets_a_frame_at_once(self) -> None:
        pipe = Pipe()
        stream = pipe.stream()
        async with writing(stream):
            stream.push(frame(1))
            await pipe.busy.wait()
            assert pipe.written == [[frame(1)]]

    async def test_what_gathers_while_the_pipe_is_busy_leaves_as_one_message(self) -> None:
        """And the tokens of a job as one chunk, because it is asked only when there is room."""
        pipe, job = Pipe(), Job(2)
        stream = pipe.stream()
        async with writing(stream):
            stream.push(frame(1))
            await pipe.busy.wait()
            for token in (b"a", b"b", b"c"):
                job.tokens.append(token)
                stream.ready(job)
            stream.push(frame(3))
            pipe.room.set()
            await stream.flush()
        assert pipe.written == [[frame(1)], [frame(3), frame(2, b"abc")]]

    async def test_a_dropped_job_sends_nothing_more(self) -> None:
        pipe, job = Pipe(), Job(2)
        pipe.room.set()
        stream = pipe.stream()
        job.tokens.append(b"late")
        stream.ready(job)
        stream.drop(job)
        async with writing(stream):
            await stream.flush()
        assert pipe.written == []

    async def test_flushing_waits_for_what_was_pushed(self) -> None:
        pipe = Pipe()
        stream = pipe.stream()
        await stream.flush()  # nothing waits yet
        async with writing(stream):
            stream.push(frame(1))
            flushing = asyncio.create_task(stream.flush())
            await pipe.busy.wait()
            stream.push(frame(2))
            assert not flushing.done()
            pipe.room.set()
            await flushing
        assert pipe.written == [[frame(1)], [frame(2)]]

    async def test_a_peer_that_does_not_read_is_refused_at_the_bound(self) -> None:
        pipe = Pipe()
        stream = pipe.stream()
        body = bytes(limits.FRAME_BYTES_MAX // 2)
        async with writing(stream):
            stream.push(frame(1))
            await pipe.busy.wait()
            for _ in range(OUTBOX_BYTES_MAX // len(body) - 1):
                stream.push(frame(1, body))
            with pytest.raises(FrameRefused):
                stream.push(frame(1, body))


UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
each_status = pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (UNAVAILABLE, "failed to connect to all addresses", Unreachable),
        (UNAVAILABLE, "Socket closed", OutcomeUnknown),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", OutcomeUnknown),
        (grpc.StatusCode.CANCELLED, "", OutcomeUnknown),
        (grpc.StatusCode.ABORTED, "", OutcomeUnknown),
        (EXHAUSTED, "Received message larger than max", CallRefused),
        (grpc.StatusCode.INVALID_ARGUMENT, "a stream has one buyer", CallRefused),
        (grpc.StatusCode.INTERNAL, "", CallRefused),
        (grpc.StatusCode.UNIMPLEMENTED, "", CallRefused),
    ],
)


@each_status
class TestBreaking:
    """What gRPC says of a broken stream becomes who erred: neither side, or the other one."""

    def broken(self, code: grpc.StatusCode, details: str) -> FrameStream:
        async def fail(*_: object) -> None:
            raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)

        return FrameStream(fail, fail, "peer:1")

    async def test_is_told_to_the_reader(
        self, code: grpc.StatusCode, details: str, kind: type[SwatowError]
    ) -> None:
        with pytest.raises(kind) as told:
            await anext(self.broken(code, details).frames())
        assert str(told.value) == f"peer:1: {details or code.name}"

    async def test_is_told_to_the_writer(
        self, code: grpc.StatusCode, details: str, kind: type[SwatowError]
    ) -> None:
        stream = self.broken(code, details)
        stream.push(frame(1))
        with pytest.raises(kind):
            await stream.write_out()


class TestReader:
    async def test_yields_the_frames_of_each_message_until_the_peer_closes(self) -> None:
        messages = [[codec.encode(frame(1)), codec.encode(frame(2))], [], [codec.encode(frame(3))]]
        received = [each async for each in Pipe(messages).stream().frames()]
        assert received == [frame(1), frame(2), frame(3)]

    async def test_refuses_a_frame_that_does_not_decode(self) -> None:
        stream = Pipe([[codec.encode(frame(1)), b"\xc1"]]).stream()
        frames = stream.frames()
        assert await anext(frames) == frame(1)
        with pytest.raises(MessageRefused):
            await anext(frames)

    async def test_refuses_more_frames_in_a_message_than_a_writer_sends(self) -> None:
        most = [codec.encode(frame(1))] * limits.FRAMES_PER_MESSAGE_MAX
        received = [each async for each in Pipe([most]).stream().frames()]
        assert len(received) == limits.FRAMES_PER_MESSAGE_MAX
        with pytest.raises(FrameRefused):
            await anext(Pipe([[*most, most[0]]]).stream().frames())

    async def test_discards_everything_until_the_peer_closes_unseen(self) -> None:
        """Nothing is decoded any more: what comes after the last word is nobody's fault."""
        pipe = Pipe([[codec.encode(frame(1))], [b"\xc1"], []])
        await pipe.stream().discard()
        assert not pipe.incoming


class TestOverSockets:
    async def test_frames_go_both_ways_in_order_and_finishing_ends_both(self) -> None:
        sent = [frame(number, bytes([number % 256]) * 10) for number in range(5_000)]
        async with line(echo) as (stream, _):
            for each in sent:
                stream.push(each)
            finishing = asyncio.create_task(stream.finish())
            received = [each async for each in stream.frames()]
            await soon(finishing)
        assert received == [frame(each.job + 1, each.body) for each in sent]

    async def test_the_largest_opening_goes_through(self) -> None:
        body = bytes(limits.JOB_OPEN_BYTES_MAX + 2 * limits.ENVELOPE_BYTES_MAX)
        async with line(echo) as (stream, _):
            stream.push(frame(1, body))
            assert await anext(stream.frames()) == frame(2, body)

    @pytest.mark.parametrize("reads_on", [True, False])
    async def test_the_node_is_cancelled_when_the_buyer_goes_away(self, reads_on: bool) -> None:
        """Whatever it is doing. A reader may see the end of the frames before that, as gRPC tells
        it, so reading to the end does not mean that the buyer has finished."""
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def jobs(stream: FrameStream) -> None:
            try:
                async for _ in stream.frames():
                    started.set()
                    if not reads_on:
                        break
                await asyncio.Event().wait()  # as for jobs that still run
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with line(jobs) as (stream, end):
            stream.push(frame(1))
            await started.wait()
            end()
            await soon(cancelled.wait())

    async def test_the_buyer_knows_when_the_node_closes_the_stream(self) -> None:
        async def jobs(stream: FrameStream) -> None:
            async with writing(stream):
                stream.push(frame(7))
                await stream.flush()

        async with line(jobs) as (stream, _):
            assert [each async for each in stream.frames()] == [frame(7)]

    async def test_an_accident_of_the_node_reaches_the_buyer_without_its_words(self) -> None:
        async def jobs(_: FrameStream) -> None:
            raise RuntimeError(SECRET)

        async with line(jobs) as (stream, _):
            with pytest.raises(CallRefused) as refused:
                await anext(stream.frames())
        assert SECRET not in str(refused.value)

    async def test_a_refusal_on_purpose_reaches_the_buyer_with_its_words(self) -> None:
        async def jobs(_: FrameStream) -> None:
            raise FrameRefused("a voucher for another node")

        async with line(jobs) as (stream, _):
            with pytest.raises(CallRefused, match="a voucher for another node"):
                await anext(stream.frames())

    async def test_writing_to_a_stream_that_has_ended_says_so(self) -> None:
        """The writer's own docstring: an error of this tree, and none of the transport's."""

        async def jobs(_: FrameStream) -> None:
            return

        async with (
            serving(lambda server: add_node(server, Node(jobs))) as server,
            connected(server) as connection,
        ):
            stream, _ = NodeClient(connection).jobs()
            assert [each async for each in stream.frames()] == []
            stream.push(frame(1))
            with pytest.raises((NetworkError, RemoteError)):
                await stream.write_out()
