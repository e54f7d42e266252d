"""All-or-none orders in a record: none at a loss or in part, and what leaving some out may cost."""

from dataclasses import replace
from itertools import combinations

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swatow_market.exchange.certificate.findings import Check
from swatow_market.exchange.certificate.publish import WholeOrders
from swatow_market.exchange.certificate.record import (
    ARRAYS,
    LOTS_TOTAL_MAX,
    Record,
    encode,
    pack,
    pack_amount,
    unpack,
    unpack_amount,
)
from swatow_market.exchange.certificate.verify import judge, verify
from swatow_market.exchange.certificate.whole import Shortfall
from tests.support.market_records import (
    ORDERS,
    Drawn,
    WholeOrder,
    best,
    clear_whole,
    ints,
    problems,
    record_of,
    whole_orders,
    with_orders,
)

WHOLE = tuple(name for name in ARRAYS if name.startswith(("whole", "relaxed")))
FORCED = 10**6
"""A price at which an order is served if it can be at all."""

# One node with 6 lots at 2, then 4 at 9. Order 0 is accepted, order 1 could have 2 of its 5 lots,
# order 2 wants too little to mind, and order 3 pays less than the price.
ROUND = Drawn(demand=[[(10, 1), (3, 4)]], supply=[[(2, 6), (9, 4)]], arcs=[{0: (0, 0)}])
ORDERED: list[WholeOrder] = [(0, 12, 3), (0, 8, 5), (0, 3, 1), (0, 1, 1)]


def cleared(drawn: Drawn, orders: list[WholeOrder]) -> Record:
    return record_of(*clear_whole(drawn, orders))


def changed(record: Record, name: str, values: list[int]) -> Record:
    return msgspec.structs.replace(record, **{name: pack(ints(values))})


def bounded(record: Record, bound: int) -> Record:
    totals = msgspec.structs.replace(record.totals, relaxed_welfare=pack_amount(bound))
    return msgspec.structs.replace(record, totals=totals)


def checks(record: Record) -> set[Check]:
    return {finding.check for finding in verify(encode(record))}


def best_of_all_choices(drawn: Drawn, orders: list[WholeOrder]) -> int:
    """Return the welfare of the best of all sets of orders that may be accepted, price or no."""
    orders = [each for each in orders if each[0] < len(drawn.demand)]
    found = 0
    for count in range(len(orders) + 1):
        for taken in combinations(orders, count):
            forced = with_orders(drawn, [(at, FORCED, lots) for at, _, lots in taken])
            problem, solution = forced.problem, best(forced.problem)
            first = problem.demand_price == FORCED
            if (solution.demand_used == problem.demand_lots)[first].all():
                extra = sum((FORCED - price) * lots for _, price, lots in taken)
                found = max(found, solution.welfare - extra)
    return found


@given(problems(least=1) | problems(hubs_max=3, least=1), whole_orders(1))
@settings(max_examples=150)
@example(ROUND, ORDERED)
def test_the_gap_that_is_certified_holds_against_every_choice(
    drawn: Drawn, orders: list[WholeOrder]
) -> None:
    record = cleared(drawn, orders)
    judgement = judge(record)
    assert judgement.findings == ()
    assert judgement.shortfall is not None
    most = best_of_all_choices(drawn, orders)
    assert judgement.shortfall.welfare <= most <= judgement.shortfall.bound
    if not (unpack(record.whole_filled) == 0).any():
        assert judgement.shortfall.welfare == judgement.shortfall.bound


@given(problems(least=1) | problems(hubs_max=3, least=1), whole_orders(1))
@settings(max_examples=100)
@example(ROUND, ORDERED)
def test_orders_left_out_above_the_price_are_counted(
    drawn: Drawn, orders: list[WholeOrder]
) -> None:
    """The price of a segment is found way by way through its hubs."""
    record = cleared(drawn, orders)
    shortfall = judge(record).shortfall
    assert shortfall is not None
    over = 0
    rows = zip(*(unpack(getattr(record, name)).tolist() for name in WHOLE[1:5]), strict=True)
    for segment, price, _, filled in rows:
        over += not filled and price > _price_of(record, segment)
    assert shortfall.passed_over == over


def _price_of(record: Record, segment: int) -> float:
    """Return the cheapest delivered price, way by way."""
    return _cheapest(record, segment, unpack(record.node_price).tolist())


