"""A job on its way: the engine that feeds it, the stream that takes it, and what it waits for."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from swatow_node.admission import JobRefused
from swatow_node.desk import Desk
from swatow_node.engines.engine import EngineEvent, EngineFailed, EngineRefused
from swatow_node.jobs import NodeJob
from swatow_protocol import limits
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.lifecycle import FINAL, JobState
from swatow_protocol.messages import FinishReason, Frame, JobRefusal, Usage
from swatow_protocol.metering import standard_tokens

Ending = tuple[FinishReason, str, Usage | None]
"""Why a job ended, what the engine said, and its final counts where it had a last word."""


class JobRun:
    """Runs one job. `serve` is the whole of it; everything else is told to it meanwhile."""

    def __init__(self, desk: Desk, stream: FrameStream, job: NodeJob, request: bytes) -> None:
        self.job = job
        self.moved = asyncio.Event()
        """Set when something happened for which the job may be waiting."""
        self.vouchers_being_written = 0
        self._desk = desk
        self._stream = stream
        self._request = request
        self._stop: FinishReason | None = None
        self._reading: asyncio.Task[Ending] | None = None

    def take(self) -> Frame | None:
        """Make the next chunk, when the stream has room."""
        frame = self.job.take(self._desk.now_us())
        self.moved.set()
        return frame

    def stop(self, reason: FinishReason) -> None:
        """Stop the engine and close the job for `reason`."""
        if self._stop is None:
            self._stop = reason
            if self._reading is not None:
                self._reading.cancel()

    def paid(self) -> None:
        """Go on after a voucher on this job's award."""
        self.job.paid()
        self.moved.set()
        self._stream.ready(self)

    def end(self) -> None:
        """Make sure that the job is over."""
        self._stream.drop(self)
        if self.job.state not in FINAL:
            self.job.break_off()
            if self.job.abandoned:
                self._desk.awards.prompt_abandoned(self.job.account.award.buyer)

    async def serve(self) -> None:
        """Run the job to its end. When cancelled, the engine stops.

        Raises:
            JobRefused: the job was not accepted.
        """
        async with self._desk.slots.place():
            await self._accept()
            reason, detail, final = await self._produce()
        job, journal = self.job, self._desk.journal
        self._stream.push(job.close(reason, detail, final, self._desk.now_us()))
        meter = job.account.meter
        if meter.owed < meter.signed:  # the engine's last word was lower than what was signed
            await journal.keep_claim(job.account.signed.id, job.account.claim)
        await self._wait(lambda: job.state is JobState.CLOSED and not self.vouchers_being_written)
        assert job.receipt is not None
        await journal.keep_receipt(job.id, job.receipt.envelope, job.countersignature)

    async def _accept(self) -> None:
        desk, job = self._desk, self.job
        if not desk.engine.healthy:
            raise JobRefused(JobRefusal.ENGINE_UNAVAILABLE, "the engine is not running")
        service = job.opening.open.message.service
        try:
            prompt = await desk.engine.count_prompt(service, self._request)
        except EngineRefused as error:
            raise JobRefused(JobRefusal.BAD_REQUEST, str(error)) from None
        except EngineFailed as error:
            raise JobRefused(JobRefusal.ENGINE_UNAVAILABLE, str(error)) from None
        if prompt is not None:
            self._check_prompt(prompt)
        due = prompt is not None and desk.awards.must_prepay(job.account.award.buyer)
        self._stream.push(job.accept(prompt, prompt_due=due))
        if due and not await self._wait(lambda: job.prompt_paid):
            self.stop(FinishReason.UNPAID)

    def _check_prompt(self, prompt: int) -> None:
        meter = self.job.account.meter
        needed = standard_tokens(Usage(prompt_tokens=prompt), meter.model)
        left = meter.total - meter.owed
        if needed >= left:
            detail = f"the prompt takes {needed} standard tokens, the award has {left} left"
            raise JobRefused(JobRefusal.SPENT, detail)

    async def _produce(self) -> Ending:
        """Run the engine until it ends or is stopped, and send all that it gave."""
        if (reason := self._stopped()) is not None:
            return reason, "", None
        self._reading = asyncio.create_task(self._read_engine())
        try:
            return await self._reading
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the whole job is cancelled, and the reading with it
        await self._wait(lambda: self.job.drained or self.job.spent)
        reason = self._stopped()
        assert reason is not None, "only stop() cancels the reading alone"
        return reason, "", None

    def _stopped(self) -> FinishReason | None:
        return self._stop

    async def _read_engine(self) -> Ending:
        job, engine = self.job, self._desk.engine
        service = job.opening.open.message.service
        limited, final = False, None
        try:
            async with aclosing(engine.run(service, self._request, job.output_left)) as events:
                async for event in events:
                    self._send(event)
                    limited = limited or event.finish_reason == FinishReason.LENGTH
                    final = event.usage or final
                    if not await self._wait(lambda: job.has_room or job.spent):
                        return FinishReason.UNPAID, "", None
                    if job.spent:
                        return job.limit_reason, "", None
                    if self._desk.now_us() >= job.account.stop_by_us:
                        return FinishReason.EXPIRED, "", None
        except EngineRefused as error:
            return FinishReason.BAD_REQUEST, str(error), None
        except EngineFailed as error:
            await self._wait(lambda: job.drained or job.spent)
            return FinishReason.ENGINE_ERROR, str(error), None
        if not await self._wait(lambda: job.drained or job.spent):
            return FinishReason.UNPAID, "", None
        if job.spent:
            return job.limit_reason, "", None
        if not limited:
            return FinishReason.STOP, "", final
        # A stop for length with tokens left is the model's own limit: its context.
        reason = FinishReason.LENGTH if job.output_left else job.limit_reason
        return reason, "", final

    def _send(self, event: EngineEvent) -> None:
        if len(event.body) > limits.FRAMES_BYTES:
            raise EngineFailed(f"an event of {len(event.body)} bytes, {limits.FRAMES_BYTES} fit")
        self.job.put(event)
        self._stream.ready(self)

    async def _wait(self, condition: Callable[[], bool]) -> bool:
        """Wait until `condition`; False if nothing happens for voucher_wait_s before that."""
        while not condition():
            self.moved.clear()
            try:
                async with asyncio.timeout(self._desk.voucher_wait_s):
                    await self.moved.wait()
            except TimeoutError:
                return condition()
        return True
