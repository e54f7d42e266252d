"""The optimum of a problem: flow, supporting prices and welfare, exactly."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from swatow_market.exchange.clearing.components import split
from swatow_market.exchange.clearing.price_ranges import price_ranges
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution
from swatow_market.exchange.clearing.simplex import solve_flow

T = TypeVar("T")
R = TypeVar("R")

_SPLIT_BITS = 20


def solve(problem: Problem, threads: int = 1) -> Solution:
    """Solve a problem; parts that no arc joins run on up to `threads` threads.

    The solution depends on the problem alone: not on threads, nor on what else is solved.
    """
    arc_lots = np.zeros(len(problem.arc_node), np.int64)
    demand_used = np.zeros(len(problem.demand_price), np.int64)
    supply_used = np.zeros(len(problem.supply_price), np.int64)
    parts = list(split(problem))
    flows = _map(solve_flow, [part.problem for part in parts], threads)
    for part, flow in zip(parts, flows, strict=True):
        arc_lots[part.arcs], demand_used[part.demand], supply_used[part.supply] = flow[:3]
    least, greatest = price_ranges(problem, arc_lots, demand_used, supply_used)
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
    )


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
