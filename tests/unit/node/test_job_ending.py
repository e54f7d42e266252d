"""The end of a job at the node: final counts, receipt, countersignature, and vouchers refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.envelope import countersign, sign, verify
from swatow_protocol.errors import FrameRefused
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import Close, FinishReason, Receipt, Usage
from swatow_protocol.metering import standard_tokens
from swatow_protocol.transcript import Transcript
from swatow_protocol.units import cost_nanos
from tests.support import samples
from tests.support.samples import BUYER, NETWORK, NODE, NOW_US, STRANGER, digest
from tests.unit.node import deal
from tests.unit.node.deal import NodeSide, word

FIRST_US, END_US = NOW_US + 250_000, NOW_US + 900_000


def sent(tokens: int, prompt: int | None = 40, **more: Any) -> NodeSide:
    """Return a job that has sent so many tokens, one at a time, all paid for."""
    side = NodeSide(**more).accepted(prompt)
    for _ in range(tokens):
        side.put(word())
        side.take(FIRST_US)
        side.pay()
    return side


def close(side: NodeSide, final: Usage | None = None) -> Receipt:
    """Close the job; return the receipt as the buyer reads it."""
    frame = side.job.close(FinishReason.STOP, "the end", final, END_US)
    said = side.read(Close, frame)
    assert (said.finish_reason, said.detail) == (FinishReason.STOP, "the end")
    return verify(
        said.receipt, Receipt, network=NETWORK, now_us=None, sender=samples.NODE.key
    ).message


def test_the_receipt_says_what_the_job_was() -> None:
    side = sent(3)
    transcript = Transcript(side.job.id)
    for position in range(3):
        transcript.extend(position=position, tokens=1, token_ids=(), events=(word().body,))
    award = side.account.award
    assert close(side) == Receipt(
        network=NETWORK,
        sender=NODE.key,
        issued_us=END_US,
        job=side.job.id,
        award=side.account.signed.id,
        model=award.model,
        buyer=BUYER.key,
        finish_reason=FinishReason.STOP,
        usage=Usage(prompt_tokens=40, output_tokens=3),
        standard_tokens=13,
        award_standard_tokens=13,
        currency="USD",
        price=82_000,
        cost=1_066,  # 13 standard tokens of 82 nanos
        opened_us=NOW_US,
        first_token_us=FIRST_US,
        closed_us=END_US,
        energy_mj=None,
        carbon_mg_per_lot=120,
        chunks=3,
        transcript=transcript.hash,
    )
    assert side.state() is JobState.CLOSING


def test_a_job_that_gave_nothing_costs_nothing() -> None:
    receipt = close(sent(0))
    assert (receipt.usage, receipt.standard_tokens, receipt.cost) == (Usage(), 0, 0)
    assert receipt.first_token_us is None


@pytest.mark.parametrize("carbon", [None, 0, 77])
def test_carbon_is_stated_as_it_was_offered_and_energy_not_at_all(carbon: int | None) -> None:
    offered = msgspec.structs.replace(samples.offer().attributes, carbon_mg_per_lot=carbon)
    receipt = close(sent(1, on=deal.offer(attributes=offered)))
    assert receipt.carbon_mg_per_lot == carbon
    assert receipt.energy_mj is None


def test_what_the_engine_counted_at_last_is_what_counts_when_it_is_more() -> None:
    side = sent(3)
    receipt = close(side, Usage(prompt_tokens=40, output_tokens=5))
    assert receipt.usage == Usage(prompt_tokens=40, output_tokens=5)
    assert receipt.standard_tokens == side.account.meter.owed == 15
    assert side.account.meter.signed == 13
    assert side.account.claim == 13, "what is not signed for is not claimed"


def test_what_the_engine_counted_at_last_is_what_counts_when_it_is_less() -> None:
    side = sent(3)
    receipt = close(side, Usage(prompt_tokens=30, output_tokens=2))
    assert receipt.usage == Usage(prompt_tokens=30, output_tokens=2)
    assert receipt.standard_tokens == side.account.meter.owed == 10  # 7.5 + 2, rounded up
    assert side.account.meter.signed == 13
    assert side.account.claim == 10, "no more is claimed than was counted"


def test_no_more_prompt_is_charged_than_was_said_at_the_start() -> None:
    final = Usage(prompt_tokens=1_000, cached_tokens=900, output_tokens=3)
    assert close(sent(3), final).usage == Usage(prompt_tokens=40, cached_tokens=40, output_tokens=3)


def test_the_prompt_is_charged_at_last_where_it_was_not_known_before() -> None:
    final = Usage(prompt_tokens=60, cached_tokens=20, output_tokens=3)
    receipt = close(sent(3, prompt=None), final)
    assert receipt.usage == final
    assert receipt.standard_tokens == 14  # 40 x 0.25 + 20 x 0.05 + 3


def test_the_transcript_and_the_chunks_are_not_changed_by_final_counts() -> None:
    side = sent(3)
    counted = side.take(END_US)
    assert counted is None
    receipt = close(side, Usage(prompt_tokens=40, output_tokens=9))
    assert receipt.chunks == 3


def test_what_waits_is_not_sent_when_the_job_closes() -> None:
    side = sent(1)
    side.put(word(), word())
    receipt = close(side)
    assert receipt.usage.output_tokens == 1
    assert side.job.drained


def test_the_standard_tokens_of_an_award_are_rounded_once_over_its_jobs() -> None:
    account = deal.account()
    receipts = []
    for number in (1, 2, 3):
        side = NodeSide(account, number=number).accepted(1)  # a quarter of a standard token
        side.put(word())
        side.take(FIRST_US)
        receipts.append(close(side))
    assert [each.standard_tokens for each in receipts] == [2, 2, 2]
    assert [each.award_standard_tokens for each in receipts] == [2, 3, 4]


def test_no_more_is_owed_than_the_award_holds() -> None:
    account = deal.account(lots=1)
    receipt = close(sent(2, of=account), Usage(prompt_tokens=40, output_tokens=5_000))
    assert receipt.standard_tokens == 5_010
    assert receipt.award_standard_tokens == account.meter.owed == 1_000


@given(
    accepted=st.none() | st.integers(0, 300),
    count=st.integers(0, 20),
    prompt=st.integers(0, 10**6),
    cached=st.integers(0, 10**6),
    output=st.integers(0, 10**6),
    reasoning=st.integers(0, 10**6),
)
def test_whatever_an_engine_says_at_last_the_receipt_adds_up(
    accepted: int | None, count: int, prompt: int, cached: int, output: int, reasoning: int
) -> None:
    side = sent(count, prompt=accepted)
    final = Usage(
        prompt_tokens=prompt,
        cached_tokens=cached,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    receipt = close(side, final)
    usage = receipt.usage
    assert usage.prompt_tokens == min(prompt, prompt if accepted is None else accepted)
    assert usage.cached_tokens <= usage.prompt_tokens
    assert usage.reasoning_tokens <= usage.output_tokens == output
    assert receipt.standard_tokens == standard_tokens(usage, deal.MODEL.message)
    assert receipt.cost == cost_nanos(receipt.standard_tokens, 82_000)
    assert side.account.meter.usage == usage, "one job, so the award's count is the job's"
    assert side.account.claim <= min(side.account.meter.signed, side.account.meter.total)


def test_the_buyers_countersignature_closes_the_job() -> None:
    side = sent(2)
    close(side)
    assert side.job.receipt is not None
    signature = countersign(side.job.receipt, BUYER)
    side.job.countersign(signature)
    assert side.state() is JobState.CLOSED
    assert side.job.countersignature == signature


def wrong_countersignatures(side: NodeSide) -> list[bytes]:
    receipt = side.job.receipt
    assert receipt is not None
    other = sign(samples.receipt(), NODE)
    by_stranger = sign(samples.receipt(buyer=STRANGER.key), NODE)
    genuine = countersign(receipt, BUYER)
    return [
        b"",
        bytes(64),
        genuine[:-1],
        genuine[:-1] + bytes([genuine[-1] ^ 1]),
        countersign(other, BUYER),
        countersign(by_stranger, STRANGER),
        sign(receipt.message, NODE).envelope[-64:],
    ]


def test_no_other_countersignature_closes_it() -> None:
    side = sent(2)
    close(side)
    for wrong in wrong_countersignatures(side):
        with pytest.raises(FrameRefused):
            side.job.countersign(wrong)
        assert side.state() is JobState.CLOSING
        assert side.job.countersignature is None


def test_a_countersignature_before_the_receipt_is_refused() -> None:
    side = sent(2)
    with pytest.raises(FrameRefused):
        side.job.countersign(bytes(64))
    assert side.state() is JobState.RUNNING


def test_a_job_ends_once() -> None:
    side = sent(1)
    close(side)
    with pytest.raises(FrameRefused):
        side.job.close(FinishReason.STOP, "", None, END_US)
    assert side.job.receipt is not None
    side.job.countersign(countersign(side.job.receipt, BUYER))
    with pytest.raises(FrameRefused):
        side.job.countersign(countersign(side.job.receipt, BUYER))
    side.job.break_off()
    assert side.state() is JobState.CLOSED, "what is signed by both stays so"


def test_a_job_can_close_while_it_is_paused() -> None:
    side = NodeSide(deal.account(window=16)).accepted(4)
    side.put(*[word()] * 20)
    side.take(FIRST_US)
    side.take(FIRST_US)
    assert side.state() is JobState.PAUSED
    assert close(side).usage.output_tokens == 16


def test_a_broken_job_sends_nothing_and_stays_broken() -> None:
    side = sent(1)
    side.put(word())
    side.job.break_off()
    assert side.job.drained
    assert side.take(END_US) is None
    side.job.break_off()
    assert side.state() is JobState.BROKEN


WRONG_VOUCHERS: dict[str, dict[str, Any]] = {
    "for another award": {"award": digest("other award")},
    "for another job": {"job": digest("other job")},
    "for another node": {"node": STRANGER.key},
    "of more than its counts": {"standard_tokens": 14},
    "of less than its counts": {"standard_tokens": 12},
    "of counts that come to more": {"usage": Usage(prompt_tokens=40, output_tokens=4)},
    "of counts that come to less": {"usage": Usage(prompt_tokens=40, output_tokens=2)},
    "of a cache larger than the prompt": {"usage": Usage(cached_tokens=1, output_tokens=13)},
}


@pytest.mark.parametrize("name", WRONG_VOUCHERS)
def test_a_voucher_that_is_not_for_this_or_contradicts_itself_is_refused(name: str) -> None:
    side = NodeSide().accepted(40)
    side.put(word(tokens=3))
    side.take(FIRST_US)
    right = side.voucher()
    assert right.standard_tokens == 13
    with pytest.raises(FrameRefused):
        side.job.voucher(msgspec.structs.replace(right, **WRONG_VOUCHERS[name]))
    side.job.voucher(right)


def test_a_voucher_may_promise_more_than_the_node_has_counted() -> None:
    """After a crash the node has forgotten what the buyer has signed: its word holds."""
    side = sent(3)
    side.pay(Usage(prompt_tokens=80, output_tokens=50))
    assert side.account.meter.signed == side.account.meter.owed == 70


def test_a_voucher_comes_only_while_the_job_is_open() -> None:
    side = NodeSide()
    with pytest.raises(FrameRefused):
        side.job.voucher(side.voucher(Usage(output_tokens=1)))
    side = sent(2)
    close(side)
    side.job.voucher(side.voucher())
    assert side.state() is JobState.CLOSING
    side.job.break_off()
    with pytest.raises(FrameRefused):
        side.job.voucher(side.voucher())