def _cheapest(record: Record, segment: int, prices: list[int]) -> float:
    start, node, cost = (
        unpack(each).tolist() for each in (record.arc_start, record.arc_node, record.arc_cost)
    )
    segments = len(unpack(record.demand_start)) - 1

    def of_row(row: int) -> float:
        found = [float("inf")]
        for arc in range(start[row], start[row + 1]):
            hub = node[arc] - len(prices)
            there = of_row(segments + hub) if hub >= 0 else prices[node[arc]]
            if there >= 0:
                found.append(there + cost[arc])
        return min(found)

    return of_row(segment)


def test_a_round_that_passes_an_order_over() -> None:
    """Order 1 could be served 2 of its 5 lots, at 8 - 2 each: what the others get is 55."""
    record = cleared(ROUND, ORDERED)
    assert unpack(record.whole_order).tolist() == [0, 1, 2]
    assert unpack(record.whole_filled).tolist() == [3, 0, 1]
    assert verify(encode(record)) == ()
    welfare = 3 * 10 + 8 + 2
    shortfall = judge(record).shortfall
    assert shortfall == Shortfall(passed_over=1, welfare=welfare, bound=3 * 10 + 8 + 2 * 6)


@pytest.mark.parametrize(
    ("welfare", "bound", "gap"), [(0, 0, 0), (5, 5, 0), (2, 3, 333_333_334), (0, 7, 10**9)]
)
def test_the_gap_is_rounded_up(welfare: int, bound: int, gap: int) -> None:
    assert Shortfall(passed_over=0, welfare=welfare, bound=bound).gap_ppb == gap


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("by", [-1, 1])
def test_no_single_change_is_accepted(name: str, by: int) -> None:
    """But for what is said of one that would gain nothing if relaxed: its trader knows that."""
    record = cleared(ROUND, ORDERED)
    values = unpack(getattr(record, name)).tolist()
    for index, value in enumerate(values):
        mutant = changed(record, name, [*values[:index], value + by, *values[index + 1 :]])
        the_traders_to_see = (name, index, by) in {
            ("whole_order", 2, 1),
            ("whole_price", 1, -1),
            ("whole_lots", 1, -1),
            ("whole_lots", 1, 1),
            ("whole_filled", 2, -1),
        }
        assert bool(checks(mutant)) != the_traders_to_see, index


@pytest.mark.parametrize("by", [-1, 1])
def test_no_other_bound_is_accepted(by: int) -> None:
    for orders in ([], ORDERED):
        record = cleared(ROUND, orders)
        bound = unpack_amount(record.totals.relaxed_welfare) + by
        assert checks(bounded(record, bound)) == {Check.RELAXED}


@given(problems(hubs_max=3, least=1), whole_orders(1), st.data())
@settings(max_examples=100)
@example(ROUND, ORDERED, None)
def test_any_prices_bound_what_can_be_reached(
    drawn: Drawn, orders: list[WholeOrder], data: st.DataObject | None
) -> None:
    """Those of another market's choosing show a bound that is as true, and not another one."""
    record = cleared(drawn, orders)
    stated = unpack(record.relaxed_price).tolist()
    asked = np.diff(unpack(record.supply_start)).tolist()
    price = st.integers(0, 20)
    prices = [
        (data.draw(price) if data and offers else each + 1 if offers else each)
        for each, offers in zip(stated, asked, strict=bool(stated))
    ]
    other = changed(record, "relaxed_price", prices)
    due = _dual(record, prices) if prices else unpack_amount(record.totals.welfare)
    assert checks(bounded(other, due)) == set()
    assert checks(bounded(other, due + 1)) == {Check.RELAXED}
    assert due >= best_of_all_choices(drawn, orders)


