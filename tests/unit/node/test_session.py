"""A job stream at the node, over queues in place of gRPC: what it takes, and what it remembers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from swatow_node.awards import ABANDONED_PROMPTS_MAX, AwardBook
from swatow_node.desk import Desk
from swatow_node.journal import Journal
from swatow_node.session import Session
from swatow_node.slots import Slots
from swatow_protocol import codec
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.envelope import Signed, countersign, sign, verify
from swatow_protocol.errors import FrameRefused, MessageRefused
from swatow_protocol.messages import (
    Accepted,
    Award,
    Chunk,
    Close,
    FinishReason,
    Frame,
    FrameKind,
    JobOpen,
    JobRefusal,
    Receipt,
    Refused,
    Release,
    Usage,
)
from swatow_protocol.sealing import Seals, Side
from tests.support import samples
from tests.support.engines import PROMPT_TOKENS, SimulatedEngine
from tests.support.samples import BUYER, NETWORK, NODE, NOW_US, SECOND
from tests.unit.node import deal

WAIT_S = 5.0
"""Longest wait for what must come; it comes at once."""


class Buyer:
    """The buyer's end of a stream, by hand."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._to_node: asyncio.Queue[Any] = asyncio.Queue()
        self._from_node: asyncio.Queue[Frame] = asyncio.Queue()
        self.seals = Seals(Side.BUYER, deal.STREAM, deal.NODE_SEALING.public)
        stream = FrameStream(self._to_node.get, self._write, "buyer")
        self.session = Session(desk, stream)
        self.served = asyncio.create_task(self.session.run())

    async def _write(self, batch: Any) -> None:
        for encoded in batch:
            self._from_node.put_nowait(codec.decode(Frame, encoded))

    def send(self, kind: FrameKind, body: bytes, job: int = 1) -> None:
        """Send a frame."""
        frame = Frame(job=job, kind=kind, body=body)
        self._to_node.put_nowait([codec.encode(frame)])

    def open(self, award: Signed[Award], job: int = 1, **changes: Any) -> Signed[JobOpen]:
        """Open a job."""
        sealed = self.seals.seal(job, FrameKind.OPEN, deal.REQUEST)
        opened = deal.opening(award, job=job, sealed_request=sealed, **changes)
        frame = deal.open_frame(number=job, of=award, opened=opened)
        self._to_node.put_nowait([codec.encode(frame)])
        return opened

    def vouch(self, award: Signed[Award], opened: Signed[JobOpen], **changes: Any) -> None:
        """Sign for PROMPT_TOKENS of prompt and 16 tokens of answer."""
        fields = {
            "award": award.id,
            "job": opened.id,
            "usage": Usage(prompt_tokens=PROMPT_TOKENS, output_tokens=16),
            "standard_tokens": 26,
            **changes,
        }
        job = opened.message.job
        self.send(FrameKind.VOUCHER, sign(samples.voucher(**fields), BUYER).envelope, job)

    async def next(self) -> Frame:
        """Return the node's next frame."""
        async with asyncio.timeout(WAIT_S):
            return await self._from_node.get()

    async def until(self, kind: FrameKind) -> Frame:
        """Return the next frame of a kind; opens and drops chunks before it."""
        while (frame := await self.next()).kind is not kind:
            self.seals.open(frame.job, frame.kind, frame.body)
        return frame

    async def refusal(self) -> JobRefusal:
        """Return why the job was refused, which the next frame must say."""
        frame = await self.next()
        assert frame.kind is FrameKind.REFUSED
        return codec.decode(Refused, frame.body).refusal

    async def leave(self) -> None:
        """Close this side, and wait until the node has ended its own."""
        self._to_node.put_nowait(grpc.aio.EOF)
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(self.served, return_exceptions=True)


@asynccontextmanager
async def desk(path: Path, engine: SimulatedEngine, **changes: Any) -> AsyncIterator[Desk]:
    await engine.start()
    journal = Journal(path / "node.sqlite")
    fields: dict[str, Any] = {
        "identity": NODE,
        "house": deal.house(),
        "engine": engine,
        "journal": journal,
        "awards": AwardBook(),
        "slots": Slots(2, 2),
        "now_us": lambda: NOW_US,
        "voucher_wait_s": WAIT_S,
        "on_release": lambda: None,
        **changes,
    }
    try:
        yield Desk(**fields)
    finally:
        await journal.close()


async def test_a_job_runs_from_its_opening_to_both_signatures(tmp_path: Path) -> None:
    award = deal.award()
    async with desk(tmp_path, SimulatedEngine(20)) as at:
        buyer = Buyer(at)
        opened = buyer.open(award)
        frame = await buyer.next()
        accepted = codec.decode(Accepted, buyer.seals.open(1, frame.kind, frame.body))
        assert accepted.prompt_tokens == PROMPT_TOKENS
        tokens = 0
        while (frame := await buyer.next()).kind is FrameKind.CHUNK:
            tokens += codec.decode(Chunk, buyer.seals.open(1, frame.kind, frame.body)).tokens
        close = codec.decode(Close, buyer.seals.open(1, frame.kind, frame.body))
        assert (tokens, close.finish_reason) == (20, FinishReason.STOP)
        receipt = verify(close.receipt, Receipt, network=NETWORK, now_us=None, sender=NODE.key)
        assert receipt.message.usage == Usage(prompt_tokens=PROMPT_TOKENS, output_tokens=20)
        buyer.vouch(award, opened, usage=receipt.message.usage, standard_tokens=30)
        buyer.send(FrameKind.COUNTERSIGN, countersign(receipt, BUYER))
        await buyer.leave()
        assert await at.journal.receipts_count() == 1
        record = await at.journal.award(award.id)
        assert record is not None
        assert (record.standard_tokens, record.claim) == (30, 30)


