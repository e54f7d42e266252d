"""A round is optimal, its prices support it, and nobody would rather have had something else."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.publish import publish_round
from swatow_market.exchange.certificate.verify import judge
from swatow_market.exchange.certificate.whole import Shortfall
from swatow_market.exchange.clearing import Outcome, clear
from swatow_market.exchange.network_map import Path
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import Limits
from swatow_protocol.messages.answers import LimitName
from tests.support.market_books import (
    MODEL,
    OTHER,
    SMALL_PRICE_MAX,
    Drawn,
    books,
    demand,
    now_prices,
    small_books,
    snapshot,
    supply,
    unmet_of,
)
from tests.support.market_oracle import asks, best, dual, supporting_prices, worth
from tests.support.market_records import ROUND


def frozen(drawn: Drawn) -> Snapshot:
    offers, orders, paths = drawn
    return snapshot(offers, orders, paths=paths)


def filled(outcome: Outcome) -> Counter[bytes]:
    """Return order id -> lots."""
    lots: Counter[bytes] = Counter()
    for fill in outcome.fills:
        lots[fill.order] += fill.lots
    return lots


def delivered(
    order: BookOrder, snapshot: Snapshot, prices: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Return what is left of the order's limit at each offer that may serve it."""
    return {
        entry.id: gain - prices[entry.id]
        for entry in snapshot.offers
        if entry.id in prices and (gain := worth(order, entry, snapshot)) is not None
    }


def in_the_round(book: Snapshot, outcome: Outcome) -> list[BookOrder]:
    """Return the orders that took part to the end: all but all-or-none ones that got nothing."""
    lots = filled(outcome)
    return [order for order in book.orders if lots[order.id] or not order.terms.all_or_none]


def check_feasible(book: Snapshot, outcome: Outcome) -> None:
    """Nothing is sold that nobody has, or to somebody who may not have it."""
    orders = {order.id: order for order in book.orders}
    offers = {entry.id: entry for entry in book.offers}
    sold: Counter[bytes] = Counter()
    for fill in outcome.fills:
        assert fill.lots > 0
        assert worth(orders[fill.order], offers[fill.offer], book) is not None
        sold[fill.offer] += fill.lots
    for offer, lots in sold.items():
        assert lots <= len(asks(offers[offer]))
    for order, lots in filled(outcome).items():
        assert lots <= orders[order].lots
        assert not orders[order].terms.all_or_none or lots == orders[order].lots
    keys = [(fill.order, fill.offer) for fill in outcome.fills]
    assert keys == sorted(set(keys)), "one fill for each order and offer, in a fixed order"
    assert list(unmet_of(outcome)) == [
        order.id for order in book.orders if filled(outcome)[order.id] < order.lots
    ]


def check_money(book: Snapshot, outcome: Outcome) -> None:
    """Each pays node price + charge and no more than its limit; nodes get at least their asks."""
    orders = {order.id: order for order in book.orders}
    offers = {entry.id: entry for entry in book.offers}
    paid, earned, carried, value, cost = 0, 0, 0, 0, 0
    sold: Counter[bytes] = Counter()
    for fill in outcome.fills:
        order, entry = orders[fill.order], offers[fill.offer]
        path = book.network_map.path(order.terms.limits.origin, entry.offer.zone)
        limit = {each.model: each.price for each in order.terms.models}[entry.offer.model]
        assert fill.node_price == now_prices(outcome)[fill.offer] >= 0
        assert fill.path_charge == path.charge
        assert fill.price == fill.node_price + fill.path_charge <= limit
        paid += fill.lots * fill.price
        earned += fill.lots * fill.node_price
        carried += fill.lots * path.charge
        value += fill.lots * limit
        sold[fill.offer] += fill.lots
    for offer, lots in sold.items():
        used = asks(offers[offer])[:lots]
        assert used[-1] <= now_prices(outcome)[offer], "no lot below what was asked for it"
        cost += sum(used)
    assert paid == earned + carried
    assert outcome.welfare == value - carried - cost


def check_optimal(book: Snapshot, outcome: Outcome) -> None:
    """No allocation is worth more than its dual at any prices, and this one reaches it."""
    assert outcome.welfare == dual(book, now_prices(outcome), in_the_round(book, outcome))


