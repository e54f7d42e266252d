"""One job's count: equal on both sides, settled by the last word, and in step with its award."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.messages import Usage
from swatow_protocol.metering import NO_USAGE, AwardMeter, JobMeter, add_usage, standard_tokens
from tests.support import samples

MODEL = samples.model()
PROMPT = Usage(prompt_tokens=40, cached_tokens=8)


def award(lots: int = 10) -> AwardMeter:
    return AwardMeter(model=MODEL, payment=samples.PAYMENT, lots=lots)


def total(usages: list[Usage]) -> Usage:
    summed = NO_USAGE
    for usage in usages:
        summed = add_usage(summed, usage)
    return summed


@st.composite
def finals(draw: st.DrawFn) -> Usage:
    prompt, output = draw(st.integers(0, 200)), draw(st.integers(0, 200))
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=draw(st.integers(0, prompt)),
        output_tokens=output,
        reasoning_tokens=draw(st.integers(0, output)),
    )


prompts = st.builds(
    lambda prompt, cached: Usage(prompt_tokens=prompt, cached_tokens=min(cached, prompt)),
    st.integers(0, 200),
    st.integers(0, 200),
)


def test_the_prompt_counts_from_the_first_token_and_once() -> None:
    held = award()
    job = JobMeter(held, PROMPT)
    job.chunk(0)
    assert job.usage == held.usage == NO_USAGE, "a job that gives nothing costs nothing"
    job.chunk(3)
    job.chunk(2)
    assert job.usage == held.usage == add_usage(PROMPT, Usage(output_tokens=5))


def test_a_prompt_that_is_due_first_counts_at_once_and_once() -> None:
    held = award()
    job = JobMeter(held, PROMPT)
    job.count_prompt()
    assert held.usage == PROMPT
    assert held.owed == standard_tokens(PROMPT, MODEL)
    job.count_prompt()
    job.chunk(1)
    assert held.usage == add_usage(PROMPT, Usage(output_tokens=1))


def test_room_for_output_is_what_is_left_behind_the_prompt() -> None:
    held = award(lots=1)
    job = JobMeter(held, PROMPT)
    room = job.output_left
    assert room == 1_000 - 9, "32 prompt tokens weigh 8.0 and 8 cached ones 0.4"
    job.chunk(room)
    assert job.output_left == 0
    assert held.owed <= held.total


@given(prompts, st.lists(st.integers(0, 40), max_size=20), finals())
def test_both_sides_count_the_same_frames_alike(
    prompt: Usage, chunks: list[int], final: Usage
) -> None:
    """The buyer signs when it is due; the node records. Nothing else passes between them."""
    buyer, node = award(), award()
    at_buyer, at_node = JobMeter(buyer, prompt), JobMeter(node, prompt)
    for tokens in chunks:
        at_node.chunk(tokens)
        at_buyer.chunk(tokens)
        if buyer.voucher_due:
            owed, usage = buyer.owed, buyer.usage
            assert node.owed_for(usage) == owed, "the node finds the voucher in agreement"
            assert buyer.record_voucher(owed, usage)
            assert node.record_voucher(owed, usage)
        assert at_buyer.usage == at_node.usage
        assert (buyer.usage, buyer.owed, buyer.signed) == (node.usage, node.owed, node.signed)
    at_node.close(final)
    at_buyer.close(final)
    assert at_buyer.usage == at_node.usage == final
    assert (buyer.usage, buyer.owed) == (node.usage, node.owed)


@given(
    st.lists(st.tuples(prompts, finals()), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_an_award_is_the_sum_of_its_jobs_in_whatever_order_they_close(
    jobs: list[tuple[Usage, Usage]],
    chunks: list[tuple[int, int]],
    order: Random,
) -> None:
    held = award()
    meters = [JobMeter(held, prompt) for prompt, _ in jobs]
    for number, tokens in chunks:
        meters[number % len(meters)].chunk(tokens)
        assert held.usage == total([each.usage for each in meters])
    closing = list(zip(meters, (final for _, final in jobs), strict=True))
    order.shuffle(closing)
    for each, final in closing:
        each.close(final)
        assert held.usage == total([meter.usage for meter in meters])
    assert held.usage == total([final for _, final in jobs])


@pytest.mark.parametrize("output", [0, 10, 24, 25, 200])
def test_the_last_word_counts_up_or_down(output: int) -> None:
    held = award()
    other = JobMeter(held)
    other.chunk(7)
    job = JobMeter(held, PROMPT)
    job.chunk(24)
    final = Usage(prompt_tokens=38, cached_tokens=8, output_tokens=output)
    job.close(final)
    assert job.usage == final
    assert held.usage == add_usage(final, Usage(output_tokens=7))


def test_what_was_signed_stays_signed_when_the_last_word_is_lower() -> None:
    held = award()
    job = JobMeter(held, PROMPT)
    job.chunk(24)
    held.record_voucher(held.owed, held.usage)
    signed = held.signed
    job.close(Usage(prompt_tokens=40, cached_tokens=8, output_tokens=4))
    assert held.signed == signed > held.owed
    assert not held.voucher_due
    following = JobMeter(held)
    following.chunk(20)  # what was paid for too much covers what comes next
    assert held.unpaid_output == 0
    assert held.owed == signed


def test_a_closed_job_counts_its_prompt_no_more() -> None:
    held = award()
    job = JobMeter(held, PROMPT)
    job.close(NO_USAGE)
    job.count_prompt()
    job.chunk(1)
    assert held.usage == Usage(output_tokens=1)


@given(st.lists(st.integers(1, 31), min_size=1, max_size=30), st.integers(0, 30))
def test_after_a_lost_stream_the_node_has_lost_less_than_a_window(
    chunks: list[int], at: int
) -> None:
    """The stream breaks after any chunk; the next job starts where the voucher stands."""
    node, buyer = award(), award()
    sent, received = JobMeter(node), JobMeter(buyer)
    owed = [0]
    for number, tokens in enumerate(chunks):
        if not node.allows(tokens):
            buyer.record_voucher(buyer.owed, buyer.usage)
            node.record_voucher(buyer.signed, buyer.signed_usage)
        assert node.allows(tokens)
        sent.chunk(tokens)
        if number == at:
            break
        received.chunk(tokens)
        owed.append(buyer.owed)
    assert 0 <= node.write_off() <= samples.PAYMENT.credit_window
    assert node.usage == node.signed_usage
    assert node.owed == node.signed <= buyer.owed, "nothing that the buyer did not receive"
    assert all(before <= after for before, after in pairwise(owed))
