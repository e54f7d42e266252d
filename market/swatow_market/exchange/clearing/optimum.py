"""The optimum of a problem: flow, supporting prices and welfare, exactly."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from swatow_market.exchange.clearing.canonical import canonical_flow
from swatow_market.exchange.clearing.components import Component, split
from swatow_market.exchange.clearing.price_ranges import middle, price_ranges
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Solution, Start
from swatow_market.exchange.clearing.simplex import Flow, solve_flow

T = TypeVar("T")
R = TypeVar("R")

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
    parts = list(split(problem))
    for part, solved in zip(
        parts, _map(lambda part: _solve_part(part, start), parts, threads), strict=True
    ):
        arc_lots[part.arcs], demand_used[part.demand], supply_used[part.supply] = solved.canonical
        least[part.nodes], greatest[part.nodes] = solved.prices
        arc_inside[part.arcs] = solved.flow.arc_inside
        curves = np.concatenate([part.segments, problem.segments + part.nodes])
        curve_inside[curves] = solved.flow.curve_inside
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
    flow: Flow
    prices: tuple[Ints, Ints]
    """Least and greatest."""
    canonical: tuple[Ints, Ints, Ints]
    """Lots on arcs, demand used, supply used."""


def _solve_part(part: Component, start: Start | None) -> _Solved:
    own = start and Start(
        node_price=start.node_price[part.nodes],
        arc_inside=start.arc_inside[part.arcs],
        segment_inside=start.segment_inside[part.segments],
        node_inside=start.node_inside[part.nodes],
    )
    flow = solve_flow(part.problem, start=own)
    prices = price_ranges(
        part.problem, flow.arc_lots, flow.demand_used, flow.supply_used, flow.price_least
    )
    return _Solved(flow, prices, canonical_flow(part.problem, middle(*prices)))


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


def _map(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, items)
