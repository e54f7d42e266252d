"""The buyer's line to a node: one connection, one stream, all jobs of this buyer on it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any
from weakref import WeakValueDictionary

import structlog

from swatow._awards import HeldAward
from swatow._job import BuyerJob
from swatow._recount import Recount
from swatow.errors import NetworkError, NodeCheated, NodeFailed, NodeLost, NodeRefused, SwatowError
from swatow_protocol import codec
from swatow_protocol.carriers.grpc.connection import ask_endpoint, connect
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.carriers.grpc.node import NodeClient
from swatow_protocol.envelope import sign
from swatow_protocol.errors import FrameRefused, RemoteError
from swatow_protocol.identity import Identity
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import (
    Award,
    Frame,
    FrameKind,
    JobOpen,
    JobRefusal,
    Offer,
    OpenBody,
    Refused,
    Release,
    Service,
)
from swatow_protocol.sealing import SECRET_BYTES, SealingKey, Seals, Side

LINES_MAX = 16
"""Nodes to which a client stays connected; beyond, the line idle longest is closed."""
CLOSE_S = 2.0
"""A stream gets this long to send what waits when it is closed."""
CANCEL_S = 5.0
"""A node that is asked to stop gets this long to send its receipt."""

log = structlog.get_logger("swatow.nodes")


class LiveJob:
    """A job under way: the core that checks, and the queue that the caller reads."""

    def __init__(self, line: "NodeLine", core: BuyerJob, silence_s: float) -> None:
        self.core = core
        self._line = line
        self._silence_s = silence_s
        self._events: deque[tuple[dict[str, Any], int]] = deque()
        self._error: SwatowError | None = None
        self._moved = asyncio.Event()
        self._stopping = False

    async def opened(self) -> None:
        """Wait until the node has taken the job on.

        Raises:
            InvalidRequest, NodeError: it has not.
        """
        while self.core.state is JobState.OPENING:
            await self._wait()
        if not self._events:
            self._raise()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of the answer.

        Raises:
            InvalidRequest, NodeError: the job did not end well; see there for what was paid.
        """
        while True:
            while self._events:
                event, size = self._events.popleft()
                yield event
                self._line.push(self.core.consumed(size))
            self._raise()
            if self.core.ended:
                return
            await self._wait()

    def stop(self) -> None:
        """Tell the node to stop the engine."""
        if not self._over() and not self._stopping:
            self._stopping = True
            self._line.push(self.core.cancel())

    async def cancel(self) -> None:
        """Stop the engine, and wait a little for the receipt of what was made."""
        if self._over():
            return
        self.stop()
        try:
            async with asyncio.timeout(CANCEL_S):
                while not self._over():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            self.core.break_off()
        self._line.forget(self)

    def on_frame(self, frame: Frame, now_us: int) -> None:
        """Take a frame of the node."""
        try:
            events, frames = self.core.on_frame(frame, now_us)
        except SwatowError as error:
            if isinstance(error, NodeCheated):
                self._line.push(self.core.cancel())  # its engine need not go on for nobody
            self.fail(error)
            return
        size = len(frame.body)
        for event in events:
            self._events.append((event, size))
            size = 0
        for each in frames:
            self._line.push(each)
        if self.core.ended:
            self._error = self.core.failure()
            self._line.forget(self)
        self._moved.set()

    def fail(self, error: SwatowError) -> None:
        """End the job with an error."""
        self.core.break_off()
        self._error = self._error or error
        self._line.forget(self)
        self._moved.set()

    def lost(self, why: str) -> None:
        """End the job because the node went away."""
        award = self.core.award.award
        problem = f"lost in the middle of the answer ({why})"
        self.fail(NodeLost(award.node, problem, self.core.paid, self.core.recount.text))

    def _over(self) -> bool:
        return self.core.ended or self._error is not None

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    async def _wait(self) -> None:
        self._moved.clear()
        try:
            async with asyncio.timeout(self._silence_s):
                await self._moved.wait()
        except TimeoutError:
            self._stalled()

    def _stalled(self) -> None:
        self.stop()
        problem = f"sent nothing for {self._silence_s:g} s"
        award = self.core.award.award
        self.fail(NodeFailed(award.node, problem, self.core.paid, self.core.recount.text))


