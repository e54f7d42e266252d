"""Every lot of a flow is on one way from a node to a segment, along arcs that carry lots."""

import numpy as np
import pytest
from hypothesis import example, given, settings

from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.problem import Ints, Problem
from swatow_market.exchange.clearing.unfold import unfold
from tests.support.oracles import dot, owners
from tests.support.problems import KINDS, build, parts, problems, random_problem


def sums(rows: Ints, lots: Ints, count: int) -> list[int]:
    """Return the lots of each row."""
    found = np.zeros(count, dtype=np.int64)
    np.add.at(found, rows, lots)
    return found.tolist()


def charges(problem: Problem, arc_lots: Ints, arc_charge: Ints) -> list[set[tuple[int, int]]]:
    """Return for each segment all (node, charge) of ways along arcs with lots."""
    ways: dict[int, set[tuple[int, int]]] = {node: {(node, 0)} for node in range(problem.nodes)}
    rows = owners(problem.arc_start).tolist()
    found: list[set[tuple[int, int]]] = [set() for _ in range(problem.segments + problem.hubs)]
    columns = (rows, problem.arc_node.tolist(), arc_lots.tolist(), arc_charge.tolist())
    arcs = list(zip(*columns, strict=True))
    for row in [*range(problem.segments, len(found)), *range(problem.segments)]:
        for _, target, _, charge in [arc for arc in arcs if arc[0] == row and arc[2]]:
            found[row] |= {(node, before + charge) for node, before in ways[target]}
        if row >= problem.segments:
            ways[problem.nodes + row - problem.segments] = found[row]
    return found[: problem.segments]


def check(problem: Problem) -> None:
    """Solve, unfold with charges that differ from the costs, and compare."""
    solution = solve(problem)
    charge = 3 * problem.arc_cost + np.arange(len(problem.arc_cost)) % 5
    pieces = unfold(problem, solution.arc_lots, charge)
    assert (np.diff(pieces.segment) >= 0).all()
    assert (pieces.lots > 0).all()
    assert len(pieces.lots) <= np.count_nonzero(solution.arc_lots)
    demand, supply = owners(problem.demand_start), owners(problem.supply_start)
    for rows, lots, owner, used, count in (
        (pieces.segment, pieces.lots, demand, solution.demand_used, problem.segments),
        (pieces.node, pieces.lots, supply, solution.supply_used, problem.nodes),
    ):
        assert sums(rows, lots, count) == sums(owner, used, count)
    assert dot(pieces.lots, pieces.charge) == dot(solution.arc_lots, charge)
    ways = charges(problem, solution.arc_lots, charge)
    columns = zip(*(column.tolist() for column in pieces), strict=True)
    assert all((node, paid) in ways[segment] for segment, node, _, paid in columns)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "hubs" in kind or kind == "mixed"])
def test_all_lots_of_a_flow_are_on_ways_that_carry_them(kind: str) -> None:
    for seed in range(20):
        check(random_problem(seed, KINDS[kind]))


@settings(max_examples=100, deadline=None)
@given(problems())
@example(build([], [], []))
@example(build([{9: 3}, {9: 4}], [{1: 5}, {1: 2}], [{2: 0}, {2: 0}, {0: 1, 1: 1}]))
def test_any_flow_unfolds(problem: Problem) -> None:
    check(problem)


def test_without_hubs_pieces_are_arcs() -> None:
    problem = random_problem(3, KINDS["dense"])
    lots = solve(problem).arc_lots
    pieces = unfold(problem, lots, problem.arc_cost)
    (arcs,) = np.nonzero(lots)
    assert pieces.segment.tolist() == owners(problem.arc_start)[arcs].tolist()
    assert pieces.node.tolist() == problem.arc_node[arcs].tolist()
    assert pieces.lots.tolist() == lots[arcs].tolist()
    assert pieces.charge.tolist() == problem.arc_cost[arcs].tolist()


def test_a_chain_of_hubs_adds_its_charges_and_keeps_its_order() -> None:
    """Hub 1 takes from hub 0 and from node 1; the two segments share what it has."""
    problem = build([{9: 3}, {9: 3}], [{0: 4}, {0: 2}], [{3: 1}, {3: 2}, {0: 1}, {1: 1, 2: 0}])
    assert len(parts(problem)[2]) == 4
    pieces = unfold(problem, np.array([3, 3, 4, 2, 4]), np.array([10, 20, 1, 5, 100]))
    rows = list(zip(*(column.tolist() for column in pieces), strict=True))
    assert rows == [(0, 1, 2, 15), (0, 0, 1, 111), (1, 0, 3, 121)]
