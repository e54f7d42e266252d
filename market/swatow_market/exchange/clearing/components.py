"""Independent parts of a problem: sets of segments and nodes that no arc joins solve apart."""

# pyright: reportArgumentType=false
# (numba compiles this; to pyright an item of an array may be an array)
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import Ints, Problem


class Component(NamedTuple):
    """A part of a problem, and where its segments, nodes, arcs and steps stand in the whole."""

    problem: Problem
    arcs: Ints
    demand: Ints
    """Demand steps."""
    supply: Ints
    """Supply steps."""


def split(problem: Problem) -> Iterator[Component]:
    """Yield the parts that have arcs, by their first segment."""
    of_segment, of_node = _labels(problem.arc_start, problem.arc_node, problem.nodes)
    segments, nodes = np.argsort(of_segment, kind="stable"), np.argsort(of_node, kind="stable")
    place = np.zeros(problem.nodes, np.int64)
    for label in np.unique(of_segment[np.diff(problem.arc_start) > 0]):
        own_segments = segments[slice(*np.searchsorted(of_segment[segments], [label, label + 1]))]
        own_nodes = nodes[slice(*np.searchsorted(of_node[nodes], [label, label + 1]))]
        place[own_nodes] = np.arange(len(own_nodes))
        arc_start, arcs = _take(problem.arc_start, own_segments)
        demand_start, demand = _take(problem.demand_start, own_segments)
        supply_start, supply = _take(problem.supply_start, own_nodes)
        part = Problem(
            arc_start=arc_start,
            arc_node=place[problem.arc_node[arcs]],
            arc_cost=problem.arc_cost[arcs],
            demand_start=demand_start,
            demand_price=problem.demand_price[demand],
            demand_lots=problem.demand_lots[demand],
            supply_start=supply_start,
            supply_price=problem.supply_price[supply],
            supply_lots=problem.supply_lots[supply],
        )
        yield Component(part, arcs, demand, supply)


def _take(start: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the starts of these rows in a row, and the places of their items in the whole."""
    sizes = start[rows + 1] - start[rows]
    own = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return own, np.arange(own[-1]) + np.repeat(start[rows] - own[:-1], sizes)


@njit(cache=True, nogil=True)
def _labels(arc_start: Ints, arc_node: Ints, nodes: int) -> tuple[Ints, Ints]:
    """Return a label for each segment and node: the first segment that arcs join it to.

    A node without arcs has the label -1.
    """
    segments = len(arc_start) - 1
    above = np.arange(segments)  # union-find over segments; each node remembers one of its own
    first = np.full(nodes, -1)
    for segment in range(segments):
        for arc in range(arc_start[segment], arc_start[segment + 1]):
            node = arc_node[arc]
            if first[node] == -1:
                first[node] = segment
                continue
            left, right = _top(above, first[node]), _top(above, segment)
            above[max(left, right)] = min(left, right)
    of_segment = np.array([_top(above, segment) for segment in range(segments)], dtype=np.int64)
    of_node = np.full(nodes, -1)
    for node in range(nodes):
        if first[node] != -1:
            of_node[node] = of_segment[first[node]]
    return of_segment, of_node


@njit(cache=True, nogil=True)
def _top(above: Ints, segment: int) -> int:
    """Return the first segment of a set, and shorten the way to it."""
    while above[segment] != segment:
        above[segment] = above[above[segment]]
        segment = above[segment]
    return segment
