"""One award's count: rounded once, never falling, and never owing more than the credit window."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.errors import FrameRefused
from swatow_protocol.messages import Model, PaymentTerms, Usage
from swatow_protocol.metering import (
    NO_USAGE,
    AwardMeter,
    add_usage,
    check_usage,
    standard_thousandths,
    standard_tokens,
    subtract_usage,
)
from tests.support import samples

MODEL = samples.model()  # a prompt token weighs 250, a cached one 50
PAYMENT = PaymentTerms(voucher_interval=16, credit_window=32)


@st.composite
def usages(draw: st.DrawFn, most: int = 3_000) -> Usage:
    prompt, output = draw(st.integers(0, most)), draw(st.integers(0, most))
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=draw(st.integers(0, prompt)),
        output_tokens=output,
        reasoning_tokens=draw(st.integers(0, output)),
    )


models = st.builds(
    lambda prompt, cached: samples.model(prompt_weight=prompt, cached_weight=cached),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)


def meter(
    lots: int = 1_000,
    model: Model = MODEL,
    payment: PaymentTerms = PAYMENT,
    usage: Usage = NO_USAGE,
) -> AwardMeter:
    """Return the meter of an award on which `usage` was counted."""
    made = AwardMeter(model=model, payment=payment, lots=lots)
    made.add(usage)
    return made


def vouch(*meters: AwardMeter) -> bool:
    """Let the first meter's side sign for all it has counted; give the voucher to each."""
    owed, usage = meters[0].owed, meters[0].usage
    higher = [each.record_voucher(owed, usage) for each in meters]
    return all(higher)


def test_an_output_token_weighs_one_and_others_what_the_model_says() -> None:
    usage = Usage(prompt_tokens=10, cached_tokens=4, output_tokens=3, reasoning_tokens=2)
    assert standard_thousandths(usage, MODEL) == 6 * 250 + 4 * 50 + 3 * 1_000
    assert standard_tokens(usage, MODEL) == 5
    assert standard_tokens(NO_USAGE, MODEL) == 0


@given(usages(), models)
def test_standard_tokens_are_rounded_up_by_less_than_one(usage: Usage, model: Model) -> None:
    exact = Fraction(standard_thousandths(usage, model), 1_000)
    assert 0 <= standard_tokens(usage, model) - exact < 1


@given(usages(), usages())
def test_usages_add_and_subtract_field_by_field(left: Usage, right: Usage) -> None:
    both = add_usage(left, right)
    assert both.prompt_tokens == left.prompt_tokens + right.prompt_tokens
    assert both.reasoning_tokens == left.reasoning_tokens + right.reasoning_tokens
    assert subtract_usage(both, right) == left
    assert subtract_usage(both, left) == right


@given(usages())
def test_counts_that_fit_together_pass_the_check(usage: Usage) -> None:
    check_usage(usage)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(cached_tokens=1),
        Usage(prompt_tokens=7, cached_tokens=8),
        Usage(reasoning_tokens=1),
        Usage(prompt_tokens=9, output_tokens=7, reasoning_tokens=8),
    ],
)
def test_counts_that_contradict_themselves_are_refused(usage: Usage) -> None:
    """They come from the other side, and would make a prompt weigh less than nothing."""
    with pytest.raises(FrameRefused):
        check_usage(usage)


@given(st.lists(usages(), min_size=1, max_size=8), models)
def test_an_award_is_rounded_once_over_all_its_jobs(jobs: list[Usage], model: Model) -> None:
    award = meter(lots=10**6, model=model)
    for job in jobs:
        award.add(job)
    thousandths = sum(standard_thousandths(job, model) for job in jobs)
    assert award.owed == ceil(Fraction(thousandths, 1_000))
    apart = sum(standard_tokens(job, model) for job in jobs)
    assert 0 <= apart - award.owed < len(jobs), "receipts may add up to a little more"


@given(usages(), st.integers(1, 5))
def test_no_more_is_owed_than_the_award_holds(usage: Usage, lots: int) -> None:
    award = meter(lots=lots, usage=usage)
    assert award.owed == min(standard_tokens(usage, MODEL), lots * 1_000)
    assert award.owed_for(add_usage(usage, usage)) <= lots * 1_000


@given(usages(), usages(most=500), st.integers(1, 5), models)
def test_output_left_fills_the_award_to_the_brim(
    usage: Usage, coming: Usage, lots: int, model: Model
) -> None:
    award = meter(lots=lots, model=model, usage=usage)
    left = award.output_left(coming)
    counted = add_usage(usage, coming)
    total = lots * 1_000 * 1_000
    if left:
        full = add_usage(counted, Usage(output_tokens=left))
        assert standard_thousandths(full, model) <= total
    over = add_usage(counted, Usage(output_tokens=left + 1))
    assert standard_thousandths(over, model) > total
    award.add(coming)
    assert award.output_left() == left


