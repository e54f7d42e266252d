"""Rounds that would make more awards than can be written: who takes part, and what of others."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from swatow_market.exchange.choice import decide
from swatow_market.exchange.clearing import Unmet, clear
from tests.support.market_books import Drawn, books, curved, demand, snapshot, supply


@given(drawn=books(), most=st.integers(1, 6))
@settings(max_examples=100)
def test_awards_are_bounded_and_nothing_is_lost(drawn: Drawn, most: int) -> None:
    offers, orders, paths = drawn
    book = snapshot(offers, orders, paths=paths)
    decision = decide(book, most)
    fills = decision.outcome.fills
    assert len(fills) <= most or len(decision.outcome.orders) == 1
    assert [entry.id for entry in decision.orders.entries] == sorted(order.id for order in orders)
    filled = decision.orders.totals(decision.filled).tolist()
    for number, entry in enumerate(decision.orders.entries):
        assert filled[number] == sum(fill.lots for fill in fills if fill.order == entry.id)
    whole = clear(book)
    if len(whole.fills) <= most:
        assert decision.outcome == whole
        assert np.array_equal(decision.told, whole.unmet)


def test_who_has_waited_takes_part_first() -> None:
    orders = [demand(f"{number}", 1, 9, carried=number % 2 == 0) for number in range(10)]
    decision = decide(snapshot([supply("a", (3, 20))], orders), 5)
    assert {fill.order for fill in decision.outcome.fills} == {
        order.id for order in orders if order.carried
    }


def test_chance_chooses_among_those_who_are_new() -> None:
    orders = [demand(f"{number}", 1, 9) for number in range(10)]
    chosen = {
        frozenset(
            fill.order
            for fill in decide(
                snapshot([supply("a", (3, 20))], orders, salt=bytes([salt]) * 32), 5
            ).outcome.fills
        )
        for salt in range(8)
    }
    assert len(chosen) > 1
    assert {len(each) for each in chosen} == {5}


def test_those_left_out_keep_what_they_were_told() -> None:
    orders = [demand("low", 1, 2), *(demand(f"{number}", 1, 9) for number in range(4))]
    decision = decide(snapshot([supply("a", (3, 20))], orders), 2)
    told = dict(zip([e.id for e in decision.orders.entries], decision.told.tolist(), strict=True))
    assert told[orders[0].id] == 0, "it took no part, so there is no news"
    assert sum(told.values()) == Unmet.NOTHING


def test_an_order_with_several_limits_counts_its_awards_and_not_its_rows() -> None:
    orders = [curved("many", *((1, price) for price in range(5, 25))), demand("one", 1, 30)]
    decision = decide(snapshot([supply("a", (3, 50))], orders), 2)
    assert len(decision.outcome.fills) == 2
    assert decision.filled.sum() == 21
