"""One job at the buyer: what is checked, what is counted, what is signed.

Pure: the node's frames and the time go in; events of the answer and the buyer's frames come out.
_nodes.py runs it over a stream.
"""

from typing import Any

import msgspec

from swatow._awards import HeldAward
from swatow._recount import Recount
from swatow.errors import InvalidRequest, NodeCheated, NodeFailed, NodeRefused, Paid
from swatow_protocol import codec, limits
from swatow_protocol.envelope import Signed, countersign, sign, verify
from swatow_protocol.errors import FrameRefused, MessageRefused, SealBroken
from swatow_protocol.identity import Identity
from swatow_protocol.lifecycle import FINAL, JobEvent, JobState, advance
from swatow_protocol.messages import (
    Accepted,
    Chunk,
    Close,
    Credit,
    FinishReason,
    Frame,
    FrameKind,
    JobOpen,
    JobRefusal,
    Receipt,
    Refused,
    Usage,
    Voucher,
)
from swatow_protocol.metering import JobMeter, check_usage, standard_tokens
from swatow_protocol.openai_events import calls_begun_in, choices_of, text_of
from swatow_protocol.sealing import Seals
from swatow_protocol.transcript import Transcript
from swatow_protocol.units import cost_nanos

_FAILED = {
    FinishReason.ENGINE_ERROR: "its engine failed",
    FinishReason.UNPAID: "it says that it was not paid",
    FinishReason.SHUTDOWN: "it is going down",
}


