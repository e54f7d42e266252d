"""A job at the node while it runs: what may be sent, when it pauses, and what a chunk holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_node.jobs import EVENTS_WAITING_MAX
from swatow_protocol import codec, limits
from swatow_protocol.errors import FrameRefused, SealBroken
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import (
    Accepted,
    Chunk,
    Credit,
    FinishReason,
    Frame,
    FrameKind,
    Usage,
)
from swatow_protocol.transcript import Transcript
from tests.support.samples import NOW_US, STRANGER
from tests.unit.node import deal
from tests.unit.node.deal import NodeSide, word

LATER_US = NOW_US + 250_000


def test_acceptance_tells_the_prompt_and_the_highest_voucher() -> None:
    account = deal.account()
    first = NodeSide(account).accepted(8)
    first.put(word())
    first.take()
    first.pay()
    side = NodeSide(account, number=2)
    accepted = side.read(Accepted, side.job.accept(12, prompt_due=False))
    assert accepted.voucher is not None
    assert accepted.voucher == account.voucher
    assert (accepted.prompt_tokens, accepted.cached_tokens, accepted.prompt_due) == (12, 0, False)
    assert side.state() is JobState.RUNNING


def test_the_prompt_is_owed_from_the_first_token_on_and_not_before() -> None:
    side = NodeSide().accepted(40)
    side.put(word("", tokens=0))
    assert side.chunk().tokens == 0
    assert side.account.meter.owed == 0
    side.put(word())
    side.take()
    assert side.job.usage == Usage(prompt_tokens=40, output_tokens=1)
    assert side.account.meter.owed == 11  # 40 x 0.25 + 1


def test_a_prompt_that_is_due_is_owed_at_once_and_unpaid_until_a_voucher_counts() -> None:
    side = NodeSide()
    accepted = side.read(Accepted, side.job.accept(40, prompt_due=True))
    assert accepted.prompt_due
    assert side.account.meter.owed == 10
    assert not side.prompt_paid()
    side.pay()
    assert side.prompt_paid()
    side.put(word())
    side.take()
    assert side.job.usage == Usage(prompt_tokens=40, output_tokens=1), "counted once"


def test_nothing_is_owed_where_the_engine_does_not_count_the_prompt() -> None:
    side = NodeSide()
    accepted = side.read(Accepted, side.job.accept(None, prompt_due=False))
    assert accepted.prompt_tokens is None
    side.put(word())
    side.take()
    assert side.job.usage == Usage(output_tokens=1)


def test_a_chunk_gathers_everything_that_waits() -> None:
    side = NodeSide().accepted(4)
    events = [word("one ", ids=(1,)), word("", tokens=0), word("two ", tokens=2, ids=(2, 3))]
    side.put(*events)
    chunk = side.chunk()
    assert (chunk.position, chunk.tokens, chunk.token_ids) == (0, 3, (1, 2, 3))
    assert chunk.events == tuple(event.body for event in events)
    assert side.job.drained
    side.put(word("three ", ids=(4,)))
    assert side.chunk().position == 3
    assert side.take() is None
    assert side.state() is JobState.RUNNING, "an engine that is slow pauses nothing"


def test_the_transcript_is_the_hash_over_everything_sent() -> None:
    side = NodeSide().accepted(4)
    expected = Transcript(side.job.id)
    for text in ("one ", "two ", "three "):
        side.put(word(text, ids=(7,)))
        chunk = side.chunk()
        hashed = expected.extend(
            position=chunk.position, tokens=1, token_ids=(7,), events=chunk.events
        )
        assert chunk.transcript == hashed


def test_ids_are_left_out_where_the_engine_does_not_tell_all_of_them() -> None:
    side = NodeSide().accepted()
    side.put(word(ids=(1,)), word(tokens=2, ids=()), word(ids=(3,)))
    chunk = side.chunk()
    assert (chunk.tokens, chunk.token_ids) == (4, ())


def test_what_is_sent_is_sealed_to_the_buyer_of_this_stream() -> None:
    side = NodeSide().accepted()
    side.put(word("a secret word "))
    frame = side.job.take(NOW_US)
    assert frame is not None
    assert b"secret" not in frame.body
    with pytest.raises(SealBroken):
        side.buyer_seals.open(2, frame.kind, frame.body)
    with pytest.raises(SealBroken):
        side.buyer_seals.open(1, FrameKind.CLOSE, frame.body)
    assert b"a secret word " in side.read(Chunk, frame).events[0]


def test_a_full_window_pauses_until_a_voucher_comes() -> None:
    side = NodeSide(deal.account(window=32)).accepted()
    side.put(*[word()] * 40)
    assert side.chunk().tokens == 32
    assert side.take() is None
    assert side.state() is JobState.PAUSED
    assert not side.has_room(), "the engine is not read while the job is paused"
    side.pay(Usage(output_tokens=16))
    assert side.state() is JobState.RUNNING
    assert side.has_room()
    assert side.chunk().tokens == 8
    assert side.account.meter.unpaid_output == 24


def test_a_voucher_counts_only_when_it_is_written_down() -> None:
    side = NodeSide().accepted()
    side.put(*[word()] * 40)
    side.take()
    side.take()
    side.job.voucher(side.voucher())
    assert side.account.meter.signed == 0
    assert side.state() is JobState.PAUSED


def test_a_voucher_before_the_pause_changes_no_state() -> None:
    side = NodeSide().accepted()
    side.put(word())
    side.take()
    side.pay()
    assert side.state() is JobState.RUNNING


def test_the_window_is_one_for_all_jobs_of_an_award() -> None:
    account = deal.account(window=32)
    first, second = NodeSide(account).accepted(), NodeSide(account, number=2).accepted()
    first.put(*[word()] * 20)
    second.put(*[word()] * 20)
    assert first.chunk().tokens == 20
    assert second.chunk().tokens == 12
    assert second.take() is None
    assert (first.state(), second.state()) == (JobState.RUNNING, JobState.PAUSED)


def test_an_event_of_more_tokens_than_the_window_goes_out_alone() -> None:
    side = NodeSide(deal.account(window=32)).accepted()
    side.put(word(tokens=100), word())
    assert side.chunk().tokens == 100
    assert side.take() is None
    side.pay()
    assert side.chunk().tokens == 1
    side.put(word(tokens=100))
    assert side.take() is None, "one token is unpaid, so it may not go yet"
    side.pay()
    assert side.chunk().tokens == 100


@pytest.mark.parametrize("sizes", [[3] * 12, [1, 100], [31, 2], [16, 17]])
def test_events_of_several_tokens_never_pass_the_window_together(sizes: list[int]) -> None:
    """At most the credit window is unpaid, unless one event alone is larger (metering.py)."""
    side = NodeSide(deal.account(window=32)).accepted()
    side.put(*(word(tokens=size) for size in sizes))
    chunk = side.chunk()
    assert chunk.tokens <= 32 or len(chunk.events) == 1


@given(st.data())
def test_the_unpaid_output_of_an_award_stays_within_its_window(data: st.DataObject) -> None:
    """Two jobs, an engine that gives what it likes, a buyer that pays when it likes."""
    window = data.draw(st.integers(1, 40))
    account = deal.account(interval=1, window=window)
    sides = [NodeSide(account, number=each, output_tokens_max=500).accepted(9) for each in (1, 2)]
    given_out: list[list[bytes]] = [[], []]
    sent: list[list[bytes]] = [[], []]
    for _ in range(data.draw(st.integers(1, 25))):
        number = data.draw(st.integers(0, 1))
        side = sides[number]
        match data.draw(st.sampled_from(["engine", "take", "pay"])):
            case "engine":
                for _ in range(data.draw(st.integers(1, 50))):
                    event = word(f"{len(given_out[number])} ")
                    given_out[number].append(event.body)
                    side.put(event)
            case "take":
                while (frame := side.job.take(NOW_US)) is not None:
                    sent[number] += side.read(Chunk, frame).events
            case "pay":
                meter = account.meter
                least, most = meter.signed_usage.output_tokens, meter.usage.output_tokens
                output = data.draw(st.integers(least, most))
                usage = Usage(prompt_tokens=meter.usage.prompt_tokens, output_tokens=output)
                side.pay(usage)
                for each in sides:
                    each.job.paid()
        assert account.meter.unpaid_output <= window
    for bodies, everything in zip(sent, given_out, strict=True):
        assert bodies == everything[: len(bodies)], "in order, and nothing twice"
    assert account.meter.usage.output_tokens == sum(map(len, sent))


def test_no_more_bytes_go_out_than_the_buyer_has_room_for() -> None:
    side = NodeSide(deal.account(window=4_096), output_tokens_max=1_000).accepted()
    side.put(*[word("x" * 60_000)] * 12)
    sent = 0
    while (frame := side.job.take(NOW_US)) is not None:
        sent += len(frame.body)
        side.read(Chunk, frame)
    assert side.state() is JobState.RUNNING, "bytes are no reason to ask for a voucher"
    assert limits.JOB_CREDIT_BYTES <= sent <= limits.JOB_CREDIT_BYTES + limits.FRAMES_BYTES
    side.job.credit(Credit(granted_bytes=sent - limits.JOB_CREDIT_BYTES))
    assert side.take() is None, "what was granted only makes up for what was too much"
    side.job.credit(Credit(granted_bytes=1))
    assert side.take() is not None


def test_a_chunk_fits_one_message_of_the_stream() -> None:
    side = NodeSide(deal.account(window=4_096), output_tokens_max=10_000).accepted()
    side.put(*[word("x" * 100_000)] * 3)
    chunk = side.chunk()
    assert len(chunk.events) == 2
    assert len(codec.encode(chunk)) < limits.FRAME_BYTES_MAX


def test_a_chunk_holds_no_more_tokens_than_the_wire_allows() -> None:
    side = NodeSide(deal.account(lots=50, window=4_096), output_tokens_max=10_000).accepted()
    side.put(word(tokens=4_000), word(tokens=97))
    assert side.chunk().tokens == 4_000


@pytest.mark.parametrize(
    ("lots", "cap", "sent", "reason"),
    [
        (5, 10, 10, FinishReason.LENGTH),
        (1, 2_000, 990, FinishReason.SPENT),  # 1,000 less a prompt of 40 quarters
    ],
)
def test_a_job_ends_at_the_limit_of_its_request_or_of_its_award(
    lots: int, cap: int, sent: int, reason: FinishReason
) -> None:
    account = deal.account(lots=lots, window=4_096)
    side = NodeSide(account, output_tokens_max=cap).accepted(40)
    assert side.job.output_left == sent
    for _ in range(sent):
        side.put(word())
        assert not side.job.spent
        side.take()
    side.put(word())
    assert side.job.spent
    assert side.take() is None
    assert side.state() is JobState.RUNNING, "no voucher would help"
    assert side.job.output_left == 0
    assert side.job.limit_reason is reason


def test_an_event_too_large_for_the_rest_of_the_award_ends_the_job_as_spent() -> None:
    """Two tokens are left in the award, ten thousand in the request: the award is the limit."""
    side = NodeSide(deal.account(lots=1, window=4_096), output_tokens_max=10_000).accepted()
    side.put(word(tokens=998))
    side.take()
    side.put(word(tokens=3))
    assert side.job.spent
    assert side.job.limit_reason is FinishReason.SPENT


def test_events_without_tokens_pass_when_nothing_is_left() -> None:
    side = NodeSide(output_tokens_max=1).accepted()
    side.put(word(), word("", tokens=0))
    assert side.chunk().tokens == 1
    assert side.job.drained


def test_the_engine_is_read_on_until_so_many_events_wait() -> None:
    side = NodeSide().accepted()
    side.put(*[word()] * (EVENTS_WAITING_MAX - 1))
    assert side.has_room()
    side.put(word())
    assert not side.has_room()
    side.take()
    assert side.has_room()


def test_nothing_is_sent_before_the_job_is_taken_on_or_after_it_is_over() -> None:
    side = NodeSide()
    side.put(word())
    assert side.take() is None
    side.job.accept(0, prompt_due=False)
    side.job.close(FinishReason.CANCELLED, "", None, NOW_US)
    side.put(word())
    assert side.take() is None
    side.job.break_off()
    assert side.take() is None


def test_a_job_is_taken_on_once_and_not_after_a_refusal() -> None:
    side = NodeSide().accepted()
    with pytest.raises(FrameRefused):
        side.job.accept(0, prompt_due=False)
    refused = NodeSide()
    refused.job.refuse()
    with pytest.raises(FrameRefused):
        refused.job.accept(0, prompt_due=False)
    assert refused.state() is JobState.REFUSED


def test_the_frames_of_a_job_carry_its_number() -> None:
    side = NodeSide(number=7)
    frames: list[Frame | None] = [side.job.accept(3, prompt_due=False)]
    side.put(word())
    frames += [side.job.take(NOW_US), side.job.close(FinishReason.STOP, "", None, LATER_US)]
    assert [frame.job for frame in frames if frame is not None] == [7, 7, 7]
    assert STRANGER.key not in b"".join(frame.body for frame in frames if frame is not None)
