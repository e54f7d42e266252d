"""Independent parts of a problem: rows and nodes that no arc joins solve apart."""

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
    segments: Ints
    nodes: Ints
    arcs: Ints
    demand: Ints
    """Demand steps."""
    supply: Ints
    """Supply steps."""


def split(problem: Problem) -> Iterator[Component]:
    """Yield the parts that have segments with arcs, by their first segment."""
    segments = problem.segments
    of_row, of_target = _labels(
        problem.arc_start, problem.arc_node, segments, len(problem.arc_start) - 1, problem.nodes
    )
    rows, targets = np.argsort(of_row, kind="stable"), np.argsort(of_target, kind="stable")
    place = np.zeros(len(of_target), np.int64)
    for label in np.unique(of_row[:segments][np.diff(problem.arc_start[: segments + 1]) > 0]):
        own_rows = rows[slice(*np.searchsorted(of_row[rows], [label, label + 1]))]
        own_targets = targets[slice(*np.searchsorted(of_target[targets], [label, label + 1]))]
        place[own_targets] = np.arange(len(own_targets))
        arc_start, arcs = _take(problem.arc_start, own_rows)
        own_segments = own_rows[own_rows < segments]
        demand_start, demand = _take(problem.demand_start, own_segments)
        own_nodes = own_targets[own_targets < problem.nodes]
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
        yield Component(part, own_segments, own_nodes, arcs, demand, supply)


def _take(start: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the starts of these rows in a row, and the places of their items in the whole."""
    sizes = start[rows + 1] - start[rows]
    own = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return own, np.arange(own[-1]) + np.repeat(start[rows] - own[:-1], sizes)


@njit(cache=True, nogil=True)
def _labels(
    arc_start: Ints, arc_node: Ints, segments: int, rows: int, nodes: int
) -> tuple[Ints, Ints]:
    """Return a label for each row and each target: the first row that arcs join it to.

    A node without arcs has the label -1. A hub is a row and a target.
    """
    above = np.arange(rows)  # union-find over rows; each target remembers one of its own
    first = np.full(nodes + rows - segments, -1)
    first[nodes:] = np.arange(segments, rows)
    for row in range(rows):
        for arc in range(arc_start[row], arc_start[row + 1]):
            target = arc_node[arc]
            if first[target] == -1:
                first[target] = row
                continue
            left, right = _top(above, first[target]), _top(above, row)
            above[max(left, right)] = min(left, right)
    of_row = np.array([_top(above, row) for row in range(rows)], dtype=np.int64)
    of_target = np.full(len(first), -1)
    for target in range(len(first)):
        if first[target] != -1:
            of_target[target] = of_row[first[target]]
    return of_row, of_target


@njit(cache=True, nogil=True)
def _top(above: Ints, row: int) -> int:
    """Return the first row of a set, and shorten the way to it."""
    while above[row] != row:
        above[row] = above[above[row]]
        row = above[row]
    return row
