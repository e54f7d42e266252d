"""Of all optimal flows that trade most, the one that depends on the problem alone.

Which optimum a simplex ends at depends on where it began. Its prices do not, and they say what any
optimum must do: serve what pays more than its price, use what asks less, and send lots only along
arcs that are cheapest. What is left open, steps exactly at a price and more than one cheapest way,
is a small problem of its own, which is solved from the beginning, always alike.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
import numpy as np
from numba import njit

from swatow_market.exchange.clearing.price_ranges import row_prices
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem
from swatow_market.exchange.clearing.simplex import first_used, solve_flow


def canonical_flow(problem: Problem, price: Ints) -> tuple[Ints, Ints, Ints]:
    """Return (arc lots (E,), demand used (D,), supply used (K,)) for prices (N,) of an optimum."""
    segments, nodes = problem.segments, problem.nodes
    at, paid = row_prices(problem.arc_start, problem.arc_node, problem.arc_cost, price, segments)
    tight, rows = _cheapest(problem.arc_start, problem.arc_node, problem.arc_cost, at, paid)
    tail, head = segments + problem.arc_node[tight], np.where(rows < segments, rows, rows + nodes)
    wanted = _at_price(problem.demand_start, problem.demand_price, problem.demand_lots, paid, -1)
    offered = _at_price(problem.supply_start, problem.supply_price, problem.supply_lots, price, 1)
    hubs = np.zeros(problem.hubs, np.int64)
    over = np.concatenate([-wanted[0], offered[0], hubs])
    open_lots = np.concatenate([wanted[1], offered[1], hubs])
    lots, left = _strip(tail, head, over, open_lots, segments + nodes)
    if len(left):
        arcs = tight[left]
        core = _core(problem, arcs, rows[left], over, open_lots)
        lots[left] = solve_flow(core, levels=(1,)).arc_lots
    arc_lots = np.zeros(len(problem.arc_node), np.int64)
    arc_lots[tight] = lots
    served, sold = _totals(arc_lots[tight], tail, head, segments, nodes)
    return (
        arc_lots,
        first_used(problem.demand_start, problem.demand_lots, served),
        first_used(problem.supply_start, problem.supply_lots, sold),
    )


@njit(cache=True, nogil=True)
def _cheapest(
    arc_start: Ints, arc_node: Ints, arc_cost: Ints, at: Ints, paid: Ints
) -> tuple[Ints, Ints]:
    """Return the arcs that lots may take, at no more than their row pays, and their rows."""
    arcs, rows = np.empty(len(arc_node), np.int64), np.empty(len(arc_node), np.int64)
    segments, count = len(paid), 0
    hub_zero = len(at) - (len(arc_start) - 1)  # a hub is target hub_zero + its row
    for row in range(len(arc_start) - 1):
        here = paid[row] if row < segments else at[hub_zero + row]
        for arc in range(arc_start[row], arc_start[row + 1]):
            there = at[arc_node[arc]]
            if there != NO_PRICE and there + arc_cost[arc] == here:
                arcs[count], rows[count] = arc, row
                count += 1
    return arcs[:count], rows[:count]


@njit(cache=True, nogil=True)
def _at_price(start: Ints, price: Ints, lots: Ints, at: Ints, sign: int) -> tuple[Ints, Ints]:
    """Return of each curve the lots of steps before the price that it is at, and of the one at it.

    Prices rise along a curve with the sign 1, and fall with -1. Without a price there are no lots.
    """
    before, level = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    for curve in range(len(at)):
        step, end = start[curve], start[curve + 1]
        if at[curve] == NO_PRICE:
            continue
        while step < end and sign * price[step] < sign * at[curve]:
            before[curve] += lots[step]
            step += 1
        if step < end and price[step] == at[curve]:
            level[curve] = lots[step]
    return before, level


@njit(cache=True, nogil=True)
def _strip(tail: Ints, head: Ints, over: Ints, open_lots: Ints, hub_zero: int) -> tuple[Ints, Ints]:
    """Settle arcs whose lots the others determine; return the lots of all, and which are left.

    A vertex with one arc must send there what it has over; then the next one may have one arc. The
    curve of a vertex with open lots is such an arc too, to the root. `over` becomes what is over
    after that. What is over at a vertex cannot be moved to a hub, as hubs have no curves.
    """
    arcs, vertices = len(tail), len(over)
    degree, mixed = np.zeros(vertices, np.int64), np.zeros(vertices, np.int64)
    for arc in range(arcs):
        for end in (tail[arc], head[arc]):
            degree[end] += 1
            mixed[end] ^= arc
    for vertex in range(vertices):
        if open_lots[vertex]:
            degree[vertex] += 1
            mixed[vertex] ^= arcs + vertex
    lots = np.zeros(arcs, np.int64)
    settled = np.zeros(arcs, np.bool_)
    leaves = np.empty(vertices, np.int64)
    count = 0
    for vertex in range(vertices):
        if degree[vertex] == 1:
            leaves[count], count = vertex, count + 1
    place = 0
    while place < count:
        vertex = leaves[place]
        place += 1
        arc = mixed[vertex]
        if degree[vertex] != 1 or arc >= arcs:
            continue
        other = tail[arc] + head[arc] - vertex
        if other >= hub_zero and over[vertex]:
            continue
        lots[arc] = over[vertex] if tail[arc] == vertex else -over[vertex]
        settled[arc] = True
        over[other] += over[vertex]
        degree[vertex] = 0
        degree[other] -= 1
        mixed[other] ^= arc
        if degree[other] == 1:
            leaves[count], count = other, count + 1
    return lots, np.flatnonzero(~settled)


def _core(problem: Problem, arcs: Ints, rows: Ints, over: Ints, open_lots: Ints) -> Problem:
    """Return the problem of what is left open: first what must be served and used, then the rest.

    A lot that must be served is worth 2, one that may be 1; one that may be used costs 1.
    """
    segments, curves = problem.segments, problem.segments + problem.nodes
    widths = np.bincount(rows, minlength=segments + problem.hubs)
    demand = _two_steps(-over[:segments], open_lots[:segments])
    supply = _two_steps(over[segments:curves], open_lots[segments:curves])
    return Problem(
        arc_start=np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)]),
        arc_node=problem.arc_node[arcs],
        arc_cost=np.zeros(len(arcs), np.int64),
        demand_start=demand[0],
        demand_price=2 - demand[1],
        demand_lots=demand[2],
        supply_start=supply[0],
        supply_price=supply[1],
        supply_lots=supply[2],
    )


def _two_steps(due: Ints, open_lots: Ints) -> tuple[Ints, Ints, Ints]:
    """Return curves of the lots that are due at 0 and the open ones at 1, without empty steps.

    Less than nothing is due where open lots were settled already.
    """
    lots = np.stack([np.maximum(due, 0), open_lots + np.minimum(due, 0)], axis=1).ravel()
    (taken,) = np.nonzero(lots > 0)
    start = np.searchsorted(taken, np.arange(0, len(lots) + 1, 2))
    return start, taken % 2, lots[taken]


@njit(cache=True, nogil=True)
def _totals(lots: Ints, tail: Ints, head: Ints, segments: int, nodes: int) -> tuple[Ints, Ints]:
    """Return the lots that each segment gets and each node gives."""
    served, sold = np.zeros(segments, np.int64), np.zeros(nodes, np.int64)
    for arc in range(len(lots)):
        if head[arc] < segments:
            served[head[arc]] += lots[arc]
        if tail[arc] < segments + nodes:
            sold[tail[arc] - segments] += lots[arc]
    return served, sold