class BuyerJob:
    """One job at the buyer."""

    def __init__(
        self,
        *,
        opening: Signed[JobOpen],
        award: HeldAward,
        seals: Seals,
        identity: Identity,
        recount: Recount,
        prompt_tokens_most: int,
    ) -> None:
        """Follow the job that `opening` asks for.

        Args:
            prompt_tokens_most: more than this the prompt cannot have; a claim above is refused.
        """
        self.state: JobState = JobState.OPENING
        self.receipt: Signed[Receipt] | None = None
        self.countersignature: bytes | None = None
        self.finish_reason: FinishReason | None = None
        self.recount = recount
        self.award = award
        self._opening = opening
        self._seals = seals
        self._identity = identity
        self._prompt_tokens_most = prompt_tokens_most
        self._transcript = Transcript(opening.id)
        self._meter = JobMeter(award.meter)
        self._detail = ""
        self._position = 0
        self._unacknowledged_bytes = 0

    @property
    def number(self) -> int:
        """The job's number on its stream."""
        return self._opening.message.job

    @property
    def id(self) -> bytes:
        """The job's id."""
        return self._opening.id

    @property
    def usage(self) -> Usage:
        """Counted here for this job."""
        return self._meter.usage

    @property
    def ended(self) -> bool:
        """Whether no more frames are expected."""
        return self.state in FINAL

    @property
    def paid(self) -> Paid:
        """What was signed for so far."""
        award = self.award.award
        return Paid(
            standard_tokens=self.award.meter.signed,
            nanos=cost_nanos(self.award.meter.signed, award.price),
            currency=award.currency,
            received_tokens=self._meter.usage.output_tokens,
        )

    def on_frame(self, frame: Frame, now_us: int) -> tuple[list[dict[str, Any]], list[Frame]]:
        """Take a frame of the node; return new events of the answer, and frames to send.

        Raises:
            NodeRefused, InvalidRequest: the job was not started; nothing is owed.
            NodeCheated: the frame is not what the protocol and the award allow. What was signed
                before it is all that is owed.
        """
        try:
            return self._on_frame(frame, now_us)
        except (SealBroken, MessageRefused, FrameRefused) as error:
            self.break_off()
            raise self._cheated(str(error)) from None
        except NodeCheated:
            self.break_off()
            raise

    def consumed(self, size: int) -> Frame | None:
        """Note that the caller has taken chunks of `size` bytes; maybe grant the node more."""
        self._unacknowledged_bytes += size
        if self.ended or self._unacknowledged_bytes < limits.JOB_CREDIT_BYTES // 2:
            return None
        credit = Credit(granted_bytes=self._unacknowledged_bytes)
        self._unacknowledged_bytes = 0
        return Frame(job=self.number, kind=FrameKind.CREDIT, body=codec.encode(credit))

    def cancel(self) -> Frame:
        """Ask the node to stop; it answers with its receipt."""
        return Frame(job=self.number, kind=FrameKind.CANCEL, body=b"")

    def break_off(self) -> None:
        """Note that the job is over without the node's last word."""
        if self.state not in FINAL:
            self._advance(JobEvent.BREAK)

    def failure(self) -> NodeFailed | InvalidRequest | None:
        """Return the error that the node's last word stands for; None for a good end."""
        assert self.finish_reason is not None
        if self.finish_reason is FinishReason.BAD_REQUEST:
            return InvalidRequest(self._detail)
        if self.finish_reason in _FAILED:
            problem = _FAILED[self.finish_reason]
            detail = f"{problem}: {self._detail}" if self._detail else problem
            return NodeFailed(self.award.award.node, detail, self.paid, self.recount.text)
        return None

    def _on_frame(self, frame: Frame, now_us: int) -> tuple[list[dict[str, Any]], list[Frame]]:
        match frame.kind:
            case FrameKind.ACCEPTED:
                return [], self._on_accepted(frame, now_us)
            case FrameKind.CHUNK:
                return self._on_chunk(frame, now_us)
            case FrameKind.CLOSE:
                return [], self._on_close(frame, now_us)
            case FrameKind.REFUSED:
                self._on_refused(frame)
        raise FrameRefused(f"a node does not send {frame.kind.name}")

    def _on_refused(self, frame: Frame) -> None:
        refused = codec.decode(Refused, frame.body)
        self._advance(JobEvent.REFUSE)
        node = self.award.award.node
        if refused.refusal is JobRefusal.BAD_REQUEST:
            raise InvalidRequest(refused.detail)
        raise NodeRefused(node, refused.refusal, refused.detail, refused.retry_after_ms)

    def _on_accepted(self, frame: Frame, now_us: int) -> list[Frame]:
        accepted = codec.decode(Accepted, self._open(frame))
        self._advance(JobEvent.ACCEPT)
        if accepted.voucher is not None:
            self._remember(accepted.voucher)
        prompt = accepted.prompt_tokens or 0
        if prompt > self._prompt_tokens_most or accepted.cached_tokens > prompt:
            raise self._cheated(f"claims {prompt} prompt tokens, {self._prompt_tokens_most} fit")
        if accepted.prompt_tokens is not None:
            self._prompt_tokens_most = prompt
        usage = Usage(prompt_tokens=prompt, cached_tokens=accepted.cached_tokens)
        self._meter = JobMeter(self.award.meter, usage)
        if not accepted.prompt_due:
            return []
        self._meter.count_prompt()
        return self._vouch(now_us)

    def _remember(self, envelope: bytes) -> None:
        """Go on from what this buyer has signed before, as its own signature proves."""
        award = self.award.award
        voucher = verify(
            envelope, Voucher, network=award.network, now_us=None, sender=self._identity.key
        ).message
        if (voucher.award, voucher.node) != (self.award.id, award.node):
            raise self._cheated("shows a voucher for another award")
        self.award.meter.record_voucher(voucher.standard_tokens, voucher.usage)

    def _on_chunk(self, frame: Frame, now_us: int) -> tuple[list[dict[str, Any]], list[Frame]]:
        chunk = codec.decode(Chunk, self._open(frame))
        self._advance(JobEvent.CHUNK)
        transcript = self._transcript.extend(
            position=chunk.position,
            tokens=chunk.tokens,
            token_ids=chunk.token_ids,
            events=chunk.events,
        )
        if transcript != chunk.transcript or chunk.position != self._position:
            raise self._cheated("a chunk that does not follow the one before")
        if chunk.token_ids and len(chunk.token_ids) != chunk.tokens:
            raise self._cheated("a chunk with more or fewer token ids than tokens")
        self._position += chunk.tokens
        if self._position > self._opening.message.output_tokens_max:
            raise self._cheated(f"{self._position} output tokens, more than were asked for")
        events = [_decode_event(body) for body in chunk.events]
        choices = [choice for event in events for choice in choices_of(event)]
        text = "".join(text_of(choice) for choice in choices)
        calls = sum(calls_begun_in(choice) for choice in choices)
        first = not self._meter.usage.output_tokens
        self._meter.chunk(self.recount.add(text, chunk.tokens, chunk.token_ids, calls))
        due = self.award.meter.voucher_due or (first and self._meter.usage.output_tokens)
        return events, self._vouch(now_us) if due else []

    def _on_close(self, frame: Frame, now_us: int) -> list[Frame]:
        close = codec.decode(Close, self._open(frame))
        self._advance(JobEvent.CLOSE)
        self.finish_reason, self._detail = close.finish_reason, close.detail
        self.receipt = self._verified(close)
        claimed = self.receipt.message.usage
        if self.recount.is_forged():
            raise self._cheated("token ids that do not give the text that it sent")
        if claimed.prompt_tokens > self._prompt_tokens_most:
            raise self._cheated(f"claims {claimed.prompt_tokens} prompt tokens")
        if claimed.output_tokens > self._opening.message.output_tokens_max:
            raise self._cheated(f"claims {claimed.output_tokens} output tokens")
        own = self._own_count(claimed)
        self._meter.close(own)
        frames = self._vouch(now_us)
        if own == claimed:
            self.countersignature = countersign(self.receipt, self._identity)
            frames.append(self._frame(FrameKind.COUNTERSIGN, self.countersignature))
            self._advance(JobEvent.COUNTERSIGN)
        else:
            self._advance(JobEvent.BREAK)  # paid by our count; the receipt stays unsigned
        return frames

    def _own_count(self, claimed: Usage) -> Usage:
        """Return what to sign for: the node's final counts, as far as they can be found here."""
        output = self.recount.final(claimed.output_tokens)
        return Usage(
            prompt_tokens=claimed.prompt_tokens,
            cached_tokens=claimed.cached_tokens,
            output_tokens=output,
            reasoning_tokens=min(claimed.reasoning_tokens, output),
        )

    def _verified(self, close: Close) -> Signed[Receipt]:
        award = self.award.award
        signed = verify(
            close.receipt, Receipt, network=award.network, now_us=None, sender=award.node
        )
        receipt = signed.message
        check_usage(receipt.usage)
        model = self.award.meter.model
        tokens = standard_tokens(receipt.usage, model)
        said = (
            receipt.job,
            receipt.award,
            receipt.model,
            receipt.buyer,
            receipt.currency,
            receipt.price,
            receipt.standard_tokens,
            receipt.cost,
            receipt.finish_reason,
            receipt.carbon_mg_per_lot,
            receipt.chunks,
            receipt.transcript,
        )
        true = (
            self.id,
            self.award.id,
            award.model,
            award.buyer,
            award.currency,
            award.price,
            tokens,
            cost_nanos(tokens, award.price),
            close.finish_reason,
            self.award.offer.message.attributes.carbon_mg_per_lot,
            self._transcript.chunks,
            self._transcript.hash,
        )
        total, most = receipt.award_standard_tokens, self.award.meter.total
        first_us = receipt.first_token_us or receipt.opened_us
        plausible = (
            min(receipt.standard_tokens, most) <= total <= most
            and receipt.opened_us <= first_us <= receipt.closed_us
        )
        if said != true or not plausible:
            raise self._cheated("a receipt that does not describe this job")
        return signed

    def _vouch(self, now_us: int) -> list[Frame]:
        """Sign for everything counted so far, if that is more than was signed."""
        meter, award = self.award.meter, self.award.award
        if meter.owed <= meter.signed:
            return []
        voucher = Voucher(
            network=award.network,
            sender=self._identity.key,
            issued_us=now_us,
            award=self.award.id,
            node=award.node,
            standard_tokens=meter.owed,
            usage=meter.usage,
            job=self.id,
            transcript=self._transcript.hash,
        )
        signed = sign(voucher, self._identity)
        meter.record_voucher(voucher.standard_tokens, voucher.usage)
        return [self._frame(FrameKind.VOUCHER, signed.envelope)]

    def _frame(self, kind: FrameKind, body: bytes) -> Frame:
        return Frame(job=self.number, kind=kind, body=body)

    def _open(self, frame: Frame) -> bytes:
        return self._seals.open(self.number, frame.kind, frame.body)

    def _cheated(self, problem: str) -> NodeCheated:
        return NodeCheated(self.award.award.node, problem, self.paid, self.recount.text)

    def _advance(self, event: JobEvent) -> None:
        self.state = advance(self.state, event)


def _decode_event(body: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameRefused(f"an event that is no JSON: {error}") from None
    if not isinstance(event, dict):
        raise FrameRefused("an event that is no JSON object")
    return event
