"""The optimum of a problem: flow, supporting prices and welfare, exactly."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from swatow_market.exchange.clearing.canonical import canonical_flow
from swatow_market.exchange.clearing.components import Component, Part, component, split
from swatow_market.exchange.clearing.price_ranges import middle, price_ranges
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Solution, Start
from swatow_market.exchange.clearing.simplex import Flow, solve_flow

_SPLIT_BITS = 20


def solve(problem: Problem, threads: int = 1, start: Start | None = None) -> Solution:
    """Solve a problem; parts that no arc joins run on up to `threads` threads.

    The solution depends on the problem alone, but for its own start: not on threads, nor on what
    else is solved, nor on where it starts from.
    """
    arc_lots = np.zeros(len(problem.arc_node), np.int64)
    demand_used = np.zeros(len(problem.demand_price), np.int64)
    supply_used = np.zeros(len(problem.supply_price), np.int64)
    least, greatest = _unused_prices(problem)
    arc_inside = np.zeros(len(problem.arc_node), np.int64)
    curve_inside = np.zeros(problem.segments + problem.nodes, np.int64)
    for part, flow, prices, canonical in _solve_parts(problem, threads, start):
        arc_lots[part.arcs], demand_used[part.demand], supply_used[part.supply] = canonical
        least[part.nodes], greatest[part.nodes] = prices
        arc_inside[part.arcs] = flow.arc_inside
        curves = np.concatenate([part.segments, problem.segments + part.nodes])
        curve_inside[curves] = flow.curve_inside
    worth = exact_sum(problem.demand_price, demand_used)
    asked = exact_sum(problem.supply_price, supply_used)
    carried = exact_sum(problem.arc_cost, arc_lots)
    return Solution(
        arc_lots=arc_lots,
        demand_used=demand_used,
        supply_used=supply_used,
        price_least=least,
        price_greatest=greatest,
        welfare=worth - asked - carried,
        start=Start(
            node_price=middle(least, greatest),
            arc_inside=arc_inside,
            segment_inside=curve_inside[: problem.segments],
            node_inside=curve_inside[problem.segments :],
        ),
    )


class _Solved(NamedTuple):
    part: Component
    flow: Flow
    prices: tuple[Ints, Ints]
    """Least and greatest."""
    canonical: tuple[Ints, Ints, Ints]
    """Lots on arcs, demand used, supply used."""


def _solve_parts(problem: Problem, threads: int, start: Start | None) -> list[_Solved]:
    """Solve what no arc joins, in any order.

    First come all flows, then what follows from each: the smaller work fills up the threads.
    """
    parts = split(problem)
    if threads == 1:
        return [_finish(*_flow(problem, part, start)) for part in parts]
    with ThreadPoolExecutor(threads) as pool:

        def begin(part: Part) -> Future[_Solved]:
            return pool.submit(_finish, *_flow(problem, part, start))

        begun = [pool.submit(begin, part) for part in parts]
        return [each.result().result() for each in begun]


def _flow(problem: Problem, part: Part, start: Start | None) -> tuple[Component, Flow]:
    own = component(problem, part)
    own_start = start and Start(
        node_price=start.node_price[own.nodes],
        arc_inside=start.arc_inside[own.arcs],
        segment_inside=start.segment_inside[own.segments],
        node_inside=start.node_inside[own.nodes],
    )
    return own, solve_flow(own.problem, start=own_start)


def _finish(part: Component, flow: Flow) -> _Solved:
    prices = price_ranges(
        part.problem, flow.arc_lots, flow.demand_used, flow.supply_used, flow.price_least
    )
    return _Solved(part, flow, prices, canonical_flow(part.problem, middle(*prices)))


def _unused_prices(problem: Problem) -> tuple[Ints, Ints]:
    """Return the least and greatest prices of nodes that no arc joins to a segment."""
    (offering,) = np.nonzero(np.diff(problem.supply_start))
    least, greatest = np.full(problem.nodes, NO_PRICE), np.full(problem.nodes, NO_PRICE)
    least[offering] = 0
    greatest[offering] = problem.supply_price[problem.supply_start[offering]]
    return least, greatest


def exact_sum(prices: Ints, lots: Ints) -> int:
    """Return the sum of prices x lots, which may pass 63 bits: up to 2**40 of each in total."""
    high, low = prices >> _SPLIT_BITS, prices & ((1 << _SPLIT_BITS) - 1)
    return (int((high * lots).sum()) << _SPLIT_BITS) + int((low * lots).sum())
