"""One job at the node: what is counted, what may be sent, what is signed at the end.

Pure: engine events, vouchers and the time go in; frames come out. It never waits and never reads
a clock. job_run.py runs it over a stream and an engine.
"""

from collections import deque

from swatow_node.admission import Opening
from swatow_node.awards import AwardAccount
from swatow_node.engines.engine import EngineEvent
from swatow_protocol import codec, limits
from swatow_protocol.envelope import Signed, is_countersigned, sign
from swatow_protocol.errors import FrameRefused
from swatow_protocol.identity import Identity
from swatow_protocol.lifecycle import FINAL, JobEvent, JobState, advance
from swatow_protocol.messages import (
    Accepted,
    Award,
    Chunk,
    Close,
    Credit,
    FinishReason,
    Frame,
    FrameKind,
    Receipt,
    Usage,
    Voucher,
)
from swatow_protocol.metering import JobMeter, check_usage, standard_tokens
from swatow_protocol.sealing import Seals
from swatow_protocol.transcript import Transcript
from swatow_protocol.units import cost_nanos

EVENTS_WAITING_MAX = 256
"""Engine events that wait to be sent; beyond, the engine is not read."""


class NodeJob:
    """One job at the node."""

    def __init__(
        self,
        *,
        opening: Opening,
        account: AwardAccount,
        seals: Seals,
        identity: Identity,
        now_us: int,
    ) -> None:
        self.opening = opening
        self.account = account
        self.state = JobState.OPENING
        self.receipt: Signed[Receipt] | None = None
        self.countersignature: bytes | None = None
        self._model = account.meter.model
        self._seals = seals
        self._identity = identity
        self._transcript = Transcript(self.id)
        self._meter = JobMeter(account.meter)
        self._prompt_tokens: int | None = None
        self._vouched = False
        self._waiting: deque[EngineEvent] = deque()
        self._credit_bytes = limits.JOB_CREDIT_BYTES
        self._opened_us = now_us
        self._first_token_us: int | None = None

    @property
    def id(self) -> bytes:
        """The job's id: the id of its opening."""
        return self.opening.open.id

    @property
    def number(self) -> int:
        """The job's number on its stream."""
        return self.opening.open.message.job

    @property
    def usage(self) -> Usage:
        """Counted for this job."""
        return self._meter.usage

    @property
    def has_room(self) -> bool:
        """Whether the engine may be read on."""
        return len(self._waiting) < EVENTS_WAITING_MAX and self.state is not JobState.PAUSED

    @property
    def drained(self) -> bool:
        """Whether everything that the engine gave has been sent."""
        return not self._waiting

    @property
    def output_left(self) -> int:
        """Output tokens that this job may still send."""
        return max(0, min(self._cap_left, self._meter.output_left))

    @property
    def spent(self) -> bool:
        """Whether what waits next no longer fits the award or the job's own cap."""
        return bool(self._waiting) and self._waiting[0].tokens > self.output_left

    @property
    def limit_reason(self) -> FinishReason:
        """Which limit ends a job that has met one: the award's or the request's."""
        by_award = self._meter.output_left < self._cap_left
        return FinishReason.SPENT if by_award else FinishReason.LENGTH

    @property
    def abandoned(self) -> bool:
        """Whether the prompt was worked on and the buyer left without signing for anything."""
        return self.state is JobState.BROKEN and bool(self._prompt_tokens) and not self._vouched

    @property
    def prompt_paid(self) -> bool:
        """Whether everything counted so far is signed for."""
        return self.account.meter.signed >= self.account.meter.owed

    def accept(self, prompt_tokens: int | None, *, prompt_due: bool) -> Frame:
        """Take the job on."""
        self._advance(JobEvent.ACCEPT)
        self._prompt_tokens = prompt_tokens
        self._meter = JobMeter(self.account.meter, Usage(prompt_tokens=prompt_tokens or 0))
        if prompt_due:
            self._meter.count_prompt()
        accepted = Accepted(
            prompt_tokens=prompt_tokens,
            cached_tokens=0,
            prompt_due=prompt_due,
            voucher=self.account.voucher,
        )
        return self._sealed(FrameKind.ACCEPTED, codec.encode(accepted))

    def put(self, event: EngineEvent) -> None:
        """Take in an engine event, to be sent when credit allows."""
        self._waiting.append(event)

    def take(self, now_us: int) -> Frame | None:
        """Make the next chunk from what waits, as far as the buyer's credit goes.

        When the credit window is full the job is paused until a voucher comes.
        """
        if self.state is not JobState.RUNNING or not self._waiting or self._credit_bytes <= 0:
            return None
        if self.spent:
            return None
        events = self._within_window()
        if not events:
            self._advance(JobEvent.PAUSE)
            return None
        return self._chunk(events, now_us)

    def voucher(self, voucher: Voucher) -> None:
        """Check a voucher that this job's buyer signed, before it is written down.

        Raises:
            FrameRefused: it is for something else, or contradicts itself.
        """
        meter = self.account.meter
        if voucher.award != self.account.signed.id or voucher.job != self.id:
            raise FrameRefused("a voucher for another award or job")
        if voucher.node != self._identity.key:
            raise FrameRefused("a voucher for another node")
        check_usage(voucher.usage)
        if voucher.standard_tokens != meter.owed_for(voucher.usage):
            raise FrameRefused("a voucher whose tokens and standard tokens do not agree")
        advance(self.state, JobEvent.VOUCHER)  # may it come now? It counts once it is written
        self._vouched = True

    def paid(self) -> None:
        """Go on after a voucher on this award has been written down."""
        if self.state is JobState.PAUSED:
            self._advance(JobEvent.VOUCHER)

    def credit(self, credit: Credit) -> None:
        """Let so many more bytes go out."""
        self._credit_bytes += credit.granted_bytes

    def close(self, reason: FinishReason, detail: str, final: Usage | None, now_us: int) -> Frame:
        """End the job with a receipt; `final` is the engine's last word, if it had one."""
        self._advance(JobEvent.CLOSE)
        self._waiting.clear()
        if final is not None:
            self._meter.close(self._as_accepted(final))
        self.receipt = sign(self._receipt(reason, now_us), self._identity)
        close = Close(finish_reason=reason, detail=detail, receipt=self.receipt.envelope)
        return self._sealed(FrameKind.CLOSE, codec.encode(close))

    def countersign(self, countersignature: bytes) -> None:
        """Take the buyer's signature on the receipt.

        Raises:
            FrameRefused: it is no signature of the buyer on this receipt.
        """
        if self.receipt is None or not is_countersigned(self.receipt, countersignature):
            raise FrameRefused("a countersignature that is not the buyer's on this receipt")
        self.countersignature = countersignature
        self._advance(JobEvent.COUNTERSIGN)

    def refuse(self) -> None:
        """Note that the job is not taken on."""
        self._advance(JobEvent.REFUSE)

    def break_off(self) -> None:
        """Note that the stream has ended or a rule was broken."""
        if self.state not in FINAL:
            self._advance(JobEvent.BREAK)
        self._waiting.clear()

    @property
    def _cap_left(self) -> int:
        """Output tokens that the request still allows."""
        return self.opening.open.message.output_tokens_max - self.usage.output_tokens

    def _within_window(self) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        tokens = size = 0
        while self._waiting:
            event = self._waiting[0]
            alone = not events and self.account.meter.unpaid_output <= 0
            fits = (
                (alone or self.account.meter.allows(tokens + event.tokens))
                and tokens + event.tokens <= self.output_left
                and tokens + event.tokens <= limits.TOKENS_PER_CHUNK_MAX
                and (not events or size + len(event.body) <= limits.FRAMES_BYTES)
            )
            if not fits:
                break
            events.append(self._waiting.popleft())
            tokens, size = tokens + event.tokens, size + len(event.body)
        return events

    def _as_accepted(self, final: Usage) -> Usage:
        """Never charge for more prompt than was said when the job was accepted."""
        most = final.prompt_tokens if self._prompt_tokens is None else self._prompt_tokens
        prompt = min(final.prompt_tokens, most)
        return Usage(
            prompt_tokens=prompt,
            cached_tokens=min(final.cached_tokens, prompt),
            output_tokens=final.output_tokens,
            reasoning_tokens=min(final.reasoning_tokens, final.output_tokens),
        )

    def _chunk(self, events: list[EngineEvent], now_us: int) -> Frame:
        tokens = sum(event.tokens for event in events)
        ids = tuple(token for event in events for token in event.token_ids)
        position = self.usage.output_tokens
        token_ids = ids if len(ids) == tokens else ()
        bodies = tuple(event.body for event in events)
        self._meter.chunk(tokens)
        if tokens and self._first_token_us is None:
            self._first_token_us = now_us
        transcript = self._transcript.extend(
            position=position, tokens=tokens, token_ids=token_ids, events=bodies
        )
        chunk = Chunk(
            position=position,
            tokens=tokens,
            token_ids=token_ids,
            events=bodies,
            transcript=transcript,
        )
        self._advance(JobEvent.CHUNK)
        frame = self._sealed(FrameKind.CHUNK, codec.encode(chunk))
        self._credit_bytes -= len(frame.body)
        return frame

    def _receipt(self, reason: FinishReason, now_us: int) -> Receipt:
        award: Award = self.account.award
        tokens = standard_tokens(self.usage, self._model)
        return Receipt(
            network=award.network,
            sender=self._identity.key,
            issued_us=now_us,
            job=self.id,
            award=self.account.signed.id,
            model=award.model,
            buyer=award.buyer,
            finish_reason=reason,
            usage=self.usage,
            standard_tokens=tokens,
            award_standard_tokens=self.account.meter.owed,
            currency=award.currency,
            price=award.price,
            cost=cost_nanos(tokens, award.price),
            opened_us=self._opened_us,
            first_token_us=self._first_token_us,
            closed_us=now_us,
            energy_mj=None,
            carbon_mg_per_lot=self.opening.offer.message.attributes.carbon_mg_per_lot,
            chunks=self._transcript.chunks,
            transcript=self._transcript.hash,
        )

    def _sealed(self, kind: FrameKind, body: bytes) -> Frame:
        return Frame(job=self.number, kind=kind, body=self._seals.seal(self.number, kind, body))

    def _advance(self, event: JobEvent) -> None:
        self.state = advance(self.state, event)
