"""A job at the buyer, with an honest node: what is signed, when, and that it is never too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow.errors import InvalidRequest, NodeCheated, NodeFailed, NodeRefused, Paid
from swatow_protocol import codec, limits
from swatow_protocol.envelope import sign
from swatow_protocol.identity import Identity
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import (
    Credit,
    FinishReason,
    Frame,
    FrameKind,
    JobRefusal,
    Refused,
    Usage,
)
from tests.support import samples
from tests.support.samples import BUYER, NODE, NOW_US, STRANGER, digest
from tests.unit.node import deal
from tests.unit.node.deal import NodeSide, word
from tests.unit.sdk.pair import Pair, held_award, kinds, promised, voucher_of


def run_whole(pair: Pair, texts: list[str], prompt: int = 40) -> list[str]:
    """Run a job between two honest sides; return the texts that arrived."""
    pair.answer(pair.give(pair.node.job.accept(prompt, prompt_due=False))[1])
    pair.node.put(*(word(text) for text in texts))
    arrived: list[str] = []
    while not pair.node.job.drained:
        events, frames = pair.give(pair.node.job.take(NOW_US))
        arrived += [event["choices"][0]["delta"]["content"] for event in events]
        pair.answer(frames)
        meter = pair.held.meter
        assert meter.signed <= meter.owed_for(meter.usage), "never more than has arrived"
    final = Usage(prompt_tokens=prompt, output_tokens=len(texts))
    pair.answer(pair.give(pair.node.job.close(FinishReason.STOP, "", final, NOW_US))[1])
    return arrived


def test_both_sides_agree_on_a_whole_job_to_the_last_token() -> None:
    pair = Pair()
    texts = [f"word {number} " for number in range(100)]
    assert run_whole(pair, texts) == texts
    assert pair.state() is JobState.CLOSED
    assert pair.node.state() is JobState.CLOSED
    assert pair.job.receipt is not None
    assert pair.node.job.receipt is not None
    assert pair.job.receipt.envelope == pair.node.job.receipt.envelope
    assert pair.job.countersignature == pair.node.job.countersignature
    assert pair.held.meter.signed == pair.node.account.meter.owed == 110
    assert pair.node.account.claim == 110
    assert pair.job.recount.text == "".join(texts)
    assert pair.job.failure() is None


def test_jobs_on_one_award_are_signed_for_together() -> None:
    held, account = held_award(), deal.account()
    for number in (1, 2, 3):
        pair = Pair(held, NodeSide(account, number=number))
        run_whole(pair, ["word "] * 10, prompt=1)
        assert pair.state() is JobState.CLOSED
        account.job_ended()
    assert held.meter.signed == account.meter.signed == 31  # 3 x (0.25 + 10), rounded up once
    assert account.lost_output == 0


def test_the_first_token_is_signed_for_at_once() -> None:
    pair = Pair()
    assert pair.accepted(40) == []
    assert promised(pair.send("", tokens=0)) == [], "an event without a token owes nothing"
    assert promised(pair.send("word ")) == [11]
    assert promised(pair.send("word ")) == []


def test_a_voucher_is_signed_for_every_interval() -> None:
    pair = Pair(held_award(interval=4, window=8))
    pair.accepted(0)
    signed = [promised(pair.send()) for _ in range(13)]
    assert signed == [[1], [], [], [], [5], [], [], [], [9], [], [], [], [13]]


def test_a_voucher_says_what_it_is_for() -> None:
    pair = Pair()
    pair.accepted(40)
    (frame,) = pair.send("word ", tokens=1)
    voucher = voucher_of(frame)
    assert voucher.message == samples.voucher(
        award=pair.held.id,
        job=pair.job.id,
        node=NODE.key,
        standard_tokens=11,
        usage=Usage(prompt_tokens=40, output_tokens=1),
        transcript=pair.transcript.hash,
        issued_us=NOW_US,
    )
    assert frame.job == pair.job.number


def test_a_prompt_that_is_due_is_signed_for_before_anything_is_made() -> None:
    pair = Pair()
    assert promised(pair.accepted(40, prompt_due=True)) == [10]
    assert promised(pair.send()) == [11]


def test_a_prompt_that_is_not_known_is_not_signed_for_until_the_end() -> None:
    pair = Pair()
    assert pair.accepted(None) == []
    assert promised(pair.send()) == [1]
    frames = pair.end(Usage(prompt_tokens=40, output_tokens=1))
    assert promised(frames) == [11]
    assert kinds(frames) == [FrameKind.VOUCHER, FrameKind.COUNTERSIGN]


def test_a_cached_prompt_costs_less() -> None:
    pair = Pair()
    pair.accepted(40, cached_tokens=20)
    assert promised(pair.send()) == [7]  # 20 x 0.25 + 20 x 0.05 + 1


@given(st.data())
def test_no_voucher_is_ever_above_what_was_received(data: st.DataObject) -> None:
    """Whatever a node claims, chunk by chunk and at the end, with and without text."""
    interval = data.draw(st.integers(1, 32))
    held = held_award(interval=interval, window=max(interval, 32))
    pair = Pair(held, output_tokens_max=15 * 60)
    prompt = data.draw(st.integers(0, 100))
    pair.accepted(prompt)
    text, vouchers, claimed = "", [0], 0
    for _ in range(data.draw(st.integers(1, 15))):
        piece = data.draw(st.text(max_size=10))
        tokens = data.draw(st.integers(0, 60))
        vouchers += promised(pair.send(piece, tokens))
        text, claimed = text + piece, claimed + tokens
        most = min(claimed, len(text.encode()) + 1)
        assert vouchers[-1] <= deal.MODEL.message.prompt_weight * prompt / 1_000 + most + 1
        assert pair.job.usage.output_tokens <= most
    final = data.draw(st.integers(0, 200))
    vouchers += promised(pair.end(Usage(prompt_tokens=prompt, output_tokens=final)))
    assert vouchers == sorted(set(vouchers)), "each is higher than the one before"
    assert pair.job.usage.output_tokens <= min(final, len(text.encode()) + 1)
    assert (pair.state() is JobState.CLOSED) == (pair.job.usage.output_tokens == final)


def test_a_final_count_below_what_was_signed_for_is_countersigned() -> None:
    pair = Pair()
    pair.accepted(40)
    pair.send(tokens=3)
    frames = pair.end(Usage(prompt_tokens=40, output_tokens=2))
    assert kinds(frames) == [FrameKind.COUNTERSIGN], "nothing more to sign for"
    assert pair.job.usage == Usage(prompt_tokens=40, output_tokens=2)


def test_an_award_goes_on_from_the_voucher_that_the_node_shows() -> None:
    """As after a crash of this buyer: its own signature says what it has signed."""
    pair = Pair()
    usage = Usage(prompt_tokens=80, output_tokens=50)
    before = samples.voucher(award=pair.held.id, usage=usage, standard_tokens=70)
    pair.accepted(0, voucher=sign(before, BUYER).envelope)
    assert pair.held.meter.signed == pair.held.meter.owed == 70
    assert promised(pair.send()) == [71]


def test_an_older_voucher_that_the_node_shows_changes_nothing() -> None:
    held = held_award()
    usage = Usage(prompt_tokens=80, output_tokens=50)
    held.meter.record_voucher(70, usage)
    older = samples.voucher(award=held.id, usage=Usage(output_tokens=30), standard_tokens=30)
    pair = Pair(held)
    pair.accepted(0, voucher=sign(older, BUYER).envelope)
    assert (held.meter.signed, held.meter.signed_usage) == (70, usage)


@pytest.mark.parametrize(
    ("changes", "signer"),
    [
        ({"sender": STRANGER.key}, STRANGER),
        ({"award": digest("other award")}, BUYER),
        ({"node": STRANGER.key}, BUYER),
        ({"network": "other"}, BUYER),
    ],
    ids=["a stranger's", "another award", "another node", "another network"],
)
def test_a_voucher_that_this_buyer_did_not_sign_for_this_award_is_a_fraud(
    changes: dict[str, object], signer: Identity
) -> None:
    pair = Pair()
    fields = {"award": pair.held.id, **changes}
    envelope = sign(samples.voucher(**fields), signer).envelope
    with pytest.raises(NodeCheated):
        pair.accepted(0, voucher=envelope)
    assert pair.held.meter.signed == 0
    assert pair.state() is JobState.BROKEN


def test_a_voucher_with_a_forged_signature_is_a_fraud() -> None:
    pair = Pair()
    envelope = bytearray(sign(samples.voucher(award=pair.held.id), BUYER).envelope)
    envelope[-1] ^= 1
    with pytest.raises(NodeCheated):
        pair.accepted(0, voucher=bytes(envelope))
    assert pair.held.meter.signed == 0


def refused(refusal: JobRefusal) -> Frame:
    body = Refused(refusal=refusal, detail="why", retry_after_ms=250)
    return Frame(job=1, kind=FrameKind.REFUSED, body=codec.encode(body))


@pytest.mark.parametrize("refusal", [each for each in JobRefusal if each != JobRefusal.BAD_REQUEST])
def test_a_refused_job_tells_why_and_costs_nothing(refusal: JobRefusal) -> None:
    pair = Pair()
    with pytest.raises(NodeRefused) as error:
        pair.give(refused(refusal))
    assert (error.value.refusal, error.value.retry_after_ms) == (refusal, 250)
    assert (error.value.node, error.value.paid) == (NODE.key, None)
    assert f"refused: {refusal.value}: why" in str(error.value)
    assert pair.state() is JobState.REFUSED
    assert pair.held.meter.signed == 0


def test_a_request_that_the_engine_does_not_take_is_the_buyers_fault() -> None:
    pair = Pair()
    with pytest.raises(InvalidRequest, match=r"^why$"):
        pair.give(refused(JobRefusal.BAD_REQUEST))
    assert pair.state() is JobState.REFUSED


GOOD_ENDS = {
    FinishReason.STOP,
    FinishReason.LENGTH,
    FinishReason.SPENT,
    FinishReason.CANCELLED,
    FinishReason.EXPIRED,
}


@pytest.mark.parametrize("reason", FinishReason)
def test_each_way_to_end_is_good_or_an_error(reason: FinishReason) -> None:
    pair = Pair()
    pair.accepted(40)
    pair.send()
    receipt = pair.receipt(Usage(prompt_tokens=40, output_tokens=1), finish_reason=reason)
    pair.give(pair.close(receipt, detail="what the engine said"))
    failure = pair.job.failure()
    assert (failure is None) == (reason in GOOD_ENDS)
    if reason is FinishReason.BAD_REQUEST:
        assert isinstance(failure, InvalidRequest)
        assert str(failure) == "what the engine said"
    elif reason not in GOOD_ENDS:
        assert isinstance(failure, NodeFailed)
        assert "what the engine said" in str(failure)
        assert failure.text == "word "
        assert failure.paid == Paid(11, 902, "USD", 1)


def test_what_was_paid_is_told_in_words() -> None:
    paid = Paid(standard_tokens=11, nanos=902, currency="USD", received_tokens=1)
    assert str(paid) == (
        "1 output tokens of this job arrived; signed for on its award: "
        "11 standard tokens, 0.000000902 USD"
    )
    error = NodeFailed(NODE.key, "its engine failed", paid, "word ")
    assert str(error) == f"node {NODE.key.hex()[:16]}: its engine failed. {paid}"
    assert str(NodeFailed(NODE.key, "it stalled")) == f"node {NODE.key.hex()[:16]}: it stalled"


def test_room_is_granted_again_when_half_of_it_is_taken() -> None:
    pair = Pair()
    pair.accepted()
    half = limits.JOB_CREDIT_BYTES // 2
    assert pair.job.consumed(half - 1) is None
    frame = pair.job.consumed(1)
    assert frame is not None
    assert (frame.kind, frame.job) == (FrameKind.CREDIT, 1)
    assert codec.decode(Credit, frame.body).granted_bytes == half
    assert pair.job.consumed(half - 1) is None, "counted anew"


def test_a_job_that_is_over_grants_nothing() -> None:
    pair = Pair()
    pair.accepted()
    pair.job.break_off()
    assert pair.job.consumed(limits.JOB_CREDIT_BYTES) is None


def test_a_cancelled_job_still_gets_its_receipt() -> None:
    pair = Pair()
    pair.accepted(40)
    pair.send()
    frame = pair.job.cancel()
    assert (frame.kind, frame.job, frame.body) == (FrameKind.CANCEL, 1, b"")
    reason = FinishReason.CANCELLED
    pair.end(Usage(prompt_tokens=40, output_tokens=1), finish_reason=reason)
    assert pair.state() is JobState.CLOSED


def test_breaking_off_is_for_what_is_not_over() -> None:
    pair = Pair()
    pair.accepted()
    assert [pair.job.ended] == [False]
    pair.job.break_off()
    pair.job.break_off()
    assert pair.state() is JobState.BROKEN
    assert [pair.job.ended] == [True]
