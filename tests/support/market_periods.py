"""Books whose nodes have something for later periods, and orders that can wait for them."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import LaterSupply, PriceStep
from tests.support.market_books import curved, demand, supply
from tests.support.samples import NOW_US, PERIOD_US

PERIODS = range(NOW_US + PERIOD_US, NOW_US + 4 * PERIOD_US, PERIOD_US)


def until(periods: int) -> int:
    """Return a deadline that so many later periods end by."""
    return PERIODS[0] + periods * PERIOD_US if periods else PERIODS[0]


def patient(name: str, lots: int, price: int, periods: int, **changes: Any) -> BookOrder:
    return demand(name, lots, price, deadline_us=until(periods), **changes)


def node(name: str, now: list[tuple[int, int]], *later: list[tuple[int, int]]) -> BookOffer:
    """Return an offer of (price, lots) steps, now and in each later period; [] is nothing."""
    supplies = tuple(
        LaterSupply(start_us=start_us, steps=steps_of(steps))
        for start_us, steps in zip(PERIODS, later, strict=False)
        if steps
    )
    entry = supply(name, *(now or [(0, 1)]), later=supplies)
    return entry if now else replace(entry, lots_out=1)


def steps_of(steps: list[tuple[int, int]]) -> tuple[PriceStep, ...]:
    return tuple(PriceStep(price=price, lots=lots) for price, lots in steps)


@st.composite
def patient_books(
    draw: st.DrawFn, *, all_or_none: bool = False
) -> tuple[list[BookOffer], list[BookOrder]]:
    """Draw nodes that serve now and later, and orders of which some can wait."""
    some = st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 6)), max_size=2, unique_by=lambda step: step[0]
    ).map(sorted)
    offers = [
        node(f"{number}", *draw(st.lists(some, min_size=4, max_size=4)))
        for number in range(draw(st.integers(1, 4)))
    ]
    orders = [
        patient(
            f"{number}",
            draw(st.integers(1, 6)),
            draw(st.integers(0, 20)),
            periods,
            all_or_none=all_or_none and draw(st.booleans()),
        )
        if (periods := draw(st.integers(-1, 3))) >= 0
        else curved(f"{number}", (2, draw(st.integers(0, 20))), (3, draw(st.integers(0, 20))))
        for number in range(draw(st.integers(1, 8)))
    ]
    return offers, orders
