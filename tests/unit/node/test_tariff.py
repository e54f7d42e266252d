"""The tariff: at each time of the day what the operator wrote, and for a span what always holds."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_node.tariff import DAY_US, Hours, Steps, Tariff
from swatow_protocol import limits
from swatow_protocol.messages import PriceStep
from swatow_protocol.periods import later_starts
from tests.support.samples import NOW_US, SECOND

MINUTE_US = 60 * SECOND
HOUR_US = 60 * MINUTE_US
MIDNIGHT_US = NOW_US - NOW_US % DAY_US
"""Of UTC."""
BEIJING_US = 8 * HOUR_US


def step(price: int, lots: int) -> PriceStep:
    return PriceStep(price=price, lots=lots)


CHEAP, DEAR = (step(50, 90),), (step(80, 60),)
NIGHT = Hours(22 * HOUR_US, 6 * HOUR_US, CHEAP)

times_of_day = st.integers(0, 1_439).map(lambda minute: minute * MINUTE_US)
moments = st.integers(0, 3 * DAY_US).map(lambda since_us: MIDNIGHT_US + since_us)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: minutes * MINUTE_US)
one_step = st.tuples(st.builds(step, st.integers(1, 9), st.integers(1, 9)))
no_step: st.SearchStrategy[Steps] = st.just(())


@st.composite
def rising(draw: st.DrawFn) -> Steps:
    """Draw several steps, as outside of all hours there may be."""
    prices = draw(st.lists(st.integers(1, 9), unique=True, max_size=5))
    return tuple(step(price, draw(st.integers(1, 9))) for price in sorted(prices))


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    """Draw edges of the day, and give some of the parts between them hours of their own."""
    edges = sorted(draw(st.lists(times_of_day, unique=True, max_size=6)))
    ends = edges[1:] + edges[:1]
    hours = [
        Hours(from_us, until_us, draw(one_step | no_step))
        for from_us, until_us in zip(edges, ends, strict=True)
        if draw(st.booleans())
    ]
    return Tariff(draw(offsets), tuple(draw(st.permutations(hours))), draw(rising()))


def lots_up_to(steps: Steps, price: int) -> int:
    return sum(each.lots for each in steps if each.price <= price)


def at_clock(tariff: Tariff, hour: int, minute: int = 0, *, day: int = 0) -> Steps:
    """Return what holds when the clocks on the wall of the node say so."""
    time_of_day_us = hour * HOUR_US + minute * MINUTE_US
    return tariff.at(MIDNIGHT_US + day * DAY_US + time_of_day_us - tariff.utc_offset_us)


@given(offsets)
def test_hours_over_midnight_hold_on_both_sides_of_it(offset_us: int) -> None:
    tariff = Tariff(offset_us, (NIGHT,), DEAR)
    for day in (-1, 0, 1):
        for hour, minute in ((22, 0), (23, 59), (0, 0), (5, 59)):
            assert at_clock(tariff, hour, minute, day=day) == CHEAP
        for hour, minute in ((6, 0), (12, 0), (21, 59)):
            assert at_clock(tariff, hour, minute, day=day) == DEAR


def test_the_hours_are_those_of_the_nodes_clocks() -> None:
    """At 15:00 UTC it is 23:00 in Shantou."""
    at_three = MIDNIGHT_US + 15 * HOUR_US
    assert Tariff(BEIJING_US, (NIGHT,), DEAR).at(at_three) == CHEAP
    assert Tariff(0, (NIGHT,), DEAR).at(at_three) == DEAR


def test_equal_times_are_the_whole_day() -> None:
    noon = Hours(12 * HOUR_US, 12 * HOUR_US, CHEAP)
    assert {at_clock(Tariff(0, (noon,), DEAR), hour) for hour in range(24)} == {CHEAP}


@given(tariffs(), moments)
def test_every_day_is_as_the_one_before_it(tariff: Tariff, time_us: int) -> None:
    assert tariff.at(time_us) == tariff.at(time_us + DAY_US)


@given(tariffs(), moments)
def test_at_most_one_of_the_hours_holds_and_outside_of_all_the_rest(
    tariff: Tariff, time_us: int
) -> None:
    time_of_day_us = (time_us + tariff.utc_offset_us) % DAY_US
    holding = [each.steps for each in tariff.hours if each.hold(time_of_day_us)]
    assert len(holding) <= 1
    assert tariff.at(time_us) == (holding[0] if holding else tariff.otherwise)


def minutes_of(hours: Hours) -> set[int]:
    """Return the minutes of the day in which hours hold, counted from the start on."""
    length = (hours.until_us - hours.from_us) // MINUTE_US % 1_440 or 1_440
    return {(hours.from_us // MINUTE_US + minute) % 1_440 for minute in range(length)}


@given(times_of_day, times_of_day, times_of_day, times_of_day)
def test_hours_overlap_if_they_share_a_minute(one: int, two: int, three: int, four: int) -> None:
    first, second = Hours(one, two, CHEAP), Hours(three, four, DEAR)
    shared = bool(minutes_of(first) & minutes_of(second))
    assert first.overlap(second) is second.overlap(first) is shared


@pytest.mark.parametrize("other", [(6, 22), (6, 7), (21, 22)])
def test_hours_that_follow_on_each_other_do_not_overlap(other: tuple[int, int]) -> None:
    assert not NIGHT.overlap(Hours(other[0] * HOUR_US, other[1] * HOUR_US, DEAR))


def sampled(start_us: int, end_us: int) -> Iterable[int]:
    """Return every full minute of a span, and its start."""
    yield start_us
    yield from range(start_us + MINUTE_US - start_us % MINUTE_US, end_us, MINUTE_US)


@given(tariffs(), moments, st.integers(1, 2 * DAY_US))
def test_a_span_has_at_each_price_the_fewest_lots_of_its_moments(
    tariff: Tariff, start_us: int, length_us: int
) -> None:
    found = tariff.during(start_us, start_us + length_us)
    holding = {tariff.at(time_us) for time_us in sampled(start_us, start_us + length_us)}
    for price in range(11):
        least = min(lots_up_to(steps, price) for steps in holding)
        assert lots_up_to(found, price) == least


@given(tariffs(), moments, st.integers(1, DAY_US))
def test_the_steps_of_a_span_can_be_offered(tariff: Tariff, start_us: int, length_us: int) -> None:
    found = tariff.during(start_us, start_us + length_us)
    prices = [each.price for each in found]
    assert prices == sorted(set(prices)), "they rise"
    most = max(1, len(tariff.otherwise))
    assert len(found) <= most, "so no bound of the wire is passed that settings keep"
    assert all(each.lots >= 1 for each in found)


def test_a_span_over_two_prices_has_the_dearer_one_and_the_fewer_lots() -> None:
    tariff = Tariff(0, (NIGHT,), DEAR)
    edge_us = MIDNIGHT_US + 6 * HOUR_US
    assert tariff.during(edge_us - 2, edge_us) == CHEAP
    assert tariff.during(edge_us - 1, edge_us + 1) == (step(80, 60),)
    more = Tariff(0, (Hours(NIGHT.from_us, NIGHT.until_us, (step(50, 20),)),), DEAR)
    assert more.during(edge_us - 1, edge_us + 1) == (step(80, 20),)


def test_a_span_in_which_nobody_is_served_for_a_while_has_no_supply() -> None:
    closed = Tariff(0, (Hours(NIGHT.from_us, NIGHT.until_us, ()),), DEAR)
    edge_us = MIDNIGHT_US + 6 * HOUR_US
    assert closed.during(edge_us - 1, edge_us + HOUR_US) == ()
    assert closed.during(edge_us, edge_us + HOUR_US) == DEAR


@given(tariffs(), moments, st.integers(1, 1_440).map(lambda minutes: minutes * MINUTE_US))
def test_later_supply_is_that_of_each_next_period_that_has_any(
    tariff: Tariff, now_us: int, period_us: int
) -> None:
    stated = {supply.start_us: supply.steps for supply in tariff.later(now_us, period_us)}
    starts = later_starts(now_us, period_us)
    expected = {start_us: tariff.during(start_us, start_us + period_us) for start_us in starts}
    assert stated == {start_us: steps for start_us, steps in expected.items() if steps}
    assert list(stated) == sorted(stated)
    assert len(stated) <= limits.PERIODS_MAX
