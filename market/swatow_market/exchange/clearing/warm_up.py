"""Having everything compiled before the first round, so that no round waits for it."""

import numpy as np

from swatow_market.exchange.clearing.curves import demand_curves
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import middle, row_prices
from swatow_market.exchange.clearing.problem import Problem
from swatow_market.exchange.clearing.unfold import unfold

_FAR_APART = np.array([0, 1, 10**9])
"""Prices that no table of ticks would hold, so that orders are sorted."""


def prepare() -> None:
    """Compile what clearing needs, or take it from the cache of this machine.

    Two orders want one lot more than two nodes have, one of them through a hub: so the flow is not
    determined by the prices alone, and every part of the way is taken.
    """
    one, two = np.ones(1, np.int64), np.ones(2, np.int64)
    start = np.array([0, 1, 2])
    problem = Problem(
        arc_start=np.array([0, 3, 5, 6]),
        arc_node=np.array([0, 1, 2, 0, 1, 1]),
        arc_cost=np.zeros(6, np.int64),
        demand_start=start,
        demand_price=2 * two,
        demand_lots=2 * two,
        supply_start=start,
        supply_price=one.repeat(2),
        supply_lots=np.array([1, 2]),
    )
    solution = solve(problem)
    solve(problem, start=solution.start)
    unfold(problem, solution.arc_lots, np.zeros(6, np.int64))
    prices = middle(solution.price_least, solution.price_greatest)
    row_prices(problem.arc_start, problem.arc_node, problem.arc_cost, prices, problem.segments)
    segment, lots = np.zeros(3, np.int64), np.ones(3, np.int64)
    for limit in (np.arange(3), _FAR_APART):
        demand_curves(segment, limit, lots, 1)
