"""The flow is what two other solvers find, and its prices are the ends of all that support it."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from swatow_market.exchange.clearing.components import component, split
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import price_ranges
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Solution, Start
from swatow_market.exchange.clearing.simplex import solve_flow
from swatow_protocol.limits import LOTS_MAX, PRICE_MAX
from tests.support.oracles import Oracle, dot, exact_in_doubles, owners, welfare_of
from tests.support.problems import KINDS, build, parts, permuted, problems, random_problem

SEEDS = 30
"""Random problems of each kind; there are 29 kinds."""
RARE = (("dense", 224), ("dense", 278), ("plenty", 244), ("greatest prices", 18))
"""Kinds and seeds with what is rare: a segment without demand whose curve leaves the tree."""
NOBODY = np.iinfo(np.int64).max
"""The delivered price of a segment that no priced node may serve."""
FEW_PRICES = 5
"""Prices of problems that are small enough to try every price of every node."""

few_problems = problems(segments=3, nodes=3, hubs=2, price=FEW_PRICES, lots=3)


@pytest.fixture(scope="module")
def ortools() -> Iterator[Oracle]:
    with Oracle("tests.support.oracle_ortools") as oracle:
        yield oracle


@pytest.fixture(scope="module")
def highs() -> Iterator[Oracle]:
    with Oracle("tests.support.oracle_highs") as oracle:
        yield oracle


def totals(values: Ints, rows: Ints, count: int) -> Ints:
    """Return the sum of each row's values."""
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, rows, values)
    return sums


def check_flow(problem: Problem, solution: Solution) -> None:
    """No step or arc carries what it has not, every vertex gives what it gets (C1)."""
    used = [solution.arc_lots, solution.demand_used, solution.supply_used]
    lengths = [len(problem.arc_node), len(problem.demand_lots), len(problem.supply_lots)]
    assert [each.shape for each in used] == [(length,) for length in lengths]
    assert {each.dtype for each in used} == {np.dtype(np.int64)}
    assert all((each >= 0).all() for each in used)
    assert (solution.demand_used <= problem.demand_lots).all()
    assert (solution.supply_used <= problem.supply_lots).all()
    segments, nodes, hubs = problem.segments, problem.nodes, problem.hubs
    into = totals(solution.arc_lots, owners(problem.arc_start), segments + hubs)
    out_of = totals(solution.arc_lots, problem.arc_node, nodes + hubs)
    served = totals(solution.demand_used, owners(problem.demand_start), segments)
    given_up = totals(solution.supply_used, owners(problem.supply_start), nodes)
    assert into[:segments].tolist() == served.tolist()
    assert out_of[:nodes].tolist() == given_up.tolist()
    assert into[segments:].tolist() == out_of[nodes:].tolist()


def check_order_of_steps(start: Ints, lots: Ints, used: Ints) -> None:
    """A step is used only when all of its curve's before it are used up."""
    follows = np.ones(len(lots), dtype=bool)
    follows[start[:-1][np.diff(start) > 0]] = False
    (later,) = np.nonzero(follows & (used > 0))
    assert (used[later - 1] == lots[later - 1]).all()


def delivered_prices(problem: Problem, prices: Ints) -> tuple[Ints, Ints]:
    """Return (cheapest price of each row, delivered price on each arc); NOBODY for none."""
    at = [NOBODY if price == NO_PRICE else price for price in prices.tolist()]
    cheapest: list[int] = [NOBODY] * (problem.segments + problem.hubs)
    delivered: list[int] = [NOBODY] * len(problem.arc_node)
    hubs_first = [*range(problem.segments, len(cheapest)), *range(problem.segments)]
    for row in hubs_first:
        for arc in range(int(problem.arc_start[row]), int(problem.arc_start[row + 1])):
            there = at[int(problem.arc_node[arc])]
            delivered[arc] = there if there == NOBODY else there + int(problem.arc_cost[arc])
            cheapest[row] = min(cheapest[row], delivered[arc])
        if row >= problem.segments:
            at.append(cheapest[row])
    return np.array(cheapest, dtype=np.int64), np.array(delivered, dtype=np.int64)


def check_prices_support(problem: Problem, solution: Solution, prices: Ints) -> None:
    """At these prices everybody gets what suits them best, so no flow is worth more (C2 to C6)."""
    paid, delivered = delivered_prices(problem, prices)
    (carrying,) = np.nonzero(solution.arc_lots)
    assert (delivered[carrying] != NOBODY).all()
    assert (delivered[carrying] == paid[owners(problem.arc_start)[carrying]]).all()
    price = paid[owners(problem.demand_start)]
    assert (solution.demand_used == problem.demand_lots)[problem.demand_price > price].all()
    assert (solution.demand_used == 0)[problem.demand_price < price].all()
    earned = prices[owners(problem.supply_start)]
    assert (solution.supply_used == problem.supply_lots)[problem.supply_price < earned].all()
    assert (solution.supply_used == 0)[problem.supply_price > earned].all()
    gains = np.maximum(problem.demand_price - np.minimum(price, PRICE_MAX), 0)
    profits = np.maximum(earned - problem.supply_price, 0)
    assert solution.welfare == dot(gains, problem.demand_lots) + dot(profits, problem.supply_lots)