def check_no_envy(book: Snapshot, outcome: Outcome) -> None:
    """Who is served is served at its best price; who is not could not have paid any."""
    lots = filled(outcome)
    offers = {entry.id for entry in book.offers if asks(entry)}
    assert set(now_prices(outcome)) == offers, "a price for every offer with free lots"
    for order in in_the_round(book, outcome):
        surplus = delivered(order, book, now_prices(outcome))
        most = max(surplus.values(), default=-1)
        for fill in outcome.fills:
            if fill.order == order.id:
                assert surplus[fill.offer] == most >= 0
        if lots[order.id] < order.lots:
            assert most <= 0, "an order with its limit above its price is filled"
            if surplus:
                (reason,) = unmet_of(outcome)[order.id]
                assert reason in (LimitName.PRICE, LimitName.CAPACITY)
                assert reason is LimitName.PRICE or most == 0, "above its limit it is the price"


@given(books())
@settings(max_examples=200)
def test_every_round_is_feasible_balanced_optimal_and_envy_free(drawn: Drawn) -> None:
    book = frozen(drawn)
    outcome = clear(book)
    check_feasible(book, outcome)
    check_money(book, outcome)
    check_optimal(book, outcome)
    check_no_envy(book, outcome)
    assert outcome.passed_over == ()


@given(books(all_or_none=True) | small_books(all_or_none=True))
@settings(max_examples=150)
def test_all_or_none_orders_leave_the_rest_of_the_round_optimal(drawn: Drawn) -> None:
    book = frozen(drawn)
    outcome = clear(book)
    check_feasible(book, outcome)
    check_money(book, outcome)
    check_optimal(book, outcome)
    check_no_envy(book, outcome)


@given(books(all_or_none=True) | small_books(all_or_none=True))
@settings(max_examples=150)
def test_every_all_or_none_order_left_out_below_its_limit_is_listed(drawn: Drawn) -> None:
    book = frozen(drawn)
    outcome = clear(book)
    lots = filled(outcome)
    left_out = {
        order.id: max(delivered(order, book, now_prices(outcome)).values(), default=-1)
        for order in book.orders
        if order.terms.all_or_none and not lots[order.id]
    }
    assert list(outcome.passed_over) == sorted(
        order for order, gain in left_out.items() if gain > 0
    )


@given(small_books())
@settings(max_examples=80)
@example(([supply("a", (3, 2)), supply("b", (3, 2))], [demand("1", 3, 7), demand("2", 2, 5)], {}))
def test_welfare_and_volume_are_those_of_trying_every_allocation(drawn: Drawn) -> None:
    book = frozen(drawn)
    outcome = clear(book)
    lots = sum(fill.lots for fill in outcome.fills)
    assert (outcome.welfare, lots) == best(book)


@given(small_books(all_or_none=True))
@settings(max_examples=150)
def test_no_choice_of_all_or_none_orders_is_worth_more_than_the_bound(drawn: Drawn) -> None:
    """Rows leave and come back one by one, which is not exact; the bound says how far off."""
    book = frozen(drawn)
    outcome = clear(book)
    most, _ = best(book)
    bound = outcome.cleared.relaxed.welfare
    assert 0 <= outcome.welfare <= most <= bound
    judgement = judge(publish_round(ROUND, outcome).record)
    assert judgement.findings == ()
    assert judgement.shortfall == Shortfall(
        passed_over=len(outcome.passed_over),
        welfare=outcome.welfare,
        bound=bound if outcome.cleared.solves > 1 else outcome.welfare,
    )


@given(small_books())
@settings(max_examples=80)
@example(([supply("a", (2, 1))], [demand("1", 1, 7)], {}))
@example(([supply("a", (3, 1)), supply("b", (8, 1))], [demand("1", 1, 6)], {}))
def test_prices_are_the_middle_of_all_that_support_the_optimum(drawn: Drawn) -> None:
    """Tries every whole price of every node; the middle is rounded down, node by node."""
    book = frozen(drawn)
    outcome = clear(book)
    welfare, supporting = supporting_prices(book, SMALL_PRICE_MAX)
    assert outcome.welfare == welfare
    assert now_prices(outcome) == {
        name: (min(each[name] for each in supporting) + max(each[name] for each in supporting)) // 2
        for name in supporting[0]
    }


