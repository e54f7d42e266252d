"""Independent parts of a problem: rows and nodes that no arc joins solve apart."""

# pyright: reportArgumentType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import NamedTuple

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import Ints, Problem


class Part(NamedTuple):
    """Rows and targets of a problem that no arc joins to others."""

    rows: Ints
    """Segments, then hubs, rising."""
    targets: Ints
    """Nodes, then hubs, rising."""
    place: Ints
    """(N + H,) Where each target of the whole stands among those of its part."""


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


def split(problem: Problem) -> list[Part]:
    """Return the parts that have segments with arcs, by their first segment."""
    segments, rows = problem.segments, len(problem.arc_start) - 1
    of_row, of_target = _labels(problem.arc_start, problem.arc_node, segments, rows, problem.nodes)
    row_order, row_start, _ = _by_label(of_row, rows)
    target_order, target_start, place = _by_label(of_target, rows)
    with_arcs = np.diff(problem.arc_start[: segments + 1]) > 0
    return [
        Part(
            row_order[row_start[label] : row_start[label + 1]],
            target_order[target_start[label] : target_start[label + 1]],
            place,
        )
        for label in np.unique(of_row[:segments][with_arcs]).tolist()
    ]


def component(problem: Problem, part: Part) -> Component:
    """Return a part as a problem of its own."""
    segments = part.rows[part.rows < problem.segments]
    nodes = part.targets[part.targets < problem.nodes]
    arcs, arc_start, arc_node, arc_cost = _take(
        problem.arc_start, problem.arc_node, problem.arc_cost, part.rows
    )
    demand, *demand_curves = _take(
        problem.demand_start, problem.demand_price, problem.demand_lots, segments
    )
    supply, *supply_curves = _take(
        problem.supply_start, problem.supply_price, problem.supply_lots, nodes
    )
    own = Problem(arc_start, part.place[arc_node], arc_cost, *demand_curves, *supply_curves)
    return Component(own, segments, nodes, arcs, demand, supply)


@njit(cache=True, nogil=True)
def _take(start: Ints, left: Ints, right: Ints, rows: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return of these rows the places of their items, their starts in a row, and both columns."""
    own = np.zeros(len(rows) + 1, np.int64)
    for number in range(len(rows)):
        row = rows[number]
        own[number + 1] = own[number] + start[row + 1] - start[row]
    items = np.empty(own[-1], np.int64)
    for number in range(len(rows)):
        first = start[rows[number]]
        for place in range(own[number], own[number + 1]):
            items[place] = first + place - own[number]
    return items, own, left[items], right[items]


@njit(cache=True, nogil=True)
def _by_label(labels: Ints, count: int) -> tuple[Ints, Ints, Ints]:
    """Return what has labels 0 to `count` in their order, where each label starts, and the place of
    each among its like; what has the label -1 is left out."""
    start = np.zeros(count + 1, np.int64)
    place = np.zeros(len(labels), np.int64)
    for number in range(len(labels)):
        if labels[number] >= 0:
            place[number] = start[labels[number] + 1]
            start[labels[number] + 1] += 1
    start = np.cumsum(start)
    order = np.empty(start[-1], np.int64)
    for number in range(len(labels)):
        if labels[number] >= 0:
            order[start[labels[number]] + place[number]] = number
    return order, start, place


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