def _dual(record: Record, prices: list[int]) -> int:
    """Return what all gain who take what suits them at these node prices, one by one."""
    demand_start, supply_start = unpack(record.demand_start), unpack(record.supply_start)
    demand, supply = (
        list(zip(*(unpack(each).tolist() for each in columns), strict=True))
        for columns in (
            (record.demand_price, record.demand_lots),
            (record.supply_price, record.supply_lots),
        )
    )
    value = 0
    for segment in range(len(demand_start) - 1):
        pays = _cheapest(record, segment, prices)
        wanted = demand[demand_start[segment] : demand_start[segment + 1]]
        rows = zip(*(unpack(getattr(record, name)).tolist() for name in WHOLE[1:5]), strict=True)
        wanted += [(price, lots) for at, price, lots, had in rows if at == segment and not had]
        value += sum(lots * int(price - pays) for price, lots in wanted if price > pays)
    for node, gets in enumerate(prices):
        offered = supply[supply_start[node] : supply_start[node + 1]]
        value += sum(lots * max(0, gets - price) for price, lots in offered)
    return value


def listed(orders: list[WholeOrder], filled: list[int]) -> WholeOrders:
    """List these orders as accepted, each at the leaf of its place."""
    return WholeOrders(
        order=ints(list(range(len(orders)))),
        segment=ints([segment for segment, _, _ in orders]),
        price=ints([price for _, price, _ in orders]),
        lots=ints([lots for _, _, lots in orders]),
        filled=ints(filled),
        relaxed_price=ints([]),
        relaxed_welfare=0,
    )


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([(0, 8, 3)], id="more than its step is served"),
        pytest.param([(0, 12, 2), (0, 12, 2)], id="two with more than their step is served"),
        pytest.param([(0, 11, 1)], id="at a price that nobody is served at"),
        pytest.param([(0, 3, 1)], id="at a loss"),
        pytest.param([(1, 9, 1)], id="in the step of another segment"),
        pytest.param([(1, 0, 1)], id="behind the last step"),
    ],
)
def test_an_order_that_is_not_accepted_whole_is_refused(orders: list[WholeOrder]) -> None:
    drawn = Drawn([[(12, 3), (10, 1), (8, 5), (3, 1)], []], ROUND.supply, [{0: (0, 0)}, {}])
    solution = best(drawn.problem)
    assert solution.demand_used.tolist() == [3, 1, 2, 0]
    fine = listed([(0, 12, 1), (0, 12, 2), (0, 8, 2)], [1, 2, 2])
    assert checks(record_of(drawn, solution, fine)) == set()
    wrong = listed(orders, [lots for _, _, lots in orders])
    assert checks(record_of(drawn, solution, wrong)) == {Check.WHOLE}


@pytest.mark.parametrize(
    ("name", "values", "check"),
    [
        ("whole_order", [0, 1], Check.SHAPE),
        ("whole_segment", [0], Check.SHAPE),
        ("whole_filled", [3, 0], Check.SHAPE),
        ("whole_filled", [3, 5, 1], Check.SHAPE),
        ("relaxed_price", [], Check.SHAPE),
        ("relaxed_price", [8, 8], Check.SHAPE),
        ("whole_order", [0, 0, 1], Check.RANGE),
        ("whole_order", [1, 0, 2], Check.RANGE),
        ("whole_order", [-1, 0, 1], Check.RANGE),
        ("whole_order", [0, 1, ORDERS], Check.RANGE),
        ("whole_segment", [0, 0, 1], Check.RANGE),
        ("whole_segment", [-1, 0, 0], Check.RANGE),
        ("whole_price", [12, -8, 3], Check.RANGE),
        ("whole_lots", [3, 0, 1], Check.RANGE),
        ("whole_filled", [3, -5, 1], Check.SHAPE),
        ("whole_filled", [2, 0, 1], Check.RANGE),
        ("relaxed_price", [-2], Check.RANGE),
        ("relaxed_price", [-1], Check.RELAXED),
    ],
)
def test_numbers_that_do_not_fit_are_found(name: str, values: list[int], check: Check) -> None:
    assert checks(changed(cleared(ROUND, ORDERED), name, values)) == {check}


def test_more_lots_than_can_be_added_up_are_refused() -> None:
    orders = [(0, 0, LOTS_TOTAL_MAX), (0, 0, 1)]
    drawn, solution, _ = clear_whole(ROUND, [])
    whole = replace(listed(orders, [0, 0]), relaxed_price=ints([2]), relaxed_welfare=1)
    assert checks(record_of(drawn, solution, whole)) == {Check.RANGE}


def test_what_is_wrong_has_no_shortfall() -> None:
    record = changed(cleared(ROUND, ORDERED), "demand_used", [0] * 4)
    judgement = judge(record)
    assert judgement.findings
    assert judgement.shortfall is None