async def test_an_opening_is_taken_once_on_whatever_stream(tmp_path: Path) -> None:
    async with desk(tmp_path, SimulatedEngine(5)) as at:
        first, second = Buyer(at), Buyer(at)
        first.open(deal.award())
        assert (await first.next()).kind is FrameKind.ACCEPTED
        second.open(deal.award())
        assert await second.refusal() is JobRefusal.REPEATED
        await first.leave()
        await second.leave()


async def test_a_node_that_goes_down_takes_no_job(tmp_path: Path) -> None:
    async with desk(tmp_path, SimulatedEngine(5), closing=True) as at:
        buyer = Buyer(at)
        buyer.open(deal.award())
        assert await buyer.refusal() is JobRefusal.SHUTDOWN
        await buyer.leave()


async def test_an_award_that_was_released_is_spent(tmp_path: Path) -> None:
    award = deal.award()
    async with desk(tmp_path, SimulatedEngine(0)) as at:
        buyer = Buyer(at)
        buyer.open(award)
        await buyer.until(FrameKind.CLOSE)
        buyer.send(FrameKind.RELEASE, codec.encode(Release(award=award.id)), job=0)
        buyer.open(award, job=2)
        assert await buyer.refusal() is JobRefusal.SPENT
        await buyer.leave()
        record = await at.journal.award(award.id)
        assert record is not None
        assert record.released


async def test_an_award_is_known_again_after_a_restart(tmp_path: Path) -> None:
    """The voucher in the journal is shown to the buyer, who may have forgotten it."""
    award = deal.award()
    async with desk(tmp_path, SimulatedEngine(40)) as at:
        buyer = Buyer(at)
        opened = buyer.open(award)
        await buyer.until(FrameKind.ACCEPTED)
        buyer.vouch(award, opened)
        await buyer.leave()
    async with desk(tmp_path, SimulatedEngine(5), now_us=lambda: NOW_US + SECOND) as at:
        buyer = Buyer(at)
        buyer.open(award, issued_us=NOW_US + SECOND)
        frame = await buyer.next()
        accepted = codec.decode(Accepted, buyer.seals.open(1, frame.kind, frame.body))
        assert accepted.voucher is not None
        assert at.awards.accounts[award.id].meter.signed == 26
        await buyer.leave()


@pytest.mark.parametrize(
    "breaks",
    [
        lambda buyer: buyer.send(FrameKind.CHUNK, b""),
        lambda buyer: buyer.send(FrameKind.COUNTERSIGN, bytes(64)),
        lambda buyer: buyer.send(FrameKind.VOUCHER, b"no envelope"),
        lambda buyer: buyer.send(FrameKind.CREDIT, b"\xc1"),
        lambda buyer: buyer.open(deal.award(), job=1),
    ],
    ids=["a node's frame", "early countersignature", "no voucher", "no credit", "same number"],
)
async def test_a_buyer_that_breaks_a_rule_loses_its_stream(
    tmp_path: Path, breaks: Callable[[Buyer], None]
) -> None:
    async with desk(tmp_path, SimulatedEngine(5, gated=True)) as at:
        buyer = Buyer(at)
        buyer.open(deal.award())
        await buyer.until(FrameKind.ACCEPTED)
        breaks(buyer)
        await buyer.leave()
        assert isinstance(buyer.served.exception(), FrameRefused | MessageRefused)


async def test_a_voucher_is_evidence_whatever_the_clock_of_its_buyer_says(
    tmp_path: Path,
) -> None:
    """Neither node nor market judges its time, so what the node takes for money is paid."""
    award = deal.award()
    async with desk(tmp_path, SimulatedEngine(40, gated=True)) as at:
        buyer = Buyer(at)
        opened = buyer.open(award)
        await buyer.until(FrameKind.ACCEPTED)
        buyer.vouch(award, opened, issued_us=NOW_US + 3_600 * SECOND)
        await buyer.leave()
        assert at.awards.accounts[award.id].meter.signed > 0


async def test_a_job_ends_when_the_time_of_its_award_is_over(tmp_path: Path) -> None:
    award, engine = deal.award(), SimulatedEngine(40, gated=True)
    clock = [NOW_US]
    async with desk(tmp_path, engine, now_us=lambda: clock[0]) as at:
        buyer = Buyer(at)
        buyer.open(award)
        assert engine.gate is not None
        engine.gate.release()
        for _ in (FrameKind.ACCEPTED, FrameKind.CHUNK):
            frame = await buyer.next()
            buyer.seals.open(1, frame.kind, frame.body)
        clock[0] = at.awards.accounts[award.id].stop_by_us
        engine.gate.release()
        frame = await buyer.until(FrameKind.CLOSE)
        close = codec.decode(Close, buyer.seals.open(1, frame.kind, frame.body))
        assert close.finish_reason is FinishReason.EXPIRED
        assert engine.stopped.is_set()
        receipt = verify(close.receipt, Receipt, network=NETWORK, now_us=None, sender=NODE.key)
        assert receipt.message.usage.output_tokens == 2, "what was made by then is sent"
        await buyer.leave()


async def test_a_prompt_that_was_left_before_its_first_token_is_an_abandoned_one(
    tmp_path: Path,
) -> None:
    """The engine has worked on the whole prompt by then, and nobody pays for it."""
    engine = SimulatedEngine(5, gated=True)
    async with desk(tmp_path, engine) as at:
        for number in range(ABANDONED_PROMPTS_MAX):
            buyer = Buyer(at)
            buyer.open(deal.award(), output_tokens_max=100 + number)
            await buyer.until(FrameKind.ACCEPTED)
            await buyer.leave()
        assert len(engine.requests) == ABANDONED_PROMPTS_MAX
        assert at.awards.must_prepay(BUYER.key)