def check_end(problem: Problem, solution: Solution, prices: Ints, *, up: bool) -> None:
    """Prices that support an optimum are the greatest (`up`) or least ones that do.

    They are if no set of nodes can go one nano further at once: the prices form an
    L-natural-convex set. A node is held where its own steps would then be used wrongly, a segment
    likewise; and they hold each other: upwards a segment pays no more than any node's delivered
    price and takes from none that is dearer, downwards the other way round.
    """
    row, target = owners(problem.arc_start), problem.arc_node
    paid, delivered = delivered_prices(problem, prices)
    spare = solution.demand_used < problem.demand_lots
    at_limit = problem.demand_price == paid[owners(problem.demand_start)]
    hubs_held = np.zeros(problem.hubs, dtype=bool)
    row_held = held(at_limit & ((solution.demand_used > 0) if up else spare), problem.demand_start)
    row_held = np.concatenate([row_held, hubs_held])
    spare = solution.supply_used < problem.supply_lots
    at_ask = problem.supply_price == prices[owners(problem.supply_start)]
    node_held = held(at_ask & (spare if up else (solution.supply_used > 0)), problem.supply_start)
    if not up:
        node_held |= prices == 0
    target_held = np.concatenate([node_held, hubs_held])
    tight = (delivered != NOBODY) & (delivered == paid[row])
    carrying = solution.arc_lots > 0
    to_row, to_target = (tight, carrying) if up else (carrying, tight)
    count = -1
    while count < target_held.sum() + row_held.sum():
        count = target_held.sum() + row_held.sum()
        row_held[row[to_row & target_held[target]]] = True
        target_held[target[to_target & row_held[row]]] = True
        # A hub is a row and a target.
        row_held[problem.segments :] |= target_held[problem.nodes :]
        target_held[problem.nodes :] |= row_held[problem.segments :]
    assert target_held[: problem.nodes][prices != NO_PRICE].all()


def held(steps: NDArray[np.bool_], start: Ints) -> NDArray[np.bool_]:
    """Return for each curve whether any of its steps holds it."""
    return totals(steps.astype(np.int64), owners(start), len(start) - 1) > 0


