"""A job at the buyer beside the same job at the node, with every frame passed by hand."""

from typing import Any

from msgspec.structs import replace

from swatow._awards import HeldAward
from swatow._job import BuyerJob
from swatow._recount import Recount, Tokenizer
from swatow_protocol import codec
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.identity import Identity
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import (
    Accepted,
    Body,
    Chunk,
    Close,
    FinishReason,
    Frame,
    FrameKind,
    PaymentTerms,
    Receipt,
    Usage,
    Voucher,
)
from swatow_protocol.metering import standard_tokens
from swatow_protocol.transcript import Transcript
from swatow_protocol.units import cost_nanos
from tests.support.samples import BUYER, NETWORK, NODE, NOW_US
from tests.unit.node import deal
from tests.unit.node.deal import NodeSide, word

PROMPT_MOST = 1_000
Events = list[dict[str, Any]]


class CharTokenizer:
    """A token for each character, whose id is its code point; 0 ends an answer."""

    def count(self, text: str) -> int:
        """Return the tokens of a text."""
        return len(text)

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of tokens."""
        return "".join(chr(token) for token in token_ids if token)

    def visible(self, token_ids: list[int]) -> int:
        """Return how many tokens leave text."""
        return sum(token != 0 for token in token_ids)


def held_award(*, lots: int = 5, interval: int = 16, window: int = 32) -> HeldAward:
    """Return an award as its buyer holds it; equal arguments give `deal.account`'s."""
    payment = PaymentTerms(voucher_interval=interval, credit_window=window)
    offer = deal.offer()
    return HeldAward(deal.award(offer, lots=lots, payment=payment), offer, deal.MODEL.message)


class Pair:
    """Both ends of a job. `node` is honest; `forge` and `close` make whatever a node could."""

    def __init__(
        self,
        held: HeldAward | None = None,
        node: NodeSide | None = None,
        *,
        tokenizer: Tokenizer | None = None,
        stops: list[str] | None = None,
        choices: int = 1,
        output_tokens_max: int = 256,
    ) -> None:
        self.held = held or held_award()
        award = self.held.award
        self.node = node or NodeSide(
            deal.account(
                lots=award.lots,
                interval=award.payment.voucher_interval,
                window=award.payment.credit_window,
            ),
            output_tokens_max=output_tokens_max,
        )
        self.job = BuyerJob(
            opening=self.node.job.opening.open,
            award=self.held,
            seals=self.node.buyer_seals,
            identity=BUYER,
            recount=Recount(tokenizer, stops or [], choices),
            prompt_tokens_most=PROMPT_MOST,
        )
        self.transcript = Transcript(self.job.id)
        self.position = 0

    def state(self) -> JobState:
        """Return where the job stands at the buyer."""
        return self.job.state

    def give(self, frame: Frame | None, now_us: int = NOW_US) -> tuple[Events, list[Frame]]:
        """Let a frame of the node arrive."""
        assert frame is not None
        return self.job.on_frame(frame, now_us)

    def accepted(self, prompt: int | None = 0, **changes: Any) -> list[Frame]:
        """Let an acceptance arrive; return what the buyer sends."""
        fields: dict[str, Any] = {"cached_tokens": 0, "prompt_due": False, "voucher": None}
        body = Accepted(prompt_tokens=prompt, **{**fields, **changes})
        return self.give(self.forge(FrameKind.ACCEPTED, body))[1]

    def forge(self, kind: FrameKind, body: Body) -> Frame:
        """Seal whatever a node may say."""
        encoded = codec.encode(body)
        return Frame(job=1, kind=kind, body=self.node.node_seals.seal(1, kind, encoded))

    def chunk(self, text: str = "word ", tokens: int = 1, **changes: Any) -> Frame:
        """Make the next chunk as a node would, but for the changes."""
        fields: dict[str, Any] = {
            "position": self.position,
            "tokens": tokens,
            "token_ids": (),
            "events": (word(text).body,),
        }
        told = changes.pop("transcript", None)
        fields |= changes
        hashed = self.transcript.extend(**fields)
        self.position += tokens
        return self.forge(FrameKind.CHUNK, Chunk(**fields, transcript=told or hashed))

    def send(self, text: str = "word ", tokens: int = 1, **changes: Any) -> list[Frame]:
        """Let the next chunk arrive; return what the buyer sends."""
        return self.give(self.chunk(text, tokens, **changes))[1]

    def receipt(self, usage: Usage, **changes: Any) -> Receipt:
        """Return the receipt that an honest node would write for this usage, but for changes."""
        award = self.held.award
        tokens = standard_tokens(usage, deal.MODEL.message)
        fields: dict[str, Any] = {
            "network": NETWORK,
            "sender": NODE.key,
            "issued_us": NOW_US,
            "job": self.job.id,
            "award": self.held.id,
            "model": award.model,
            "buyer": BUYER.key,
            "finish_reason": FinishReason.STOP,
            "usage": usage,
            "standard_tokens": tokens,
            "award_standard_tokens": tokens,
            "currency": award.currency,
            "price": award.price,
            "cost": cost_nanos(tokens, award.price),
            "opened_us": NOW_US,
            "first_token_us": NOW_US + 1,
            "closed_us": NOW_US + 2,
            "energy_mj": None,
            "carbon_mg_per_lot": 120,
            "chunks": self.transcript.chunks,
            "transcript": self.transcript.hash,
        }
        return Receipt(**{**fields, **changes})

    def close(
        self,
        receipt: Receipt,
        *,
        signer: Identity = NODE,
        reason: FinishReason | None = None,
        detail: str = "",
    ) -> Frame:
        """Make the node's last word with this receipt."""
        signed = sign(replace(receipt, sender=signer.key), signer)
        return self.close_with(signed.envelope, reason or receipt.finish_reason, detail)

    def close_with(
        self, envelope: bytes, reason: FinishReason = FinishReason.STOP, detail: str = ""
    ) -> Frame:
        """Make the node's last word with any bytes in the place of the receipt."""
        body = Close(finish_reason=reason, detail=detail, receipt=envelope)
        return self.forge(FrameKind.CLOSE, body)

    def end(self, usage: Usage, **changes: Any) -> list[Frame]:
        """Let the node's last word arrive; return what the buyer sends."""
        return self.give(self.close(self.receipt(usage, **changes)))[1]

    def answer(self, frames: list[Frame]) -> None:
        """Let frames of the buyer arrive at the honest node."""
        for frame in frames:
            if frame.kind is FrameKind.VOUCHER:
                voucher = voucher_of(frame)
                self.node.job.voucher(voucher.message)
                self.node.account.record_voucher(voucher.message, voucher.envelope)
                self.node.job.paid()
            else:
                assert frame.kind is FrameKind.COUNTERSIGN
                self.node.job.countersign(frame.body)


def voucher_of(frame: Frame) -> Signed[Voucher]:
    """Return the voucher in a frame, as the node verifies it."""
    assert frame.kind is FrameKind.VOUCHER
    return verify(frame.body, Voucher, network=NETWORK, now_us=None, sender=BUYER.key)


def promised(frames: list[Frame]) -> list[int]:
    """Return the standard tokens of the vouchers among frames."""
    kind = FrameKind.VOUCHER
    return [voucher_of(frame).message.standard_tokens for frame in frames if frame.kind is kind]


def kinds(frames: list[Frame]) -> list[FrameKind]:
    """Return the kinds of frames."""
    return [frame.kind for frame in frames]
