"""The pivots of the network simplex: find an arc that gains, send along its cycle, turn the tree.

Ahuja, Magnanti, Orlin, Network Flows (1993), chapter 11; long steps along curves and all. Trees
are strongly feasible (Cunningham 1976): from every vertex, lots can be sent up to the root, so no
sequence of pivots repeats.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import Final, TypeAlias

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import Ints
from swatow_market.exchange.clearing.tree import (
    ANCHOR,
    ARC,
    BASE,
    DEPTH,
    DOWN,
    HEAD,
    NONE,
    PARENT,
    TAIL,
    UP,
    Links,
    move,
    price_at,
)

Ways: TypeAlias = tuple[Links, Ints, Links]
"""(E,) each: where the lots of an arc come from, its doubled cost, and which arc it is; those of a
row together, near ones first."""

MANY: Final = 1 << 60
"""More lots, and a greater cost, than any that occurs."""
_FALL = 16
"""The limit becomes so many times less when nothing gains as much."""
_BEYOND: Final = 1 << 62
"""Dearer than any vertex, even if it hangs on an artificial arc."""

FIRST: Final = 0
LAST: Final = 1
"""The steps of a curve are FIRST to LAST, without LAST."""
AT: Final = 2
"""Steps wholly used, outside the tree; the step that may change, inside it."""
INSIDE: Final = 3
"""Whether the curve is in the tree."""
UNDER: Final = 4
"""Outside the tree, cost of the last lot used; inside, less than any."""
OVER: Final = 5
"""Outside the tree, cost of the next lot; inside, more than any."""
CURVE_COLUMNS: Final = 6

PRICE: Final = 0
"""Cost of a lot in a step; rises within a curve."""
TOP: Final = 1
"""Lots of the curve up to the end of a step."""


@njit(cache=True, nogil=True)
def bottom(curve: Ints, step: Ints, number: int, at: int) -> int:
    """Return the lots of a curve before a step."""
    return step[at - 1, TOP] if at > curve[number, FIRST] else 0


@njit(cache=True, nogil=True)
def first_step(step: Ints, low: int, high: int, column: int, least: int) -> int:
    """Return the first step from `low` that has at least so much in a column, or `high`."""
    while low < high:
        middle = (low + high) // 2
        if step[middle, column] < least:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def run(
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
    limit: int,
) -> None:
    """Pivot until no near way and no curve gains; what gains less than `limit` a lot comes last."""
    source, charge, along = ways
    rows, arcs = len(near), len(source)
    count = rows + len(curve) - segments
    turn, idle = 0, 0
    while idle < count or limit > 1:
        if idle >= count:
            limit, idle = max(limit // _FALL, 1), 0
        best, most, of_curve = -1, 0, 0
        row, turn = turn, turn + 1 if turn + 1 < count else 0
        number = row if row < segments else row - rows + segments
        if row < rows:
            here = price_at(vertex, value, row if row < segments else row - segments + len(curve))
            for way in range(start[row], start[row] + near[row]):
                place = np.uint64(way)  # as for Links
                gain = here - value[source[place], BASE] - charge[place]
                if gain > most:
                    best, most = way, gain
            if row < segments:
                of_curve = _off(curve, row, -here)
        else:
            of_curve = _off(curve, number, value[number, BASE])
        if max(abs(of_curve), most) < limit:
            idle += 1
            continue
        entering, gain = arcs + number, of_curve
        if abs(of_curve) <= most:
            entering, gain = along[best], most
        _pivot(ends, cost, vertex, value, curve, step, arcs, segments, entering, gain)
        idle = 0


@njit(cache=True, nogil=True)
def _off(curve: Ints, number: int, tense: int) -> int:
    """Return what the next lot of a curve outside the tree gains, or with a minus the last."""
    under: int = tense - curve[number, UNDER]
    over: int = tense - curve[number, OVER]
    return over if over > 0 else min(under, 0)


@njit(cache=True, nogil=True)
def rest(curve: Ints, step: Ints, number: int) -> None:
    """Note between which costs a curve stays where it is; inside the tree, between any."""
    at = curve[number, AT]
    inside = curve[number, INSIDE] == 1
    first, last = inside or at == curve[number, FIRST], inside or at == curve[number, LAST]
    curve[number, UNDER] = -_BEYOND if first else step[at - 1, PRICE]
    curve[number, OVER] = _BEYOND if last else step[at, PRICE]


@njit(cache=True, nogil=True)
def _pivot(
    ends: Links,
    cost: Ints,
    vertex: Links,
    value: Ints,
    curve: Ints,
    step: Ints,
    arcs: int,
    segments: int,
    entering: int,
    gain: int,
) -> None:
    """Send along the cycle of an arc what fits, and turn the tree.

    A curve passes over as many of its steps as gain.
    """
    first, second = ends[entering, TAIL], ends[entering, HEAD]
    if gain < 0:
        first, second = second, first
    room = MANY
    at, end = 0, 0
    if entering >= arcs:
        number = entering - arcs
        at, tense = (
            curve[number, AT],
            _tension(vertex, value, ends[entering, TAIL], ends[entering, HEAD]),
        )
        if gain > 0:
            end = first_step(step, at + 1, curve[number, LAST], PRICE, tense)
        else:
            end = first_step(step, curve[number, FIRST], at - 1, PRICE, tense + 1)
        room = abs(bottom(curve, step, number, end) - bottom(curve, step, number, at))
    lots, join, leaves, at_first = _blocking(vertex, value, first, second, room)
    if lots:
        _send(vertex, value, first, join, -lots)
        _send(vertex, value, second, join, lots)
    if leaves == NONE:
        curve[entering - arcs, AT] = end
        rest(curve, step, entering - arcs)
        return
    out = vertex[leaves, ARC]
    if arcs <= out < arcs + len(curve):
        # Full is a curve to the root that blocks upwards, or one from the root, downwards.
        curve[out - arcs, AT] += (ends[out, TAIL] == leaves) != at_first
        curve[out - arcs, INSIDE] = 0
        rest(curve, step, out - arcs)
    ahead, behind = room - lots, lots
    if entering >= arcs:
        # Strongly feasible: what blocks before it on the cycle leaves it room ahead, else back.
        past = int(at_first == (gain > 0))
        ahead, behind = _stop(cost, curve, step, arcs, entering, gain, lots, past)
    forth = cost[entering] if gain > 0 else -cost[entering]  # from first to second
    more = forth - _tension(vertex, value, first, second)
    if at_first:
        move(vertex, value, segments, first, leaves, second, entering, ahead, behind, -more)
    else:
        move(vertex, value, segments, second, leaves, first, entering, behind, ahead, more)


@njit(cache=True, nogil=True)
def _tension(vertex: Links, value: Ints, tail: int, head: int) -> int:
    """Return by how much a lot is dearer at `head` than at `tail`."""
    dearer: int = price_at(vertex, value, head) - price_at(vertex, value, tail)
    return dearer


@njit(cache=True, nogil=True)
def _stop(
    cost: Ints, curve: Ints, step: Ints, arcs: int, entering: int, gain: int, lots: int, past: int
) -> tuple[int, int]:
    """Let a curve enter the tree where it has gone by so many lots; return the rooms of its step,
    ahead and back. Where two steps meet, `past` is 1 for the dearer one, 0 for the other."""
    number = entering - arcs
    at = curve[number, AT]
    here = bottom(curve, step, number, at) + (lots if gain > 0 else -lots)
    low, high = (at, curve[number, LAST]) if gain > 0 else (curve[number, FIRST], at - 1)
    at = first_step(step, low, high, TOP, here + past)
    curve[number, AT], curve[number, INSIDE] = at, 1
    rest(curve, step, number)
    cost[entering] = step[at, PRICE]
    used, free = here - bottom(curve, step, number, at), step[at, TOP] - here
    return (free, used) if gain > 0 else (used, free)


@njit(cache=True, nogil=True)
def _blocking(
    vertex: Links, value: Ints, first: int, second: int, room: int
) -> tuple[int, int, int, bool]:
    """Return how much fits, the top of the cycle, and what blocks: the arc above a vertex (NONE for
    the entering arc), and if that is on the side of `first`.

    Lots go from `first` to `second` and up to the top. Of all that block, it is the last on the
    way from the top over `first` and `second` back to the top: so the tree stays strongly feasible.
    """
    for end in (first, second):
        if vertex[end, ANCHOR] != end:
            value[end, DEPTH] = value[vertex[end, PARENT], DEPTH] + 1
    down, low = room, NONE
    up, high = room, NONE
    while first != second:
        if value[first, DEPTH] >= value[second, DEPTH]:
            if value[first, DOWN] < down:
                down, low = value[first, DOWN], first
            first = vertex[first, PARENT]
        else:
            if value[second, UP] <= up:
                up, high = value[second, UP], second
            second = vertex[second, PARENT]
    if high != NONE and up <= down:
        return up, first, high, False
    return down, first, low, True


@njit(cache=True, nogil=True)
def _send(vertex: Links, value: Ints, here: int, join: int, lots: int) -> None:
    """Send lots from a vertex up to the top of the cycle; less than nothing goes down."""
    while here != join:
        value[here, UP] -= lots
        value[here, DOWN] += lots
        here = vertex[here, PARENT]
