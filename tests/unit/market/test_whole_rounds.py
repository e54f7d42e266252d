"""The search for a round without all-or-none orders filled in part: bounded, and never worse."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from swatow_market.exchange.clearing import Outcome, clear, whole
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import Limits
from tests.support.market_books import Drawn, books, demand, snapshot, supply


def in_part(outcome: Outcome) -> list[bytes]:
    """Return the all-or-none orders that are filled in part."""
    lots = outcome.orders.totals(outcome.filled).tolist()
    return [
        order.id
        for order, filled in zip(outcome.orders, lots, strict=True)
        if order.terms.all_or_none and 0 < filled < order.lots
    ]


def cleared(drawn: Drawn) -> Outcome:
    offers, orders, paths = drawn
    return clear(snapshot(offers, orders, paths=paths))


def block(name: str, lots: int, price: int, **changes: Any) -> BookOrder:
    return demand(name, lots, price, all_or_none=True, **changes)


def test_orders_of_a_size_that_fits_nowhere_do_not_leave_one_by_one() -> None:
    """One of 500 fits, and then none that comes after it; a small one at the end does."""
    blocks = [block(f"block {number}", 99, 5_000 - number) for number in range(500)]
    small, plain = block("small", 30, 2_000), demand("plain", 40, 1_000)
    outcome = clear(snapshot([supply("a", (3, 150))], [*blocks, small, plain]))
    assert outcome.cleared.solves <= 1 + whole.STEADY_SOLVES + 9 + 2 * whole.RETURNS_MAX
    lots = dict.fromkeys((order.id for order in outcome.orders), 0)
    for fill in outcome.fills:
        lots[fill.order] += fill.lots
    assert {name: each for name, each in lots.items() if each} == {
        blocks[0].id: 99,
        small.id: 30,
        plain.id: 21,
    }
    assert len(outcome.passed_over) == len(blocks) - 1


def test_an_order_that_was_short_beside_another_comes_back_when_that_one_has_left() -> None:
    """Near has 1 of the 2 lots that one order wants there, and so the other gets 3 of its 4: both
    leave at once. Alone, the other is served whole."""
    near, far = supply("near", (1, 1)), supply("far", (1, 3), zone="cn-gz-guian")
    here = block("here", 2, 9, limits=Limits(zones=("cn-gd-shantou",)))
    anywhere = block("anywhere", 4, 8)
    outcome = clear(snapshot([near, far], [here, anywhere]))
    assert {fill.order: fill.lots for fill in outcome.fills if fill.offer == far.id} == {
        anywhere.id: 3
    }
    assert outcome.welfare == 4 * (8 - 1)
    assert outcome.passed_over == (here.id,)


@given(drawn=books(all_or_none=True))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(
    ("steady", "most", "back"), [(0, 64, 8), (64, 1, 8), (64, 2, 8), (64, 64, 1), (0, 1, 0)]
)
def test_whatever_is_tried_none_is_filled_in_part(
    monkeypatch: pytest.MonkeyPatch, steady: int, most: int, back: int, drawn: Drawn
) -> None:
    monkeypatch.setattr(whole, "STEADY_SOLVES", steady)
    monkeypatch.setattr(whole, "SOLVES_MAX", most)
    monkeypatch.setattr(whole, "RETURN_SOLVES_MAX", back)
    outcome = cleared(drawn)
    assert in_part(outcome) == []
    prices = outcome.node_prices
    for fill in outcome.fills:
        assert fill.worth >= fill.lots * fill.price
        assert fill.node_price == prices[fill.offer, 0]
    assert outcome.welfare <= outcome.cleared.relaxed.welfare
    assert outcome.cleared.solves <= 1 + most + whole.RETURNS_MAX * (1 + back)


@given(drawn=books(all_or_none=True))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_putting_rows_back_never_costs_welfare(
    monkeypatch: pytest.MonkeyPatch, drawn: Drawn
) -> None:
    with_returns = cleared(drawn)
    with monkeypatch.context() as patch:
        patch.setattr(whole, "RETURNS_MAX", 0)
        without = cleared(drawn)
    assert with_returns.welfare >= without.welfare