@given(drawn=books(all_or_none=True), order=st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_the_order_in_which_things_came_in_changes_nothing(drawn: Drawn, order: Any) -> None:
    offers, orders, paths = drawn
    expected = clear(frozen(drawn))
    shuffled = (
        order.sample(offers, len(offers)),
        order.sample(orders, len(orders)),
        dict(order.sample(sorted(paths.items(), key=str), len(paths))),
    )
    outcome = clear(frozen(shuffled))
    assert outcome == expected
    assert list(unmet_of(outcome)) == list(unmet_of(expected))
    assert list(now_prices(outcome)) == list(now_prices(expected))


def test_the_middle_price_is_rounded_down_between_ask_and_limit() -> None:
    """One node at 3, one buyer up to 8: any price from 3 to 8 supports it; the middle is 5."""
    outcome = clear(snapshot([supply("a", (3, 5))], [demand("1", 5, 8)]))
    assert [(fill.lots, fill.price) for fill in outcome.fills] == [(5, 5)]
    assert outcome.welfare == 5 * (8 - 3)


def test_a_node_with_lots_to_spare_is_paid_its_ask() -> None:
    outcome = clear(snapshot([supply("a", (3, 9))], [demand("1", 5, 8)]))
    assert [(fill.lots, fill.price) for fill in outcome.fills] == [(5, 3)]


def test_all_lots_of_a_node_have_one_price_though_its_steps_differ() -> None:
    outcome = clear(snapshot([supply("a", (3, 2), (6, 9))], [demand("1", 4, 8)]))
    assert [(fill.lots, fill.price) for fill in outcome.fills] == [(4, 6)]


def test_lots_that_awards_hold_are_taken_from_the_cheapest_steps() -> None:
    outcome = clear(snapshot([supply("a", (3, 2), (6, 2), out=3)], [demand("1", 4, 8)]))
    assert [(fill.lots, fill.price) for fill in outcome.fills] == [(1, 8)]


def test_a_node_without_free_lots_sells_nothing_and_has_no_price() -> None:
    full = supply("a", (3, 2), out=2)
    outcome = clear(snapshot([full, supply("b", (5, 9))], [demand("1", 4, 8)]))
    assert full.id not in now_prices(outcome)
    assert [(fill.offer, fill.price) for fill in outcome.fills] == [(supply("b", (5, 9)).id, 5)]


def test_fewer_lots_than_before_free_is_no_debt() -> None:
    """A node may lower its offer below what its awards hold: then nothing is left, no more."""
    outcome = clear(snapshot([supply("a", (3, 2), out=7)], [demand("1", 4, 8)]))
    assert outcome.fills == ()
    assert set(unmet_of(outcome).values()) == {(LimitName.CAPACITY,)}


def test_a_zero_surplus_lot_is_traded() -> None:
    outcome = clear(snapshot([supply("a", (5, 3))], [demand("1", 3, 5)]))
    assert [(fill.lots, fill.price) for fill in outcome.fills] == [(3, 5)]
    assert outcome.welfare == 0


def test_the_charge_of_the_path_decides_between_nodes() -> None:
    """The dearer node is nearer: 4 + 0 beats 3 + 2."""
    near = supply("near", (4, 9), zone="sg")
    far = supply("far", (3, 9), zone="cn-gz-guian")
    order = demand("1", 5, 9, limits=Limits(origin="sg"))
    book = snapshot([near, far], [order], paths={("sg", "cn-gz-guian"): Path(charge=2)})
    (fill,) = clear(book).fills
    assert (fill.offer, fill.price, fill.node_price, fill.path_charge) == (near.id, 4, 4, 0)


def test_empty_books_clear_to_nothing() -> None:
    for offers, orders in (([], []), ([supply("a", (3, 2))], []), ([], [demand("1", 4, 8)])):
        outcome = clear(snapshot(offers, orders))
        assert outcome.fills == ()
        assert outcome.passed_over == ()
        assert outcome.welfare == 0
        assert set(unmet_of(outcome).values()) <= {(LimitName.MODEL,)}
        assert len(unmet_of(outcome)) == len(orders)


def test_orders_of_several_models_take_the_one_that_leaves_most() -> None:
    """Up to 10 for the one, 6 for the other: 4 below the limit beats 5 below the other's."""
    offers = [supply("a", (7, 9)), supply("b", (1, 9), model=OTHER)]
    order = demand("1", 5, models={MODEL: 10, OTHER: 6})
    (fill,) = clear(snapshot(offers, [order])).fills
    assert (fill.offer, fill.price) == (offers[1].id, 1)


def test_a_models_own_limit_price_holds_where_another_model_may_cost_more() -> None:
    offers = [supply("a", (9, 2)), supply("b", (7, 9), model=OTHER)]
    order = demand("1", 5, models={MODEL: 10, OTHER: 6})
    outcome = clear(snapshot(offers, [order]))
    assert [(fill.offer, fill.lots) for fill in outcome.fills] == [(offers[0].id, 2)]
    assert unmet_of(outcome) == {order.id: (LimitName.CAPACITY,)}
