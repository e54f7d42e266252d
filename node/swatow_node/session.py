"""One buyer's job stream: frames in, jobs run, frames out.

The session ends when the buyer closes the stream, breaks a rule or goes away; then its engines
stop, and what is owed is what the highest voucher says.
"""

import asyncio
import contextlib

import structlog

from swatow_node.admission import JobRefused, Opening, agree_on_seals, judge_opening
from swatow_node.awards import AwardAccount
from swatow_node.desk import Desk
from swatow_node.job_run import JobRun
from swatow_node.jobs import NodeJob
from swatow_protocol import codec, limits
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.envelope import verify
from swatow_protocol.errors import (
    FrameRefused,
    MessageRefused,
    RemoteError,
    SealBroken,
    SwatowError,
)
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import (
    Credit,
    FinishReason,
    Frame,
    FrameKind,
    JobRefusal,
    Refused,
    Release,
    Voucher,
)
from swatow_protocol.sealing import Seals

VOUCHERS_WAITING_MAX = 64
"""Vouchers of one stream that are being written; the reader waits beyond."""
OPENINGS_REMEMBERED_US = limits.MESSAGE_AGE_US + limits.CLOCK_SKEW_US
"""An opening is remembered until it would be too old to be taken again."""

EXPLAIN_S = 1.0
"""A buyer whose stream is ended gets this long to take in why."""

log = structlog.get_logger("swatow.jobs")


