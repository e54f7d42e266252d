"""Exact min-cost flow by a network simplex of our own, compiled once for each machine.

The flow is a circulation through a root: root -> supply node at what the node asks, supply node ->
segment at the cost of the arc, segment -> root at minus what the segment pays; on the way from node
to segment, lots may pass through hubs. Curves stay whole: a curve is one arc whose cost rises from
step to step, and outside the tree it stands between two of its steps.

Curves are solved coarsely first, many steps as one, and refined from the optimum that was found:
the tree and the flow of one level are a tree and a flow of the next. Pivots look only at the arcs
of each row that were once worth using (sifting); when none of them gains, all arcs are priced, and
those that gain are looked at too, until none does: so the result is exact.

Costs are doubled and every lot served pays one more. A cycle passes the root at most once, so
this never outweighs a cost, and of all optimal flows one that trades most is found.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import NamedTuple

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.basis import (
    arc_tables,
    lots_of_arcs,
    lots_of_curves,
    plant,
    refine,
    use_before,
)
from swatow_market.exchange.clearing.pivots import (
    AT,
    CURVE_COLUMNS,
    FIRST,
    INSIDE,
    LAST,
    MANY,
    PRICE,
    TOP,
    Ways,
    rest,
    run,
)
from swatow_market.exchange.clearing.price_ranges import row_prices
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Start
from swatow_market.exchange.clearing.tree import BASE, TAIL, Links, price_at

LEVELS = (64, 8, 1)
"""Steps of a curve that are one step, level by level."""

_LIMIT_FIRST = 1 << 15
"""Of each level, pivots that gain less a lot come later; about a tenth of usual prices, doubled."""
_CHEAPEST = 3
"""Arcs of each row that the first level begins with."""


class Flow(NamedTuple):
    """An optimal flow, and the tree that it stands on."""

    arc_lots: Ints
    """(E,)"""
    demand_used: Ints
    """(D,)"""
    supply_used: Ints
    """(K,)"""
    arc_inside: Ints
    """(E,) 1 for arcs of the tree."""
    curve_inside: Ints
    """(S + N,) 1 for curves of segments, then of nodes."""
    price_least: Ints
    """(N,) The least prices of nodes that support the flow; any where nothing bounds them."""


def solve_flow(
    problem: Problem, levels: tuple[int, ...] = LEVELS, start: Start | None = None
) -> Flow:
    """Return an optimal flow, found level by level; from a start, only the last level is solved."""
    if start is not None:
        levels = levels[-1:]
    segments, arcs = problem.segments, len(problem.arc_node)
    vertices = segments + problem.nodes + problem.hubs + 1
    ends, cost = arc_tables(
        problem.arc_start, problem.arc_node, problem.arc_cost, segments, problem.nodes
    )
    curve, step = _curves(problem, levels[0])
    guess = _guess(problem) if start is None else start.node_price
    at, paid = row_prices(problem.arc_start, problem.arc_node, problem.arc_cost, guess, segments)
    if start is None:
        inside = np.zeros(arcs, np.int64)
        curve[:segments, INSIDE] = curve[:segments, LAST] > curve[:segments, FIRST]
    else:
        inside = start.arc_inside
        curve[:, INSIDE] = np.concatenate([start.segment_inside, start.node_inside])
        limit = np.concatenate([-2 * paid - 1, 2 * guess])
        use_before(curve, step, np.where(np.concatenate([paid, guess]) == NO_PRICE, -MANY, limit))
    vertex, value = plant(ends, cost, curve, step, inside, arcs, segments, vertices)
    ways = (ends[:arcs, TAIL].copy(), cost[:arcs].copy(), np.arange(arcs, dtype=np.uint32))
    near = _cheapest(problem.arc_start, ways, at, segments)
    for level in levels:
        if level != levels[0]:
            lots = lots_of_curves(value, curve, step, segments)
            finer, step = _curves(problem, level)
            finer[:, INSIDE] = curve[:, INSIDE]
            curve = finer
            refine(ends, cost, vertex, value, curve, step, lots, arcs, segments)
        _optimise(ends, cost, ways, problem.arc_start, near, vertex, value, curve, step, segments)
    arc_lots, arc_inside = lots_of_arcs(ends, vertex, value, arcs)
    of_curves = lots_of_curves(value, curve, step, segments)
    return Flow(
        arc_lots,
        first_used(problem.demand_start, problem.demand_lots, of_curves[:segments]),
        first_used(problem.supply_start, problem.supply_lots, of_curves[segments:]),
        arc_inside,
        curve[:, INSIDE].copy(),
        # From every vertex lots can be sent up to the root along the tree, at what it costs. So no
        # way there is cheaper, and its prices are the least; they are doubled, a half goes down.
        np.maximum(value[segments : segments + problem.nodes, BASE] >> 1, 0),
    )


def _curves(problem: Problem, level: int) -> tuple[Ints, Ints]:
    """Return the curves, and their steps: each is `level` steps, at the price of the middle one."""
    starts = [problem.demand_start, problem.supply_start]
    fewer = np.concatenate([-(-np.diff(start) // level) for start in starts])
    ends = np.cumsum(fewer)
    curve = np.zeros((len(fewer), CURVE_COLUMNS), np.int64)
    curve[:, LAST] = ends
    curve[:, FIRST] = curve[:, AT] = ends - fewer
    step = np.empty((int(fewer.sum()), 2), np.int64)
    split = int(fewer[: problem.segments].sum())
    _fill(starts[0], problem.demand_price, problem.demand_lots, level, step[:split], -2, -1)
    _fill(starts[1], problem.supply_price, problem.supply_lots, level, step[split:], 2, 0)
    return curve, step


@njit(cache=True, nogil=True)
def _fill(
    start: Ints, price: Ints, lots: Ints, level: int, step: Ints, factor: int, more: int
) -> None:
    """Set price and top of coarse steps."""
    place = 0
    for number in range(len(start) - 1):
        top = 0
        first = start[number]
        while first < start[number + 1]:
            after = min(first + level, start[number + 1])
            for fine in range(first, after):
                top += lots[fine]
            step[place, PRICE] = factor * price[(first + after - 1) // 2] + more
            step[place, TOP] = top
            first = after
            place += 1


@njit(cache=True, nogil=True)
def first_used(start: Ints, lots: Ints, of_curves: Ints) -> Ints:
    """Return the lots of each step that a curve uses, the first steps first."""
    used = np.zeros(len(lots), np.int64)
    for number in range(len(of_curves)):
        left, place = of_curves[number], start[number]
        while left:
            used[place] = min(left, lots[place])
            left -= used[place]
            place += 1
    return used


def _guess(problem: Problem) -> Ints:
    """Return for each node what it asks in the middle of its curve; NO_PRICE if it offers none."""
    first, after = problem.supply_start[:-1], problem.supply_start[1:]
    guess = np.full(problem.nodes, NO_PRICE)
    (offering,) = np.nonzero(first < after)
    guess[offering] = problem.supply_price[(first[offering] + after[offering]) // 2]
    return guess


@njit(cache=True, nogil=True)
def _optimise(
    ends: Links,
    cost: Ints,
    ways: Ways,
    start: Ints,
    near: Ints,
    vertex: Links,
    value: Ints,
    curve: Ints,
    step: Ints,
    segments: int,
) -> None:
    """Pivot until nothing gains, near or not."""
    for number in range(len(curve)):
        rest(curve, step, number)
    limit = _LIMIT_FIRST
    while True:
        run(ends, cost, ways, start, near, vertex, value, curve, step, segments, limit)
        limit = 1
        if not _widen(ways, start, near, vertex, value, len(curve), segments):
            return


@njit(cache=True, nogil=True)
def _cheapest(start: Ints, ways: Ways, at: Ints, segments: int) -> Ints:
    """Bring the cheapest ways of each row to its front; return how many they are."""
    source, charge, _ = ways
    near = np.zeros(len(start) - 1, np.int64)
    for row in range(len(near)):
        for place in range(start[row], min(start[row] + _CHEAPEST, start[row + 1])):
            best, least = -1, MANY
            for other in range(place, start[row + 1]):
                there = at[source[other] - segments]
                if there != NO_PRICE and 2 * there + charge[other] < least:
                    best, least = other, 2 * there + charge[other]
            if best == -1:
                break
            _swap(ways, place, best)
            near[row] += 1
    return near


@njit(cache=True, nogil=True)
def _widen(
    ways: Ways,
    start: Ints,
    near: Ints,
    vertex: Links,
    value: Ints,
    curves: int,
    segments: int,
) -> bool:
    """Bring near, of the other ways of each row, the one that gains most; return if any does."""
    source, charge, _ = ways
    found = False
    for row in range(len(near)):
        here = price_at(vertex, value, row if row < segments else curves + row - segments)
        best, most = -1, 0
        for place in range(start[row] + near[row], start[row + 1]):
            gain = here - value[source[place], BASE] - charge[place]
            if gain > most:
                best, most = place, gain
        if most:
            _swap(ways, start[row] + near[row], best)
            near[row] += 1
            found = True
    return found


@njit(cache=True, nogil=True)
def _swap(ways: Ways, left: int, right: int) -> None:
    source, charge, along = ways
    source[left], source[right] = source[right], source[left]
    charge[left], charge[right] = charge[right], charge[left]
    along[left], along[right] = along[right], along[left]
