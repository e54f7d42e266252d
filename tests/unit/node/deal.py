"""One consistent trade from fixed keys: offer, award, opening, and the node's side of its jobs."""

import json
from typing import Any, TypeVar

from swatow_node.admission import House, Opening
from swatow_node.awards import AwardAccount, AwardBook
from swatow_node.engines.engine import EngineEvent
from swatow_node.jobs import NodeJob
from swatow_protocol import codec
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import (
    Award,
    Body,
    Chunk,
    Frame,
    FrameKind,
    JobOpen,
    Offer,
    OpenBody,
    PaymentTerms,
    Usage,
    Voucher,
)
from swatow_protocol.sealing import SealingKey, Seals, Side
from tests.support import samples
from tests.support.samples import BUYER, MARKET, NETWORK, NODE, NOW_US, digest

MODEL = sign(samples.model(), MARKET)
NODE_SEALING = SealingKey(bytes([5]) * 32)
STREAM = SealingKey(bytes([6]) * 32)
"""The buyer's key of the stream."""
CERTIFICATE = digest("certificate")
REQUEST = b'{"messages":[{"role":"user","content":"hello"}],"model":"small-model-q4"}'

B = TypeVar("B", bound=Body)


def offer(**changes: Any) -> Signed[Offer]:
    """Return the node's offer: 100 lots from 80,000 nanos."""
    fields = {"model": MODEL.id, "sealing_key": NODE_SEALING.public, **changes}
    return sign(samples.offer(**fields), NODE)


def award(on: Signed[Offer] | None = None, **changes: Any) -> Signed[Award]:
    """Return an award of 5 lots that fits the offer."""
    drawn_on = on or offer()
    fields = {
        "offer": drawn_on.id,
        "model": MODEL.id,
        "price": 82_000,
        "node_price": 80_000,
        "path_charge": 2_000,
        "certificate_sha256": CERTIFICATE,
        "sealing_key": drawn_on.message.sealing_key,
        **changes,
    }
    return sign(samples.award(**fields), MARKET)


def opening(of: Signed[Award] | None = None, **changes: Any) -> Signed[JobOpen]:
    """Return the buyer's opening of job 1 on the award."""
    fields = {
        "award": (of or award()).id,
        "certificate_sha256": CERTIFICATE,
        "sealing_key": NODE_SEALING.public,
        "stream_key": STREAM.public,
        **changes,
    }
    return sign(samples.job_open(**fields), BUYER)


def open_frame(
    *,
    number: int = 1,
    on: Signed[Offer] | None = None,
    of: Signed[Award] | None = None,
    opened: Signed[JobOpen] | None = None,
) -> Frame:
    """Return the OPEN frame that brings award, offer and opening."""
    given = of or award()
    body = OpenBody(
        award=given.envelope,
        offer=(on or offer()).envelope,
        open=(opened or opening(given, job=number)).envelope,
    )
    return Frame(job=number, kind=FrameKind.OPEN, body=codec.encode(body))


def house(**changes: Any) -> House:
    """Return the node as its admission knows it."""
    fields: dict[str, Any] = {
        "key": NODE.key,
        "network": NETWORK,
        "market": MARKET.key,
        "model": MODEL,
        "certificates": lambda: (digest("older certificate"), CERTIFICATE),
        "sealing_keys": lambda: (SealingKey(bytes([7]) * 32), NODE_SEALING),
        **changes,
    }
    return House(**fields)


def account(
    on: Signed[Offer] | None = None, *, lots: int = 5, interval: int = 16, window: int = 32
) -> AwardAccount:
    """Return a fresh award at the node."""
    payment = PaymentTerms(voucher_interval=interval, credit_window=window)
    return AwardBook().open(award(on, lots=lots, payment=payment), MODEL.message)


def word(
    text: str = "word ", tokens: int = 1, ids: tuple[int, ...] = (), **more: Any
) -> EngineEvent:
    """Return an event of a chat stream with this text."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    body = {"object": "chat.completion.chunk", "choices": [choice]}
    return EngineEvent(json.dumps(body).encode(), tokens, ids, **more)


class NodeSide:
    """A job at the node, with the buyer's half of the seals to read what it sends."""

    def __init__(
        self,
        of: AwardAccount | None = None,
        *,
        on: Signed[Offer] | None = None,
        number: int = 1,
        output_tokens_max: int = 256,
    ) -> None:
        drawn_on = on or offer()
        self.account = of or account(drawn_on)
        self.node_seals = Seals(Side.NODE, NODE_SEALING, STREAM.public)
        self.buyer_seals = Seals(Side.BUYER, STREAM, NODE_SEALING.public)
        opened = opening(self.account.signed, job=number, output_tokens_max=output_tokens_max)
        self.job = NodeJob(
            opening=Opening(opened, self.account.signed, drawn_on),
            account=self.account,
            seals=self.node_seals,
            identity=NODE,
            now_us=NOW_US,
        )
        self.account.jobs += 1

    def accepted(self, prompt_tokens: int | None = 0, *, prompt_due: bool = False) -> "NodeSide":
        """Accept the job; the frame is dropped, as tests of what follows do not look at it."""
        frame = self.job.accept(prompt_tokens, prompt_due=prompt_due)
        self.buyer_seals.open(frame.job, frame.kind, frame.body)
        return self

    def state(self) -> JobState:
        """Return where the job stands; a call, so that a type checker expects it to change."""
        return self.job.state

    def has_room(self) -> bool:
        """Tell whether the engine may be read on."""
        return self.job.has_room

    def prompt_paid(self) -> bool:
        """Tell whether everything counted so far is signed for."""
        return self.job.prompt_paid

    def read(self, kind: type[B], frame: Frame | None) -> B:
        """Open a sealed frame as the buyer does."""
        assert frame is not None
        assert frame.kind.name.lower() == kind.__name__.lower()
        return codec.decode(kind, self.buyer_seals.open(frame.job, frame.kind, frame.body))

    def take(self, now_us: int = NOW_US) -> Chunk | None:
        """Have the next chunk made, and read it as the buyer does."""
        frame = self.job.take(now_us)
        return None if frame is None else self.read(Chunk, frame)

    def chunk(self) -> Chunk:
        """Return the next chunk, which there must be."""
        chunk = self.take()
        assert chunk is not None
        return chunk

    def put(self, *events: EngineEvent) -> None:
        """Give the job what an engine made."""
        for event in events:
            self.job.put(event)

    def voucher(self, usage: Usage | None = None) -> Voucher:
        """Return what the buyer would sign now, or for a usage."""
        meter = self.account.meter
        signed_for = meter.usage if usage is None else usage
        return samples.voucher(
            award=self.account.signed.id,
            job=self.job.id,
            usage=signed_for,
            standard_tokens=meter.owed_for(signed_for),
        )

    def pay(self, usage: Usage | None = None) -> None:
        """Let the buyer's voucher arrive, be written down and count."""
        voucher = self.voucher(usage)
        self.job.voucher(voucher)
        self.account.record_voucher(voucher, sign(voucher, BUYER).envelope)
        self.job.paid()
