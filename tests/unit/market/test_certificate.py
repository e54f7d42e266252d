"""The verifier accepts the record of every right round, and of no other."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from swatow_market.exchange.certificate import record as form
from swatow_market.exchange.certificate import verify as conditions
from swatow_market.exchange.certificate.findings import Check, Finding
from swatow_market.exchange.certificate.merkle import Tree
from swatow_market.exchange.certificate.publish import publish
from swatow_market.exchange.certificate.record import ARRAYS, Record, decode, encode, pack, unpack
from swatow_market.exchange.certificate.verify import verify
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Solution
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.limits import PRICE_MAX
from tests.support.market_records import (
    ROUND,
    Drawn,
    best,
    clear_whole,
    ints,
    is_right,
    priced,
    problems,
    record_of,
)
from tests.support.problems import KINDS, random_problem

OUTCOME = ("arc_lots", "demand_used", "supply_used", "node_price")
"""What a round decided; the other arrays are what it was given."""
NOT_GIVEN = {*OUTCOME, "relaxed_price", *(name for name in ARRAYS if name.startswith("whole"))}
"""Of those on all-or-none orders: test_whole_orders."""
TOTALS = ("welfare", "buyers", "nodes", "carriers")
INT64 = np.iinfo(np.int64)

# Two nodes and two segments that trade on three arcs, with ties, a handicap, a node that is full,
# one that nobody reaches, and a segment that nobody serves.
TRADE = Drawn(
    demand=[[(12, 3), (9, 4), (5, 2)], [(8, 5), (6, 1)], [(7, 2)]],
    supply=[[(2, 4), (5, 3)], [(4, 9)], [], [(3, 1)]],
    arcs=[{0: (1, 1), 1: (2, 0), 2: (0, 0)}, {0: (3, 2), 1: (1, 1)}, {}],
)
# One node at 3, one buyer up to 8: any price from 3 to 8 supports the trade, the middle is 5.
WIDE = Drawn(demand=[[(8, 5)]], supply=[[(3, 5)]], arcs=[{0: (0, 0)}])
# Trading it gains nobody anything, and is done all the same.
IDLE = Drawn(demand=[[(5, 2)], [(4, 1)]], supply=[[(5, 3)]], arcs=[{0: (0, 0)}, {0: (0, 0)}])
# Two nodes, and four hubs behind each other: one leads to both, the next to it alone, one nowhere,
# and one to all of them. A direct arc ties with a way, and another is dearer than one.
HUBS = Drawn(
    demand=[[(12, 4), (7, 3)], [(11, 2), (6, 4)], [(9, 3)]],
    supply=[[(2, 4), (5, 3)], [(3, 9)]],
    arcs=[{0: (2, 1), 3: (0, 0)}, {2: (1, 1), 5: (0, 0)}, {1: (4, 0), 3: (1, 1)}],
    hubs=[{0: (1, 0), 1: (2, 2)}, {2: (0, 0)}, {}, {1: (3, 1), 2: (1, 0), 3: (1, 1), 4: (0, 0)}],
)
TOLD = [TRADE, WIDE, IDLE, HUBS]
# One is accepted, and two are left out of the curves.
WHOLE_OF_HUBS = [(1, 12, 1), (0, 9, 30), (1, 9, 30)]
# Through the ends of the chain, the price of a node hangs together with that of all others.
CHAIN_HUBS = 30
CHAIN = Drawn(
    demand=[[(50, 1), (40, 3)]] * CHAIN_HUBS,
    supply=[[(5, 2 * CHAIN_HUBS)]],
    arcs=[{1 + hub: (0, 0)} for hub in range(CHAIN_HUBS)],
    hubs=[{hub: (1, 1)} for hub in range(CHAIN_HUBS)],
)


def any_problems() -> st.SearchStrategy[Drawn]:
    return problems() | problems(hubs_max=4) | problems(price_max=2, lots_max=2, hubs_max=3)


def changed(record: Record, name: str, values: Ints) -> Record:
    return msgspec.structs.replace(record, **{name: pack(values)})


def moved(record: Record, name: str, index: int, by: int) -> Record:
    values = unpack(getattr(record, name)).copy()
    values[index] += by
    return changed(record, name, values)


def checks(record: Record) -> set[Check]:
    return {finding.check for finding in verify(encode(record))}


def parts(record: Record) -> tuple[Problem, Solution, Ints]:
    """Return what a record says, to be judged by the oracle."""
    arrays = {name: unpack(getattr(record, name)).copy() for name in ARRAYS}
    problem = Problem(**{name: arrays[name] for name in Problem.__slots__})
    price = arrays["node_price"]
    solution = Solution(
        arc_lots=arrays["arc_lots"],
        demand_used=arrays["demand_used"],
        supply_used=arrays["supply_used"],
        price_least=price,
        price_greatest=price,
        welfare=form.unpack_amount(record.totals.welfare),
    )
    return problem, solution, price


@given(any_problems() | problems(price_max=2, lots_max=2) | problems(PRICE_MAX, 10**6, 3))
@settings(max_examples=250)
@example(TRADE)
@example(WIDE)
@example(IDLE)
@example(HUBS)
@example(CHAIN)
@example(Drawn([], [], []))
@example(Drawn([], [], [], [{}, {0: (0, 0)}]))
def test_the_record_of_every_solved_round_is_accepted(drawn: Drawn) -> None:
    record = record_of(drawn)
    assert verify(encode(record)) == ()
    assert decode(encode(record)) == record
    problem, solution, price = parts(record)
    assert is_right(problem, solution, price)


@given(problems(hubs_max=4) | problems(price_max=2, lots_max=2, hubs_max=3))
@settings(max_examples=200)
@example(HUBS)
@example(CHAIN)
def test_what_the_solver_makes_of_hubs_is_right(drawn: Drawn) -> None:
    solution = solve(drawn.problem)
    record = record_of(drawn, solution)
    assert verify(encode(record)) == ()
    assert is_right(*parts(record))


@pytest.mark.parametrize("kind", KINDS)
def test_random_rounds_of_every_kind_are_accepted(kind: str) -> None:
    for seed in range(5):
        problem = random_problem(seed, KINDS[kind])
        head = Tree([]).head
        record = publish(
            round_=ROUND,
            offers=head,
            orders=head,
            problem=problem,
            arc_charge=problem.arc_cost,
            solution=solve(problem),
        )
        assert verify(encode(record)) == ()


@pytest.mark.parametrize("drawn", [WIDE, HUBS])
def test_any_flipped_bit_is_refused(drawn: Drawn) -> None:
    data = encode(record_of(drawn))
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (finding,) = verify(bytes(flipped))
        assert finding.check is Check.FORMAT


def test_any_changed_field_changes_the_id() -> None:
    """The id is what a market signs: no field can be changed under it."""
    record = record_of(*clear_whole(HUBS, WHOLE_OF_HUBS))
    data = encode(record)
    mutants = [each for name in ARRAYS for _, each in moves(record, name)]
    for part in (record.round, record.offers, record.orders, record.totals):
        for name in part.__struct_fields__:
            value = getattr(part, name)
            other = {int: lambda v: v + 1, str: lambda v: v + "x"}.get(
                type(value), lambda v: bytes([v[0] ^ 1]) + v[1:]
            )(value)
            mutants.append(_with_part(record, part, name, other))
    assert {len(unpack(getattr(record, name))) > 0 for name in ARRAYS} == {True}
    for mutant in mutants:
        assert verify(encode(mutant)[:-32] + data[-32:])[0].check is Check.FORMAT
        assert encode(mutant)[-32:] != data[-32:]


def moves(record: Record, name: str) -> Iterator[tuple[int, Record]]:
    """Yield (index, the record with this entry one lower or higher) for each entry."""
    for index in range(len(unpack(getattr(record, name)))):
        for by in (-1, 1):
            yield index, moved(record, name, index, by)


def _with_part(record: Record, part: Any, name: str, value: object) -> Record:
    field = next(f for f in record.__struct_fields__ if getattr(record, f) is part)
    new = msgspec.structs.replace(part, **{name: value})
    return msgspec.structs.replace(record, **{field: new})


@given(any_problems(), st.sampled_from(OUTCOME), st.data())
@settings(max_examples=200)
def test_no_changed_entry_of_the_outcome_is_accepted(
    drawn: Drawn, name: str, data: st.DataObject
) -> None:
    """Under an id of its own, as a market would publish that is not honest."""
    record = record_of(drawn)
    entries = len(unpack(getattr(record, name)))
    assume(entries)
    index = data.draw(st.integers(0, entries - 1))
    for by in (-1, 1):
        assert verify(encode(moved(record, name, index, by)))


@pytest.mark.parametrize("drawn", TOLD)
def test_no_single_change_of_the_outcome_is_accepted(drawn: Drawn) -> None:
    record = record_of(drawn)
    for name in OUTCOME:
        for index, mutant in moves(record, name):
            assert verify(encode(mutant)), (name, index)


@pytest.mark.parametrize("drawn", TOLD)
@pytest.mark.parametrize("name", [each for each in ARRAYS if each not in NOT_GIVEN])
def test_a_single_change_of_what_was_given_is_accepted_only_if_all_is_right(
    drawn: Drawn, name: str
) -> None:
    """As where a step that nobody wanted is a lot larger. What was given is under the id alone."""
    record = record_of(drawn)
    flowing = unpack(record.arc_lots) > 0
    for index, mutant in moves(record, name):
        found = checks(mutant)
        if found & {Check.SHAPE, Check.RANGE}:
            continue  # no problem that the oracle could solve
        if name == "arc_charge":
            assert found == ({Check.MONEY} if flowing[index] else set()), index
        else:
            assert (found == set()) == is_right(*parts(mutant)), index


@pytest.mark.parametrize("name", TOTALS)
@pytest.mark.parametrize("by", [-1, 1])
def test_no_changed_total_is_accepted(name: str, by: int) -> None:
    record = record_of(TRADE)
    amount = form.unpack_amount(getattr(record.totals, name)) + by
    mutant = _with_part(record, record.totals, name, form.pack_amount(amount))
    assert checks(mutant) == {Check.WELFARE if name == "welfare" else Check.MONEY}


@given(any_problems() | problems(price_max=2, lots_max=2), st.data())
@settings(max_examples=150)
def test_a_record_is_accepted_exactly_if_it_is_right(drawn: Drawn, data: st.DataObject) -> None:
    """Changes what the round was given: then the outcome is right for that, or is refused."""
    record = record_of(drawn)
    given_arrays = ("arc_cost", "demand_price", "demand_lots", "supply_price", "supply_lots")
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(given_arrays))
        entries = len(unpack(getattr(record, name)))
        if entries:
            index = data.draw(st.integers(0, entries - 1))
            record = moved(record, name, index, data.draw(st.integers(-2, 2)))
    found = checks(record)
    if Check.RANGE in found:
        return  # no problem that the oracle could solve, or a charge above its cost
    assert (found == set()) == is_right(*parts(record))


@given(problems(least=1), st.data())
@settings(max_examples=100)
def test_a_round_that_trades_less_than_it_should_is_refused(
    drawn: Drawn, data: st.DataObject
) -> None:
    """Feasible, with honest totals at the right prices, but one lot short."""
    problem, best = drawn.problem, solve(drawn.problem)
    flowing = np.flatnonzero(best.arc_lots).tolist()
    assume(flowing)
    arc = data.draw(st.sampled_from(flowing))
    segment = int(np.searchsorted(problem.arc_start, arc, side="right")) - 1
    node = int(problem.arc_node[arc])
    arc_lots, demand, supply = (
        each.copy() for each in (best.arc_lots, best.demand_used, best.supply_used)
    )
    arc_lots[arc] -= 1
    served = _last_used(demand, problem.demand_start, segment)
    sold = _last_used(supply, problem.supply_start, node)
    demand[served] -= 1
    supply[sold] -= 1
    lost = problem.demand_price[served] - problem.supply_price[sold] - problem.arc_cost[arc]
    less = replace(
        best,
        arc_lots=arc_lots,
        demand_used=demand,
        supply_used=supply,
        welfare=best.welfare - int(lost),
    )
    record = record_of(drawn, less)
    assert not is_right(*parts(record))
    found = checks(record)
    assert found
    assert found <= {Check.ARC, Check.DEMAND, Check.SUPPLY, Check.VOLUME}
    assert (found == {Check.VOLUME}) == (lost == 0)


def _last_used(used: Ints, start: Ints, row: int) -> int:
    at, end = int(start[row]), int(start[row + 1])
    return at + int(np.flatnonzero(used[at:end])[-1])


# Each is worth as much as the best, at right prices: one condition alone tells them apart.
@pytest.mark.parametrize(
    ("drawn", "arc_lots", "demand_used", "supply_used", "check"),
    [
        pytest.param(IDLE, [0, 0], [0, 0], [0], Check.VOLUME, id="nothing traded"),
        pytest.param(
            Drawn(
                [[(5, 1)], [(5, 1)]], [[(5, 1)], [(5, 1)]], [{0: (0, 0)}, {0: (0, 0), 1: (0, 0)}]
            ),
            [0, 1, 0],
            [0, 1],
            [1, 0],
            Check.VOLUME,
            id="one more if another moves over",
        ),
        pytest.param(
            Drawn([[(5, 1)]], [[(5, 3)]], [{0: (0, 0)}]),
            [2],
            [2],
            [2],
            Check.FEASIBLE,
            id="more served than wanted",
        ),
        pytest.param(
            Drawn([[(5, 3)]], [[(5, 1)]], [{0: (0, 0)}]),
            [2],
            [2],
            [2],
            Check.FEASIBLE,
            id="more used than offered",
        ),
    ],
)
def test_an_outcome_that_only_one_condition_refuses(
    drawn: Drawn, arc_lots: list[int], demand_used: list[int], supply_used: list[int], check: Check
) -> None:
    wrong = replace(
        solve(drawn.problem),
        arc_lots=ints(arc_lots),
        demand_used=ints(demand_used),
        supply_used=ints(supply_used),
    )
    assert checks(record_of(drawn, wrong)) == {check}


@given(problems(hubs_max=4))
@settings(max_examples=100)
@example(HUBS)
def test_lots_that_take_a_dearer_way_through_hubs_are_refused(drawn: Drawn) -> None:
    """One lot moves from the arcs of its way to others of the same ends, at honest totals."""
    problem = drawn.problem
    right = best(problem)
    detours = list(_detours(problem, right.arc_lots))
    assert detours or drawn is not HUBS
    for off, on in detours:
        arc_lots = right.arc_lots.copy()
        np.subtract.at(arc_lots, off, 1)
        np.add.at(arc_lots, on, 1)
        more = int(problem.arc_cost[on].sum() - problem.arc_cost[off].sum())
        other = replace(right, arc_lots=arc_lots, welfare=max(0, right.welfare - more))
        assert more >= 0
        assert checks(record_of(drawn, other)) == ({Check.ARC} if more else set())


def _detours(problem: Problem, arc_lots: Ints) -> Iterator[tuple[list[int], list[int]]]:
    """Yield (arcs of a way that carries lots, arcs of another way with the same ends)."""
    segments, nodes = len(problem.demand_start) - 1, len(problem.supply_start) - 1

    def ways(row: int) -> Iterator[list[int]]:
        for arc in range(int(problem.arc_start[row]), int(problem.arc_start[row + 1])):
            target = int(problem.arc_node[arc])
            rest = ways(segments + target - nodes) if target >= nodes else iter([[]])
            yield from ([arc, *each] for each in rest)

    for segment in range(segments):
        found = list(ways(segment))
        for off, on in product(found, found):
            if (
                off != on
                and (arc_lots[off] > 0).all()
                and problem.arc_node[off[-1]] == problem.arc_node[on[-1]]
            ):
                yield off, on


def test_lots_that_go_in_a_circle_of_hubs_are_refused() -> None:
    """Nothing but the order of hubs keeps them from it: balances hold, and arcs of no cost tie."""
    drawn = Drawn([], [], [], [{}, {0: (0, 0)}])
    circle = replace(drawn.problem, arc_start=ints([0, 1, 2]), arc_node=ints([1, 0]))
    circle = replace(circle, arc_cost=ints([0, 0]))
    record = changed(record_of(drawn), "arc_start", circle.arc_start)
    for name in ("arc_node", "arc_cost"):
        record = changed(record, name, getattr(circle, name))
    for lots in (0, 1):
        wrong = changed(changed(record, "arc_charge", ints([0, 0])), "arc_lots", ints([lots] * 2))
        assert checks(wrong) == {Check.RANGE}


@pytest.mark.parametrize("hub", range(3))
def test_a_hub_may_not_lead_to_itself_or_higher(hub: int) -> None:
    nodes = len(HUBS.supply)
    for target in range(nodes + hub, nodes + 5):
        rows = [*HUBS.hubs[:hub], {target: (0, 0)}, *HUBS.hubs[hub + 1 :]]
        record = record_of(HUBS)
        right, wrong = HUBS.problem, replace(HUBS, hubs=rows).problem
        lots = np.zeros(len(wrong.arc_node), np.int64)
        for name in ("arc_start", "arc_node", "arc_cost"):
            record = changed(record, name, getattr(wrong, name))
        record = changed(changed(record, "arc_charge", lots), "arc_lots", lots)
        assert checks(record) == {Check.RANGE}
        assert len(right.arc_start) == len(wrong.arc_start)


def test_more_lots_than_arcs_can_add_up_are_refused() -> None:
    hubs = form.CARRIED_TOTAL_MAX // form.LOTS_TOTAL_MAX
    most = form.LOTS_TOTAL_MAX
    for more, check in ((0, set()), (1, {Check.RANGE})):
        rows = [{0: (0, 0)}, *({hub: (1, 0)} for hub in range(1, hubs - 1 + more))]
        long = Drawn([[(PRICE_MAX, most)]], [[(0, most)]], [{len(rows): (0, 0)}], rows)
        assert checks(record_of(long)) == check


def test_a_dearer_arc_is_refused() -> None:
    drawn = Drawn([[(9, 1)]], [[(5, 2)], [(5, 2)]], [{0: (0, 0), 1: (3, 3)}])
    best = solve(drawn.problem)
    assert best.arc_lots.tolist() == [1, 0]
    detour = replace(best, arc_lots=ints([0, 1]), supply_used=ints([0, 1]), welfare=1)
    assert checks(record_of(drawn, priced(detour, ints([5, 5])))) == {Check.ARC}


@given(any_problems())
@settings(max_examples=200)
@example(WIDE)
@example(HUBS)
def test_right_lots_at_other_prices_than_the_middle_are_refused(drawn: Drawn) -> None:
    """The least and the greatest prices support the outcome as well: only C9 tells them apart."""
    solution = best(drawn.problem)
    right = middle(solution.price_least, solution.price_greatest)
    for prices in (solution.price_least, solution.price_greatest):
        expected = set() if np.array_equal(prices, right) else {Check.CANONICAL}
        assert checks(record_of(drawn, priced(solution, prices))) == expected


@given(problems() | problems(price_max=2, lots_max=2))
@settings(max_examples=100)
def test_every_best_outcome_is_accepted_whoever_found_it(drawn: Drawn) -> None:
    """The same problem told from the last node and segment to the first: often other arcs flow."""
    last = len(drawn.supply) - 1
    told_backward = Drawn(
        demand=drawn.demand[::-1],
        supply=drawn.supply[::-1],
        arcs=[{last - node: cost for node, cost in each.items()} for each in drawn.arcs[::-1]],
    )
    found = solve(told_backward.problem)
    solution = Solution(
        arc_lots=found.arc_lots[::-1],
        demand_used=_rows_reversed(found.demand_used, told_backward.problem.demand_start),
        supply_used=_rows_reversed(found.supply_used, told_backward.problem.supply_start),
        price_least=found.price_least[::-1],
        price_greatest=found.price_greatest[::-1],
        welfare=found.welfare,
    )
    assert verify(encode(record_of(drawn, solution))) == ()


def _rows_reversed(values: Ints, start: Ints) -> Ints:
    rows = [values[at:end] for at, end in pairwise(start)]
    return np.concatenate([ints([]), *rows[::-1]])


@pytest.mark.parametrize(("sweeps", "check"), [(0, Check.VOLUME), (1, Check.CANONICAL)])
def test_a_search_that_does_not_end_in_time_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, sweeps: int, check: Check
) -> None:
    monkeypatch.setattr(conditions, "SWEEPS_MAX", sweeps)
    assert checks(record_of(TRADE)) == {check}


def test_the_middle_price_is_rounded_down() -> None:
    solution = solve(WIDE.problem)
    assert unpack(record_of(WIDE).node_price).tolist() == [5]
    assert checks(record_of(WIDE, priced(solution, ints([6])))) == {Check.CANONICAL}
    assert checks(record_of(WIDE, priced(solution, ints([9])))) == {Check.DEMAND}
    assert checks(record_of(WIDE, priced(solution, ints([2])))) == {Check.SUPPLY}


def test_a_node_that_offers_nothing_has_no_price_and_every_other_has_one() -> None:
    solution = solve(TRADE.problem)
    right = middle(solution.price_least, solution.price_greatest).tolist()
    assert [price == NO_PRICE for price in right] == [False, False, True, False]
    with_price = priced(solution, ints([*right[:2], 20, right[3]]))
    assert checks(record_of(TRADE, with_price)) == {Check.CANONICAL}
    without = priced(solution, ints([*right[:3], NO_PRICE]))
    assert Check.PRICED in checks(record_of(TRADE, without))


def test_amounts_beyond_64_bits_are_exact() -> None:
    """A million steps' worth of lots at the highest price: 10**24 nanos, and one more is wrong."""
    lots = form.LOTS_TOTAL_MAX
    big = Drawn([[(PRICE_MAX, lots)]], [[(0, lots)]], [{0: (PRICE_MAX // 3, PRICE_MAX // 3)}])
    record = record_of(big)
    assert form.unpack_amount(record.totals.buyers) > 2**78
    assert verify(encode(record)) == ()
    for name in TOTALS:
        amount = form.unpack_amount(getattr(record.totals, name))
        for other in (amount + 1, amount - 1, amount % 2**64):
            mutant = _with_part(record, record.totals, name, form.pack_amount(other))
            assert verify(encode(mutant))


def test_more_lots_than_can_be_added_up_are_refused() -> None:
    most = form.LOTS_TOTAL_MAX
    record = record_of(Drawn([[(5, most), (4, 1)]], [[(1, 2)]], [{0: (0, 0)}]))
    assert verify(encode(record)) == (Finding(Check.RANGE, f"more than {most} lots in total"),)


@pytest.mark.parametrize(
    ("name", "values", "check"),
    [
        ("arc_node", [0, 1, 4, 0, 1], Check.RANGE),
        ("arc_node", [0, -1, 2, 0, 1], Check.RANGE),
        ("arc_node", [0, 0, 2, 0, 1], Check.RANGE),
        ("arc_charge", [2, 0, 0, 2, 1], Check.RANGE),
        ("arc_cost", [1, INT64.max, 0, 3, 1], Check.RANGE),
        ("demand_price", [12, 12, 5, 8, 6, 7], Check.RANGE),
        ("demand_price", [12, 9, INT64.min, 8, 6, 7], Check.RANGE),
        ("demand_lots", [3, 4, 0, 5, 1, 2], Check.RANGE),
        ("supply_price", [5, 2, 4, 3], Check.RANGE),
        ("node_price", [5, 4, -2, 1], Check.RANGE),
        ("arc_start", [0, 3, 5, 4], Check.SHAPE),
        ("arc_start", [0, INT64.max, INT64.min, 5], Check.SHAPE),
        ("arc_start", [0, 5], Check.SHAPE),
        ("demand_start", [0, 3, 5, 6, 6], Check.SHAPE),
        ("arc_start", [], Check.SHAPE),
        ("supply_start", [1, 2, 3, 3, 4], Check.SHAPE),
        ("supply_start", [0, 4], Check.SHAPE),
        ("node_price", [5], Check.SHAPE),
        ("arc_lots", [1], Check.SHAPE),
        ("demand_used", [INT64.max, 4, 0, 5, 0, 0], Check.FEASIBLE),
        ("supply_used", [INT64.min, 3, 5, 0], Check.FEASIBLE),
    ],
)
def test_numbers_that_do_not_fit_are_found(name: str, values: list[int], check: Check) -> None:
    assert check in checks(changed(record_of(TRADE), name, ints(values)))


@given(any_problems(), st.sampled_from(ARRAYS), st.data())
@settings(max_examples=250)
def test_no_array_makes_the_verifier_raise(drawn: Drawn, name: str, data: st.DataObject) -> None:
    record = record_of(drawn)
    edges = st.sampled_from([INT64.min, INT64.max, -1, 0, 1, 2**62, -(2**62), PRICE_MAX])
    entries = len(unpack(getattr(record, name)))
    sizes = st.just(entries) | st.integers(0, entries + 2)
    values = data.draw(sizes.flatmap(lambda n: st.lists(edges, min_size=n, max_size=n)))
    mutant = changed(record, name, ints(values))
    if mutant != record and name in OUTCOME:
        assert verify(encode(mutant))
    else:
        verify(encode(mutant))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_are_a_finding(data: bytes) -> None:
    assert [finding.check for finding in verify(data)] == [Check.FORMAT]


def test_only_the_one_encoding_is_accepted() -> None:
    payload = encode(record_of(WIDE))[:-32]
    assert payload[3:4] == bytes([form.VERSION]), "the version"
    for other, refusal in (
        (payload[:3] + b"\xcc\x02" + payload[4:], Refusal.NOT_CANONICAL),
        (payload + b"\x00", Refusal.MALFORMED),
        (payload[:-1], Refusal.MALFORMED),
        (payload[:3] + b"\x01" + payload[4:], Refusal.MALFORMED),
    ):
        data = other + form._id_of(other)
        with pytest.raises(MessageRefused) as caught:
            decode(data)
        assert caught.value.refusal is refusal
        assert [finding.check for finding in verify(data)] == [Check.FORMAT]


def test_an_array_of_broken_integers_is_refused() -> None:
    record = msgspec.structs.replace(record_of(WIDE), arc_lots=memoryview(b"seven b"))
    (finding,) = verify(encode(record))
    assert finding.check is Check.FORMAT
    assert "arc_lots" in finding.detail


def test_a_record_beyond_its_size_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(record_of(WIDE))
    monkeypatch.setattr(form, "RECORD_BYTES_MAX", len(data) - 1)
    with pytest.raises(MessageRefused) as caught:
        decode(data)
    assert caught.value.refusal is Refusal.OVERSIZED


ALONE = """
import sys

class NoSolver:
    def find_spec(self, name, path=None, target=None):
        parts = name.split(".")
        if "clearing" in parts or parts[0] in ("numba", "scipy", "ortools"):
            raise ImportError(name)

sys.meta_path.insert(0, NoSolver())
try:
    import swatow_market.exchange.clearing
except ImportError:
    from swatow_market.exchange.certificate.verify import verify
    print([finding.check.value for finding in verify(sys.stdin.buffer.read())])
    print(sorted(name for name in sys.modules if name.startswith("swatow_market.")))
    import swatow_market.exchange.certificate.trader
    import swatow_market.published
"""


def test_the_verifier_works_where_there_is_no_solver() -> None:
    for data, found in (
        (encode(record_of(TRADE)), []),
        (encode(moved(record_of(TRADE), "arc_lots", 0, 1)), ["feasible"] * 2),
        (encode(record_of(HUBS)), []),
        (encode(record_of(*clear_whole(HUBS, WHOLE_OF_HUBS))), []),
    ):
        done = subprocess.run(
            [sys.executable, "-c", ALONE], input=data, capture_output=True, check=True
        )
        said, modules = done.stdout.decode().splitlines()
        assert said == str(found)
        assert modules == str(
            [
                "swatow_market.exchange",
                "swatow_market.exchange.certificate",
                "swatow_market.exchange.certificate.arrays",
                "swatow_market.exchange.certificate.findings",
                "swatow_market.exchange.certificate.merkle",
                "swatow_market.exchange.certificate.record",
                "swatow_market.exchange.certificate.verify",
                "swatow_market.exchange.certificate.whole",
            ]
        )
