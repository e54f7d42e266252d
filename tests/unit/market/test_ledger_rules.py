"""Settlement in any number of steps pays what one step would, rounded once, to the last nano."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from swatow_market.ledger.rules import NOTHING, Split, award_hold, settle
from swatow_protocol import limits
from swatow_protocol.messages import Award
from swatow_protocol.metering import share_tokens
from tests.support import samples

PRICES = st.one_of(st.integers(0, 20), st.integers(0, 200_000), st.integers(0, limits.PRICE_MAX))


@st.composite
def awards(draw: st.DrawFn) -> Award:
    price = draw(PRICES)
    charge = draw(st.integers(0, price) | st.just(price) | st.just(0))
    return samples.award(
        lots=draw(st.integers(1, 50) | st.integers(1, limits.LOTS_MAX)),
        price=price,
        path_charge=charge,
        node_price=price - charge,
        fee_ppm=draw(st.sampled_from((0, 1, 10_000, 333_333, 999_999, 1_000_000))),
    )


@st.composite
def programs(draw: st.DrawFn) -> tuple[Award, list[int]]:
    """Draw an award, and counts of tokens redeemed in all, each no lower than the one before."""
    award = draw(awards())
    counts = st.integers(0, award.lots * 1_000) | st.integers(0, min(40, award.lots * 1_000))
    return award, sorted(draw(st.lists(counts, min_size=1, max_size=8)))


def plus(left: Split, right: Split) -> Split:
    return Split(
        node=left.node + right.node,
        carriage=left.carriage + right.carriage,
        fee=left.fee + right.fee,
    )


def stepwise(award: Award, counts: list[int]) -> tuple[Split, list[Split]]:
    paid, steps = NOTHING, []
    for count in counts:
        steps.append(settle(award, count, paid))
        paid = plus(paid, steps[-1])
    return paid, steps


@given(programs())
@example((samples.award(price=1, path_charge=1, node_price=0), [500, 1_000]))
@example((samples.award(price=1, path_charge=0, node_price=1, fee_ppm=1_000_000), [1, 2, 3]))
def test_any_number_of_steps_pays_what_one_step_would(program: tuple[Award, list[int]]) -> None:
    award, counts = program
    paid, steps = stepwise(award, counts)
    at_once = settle(award, counts[-1], NOTHING)
    exact = Fraction(counts[-1] * award.price, 1_000)
    assert paid.total == at_once.total
    assert 0 <= paid.total - exact < 1, "rounded up, once, by less than a nano"
    assert all(min(each.node, each.carriage, each.fee) >= 0 for each in steps)
    assert abs(paid.carriage - at_once.carriage) <= 1
    assert abs(paid.fee - at_once.fee) <= 1


@given(programs())
def test_no_more_is_paid_than_was_held(program: tuple[Award, list[int]]) -> None:
    award, counts = program
    paid, _ = stepwise(award, counts)
    assert paid.total <= award_hold(award)
    whole, _ = stepwise(award, [*counts, award.lots * 1_000])
    assert whole.total == award_hold(award) == award.lots * award.price


@given(programs())
def test_carriers_and_market_get_what_is_due_rounded_down(
    program: tuple[Award, list[int]],
) -> None:
    award, counts = program
    split = settle(award, counts[-1], NOTHING)
    carriage = Fraction(counts[-1] * award.path_charge, 1_000)
    assert 0 <= carriage - split.carriage < 1
    fee = Fraction((split.total - split.carriage) * award.fee_ppm, 1_000_000)
    assert 0 <= fee - split.fee < 1


@given(programs())
def test_redeeming_the_same_again_pays_nothing(program: tuple[Award, list[int]]) -> None:
    award, counts = program
    paid, _ = stepwise(award, counts)
    assert settle(award, counts[-1], paid) == NOTHING


@given(award=awards(), lots=st.integers(0, 50))
def test_whole_lots_are_exact(award: Award, lots: int) -> None:
    count = min(lots, award.lots)
    split = settle(award, count * 1_000, NOTHING)
    assert split.total == count * award.price
    assert split.carriage == count * award.path_charge


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        # price 80,000 = 78,000 for the node + 2,000 for the path; 1 % of the node's is the fee
        (0, (0, 0, 0)),
        (1, (78, 2, 0)),
        (72, (5_560, 144, 56)),
        (1_000, (77_220, 2_000, 780)),
        (5_000, (386_100, 10_000, 3_900)),
    ],
)
def test_the_sample_award_to_the_nano(tokens: int, expected: tuple[int, int, int]) -> None:
    split = settle(samples.award(), tokens, NOTHING)
    assert (split.node, split.carriage, split.fee) == expected


def test_a_token_of_a_price_below_a_nano_costs_one_and_the_next_ones_nothing() -> None:
    award = samples.award(price=1, path_charge=0, node_price=1, fee_ppm=0)
    _, steps = stepwise(award, [1, 2, 999, 1_000, 1_001])
    assert [each.total for each in steps] == [1, 0, 0, 0, 1]


def test_a_redemption_that_goes_down_is_a_fault_of_the_caller() -> None:
    award = samples.award()
    paid = settle(award, 1_000, NOTHING)
    with pytest.raises(AssertionError):
        settle(award, 999, paid)
    for outside in (-1, award.lots * 1_000 + 1):
        with pytest.raises(AssertionError):
            settle(award, outside, NOTHING)


def test_holds_are_quantity_times_price_and_fit_63_bits_at_the_bounds() -> None:
    assert award_hold(samples.award(lots=7, price=80_000)) == 560_000
    most = samples.award(lots=limits.LOTS_MAX, price=limits.PRICE_MAX)
    assert award_hold(most) <= limits.MONEY_MAX


def test_every_way_of_taking_three_steps_adds_up() -> None:
    """All of them, on a small award with awkward numbers."""
    award = samples.award(lots=1, price=7, path_charge=3, node_price=4, fee_ppm=333_333)
    counts = [0, 1, 142, 143, 333, 500, 857, 999, 1_000]
    totals = {
        stepwise(award, [*steps, 1_000])[0].total
        for steps in itertools.combinations_with_replacement(counts, 3)
    }
    assert totals == {7}


@st.composite
def share_awards(draw: st.DrawFn) -> Award:
    """Draw an award with a take-or-pay share of any size."""
    award = draw(awards())
    ppm = draw(st.integers(0, 1_000_000) | st.sampled_from((0, 1, 200_000, 999_999, 1_000_000)))
    return structs.replace(award, take_or_pay_ppm=ppm)


@given(share_awards())
def test_a_share_is_that_part_of_the_lots_rounded_up(award: Award) -> None:
    exact = Fraction(award.take_or_pay_ppm * award.lots * 1_000, 1_000_000)
    assert 0 <= share_tokens(award) - exact < 1
    assert share_tokens(award) <= award.lots * 1_000


@given(share_awards(), st.data())
def test_a_share_is_paid_like_its_use_and_never_beyond_the_hold(
    award: Award, data: st.DataObject
) -> None:
    """Whatever was redeemed before, in however many steps, counts towards it."""
    counts = sorted(data.draw(st.lists(st.integers(0, award.lots * 1_000), max_size=5)))
    share = share_tokens(award)
    drawn = counts[-1] if counts else 0
    paid, _ = stepwise(award, [*counts, max(drawn, share)])
    assert paid.total == settle(award, max(drawn, share), NOTHING).total
    assert paid.total <= award_hold(award)
    if drawn >= share:
        assert paid == stepwise(award, counts)[0], "it was used: nothing is added"


@given(share_awards(), st.lists(st.integers(-5, 605), min_size=2, max_size=5))
def test_a_contested_share_grows_with_the_time_that_passed(
    award: Award, seconds: list[int]
) -> None:
    times = [award.from_us + each * samples.SECOND for each in sorted(seconds)]
    shares = [share_tokens(award, time_us) for time_us in times]
    assert shares == sorted(shares)
    assert share_tokens(award, award.from_us) == 0
    assert share_tokens(award, award.expires_us) == share_tokens(award)
    assert max(shares) <= share_tokens(award), "not even after its end"


@pytest.mark.parametrize(
    ("seconds", "tokens"), [(0, 0), (1, 2), (300, 500), (599, 999), (600, 1_000), (700, 1_000)]
)
def test_the_sample_share_to_the_token(seconds: int, tokens: int) -> None:
    """A fifth of 5 lots over 600 s."""
    award = samples.award(take_or_pay_ppm=200_000)
    assert share_tokens(award) == 1_000
    assert share_tokens(award, award.from_us + seconds * samples.SECOND) == tokens
