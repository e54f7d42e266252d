"""Orders that can wait: what is offered for later serves them, and patience never costs more."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.publish import publish_round
from swatow_market.exchange.certificate.verify import judge
from swatow_market.exchange.clearing import Outcome, clear
from swatow_market.exchange.network_map import Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import LaterSupply, Limits
from tests.support.market_books import demand, snapshot, supply
from tests.support.market_oracle import worth
from tests.support.market_periods import PERIODS, node, patient, patient_books, steps_of, until
from tests.support.market_records import ROUND
from tests.support.samples import PERIOD_US


def paid(outcome: Outcome, order: BookOrder) -> list[tuple[int, int, int]]:
    """Return (period from 1, or 0 for now; lots; price) of what an order got."""
    return [
        (PERIODS.index(fill.from_us) + 1 if fill.from_us else 0, fill.lots, fill.price)
        for fill in outcome.fills
        if fill.order == order.id
    ]


def cleared(offers: list[BookOffer], orders: list[BookOrder], **changes: Any) -> Outcome:
    return clear(snapshot(offers, orders, periods=PERIODS, **changes))


def test_what_is_cheaper_later_goes_to_whoever_can_wait() -> None:
    offers = [node("n", [(9, 5)], [(4, 5)], [(2, 5)])]
    orders = [demand("now", 3, 9), patient("soon", 3, 9, 1), patient("late", 3, 9, 2)]
    outcome = cleared(offers, orders)
    assert [paid(outcome, order) for order in orders] == [[(0, 3, 9)], [(1, 3, 4)], [(2, 3, 2)]]


def test_a_period_must_end_by_the_deadline() -> None:
    offers = [node("n", [(9, 5)], [(4, 5)])]
    early = demand("early", 3, 9, deadline_us=until(1) - 1)
    in_time = demand("in time", 3, 9, deadline_us=until(1))
    outcome = cleared(offers, [early, in_time])
    assert paid(outcome, early) == [(0, 3, 9)]
    assert paid(outcome, in_time) == [(1, 3, 4)]


def test_now_serves_those_who_could_wait_where_it_is_cheaper() -> None:
    order = patient("late", 3, 9, 3)
    assert paid(cleared([node("n", [(1, 5)], [(4, 5)])], [order]), order) == [(0, 3, 1)]


def test_lots_promised_for_a_period_are_not_sold_again() -> None:
    entry = replace(node("n", [], [(4, 5), (6, 5)]), lots_promised={PERIODS[0]: 7})
    order = patient("late", 5, 9, 3)
    assert paid(cleared([entry], [order]), order) == [(1, 3, 9)], "3 of 10 are left"


def test_a_period_that_has_begun_is_left_out() -> None:
    begun = LaterSupply(start_us=PERIODS[0] - PERIOD_US, steps=steps_of([(1, 9)]))
    offer = supply("n", (9, 5), later=(begun,))
    order = patient("late", 3, 9, 3)
    assert paid(cleared([offer], [order]), order) == [(0, 3, 9)]


def test_paths_are_paid_for_later_too() -> None:
    offers = [node("n", [], [(4, 9)])]
    order = patient("late", 3, 9, 1, limits=Limits(origin="sg"))
    zone = offers[0].offer.zone
    outcome = cleared(offers, [order], paths={("sg", zone): Path(charge=3)})
    (fill,) = outcome.fills
    assert (fill.node_price, fill.path_charge, fill.price) == (4, 3, 7)


def test_later_supply_without_anybody_who_waits_changes_nothing() -> None:
    offers = [node("n", [(9, 5)], [(4, 5)])]
    outcome = cleared(offers, [demand("now", 3, 9)])
    assert outcome.cleared.problem.hubs == 0
    assert [fill.price for fill in outcome.fills] == [9]


def dual(book: Snapshot, outcome: Outcome) -> int:
    """Return what all gain if each takes what suits it at the prices; no pools are known here."""
    prices, value = outcome.node_prices, 0
    for order in book.orders:
        deadline_us = order.terms.deadline_us or 0
        gains = [
            gain - order.terms.models[0].price - prices[entry.id, start_us]
            for entry in book.offers
            for start_us in (0, *PERIODS)
            if (entry.id, start_us) in prices
            and (not start_us or start_us + PERIOD_US <= deadline_us)
            and (gain := worth(order, entry, book)) is not None
        ]
        limits = [(order.limit_price, order.lots)]
        if order.curve is not None:
            limits = [*zip(order.curve.price.tolist(), order.curve.lots.tolist(), strict=True)]
        value += sum(lots * max([0, *(limit + gain for gain in gains)]) for limit, lots in limits)
    for entry in book.offers:
        for start_us, steps in [(0, entry.steps_left()), *entry.later_left()]:
            price = prices.get((entry.id, start_us), 0)
            value += sum(lots * max(0, price - ask) for ask, lots in steps)
    return value


@given(patient_books())
@settings(max_examples=150)
def test_every_round_is_optimal_and_its_certificate_is_accepted(
    drawn: tuple[list[BookOffer], list[BookOrder]],
) -> None:
    book = snapshot(*drawn, periods=PERIODS)
    outcome = clear(book)
    assert outcome.welfare == dual(book, outcome)
    assert judge(publish_round(ROUND, outcome).record).findings == ()
    sold: dict[tuple[bytes, int], int] = {}
    for fill in outcome.fills:
        assert not fill.from_us or fill.price == fill.node_price + fill.path_charge
        sold[fill.offer, fill.from_us] = sold.get((fill.offer, fill.from_us), 0) + fill.lots
    for entry in book.offers:
        for start_us, steps in [(0, entry.steps_left()), *entry.later_left()]:
            assert sold.get((entry.id, start_us), 0) <= sum(lots for _, lots in steps)
    deadlines = {order.id: order.terms.deadline_us or 0 for order in book.orders}
    for fill in outcome.fills:
        assert not fill.from_us or fill.from_us + PERIOD_US <= deadlines[fill.order]


@given(drawn=patient_books(), price=st.integers(0, 20))
@settings(max_examples=100)
def test_whoever_can_wait_longer_never_pays_more(
    drawn: tuple[list[BookOffer], list[BookOrder]], price: int
) -> None:
    offers, orders = drawn
    probes = [patient(f"probe {periods}", 1, price, periods) for periods in range(4)]
    outcome = cleared(offers, [*orders, *probes])
    dearest = [max((each[2] for each in paid(outcome, probe)), default=price) for probe in probes]
    assert dearest == sorted(dearest, reverse=True)


def test_patience_pays_a_discount() -> None:
    """The same lots in every period: the more periods will do, the lower the price."""
    offers = [node("n", [(2, 4)], [(2, 4)], [(2, 4)], [(2, 4)])]
    crowd = [patient(f"crowd {number}", 2, 20 - number, number // 3) for number in range(10)]
    probes = [patient(f"probe {periods}", 1, 20, periods) for periods in range(4)]
    outcome = cleared(offers, [*crowd, *probes])
    prices = [paid(outcome, probe)[0][2] for probe in probes]
    assert prices == sorted(prices, reverse=True)
    assert prices[0] > prices[-1]