@given(st.lists(st.integers(0, 32), max_size=60), usages(most=200), st.integers(1, 3))
def test_vouchers_rise_and_leave_less_than_an_interval_unsigned(
    chunks: list[int], prompt: Usage, lots: int
) -> None:
    award = meter(lots=lots, usage=prompt)
    signed = [0]
    for tokens in chunks:
        award.add(Usage(output_tokens=tokens))
        if award.voucher_due:
            assert vouch(award)
            signed.append(award.signed)
            assert award.signed == award.owed
            assert award.signed_usage == award.usage
        assert award.unpaid_output < PAYMENT.voucher_interval or award.owed == award.signed
    assert signed == sorted(set(signed))


@given(usages(), usages())
def test_a_voucher_that_is_not_higher_changes_nothing(usage: Usage, other: Usage) -> None:
    award = meter(usage=usage)
    vouch(award)
    before = (award.signed, award.signed_usage, award.usage)
    for standard in (award.signed, award.signed - 1, 0):
        assert not award.record_voucher(standard, other)
    assert (award.signed, award.signed_usage, award.usage) == before


@given(usages(), usages())
def test_a_voucher_above_the_own_count_lifts_the_count(usage: Usage, more: Usage) -> None:
    """As after a crash of the node: the buyer's word is all that is left of the work."""
    higher = add_usage(usage, more)
    award = meter(usage=usage)
    raised = award.record_voucher(award.owed_for(higher), higher)
    assert raised == (award.owed_for(higher) > 0)
    if raised:
        assert (award.usage, award.owed) == (higher, award.signed)
        assert award.unpaid_output == 0


@given(usages(), usages())
def test_a_voucher_for_a_part_of_the_count_leaves_the_rest_unpaid(
    said: Usage, beyond: Usage
) -> None:
    """As while chunks are on their way to the buyer."""
    counted = add_usage(said, beyond)
    award = meter(usage=counted)
    if award.record_voucher(award.owed_for(said), said):
        assert award.usage == counted
        assert award.unpaid_output == beyond.output_tokens


def test_an_award_that_is_paid_in_full_asks_for_no_more_vouchers() -> None:
    award = meter(lots=1)
    due = []
    for _ in range(3):
        award.add(Usage(output_tokens=1_000))
        due.append((award.voucher_due, vouch(award)))
    assert due == [(True, True), (False, False), (False, False)], "none could be higher"


@given(counted=usages(), said=usages())
def test_a_voucher_never_lowers_what_this_side_counts_as_owed(counted: Usage, said: Usage) -> None:
    """A buyer that calls the node's fresh prompt a cached one must not get it for less."""
    award = meter(usage=counted)
    before = award.owed
    award.record_voucher(award.owed_for(said), said)
    assert award.owed >= before


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 50), st.booleans()), min_size=1, max_size=80
    ),
    interval=st.integers(1, 20),
    beyond=st.integers(0, 20),
)
def test_a_node_that_asks_before_it_sends_is_never_owed_for_more_than_the_window(
    steps: list[tuple[int, int, bool]], interval: int, beyond: int
) -> None:
    """Three jobs on one award, events of up to 50 tokens, vouchers that come late or in time."""
    payment = PaymentTerms(voucher_interval=interval, credit_window=interval + beyond)
    node = meter(payment=payment)
    jobs = [0, 0, 0]
    for job, tokens, voucher_comes in steps:
        if voucher_comes:
            vouch(node)
            assert node.allows(payment.credit_window), "a voucher for everything opens it all"
        alone = node.unpaid_output == 0  # then an event of any size goes out, since it must
        assert node.allows(tokens) == (node.unpaid_output + tokens <= payment.credit_window)
        if alone or node.allows(tokens):
            jobs[job] += tokens
            node.add(Usage(output_tokens=tokens))
            assert node.unpaid_output <= max(payment.credit_window, tokens)
    assert node.usage.output_tokens == sum(jobs)


def test_an_interval_that_is_due_lets_a_full_window_through() -> None:
    """Interval at most window: the voucher comes before the node has to pause."""
    node, buyer = meter(), meter()
    for _ in range(100):
        assert node.allows(1)
        node.add(Usage(output_tokens=1))
        buyer.add(Usage(output_tokens=1))
        if buyer.voucher_due:
            vouch(buyer, node)
    assert node.unpaid_output < PAYMENT.voucher_interval


@given(usages(), usages(most=100))
def test_writing_off_forgets_the_unpaid_and_keeps_what_was_signed(paid: Usage, lost: Usage) -> None:
    award = meter(usage=paid)
    vouch(award)
    signed, signed_usage = award.signed, award.signed_usage
    unpaid = award.unpaid_output
    award.add(lost)
    assert award.write_off() == lost.output_tokens + unpaid
    assert (award.signed, award.usage) == (signed, signed_usage)
    assert award.unpaid_output == 0
    assert award.write_off() == 0
