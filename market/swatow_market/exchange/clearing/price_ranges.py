"""The prices that support an optimal flow: the least and the greatest of each supply node.

They form a lattice. Its ends are potentials of the residual graph, found as shortest paths from
and to a reference at price zero (Bellman-Ford); the middle of the two, rounded down, supports the
optimum too. Node prices are never negative. Prices of hubs are steps on the way only.
"""

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem

_FAR = np.int64(1) << np.int64(60)
"""Further than any path."""


def price_ranges(
    problem: Problem, arc_lots: Ints, demand_used: Ints, supply_used: Ints
) -> tuple[Ints, Ints]:
    """Return (least (N,), greatest (N,)) for an optimal flow; NO_PRICE where nothing bounds."""
    worth = _edges(problem.demand_start, problem.demand_price, problem.demand_lots, demand_used)
    asked = _edges(problem.supply_start, problem.supply_price, problem.supply_lots, supply_used)
    arcs = (problem.arc_start, problem.arc_node, problem.arc_cost, arc_lots)
    hubs = np.full(problem.hubs, NO_PRICE)  # they neither pay nor ask
    greatest = _greatest(*arcs, worth[0], np.concatenate([asked[1], hubs]))[: problem.nodes]
    least = _least(*arcs, worth[1], asked[0], problem.hubs)[: problem.nodes]
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


def _edges(start: Ints, price: Ints, lots: Ints, used: Ints) -> tuple[Ints, Ints]:
    """Return for each curve the price of its last used lot and of its next one; -1 for none."""
    curves = len(start) - 1
    curve = np.repeat(np.arange(curves), np.diff(start))
    last, after = np.full(curves, NO_PRICE), np.full(curves, NO_PRICE)
    taken, free = np.flatnonzero(used), np.flatnonzero(used < lots)
    last[curve[taken]] = price[taken]
    after[curve[free[::-1]]] = price[free[::-1]]
    return last, after


@njit(cache=True, nogil=True)
def _greatest(
    arc_start: Ints, arc_node: Ints, arc_cost: Ints, arc_lots: Ints, worth: Ints, asked: Ints
) -> Ints:
    """Lower prices from above until all hold: of nodes to the next ask, of segments to what the
    last lot served is worth, then along arcs."""
    targets = np.where(asked == NO_PRICE, _FAR, asked)
    segments = np.where(worth == NO_PRICE, _FAR, worth)
    count, rows = len(segments), len(arc_start) - 1
    hub_zero = len(targets) - rows  # a hub is target hub_zero + its row
    changed = True
    while changed:
        changed = False
        for number in range(rows):  # hubs first, upwards
            row = number + count if number + count < rows else number + count - rows
            before = segments[row] if row < count else targets[hub_zero + row]
            here = before
            for arc in range(arc_start[row], arc_start[row + 1]):
                there = targets[arc_node[arc]]
                if there < _FAR and there + arc_cost[arc] < here:
                    here = there + arc_cost[arc]
            for arc in range(arc_start[row], arc_start[row + 1]):
                if arc_lots[arc] and here < _FAR and here - arc_cost[arc] < targets[arc_node[arc]]:
                    targets[arc_node[arc]] = here - arc_cost[arc]
                    changed = True
            changed = changed or here < before
            if row < count:
                segments[row] = here
            else:
                targets[hub_zero + row] = here
    return targets


@njit(cache=True, nogil=True)
def _least(
    arc_start: Ints,
    arc_node: Ints,
    arc_cost: Ints,
    arc_lots: Ints,
    worth: Ints,
    asked: Ints,
    hubs: int,
) -> Ints:
    """Raise prices from below until all hold: of nodes to the last ask used, of segments to what
    the next lot is worth, then along arcs."""
    targets = np.concatenate((np.where(asked == NO_PRICE, 0, asked), np.full(hubs, -_FAR)))
    segments = np.where(worth == NO_PRICE, -_FAR, worth)
    count, rows = len(segments), len(arc_start) - 1
    hub_zero = len(targets) - rows
    changed = True
    while changed:
        changed = False
        for number in range(rows):  # hubs last, downwards
            row = number if number < count else rows - 1 - (number - count)
            before = segments[row] if row < count else targets[hub_zero + row]
            here = before
            for arc in range(arc_start[row], arc_start[row + 1]):
                there = targets[arc_node[arc]]
                if arc_lots[arc] and there + arc_cost[arc] > here:
                    here = there + arc_cost[arc]
            for arc in range(arc_start[row], arc_start[row + 1]):
                if here - arc_cost[arc] > targets[arc_node[arc]]:
                    targets[arc_node[arc]] = here - arc_cost[arc]
                    changed = True
            changed = changed or here > before
            if row < count:
                segments[row] = here
            else:
                targets[hub_zero + row] = here
    return targets
