"""Exact min-cost flow by a network simplex of our own, compiled once for each machine.

The flow is a circulation through a root: root -> supply node at what the node asks, supply node ->
segment at the cost of the arc, segment -> root at minus what the segment pays; on the way from node
to segment, lots may pass through hubs. Curves stay whole: a curve is one arc whose cost rises from
step to step, and outside the tree it stands between two of its steps.

Curves are solved coarsely first, many steps as one, and refined from the optimum that was found:
the tree and the flow of one level are a tree and a flow of the next. Pivots look only at the arcs
that are nearly worth using (sifting); in the end of each level all arcs are priced, and those that
gain are looked at too, until none does: so the result is exact.

Costs are doubled and every lot served pays one more. A cycle passes the root at most once, so
this never outweighs a cost, and of all optimal flows one that trades most is found.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import NamedTuple

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.basis import arc_table, lots_of, plant, refine, use_before
from swatow_market.exchange.clearing.pivots import (
    AT,
    COST,
    CURVE_COLUMNS,
    FIRST,
    HEAD,
    INSIDE,
    LAST,
    MANY,
    PRICE,
    TAIL,
    TOP,
    run,
    tension,
)
from swatow_market.exchange.clearing.price_ranges import row_prices
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Start

LEVELS = (64, 8, 1)
"""Steps of a curve that are one step, level by level."""

_CHEAPEST = 3
"""Arcs of each row that the first level begins with."""
_NEAR_SHARE = 16
"""One of so many arcs is looked at from the beginning of a later level."""


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


def solve_flow(
    problem: Problem, levels: tuple[int, ...] = LEVELS, start: Start | None = None
) -> Flow:
    """Return an optimal flow, found level by level; from a start, only the last level is solved."""
    if start is not None:
        levels = levels[-1:]
    segments, arcs = problem.segments, len(problem.arc_node)
    vertices = segments + problem.nodes + problem.hubs + 1
    arc = arc_table(problem)
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
    vertex, price = plant(arc, curve, step, inside, arcs, segments, vertices)
    listed = _cheapest(problem.arc_start, problem.arc_node, problem.arc_cost, at)
    for level in levels:
        if level != levels[0]:
            _, lots, _ = lots_of(arc, vertex, curve, step, arcs, segments)
            finer, step = _curves(problem, level)
            finer[:, INSIDE] = curve[:, INSIDE]
            curve = finer
            refine(arc, vertex, price, curve, step, lots, arcs, segments)
            listed = _near(arc, price, arcs)
        while True:
            run(arc, vertex, price, curve, step, listed, arcs)
            more = _gaining(arc, price, arcs, vertices)
            if not len(more):
                break
            listed = np.concatenate([listed, more])
    of_arcs, of_curves, inside = lots_of(arc, vertex, curve, step, arcs, segments)
    return Flow(
        of_arcs,
        first_used(problem.demand_start, problem.demand_lots, of_curves[:segments]),
        first_used(problem.supply_start, problem.supply_lots, of_curves[segments:]),
        inside,
        curve[:, INSIDE].copy(),
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
def _cheapest(arc_start: Ints, arc_node: Ints, arc_cost: Ints, at: Ints) -> Ints:
    """Return the cheapest arcs of each row at these prices of nodes and hubs."""
    listed = np.empty(len(arc_node), np.int64)
    count = 0
    for row in range(len(arc_start) - 1):
        begin = count
        for arc in range(arc_start[row], arc_start[row + 1]):
            price = at[arc_node[arc]] + arc_cost[arc]
            place = count
            while place > begin and (
                at[arc_node[listed[place - 1]]] + arc_cost[listed[place - 1]] > price
            ):
                if place < begin + _CHEAPEST:
                    listed[place] = listed[place - 1]
                place -= 1
            if at[arc_node[arc]] != NO_PRICE and place < begin + _CHEAPEST:
                listed[place] = arc
                count = min(count + 1, begin + _CHEAPEST)
    return listed[:count].copy()


@njit(cache=True, nogil=True)
def _near(arc: Ints, price: Ints, arcs: int) -> Ints:
    """Return the arcs that come nearest to gaining."""
    loss = np.empty(arcs, np.int64)
    for number in range(arcs):
        loss[number] = arc[number, COST] - tension(price, arc[number, TAIL], arc[number, HEAD])
    if not arcs:
        return loss
    return np.flatnonzero(loss <= np.partition(loss, arcs // _NEAR_SHARE)[arcs // _NEAR_SHARE])


@njit(cache=True, nogil=True)
def _gaining(arc: Ints, price: Ints, arcs: int, vertices: int) -> Ints:
    """Return of the arcs to each vertex the one that gains most, if any does."""
    best, most = np.full(vertices, -1), np.zeros(vertices, np.int64)
    for number in range(arcs):
        head = arc[number, HEAD]
        gain = tension(price, arc[number, TAIL], head) - arc[number, COST]
        if gain > most[head]:
            best[head], most[head] = number, gain
    return best[best >= 0]