class Session:
    """One job stream."""

    def __init__(self, desk: Desk, stream: FrameStream) -> None:
        self._desk = desk
        self._stream = stream
        self._runs: dict[int, JobRun] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._last_number = 0
        self._seals: Seals | None = None
        self._stream_key = b""
        self._buyer = b""
        self._writing = asyncio.Semaphore(VOUCHERS_WAITING_MAX)
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no job is open."""
        await self._idle.wait()

    async def run(self) -> None:
        """Serve until the buyer closes the stream.

        Raises:
            FrameRefused, MessageRefused, SealBroken: the buyer broke a rule; the stream ends.
        """
        writer = asyncio.create_task(self._stream.write_out())
        try:
            async with asyncio.TaskGroup() as group:
                async for frame in self._stream.frames():
                    await self._on_frame(frame, group)
                for number, run in self._runs.items():
                    if run.job.state is not JobState.CLOSED:
                        self._tasks[number].cancel()  # nobody is left to pay
        except BaseExceptionGroup as errors:
            error = _first(errors)
            await self._explain(error)
            raise error from None
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _explain(self, error: BaseException) -> None:
        """Tell the buyer why the stream ends, and let it be the one that ends it.

        A gRPC client whose write meets the end of the call loses the status and all that it has
        not read yet.
        """
        if isinstance(error, RemoteError):
            self._refuse(0, JobRefused(JobRefusal.MALFORMED, str(error)))
            with contextlib.suppress(SwatowError, TimeoutError):
                async with asyncio.timeout(EXPLAIN_S):
                    await self._stream.discard()

    def shut_down(self) -> None:
        """Close every job of this session, because the node is going down."""
        for run in self._runs.values():
            run.stop(FinishReason.SHUTDOWN)

    async def _on_frame(self, frame: Frame, group: asyncio.TaskGroup) -> None:
        if frame.kind is FrameKind.OPEN:
            await self._on_open(frame, group)
        elif frame.kind is FrameKind.RELEASE:
            await self._on_release(frame)
        else:
            run = self._runs.get(frame.job)
            if run is not None:  # else it is over here, and the frame was under way
                await self._on_job_frame(run, frame, group)

    async def _on_job_frame(self, run: JobRun, frame: Frame, group: asyncio.TaskGroup) -> None:
        match frame.kind:
            case FrameKind.VOUCHER:
                voucher = self._verified(frame.body, run.job.account.award.buyer)
                run.job.voucher(voucher)
                await self._writing.acquire()
                run.vouchers_being_written += 1
                group.create_task(self._keep_voucher(run, voucher, frame.body))
            case FrameKind.CREDIT:
                run.job.credit(codec.decode(Credit, frame.body))
                self._stream.ready(run)
            case FrameKind.COUNTERSIGN:
                run.job.countersign(frame.body)
                run.moved.set()
            case FrameKind.CANCEL:
                run.stop(FinishReason.CANCELLED)
            case _:
                raise FrameRefused(f"a buyer does not send {frame.kind.name}")

    async def _on_open(self, frame: Frame, group: asyncio.TaskGroup) -> None:
        if frame.job <= self._last_number:
            raise FrameRefused(f"job {frame.job} after job {self._last_number}")
        self._last_number = frame.job
        try:
            run = await self._open(frame)
        except JobRefused as refused:
            self._refuse(frame.job, refused)
        else:
            self._runs[frame.job] = run
            self._idle.clear()
            self._tasks[frame.job] = group.create_task(self._serve(run))

    async def _open(self, frame: Frame) -> JobRun:
        desk = self._desk
        if desk.closing:
            raise JobRefused(JobRefusal.SHUTDOWN, "the node is going down")
        if len(self._runs) >= limits.JOBS_PER_STREAM_MAX:
            raise JobRefused(JobRefusal.BUSY, f"{limits.JOBS_PER_STREAM_MAX} jobs are open")
        opening = judge_opening(frame, desk.house, desk.now_us())
        self._check_repeated(opening)
        account = await self._account(opening)
        seals = self._agree(opening)
        job = NodeJob(
            opening=opening,
            account=account,
            seals=seals,
            identity=desk.identity,
            now_us=desk.now_us(),
        )
        sealed = opening.open.message.sealed_request
        try:
            request = seals.open(frame.job, FrameKind.OPEN, sealed)
        except SealBroken as error:
            raise JobRefused(JobRefusal.UNSEALED, str(error)) from None
        return JobRun(desk, self._stream, job, request)

    def _check_repeated(self, opening: Opening) -> None:
        """Refuse an opening that was seen before, on this or any other stream."""
        seen, now_us = self._desk.seen, self._desk.now_us()
        while seen and now_us - next(iter(seen.values())) > OPENINGS_REMEMBERED_US:
            del seen[next(iter(seen))]
        if opening.open.id in seen:
            raise JobRefused(JobRefusal.REPEATED, "this opening was seen before")
        seen[opening.open.id] = now_us

    def _agree(self, opening: Opening) -> Seals:
        message = opening.open.message
        if self._seals is None:
            self._seals = agree_on_seals(opening, self._desk.house)
            self._stream_key, self._buyer = message.stream_key, message.sender
        if (message.stream_key, message.sender) != (self._stream_key, self._buyer):
            raise FrameRefused("a stream has one buyer and one stream key")
        return self._seals

    async def _account(self, opening: Opening) -> AwardAccount:
        """Return the award's account, with what the journal knows of it."""
        desk, award = self._desk, opening.award
        account = desk.awards.accounts.get(award.id)
        if account is None:
            message = award.message
            await desk.journal.keep_award(
                award.id, award.envelope, message.expires_us, message.settle_by_us
            )
            record = await desk.journal.award(award.id)
            assert record is not None, "it was written just now, or before"
            account = desk.awards.open(award, desk.house.model.message)
            account.released = record.released or record.settled
            if record.voucher is not None:
                voucher = self._verified(record.voucher, message.buyer)
                account.record_voucher(voucher, record.voucher)
        if account.released:
            raise JobRefused(JobRefusal.SPENT, "the award was released")
        if not account.trusted:
            raise JobRefused(
                JobRefusal.UNPAID, f"{account.lost_output} delivered tokens were never signed for"
            )
        if not account.meter.output_left():
            raise JobRefused(JobRefusal.SPENT, "no tokens are left in the award")
        return account

    async def _serve(self, run: JobRun) -> None:
        job = run.job
        job.account.jobs += 1
        try:
            await run.serve()
        except JobRefused as refused:
            job.refuse()
            self._refuse(job.number, refused)
        finally:
            run.end()
            job.account.job_ended()
            del self._runs[job.number], self._tasks[job.number]
            if not self._runs:
                self._idle.set()
            if self._seals is not None:
                self._seals.forget(job.number)
            log.info(
                "job_ended",
                job=job.id,
                state=job.state.value,
                prompt_tokens=job.usage.prompt_tokens,
                output_tokens=job.usage.output_tokens,
            )

    def _refuse(self, number: int, refused: JobRefused) -> None:
        body = Refused(
            refusal=refused.refusal,
            detail=refused.detail,
            retry_after_ms=refused.retry_after_ms,
        )
        self._stream.push(Frame(job=number, kind=FrameKind.REFUSED, body=codec.encode(body)))
        log.info("job_refused", refusal=refused.refusal.value)

    async def _keep_voucher(self, run: JobRun, voucher: Voucher, envelope: bytes) -> None:
        """Write a voucher down; only then does it count."""
        account = run.job.account
        try:
            await self._desk.journal.keep_voucher(
                account.signed.id, envelope, voucher.standard_tokens
            )
            account.record_voucher(voucher, envelope)
        finally:
            run.vouchers_being_written -= 1
            self._writing.release()
        for other in self._runs.values():
            if other.job.account is account:
                other.paid()

    def _verified(self, envelope: bytes, buyer: bytes) -> Voucher:
        network = self._desk.house.network
        return verify(envelope, Voucher, network=network, now_us=None, sender=buyer).message

    async def _on_release(self, frame: Frame) -> None:
        """The buyer draws no more on an award; only the award's own buyer can say so."""
        release = codec.decode(Release, frame.body)
        account = self._desk.awards.accounts.get(release.award)
        if account is not None and account.award.buyer == self._buyer:
            account.released = True
            await self._desk.journal.keep_release(release.award)
            self._desk.on_release()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what went wrong: the peer's own fault before anything else."""
    theirs = errors.subgroup((FrameRefused, MessageRefused, SealBroken))
    chosen: BaseException = theirs or errors
    while isinstance(chosen, BaseExceptionGroup):
        chosen = chosen.exceptions[0]
    return chosen