def check(problem: Problem) -> Solution:
    """Solve, and check all that holds of every solution."""
    solution = solve(problem)
    check_flow(problem, solution)
    check_order_of_steps(problem.demand_start, problem.demand_lots, solution.demand_used)
    check_order_of_steps(problem.supply_start, problem.supply_lots, solution.supply_used)
    assert type(solution.welfare) is int
    assert solution.welfare == welfare_of(
        problem,
        arc_lots=solution.arc_lots,
        demand_used=solution.demand_used,
        supply_used=solution.supply_used,
    )
    least, greatest = solution.price_least, solution.price_greatest
    assert least.dtype == greatest.dtype == np.int64
    offering = np.diff(problem.supply_start) > 0
    assert ((least == NO_PRICE) == (greatest == NO_PRICE)).all()
    assert (least[offering] >= 0).all(), "whoever offers lots has a price"
    assert (least[~offering] == NO_PRICE).all()
    assert (least <= greatest).all()
    middle = np.where(least == NO_PRICE, NO_PRICE, (least + greatest) // 2)
    for prices in (least, greatest, middle):
        check_prices_support(problem, solution, prices)
    check_end(problem, solution, least, up=False)
    check_end(problem, solution, greatest, up=True)
    return solution


def check_against(problem: Problem, ortools: Oracle, highs: Oracle) -> Solution:
    """Solve, check, and compare with the oracles; with HiGHS where doubles suffice."""
    solution = check(problem)
    found = (solution.welfare, int(solution.demand_used.sum()))
    expected = ortools.ask(problem)
    assert found == (expected.welfare, expected.lots)
    if exact_in_doubles(problem):
        other = highs.ask(problem)
        assert found == (other.welfare, other.lots)
    return solution


@pytest.mark.parametrize("kind", KINDS)
def test_welfare_and_volume_are_those_of_two_other_solvers(
    kind: str, ortools: Oracle, highs: Oracle
) -> None:
    for seed in range(SEEDS):
        check_against(random_problem(seed, KINDS[kind]), ortools, highs)


@pytest.mark.parametrize(("kind", "seed"), RARE)
def test_rare_states_of_the_solver_end_well_too(
    kind: str, seed: int, ortools: Oracle, highs: Oracle
) -> None:
    check_against(random_problem(seed, KINDS[kind]), ortools, highs)


@given(problems())
@settings(max_examples=150, deadline=None)
@example(build([], [], []))
@example(build([{5: 3}], [], [{}]))
@example(build([], [{5: 3}], []))
@example(build([{5: 3}], [{5: 3}], [{}]))
@example(build([{}], [{}], [{0: 1}]))
@example(build([{5: 3}], [{5: 3}], [{0: 0}]))
@example(build([{5: 3}], [{5: 3}], [{0: 1}]))
@example(build([{PRICE_MAX: 10**9}] * 12, [{0: 10**10}, {1: 10**10}], [{0: 0, 1: 0}] * 12))
@example(build([{9: 1, 8: 1}, {9: 1}], [{1: 2}, {9: 1}], [{0: 0, 1: 0}, {0: 0}]))
def test_any_problem_that_hypothesis_finds(
    ortools: Oracle, highs: Oracle, problem: Problem
) -> None:
    check_against(problem, ortools, highs)


def least_dual(problem: Problem, price_max: int) -> tuple[int, list[tuple[int, ...]]]:
    """Return the least value of whole node prices, and all prices that have it.

    The value of prices is what segments and nodes gain together if each takes what suits it. No
    flow is worth more (weak duality), and the prices that an optimum reaches support every one.
    """
    demand, supply, arcs = parts(problem)
    values: dict[tuple[int, ...], int] = {}
    hubs = arcs[len(demand) :]
    for prices in product(range(price_max + 1), repeat=len(supply)):
        value = sum(
            max(0, prices[node] - ask) * lots
            for node, steps in enumerate(supply)
            for ask, lots in steps.items()
        )
        at = list(prices)
        for row in hubs:
            at.append(min((at[target] + cost for target, cost in row.items()), default=NOBODY))
        for steps, row in zip(demand, arcs, strict=False):
            paid = min((at[target] + cost for target, cost in row.items()), default=NOBODY)
            value += sum(max(0, bid - paid) * lots for bid, lots in steps.items())
        values[prices] = value
    least = min(values.values())
    return least, [prices for prices, value in values.items() if value == least]


@given(few_problems)
@settings(max_examples=150, deadline=None)
@example(build([{5: 2}], [{1: 2}], [{0: 1}]))
@example(build([{5: 2}], [{1: 3}], [{0: 1}]))
@example(build([{5: 3}], [{1: 2}], [{0: 1}]))
@example(build([{5: 1}, {4: 1}], [{1: 1}, {3: 1}], [{0: 0, 1: 0}, {0: 1}]))
@example(build([], [{3: 1}, {5: 2}], []))
def test_the_prices_are_the_ends_of_all_whole_prices_that_support_an_optimum(
    problem: Problem,
) -> None:
    demand, supply, arcs = parts(problem)
    open_nodes = [node for node, steps in enumerate(supply) if steps]
    place = {node: number for number, node in enumerate(open_nodes)}
    place |= {len(supply) + hub: len(open_nodes) + hub for hub in range(problem.hubs)}
    open_arcs = [{place[n]: cost for n, cost in row.items() if n in place} for row in arcs]
    reduced = build(demand, [supply[node] for node in open_nodes], open_arcs)
    welfare, supporting = least_dual(reduced, FEW_PRICES)
    solution = check(problem)
    assert solution.welfare == welfare
    by_node = list(zip(*supporting, strict=True))
    assert solution.price_least[open_nodes].tolist() == [min(prices) for prices in by_node]
    assert solution.price_greatest[open_nodes].tolist() == [max(prices) for prices in by_node]


@given(problems(), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_the_order_of_segments_and_nodes_changes_no_price(problem: Problem, seed: int) -> None:
    check_permuted(problem, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", ["mixed", "dense", "all prices equal", "equal costs", "scarce"])
def test_the_order_of_larger_problems_changes_no_price(kind: str) -> None:
    for seed in range(SEEDS):
        check_permuted(random_problem(seed, KINDS[kind]), np.random.default_rng(seed))


def check_permuted(problem: Problem, random: np.random.Generator) -> None:
    """The same problem in another order has the same prices, welfare and volume."""
    nodes = random.permutation(problem.nodes)
    segments = random.permutation(problem.segments)
    other = permuted(problem, segments.tolist(), nodes.tolist())
    expected, found = solve(problem), solve(other)
    assert found.price_least.tolist() == expected.price_least[nodes].tolist()
    assert found.price_greatest.tolist() == expected.price_greatest[nodes].tolist()
    assert found.welfare == expected.welfare
    assert found.demand_used.sum() == expected.demand_used.sum()


def test_the_same_problem_has_the_same_solution_and_stays_as_it_is() -> None:
    problem = random_problem(1, KINDS["segments without arcs"])
    before = [getattr(problem, field.name).copy() for field in fields(Problem)]
    first, second, threaded = solve(problem), solve(problem), solve(problem, threads=3)
    check_equal(first, second)
    check_equal(first, threaded)
    for array, field in zip(before, fields(Problem), strict=True):
        assert np.array_equal(array, getattr(problem, field.name))


def check_equal(left: Solution, right: Solution) -> None:
    """Solutions are the same bytes; where they may start from is none of that."""
    for field in fields(Solution):
        if field.compare:
            assert np.array_equal(getattr(left, field.name), getattr(right, field.name))


def wrong_starts(problem: Problem, seed: int) -> Iterator[Start]:
    """Yield starts that have nothing to do with the optimum, or are not even trees."""
    random = np.random.default_rng(seed)
    shape = (problem.nodes, len(problem.arc_node), problem.segments, problem.nodes)
    yield Start(*(np.zeros(count, dtype=np.int64) for count in shape))
    yield Start(*(np.ones(count, dtype=np.int64) for count in shape))
    highest = int(problem.demand_price.max(initial=9))
    for chance in (0.2, 0.5):
        inside = [(random.random(count) < chance).astype(np.int64) for count in shape[1:]]
        yield Start(random.integers(NO_PRICE, highest + 2, problem.nodes), *inside)


@pytest.mark.parametrize("kind", KINDS)
def test_a_solution_does_not_depend_on_where_it_starts(kind: str) -> None:
    for seed in range(8):
        problem = random_problem(seed, KINDS[kind])
        cold = solve(problem)
        for start in (cold.start, *wrong_starts(problem, seed)):
            check_equal(cold, solve(problem, start=start))
            check_equal(cold, solve(problem, threads=2, start=start))


@settings(deadline=None)
@given(problems(), problems(), st.integers(0, 99))
def test_starts_of_other_problems_find_the_same(left: Problem, right: Problem, seed: int) -> None:
    """The start of one problem, cut or filled up to the size of another, is as good as any."""
    cold, other = solve(right), solve(left).start
    assert other is not None
    fitted = [
        np.resize(np.append(getattr(other, field.name), 0), len(getattr(cold.start, field.name)))
        for field in fields(Start)
    ]
    for start in (Start(*fitted), *wrong_starts(right, seed)):
        check_equal(cold, solve(right, start=start))


@pytest.mark.parametrize("kind", KINDS)
def test_prices_do_not_depend_on_how_coarsely_a_solve_began(kind: str) -> None:
    """Nor do flows, which follow from problem and prices."""
    for seed in range(8):
        problem = random_problem(seed, KINDS[kind])
        cold = solve(problem)
        for levels in ((1,), (4, 1), (27, 9, 3, 1)):
            for part in (component(problem, part) for part in split(problem)):
                flow = solve_flow(part.problem, levels)
                least, greatest = price_ranges(part.problem, *flow[:3], flow.price_least)
                assert least.tolist() == cold.price_least[part.nodes].tolist()
                assert greatest.tolist() == cold.price_greatest[part.nodes].tolist()


def test_the_ends_of_one_trade_are_the_ask_and_the_limit() -> None:
    """All lots are sold: any price from the ask, 3, to the limit less the charge, 8 - 1."""
    solution = solve(build([{8: 5}], [{3: 5}], [{0: 1}]))
    assert (solution.price_least.tolist(), solution.price_greatest.tolist()) == ([3], [7])
    assert (solution.welfare, solution.arc_lots.tolist()) == (5 * (8 - 3 - 1), [5])


def test_lots_without_surplus_are_traded() -> None:
    solution = solve(build([{4: 3, 3: 2}], [{3: 4}], [{0: 1}]))
    assert (solution.welfare, solution.demand_used.tolist()) == (0, [3, 0])


def test_a_lot_at_a_loss_is_not_traded() -> None:
    """Neither alone, nor by way of a lot that leaves enough for both."""
    solution = solve(build([{9: 1, 3: 1}], [{4: 2}], [{0: 0}]))
    assert (solution.welfare, solution.demand_used.tolist()) == (5, [1, 0])


def test_welfare_beyond_64_bits_is_exact() -> None:
    lots = 20 * LOTS_MAX
    solution = solve(build([{PRICE_MAX: lots}], [{1: lots}], [{0: 0}]))
    assert solution.welfare == (PRICE_MAX - 1) * lots > 2**63
