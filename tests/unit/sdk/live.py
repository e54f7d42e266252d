"""A live job on a line that only keeps what it is sent, and the stream over it."""

import asyncio
from typing import cast

from swatow._answers import CompletionStream
from swatow._job import BuyerJob
from swatow._nodes import LiveJob, NodeLine
from swatow_protocol import codec
from swatow_protocol.messages import (
    Accepted,
    FinishReason,
    Frame,
    FrameKind,
    JobRefusal,
    Refused,
    Usage,
)
from tests.support.samples import NOW_US
from tests.unit.sdk.pair import Pair

LONG_S = 60.0


class FakeLine:
    """A line that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.forgotten: list[LiveJob] = []
        self.cancelled = asyncio.Event()
        """Set when the node is told to stop."""

    def push(self, frame: Frame | None) -> None:
        """Keep a frame, if there is one."""
        if frame is not None:
            self.sent.append(frame)
            if frame.kind is FrameKind.CANCEL:
                self.cancelled.set()

    def forget(self, job: LiveJob) -> None:
        """Keep who is over."""
        self.forgotten.append(job)


class Live:
    """A live job on a fake line, and the stream over it."""

    def __init__(self, silence_s: float = LONG_S) -> None:
        self.pair = Pair()
        self.line = FakeLine()
        self.job = LiveJob(cast("NodeLine", self.line), self.pair.job, silence_s)
        self.ended: list[BuyerJob] = []
        self.stream = CompletionStream(self.job, "small-model-q4", self._on_end)

    async def _on_end(self, core: BuyerJob) -> None:
        self.ended.append(core)

    def accept(self) -> None:
        """Let the node take the job on."""
        body = Accepted(prompt_tokens=40, cached_tokens=0, prompt_due=False, voucher=None)
        self.give(self.pair.forge(FrameKind.ACCEPTED, body))

    def give(self, frame: Frame) -> None:
        """Let a frame arrive."""
        self.job.on_frame(frame, NOW_US)

    def close(self, output: int, reason: FinishReason = FinishReason.STOP) -> None:
        """Let the node's last word arrive."""
        usage = Usage(prompt_tokens=40, output_tokens=output)
        self.give(self.pair.close(self.pair.receipt(usage, finish_reason=reason), detail="why"))

    def refuse(self, refusal: JobRefusal) -> None:
        """Let the node refuse the job."""
        body = Refused(refusal=refusal, detail="why", retry_after_ms=None)
        self.give(Frame(job=1, kind=FrameKind.REFUSED, body=codec.encode(body)))
