"""The prices that support an optimal flow: the least and the greatest of each supply node.

They form a lattice. Its ends are potentials of the residual graph, found as shortest paths from
and to a reference at price zero; the middle of the two, rounded down, supports the optimum too.
Node prices are never negative. Prices of hubs are steps on the way only.

The least come with the flow, as prices of the tree that it stands on (`simplex`). The greatest are
found by Bellman-Ford over the arcs that may matter to them: one that is too dear even from a node
at its least price does not.
"""

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem

_FAR = np.int64(1) << np.int64(60)
"""Further than any path."""


def price_ranges(
    problem: Problem, arc_lots: Ints, demand_used: Ints, supply_used: Ints, least: Ints
) -> tuple[Ints, Ints]:
    """Return (least (N,), greatest (N,)) for an optimal flow; NO_PRICE where nothing bounds.

    Of the given least prices, those of nodes that nothing bounds may be any.
    """
    segments = problem.segments
    worth = _last_used(problem.demand_start, problem.demand_price, demand_used)
    asked = _next_ask(problem.supply_start, problem.supply_price, problem.supply_lots, supply_used)
    targets = np.concatenate([asked, np.full(problem.hubs, _FAR)])
    low, _ = row_prices(problem.arc_start, problem.arc_node, problem.arc_cost, least, segments)
    near = _near(
        problem.arc_start, problem.arc_node, problem.arc_cost, arc_lots, worth, targets, low
    )
    greatest = _greatest(*near, problem.arc_node, problem.arc_cost, arc_lots, worth, targets)
    greatest = greatest[: problem.nodes]
    bounded = greatest < _FAR
    return np.where(bounded, least, NO_PRICE), np.where(bounded, greatest, NO_PRICE)


def middle(least: Ints, greatest: Ints) -> Ints:
    """Return the canonical prices: the middle, rounded down; NO_PRICE where there is none."""
    return np.where(least == NO_PRICE, NO_PRICE, least + (greatest - least) // 2)


@njit(cache=True, nogil=True)
def row_prices(
    arc_start: Ints, arc_node: Ints, arc_cost: Ints, price: Ints, segments: int
) -> tuple[Ints, Ints]:
    """Return for prices (N,) those of nodes and hubs (N + H,), and of segments (S,).

    That of a row is the least of its arcs'; NO_PRICE if none leads to a price.
    """
    rows = len(arc_start) - 1
    at = np.concatenate((price, np.full(rows - segments, NO_PRICE)))
    paid = np.full(segments, NO_PRICE)
    for number in range(rows):  # hubs first, upwards
        row = number + segments if number + segments < rows else number + segments - rows
        least = _FAR
        for arc in range(arc_start[row], arc_start[row + 1]):
            there = at[arc_node[arc]]
            if there != NO_PRICE and there + arc_cost[arc] < least:
                least = there + arc_cost[arc]
        if least == _FAR:
            continue
        if row < segments:
            paid[row] = least
        else:
            at[len(price) + row - segments] = least
    return at, paid


@njit(cache=True, nogil=True)
def _last_used(start: Ints, price: Ints, used: Ints) -> Ints:
    """Return for each curve the price of its last step that is used; far if none is."""
    found = np.full(len(start) - 1, _FAR)
    for curve in range(len(found)):
        step = start[curve]
        while step < start[curve + 1] and used[step]:
            found[curve] = price[step]
            step += 1
    return found


@njit(cache=True, nogil=True)
def _next_ask(start: Ints, price: Ints, lots: Ints, used: Ints) -> Ints:
    """Return for each curve the price of its first step that is not used up; far if all are."""
    found = np.full(len(start) - 1, _FAR)
    for curve in range(len(found)):
        step = start[curve]
        while step < start[curve + 1] and used[step] == lots[step]:
            step += 1
        if step < start[curve + 1]:
            found[curve] = price[step]
    return found


@njit(cache=True, nogil=True)
def _near(
    arc_start: Ints,
    arc_node: Ints,
    arc_cost: Ints,
    arc_lots: Ints,
    worth: Ints,
    targets: Ints,
    low: Ints,
) -> tuple[Ints, Ints]:
    """Return (starts of rows (S + H + 1,), arcs): those that carry lots, or may bound their row.

    What bounds rows from above only falls, and targets stay above `low`.
    """
    rows = len(arc_start) - 1
    start, near = np.zeros(rows + 1, np.int64), np.empty(len(arc_node), np.int64)
    count = 0
    for row in range(rows):
        bound = worth[row] if row < len(worth) else _FAR
        for arc in range(arc_start[row], arc_start[row + 1]):
            bound = min(bound, targets[arc_node[arc]] + arc_cost[arc])
        for arc in range(arc_start[row], arc_start[row + 1]):
            if arc_lots[arc] or low[arc_node[arc]] + arc_cost[arc] <= bound:
                near[count] = arc
                count += 1
        start[row + 1] = count
    return start, near[:count]


@njit(cache=True, nogil=True)
def _greatest(
    start: Ints,
    near: Ints,
    arc_node: Ints,
    arc_cost: Ints,
    arc_lots: Ints,
    worth: Ints,
    asked: Ints,
) -> Ints:
    """Lower prices from above until all hold: of nodes to the next ask, of segments to what the
    last lot served is worth, then along arcs."""
    targets, segments = asked.copy(), worth.copy()
    count, rows = len(segments), len(start) - 1
    hub_zero = len(targets) - rows  # a hub is target hub_zero + its row
    changed = True
    while changed:
        changed = False
        for number in range(rows):  # hubs first, upwards
            row = number + count if number + count < rows else number + count - rows
            before = segments[row] if row < count else targets[hub_zero + row]
            here = before
            for arc in near[start[row] : start[row + 1]]:
                there = targets[arc_node[arc]]
                if there < _FAR and there + arc_cost[arc] < here:
                    here = there + arc_cost[arc]
            for arc in near[start[row] : start[row + 1]]:
                if arc_lots[arc] and here < _FAR and here - arc_cost[arc] < targets[arc_node[arc]]:
                    targets[arc_node[arc]] = here - arc_cost[arc]
                    changed = True
            changed = changed or here < before
            if row < count:
                segments[row] = here
            else:
                targets[hub_zero + row] = here
    return targets
