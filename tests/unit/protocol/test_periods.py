"""Periods are the same for everybody, and an award draws on the supply of its own."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import limits
from swatow_protocol.messages import LaterSupply, PriceStep
from swatow_protocol.periods import is_later, later_starts, steps_for
from tests.support import samples
from tests.support.samples import LATER_US, NOW_US, PERIOD_US, SECOND

times = st.integers(0, 2**53)
lengths = st.integers(limits.PERIOD_MIN_US, limits.PERIOD_MAX_US)


@given(times, lengths)
def test_the_next_periods_follow_on_the_one_that_it_is_now(time_us: int, period_us: int) -> None:
    starts = list(later_starts(time_us, period_us))
    assert len(starts) == limits.PERIODS_MAX
    assert starts[0] - period_us <= time_us < starts[0]
    assert {start % period_us for start in starts} == {0}
    apart = {after - before for before, after in pairwise(starts)}
    assert apart == {period_us}


@given(times, times, lengths)
def test_two_clocks_in_one_period_find_the_same(first: int, second: int, period_us: int) -> None:
    same = first // period_us == second // period_us
    assert (later_starts(first, period_us) == later_starts(second, period_us)) is same


def test_an_award_of_now_draws_on_what_is_offered_now() -> None:
    award, offer = samples.award(), samples.offer()
    assert not is_later(award)
    assert steps_for(award, offer) == offer.steps
    begun = samples.award(from_us=NOW_US - SECOND)
    assert (is_later(begun), steps_for(begun, offer)) == (False, offer.steps)


def test_a_later_award_draws_on_what_is_offered_for_its_period() -> None:
    offer = samples.offer()
    for supply in offer.later:
        award = samples.award(from_us=supply.start_us, expires_us=supply.start_us + PERIOD_US)
        assert is_later(award)
        assert steps_for(award, offer) == supply.steps


def test_for_a_period_that_is_not_stated_there_is_nothing() -> None:
    supply = LaterSupply(start_us=LATER_US, steps=(PriceStep(price=1, lots=1),))
    offer = samples.offer(later=(supply,))
    for from_us in (LATER_US - 1, LATER_US + 1, LATER_US + PERIOD_US):
        assert steps_for(samples.award(from_us=from_us), offer) == ()