class NodeLine:
    """One buyer's stream at one node. Lives until it breaks; then a new one is made."""

    def __init__(
        self,
        *,
        client: NodeClient,
        sealing_key: bytes,
        node: bytes,
        identity: Identity,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.client = client
        self.node = node
        self.broken: bool = False
        self._identity = identity
        self._now_us = now_us
        self._sealing_key = sealing_key
        self._stream_key = SealingKey(random_bytes(SECRET_BYTES))
        self._seals = Seals(Side.BUYER, self._stream_key, sealing_key)
        self._jobs: dict[int, LiveJob] = {}
        self._number = 0
        self._stream: FrameStream
        self._stream, self._end_stream = client.jobs()
        self._tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._write()),
        ]

    def open(
        self,
        *,
        award: HeldAward,
        service: Service,
        request: bytes,
        recount: Recount,
        output_tokens_max: int,
        prompt_tokens_most: int,
        silence_s: float,
    ) -> LiveJob:
        """Send the opening of a job."""
        self._number += 1
        sealed = self._seals.seal(self._number, FrameKind.OPEN, request)
        message = JobOpen(
            network=award.award.network,
            sender=self._identity.key,
            issued_us=self._now_us(),
            award=award.id,
            job=self._number,
            certificate_sha256=self.client.connection.certificate_sha256,
            sealing_key=self._sealing_key,
            stream_key=self._stream_key.public,
            service=service,
            output_tokens_max=output_tokens_max,
            sealed_request=sealed,
        )
        opening = sign(message, self._identity)
        core = BuyerJob(
            opening=opening,
            award=award,
            seals=self._seals,
            identity=self._identity,
            recount=recount,
            prompt_tokens_most=prompt_tokens_most,
        )
        job = LiveJob(self, core, silence_s)
        body = OpenBody(
            award=award.signed.envelope, offer=award.offer.envelope, open=opening.envelope
        )
        self._jobs[self._number] = job
        self.push(Frame(job=self._number, kind=FrameKind.OPEN, body=codec.encode(body)))
        return job

    @property
    def idle(self) -> bool:
        """Whether no job is open on it."""
        return not self._jobs

    def release(self, award: HeldAward) -> None:
        """Tell the node that no more jobs will be drawn on an award."""
        body = codec.encode(Release(award=award.id))
        self.push(Frame(job=0, kind=FrameKind.RELEASE, body=body))

    def push(self, frame: Frame | None) -> None:
        """Send a frame, if there is one and the stream still stands."""
        if frame is not None and not self.broken:
            self._stream.push(frame)

    def forget(self, job: LiveJob) -> None:
        """Drop a job that is over."""
        self._jobs.pop(job.core.number, None)
        self._seals.forget(job.core.number)

    async def close(self) -> None:
        """Send what waits, then end the stream; jobs under way are lost."""
        if not self.broken:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._stream.finish()
                    await asyncio.shield(self._tasks[0])  # until the node has closed its side
            except (TimeoutError, SwatowError):
                log.debug("stream_not_finished", node=self.node)
        self._break("the stream was closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.connection.close()

    async def _read(self) -> None:
        why = ""
        try:
            async for frame in self._stream.frames():
                job = self._jobs.get(frame.job)
                if frame.job == 0:
                    why = _refused_stream(frame)
                elif job is not None:  # else it is over here, and the frame was under way
                    job.on_frame(frame, self._now_us())
        except SwatowError as error:
            why = why or str(error)
        finally:
            self._break(why or "the node closed the stream")

    async def _write(self) -> None:
        with contextlib.suppress(SwatowError):  # the reader learns why, and breaks the line
            await self._stream.write_out()

    def _break(self, why: str) -> None:
        if not self.broken:
            self.broken = True
            self._end_stream()
            for job in list(self._jobs.values()):
                job.lost(why)


class NodeLines:
    """The lines to all nodes that this buyer has used."""

    def __init__(
        self,
        *,
        identity: Identity,
        network: str,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._identity = identity
        self._network = network
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._lines: dict[bytes, NodeLine] = {}
        # One for each node, so that one that does not answer keeps nobody from the others.
        self._connecting = WeakValueDictionary[bytes, asyncio.Lock]()

    async def line(self, award: Award, offer: Offer, *, stale: NodeLine | None = None) -> NodeLine:
        """Return the line to the node of an award.

        Args:
            stale: a line whose keys the node does not know any more; another one is made, unless
                somebody has made it already.

        Raises:
            NetworkError: no address of the node answers.
            NodeCheated: whoever answers is not the node.
        """
        async with self._connecting.setdefault(award.node, asyncio.Lock()):
            line = self._lines.pop(award.node, None)
            if line is not None and (line.broken or line is stale):
                await line.close()
                line = None
            if line is None:
                await self._make_room()
                line = await self._connect(award, offer, ask=stale is not None)
            self._lines[award.node] = line  # at the end: the one that was used last
            return line

    async def close(self) -> None:
        """Close every line."""
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.close() for line in lines))

    async def _make_room(self) -> None:
        """Close the lines that have been idle longest, if there are as many as may be."""
        idle = [node for node, line in self._lines.items() if line.idle]
        surplus = max(0, len(self._lines) + 1 - LINES_MAX)
        closing = [self._lines.pop(node) for node in idle[:surplus]]
        await asyncio.gather(*(line.close() for line in closing))

    async def _connect(self, award: Award, offer: Offer, *, ask: bool) -> NodeLine:
        failed: NetworkError | None = None
        for address in offer.addresses:
            try:
                connection, endpoint = await connect(
                    address,
                    server=award.node,
                    network=self._network,
                    now_us=self._now_us,
                    certificate_sha256=offer.certificate_sha256,
                )
                if endpoint is None and ask:
                    endpoint = await ask_endpoint(
                        connection, server=award.node, network=self._network, now_us=self._now_us
                    )
            except NetworkError as error:
                failed = error
                continue
            except RemoteError as error:
                raise NodeCheated(award.node, str(error)) from None
            sealing_key = (endpoint.sealing_key if endpoint else None) or offer.sealing_key
            return NodeLine(
                client=NodeClient(connection),
                sealing_key=sealing_key,
                node=award.node,
                identity=self._identity,
                now_us=self._now_us,
                random_bytes=self._random_bytes,
            )
        assert failed is not None, "an offer has an address"
        raise failed


def _refused_stream(frame: Frame) -> str:
    """Return why the node ends the stream, from its frame on job 0."""
    if frame.kind is not FrameKind.REFUSED:
        raise FrameRefused(f"a node does not send {frame.kind.name} on job 0")
    return codec.decode(Refused, frame.body).detail


def is_key_retired(error: SwatowError) -> bool:
    """Whether a node refused a job only because its keys have changed since the offer."""
    return isinstance(error, NodeRefused) and error.refusal in (
        JobRefusal.SEALING_KEY_RETIRED,
        JobRefusal.WRONG_CONNECTION,
    )
