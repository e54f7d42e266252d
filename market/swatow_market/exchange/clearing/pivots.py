"""The pivots of the network simplex: find an arc that gains, send along its cycle, turn the tree.

Ahuja, Magnanti, Orlin, Network Flows (1993), chapter 11; long steps along curves and all. Tables
have a row for each vertex, arc or curve, so that what is looked at together lies together; their
columns are named below. Trees are strongly feasible (Cunningham 1976): from every vertex, lots can
be sent up to the root, so no sequence of pivots repeats.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import Final

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import Ints

MANY: Final = 1 << 60
"""More lots, and a greater cost, than any that occurs."""

PARENT: Final = 0
ARC: Final = 1
"""Arc to the parent."""
DEPTH: Final = 2
CHILD: Final = 3
"""First child; -1 is none."""
AFTER: Final = 4
"""Next child of the same parent."""
BEFORE: Final = 5
UP: Final = 6
"""Lots that may be sent to the parent on the arc to it."""
DOWN: Final = 7
"""Lots that may be sent the other way."""
VERTEX_COLUMNS: Final = 8

TAIL: Final = 0
HEAD: Final = 1
COST: Final = 2
ARC_COLUMNS: Final = 3

FIRST: Final = 0
LAST: Final = 1
"""The steps of a curve are FIRST to LAST, without LAST."""
AT: Final = 2
"""Steps wholly used, outside the tree; the step that may change, inside it."""
INSIDE: Final = 3
"""Whether the curve is in the tree."""
CURVE_COLUMNS: Final = 4

PRICE: Final = 0
"""Cost of a lot in a step; rises within a curve."""
TOP: Final = 1
"""Lots of the curve up to the end of a step."""

_BLOCK_MIN = 32


@njit(cache=True, nogil=True)
def bottom(curve: Ints, step: Ints, number: int, at: int) -> int:
    """Return the lots of a curve before a step."""
    return step[at - 1, TOP] if at > curve[number, FIRST] else 0


@njit(cache=True, nogil=True)
def run(
    arc: Ints, vertex: Ints, price: Ints, curve: Ints, step: Ints, listed: Ints, arcs: int
) -> None:
    """Pivot until none of the arcs `listed`, and no curve, is worth changing."""
    count = len(listed) + len(curve)
    block = max(_BLOCK_MIN, int(np.sqrt(count)))
    position, idle = 0, 0
    while idle < count:
        end = min(position + block, count)
        entering, gain = _search(arc, price, curve, step, listed, arcs, position, end)
        idle = 0 if gain else idle + end - position
        position = end if end < count else 0
        while gain and _pivot(arc, vertex, price, curve, step, arcs, entering, gain):
            # A curve may go on to its next step without a change of the tree.
            gain = _gain_of_curve(arc, price, curve, step, arcs, entering - arcs)


@njit(cache=True, nogil=True)
def _search(
    arc: Ints,
    price: Ints,
    curve: Ints,
    step: Ints,
    listed: Ints,
    arcs: int,
    position: int,
    end: int,
) -> tuple[int, int]:
    """Return which of a block of arcs, then curves, gains most, and what a lot of it gains.

    The gain of a lot less than now has a minus; 0 is none.
    """
    best, most = 0, 0
    count = len(listed)
    for place in range(position, min(end, count)):
        entering = listed[place]
        gain = price[arc[entering, HEAD]] - price[arc[entering, TAIL]] - arc[entering, COST]
        if gain > most:
            best, most = entering, gain
    for number in range(max(position, count) - count, end - count):
        gain = _gain_of_curve(arc, price, curve, step, arcs, number)
        if abs(gain) > abs(most):
            best, most = arcs + number, gain
    return best, most


@njit(cache=True, nogil=True)
def _gain_of_curve(arc: Ints, price: Ints, curve: Ints, step: Ints, arcs: int, number: int) -> int:
    """Return what the next lot of a curve outside the tree gains, or with a minus the last."""
    if curve[number, INSIDE]:
        return 0
    tension = price[arc[arcs + number, HEAD]] - price[arc[arcs + number, TAIL]]
    at = curve[number, AT]
    gain = 0
    if at < curve[number, LAST] and step[at, PRICE] < tension:
        gain = tension - step[at, PRICE]
    elif at > curve[number, FIRST] and step[at - 1, PRICE] > tension:
        gain = tension - step[at - 1, PRICE]
    return gain


@njit(cache=True, nogil=True)
def _pivot(
    arc: Ints,
    vertex: Ints,
    price: Ints,
    curve: Ints,
    step: Ints,
    arcs: int,
    entering: int,
    gain: int,
) -> bool:
    """Send along the cycle of an arc what fits; return whether the tree stayed as it is."""
    first, second = arc[entering, TAIL], arc[entering, HEAD]
    if gain < 0:
        first, second = second, first
    room = MANY
    if entering >= arcs:
        number = entering - arcs
        if gain < 0:
            curve[number, AT] -= 1
        at = curve[number, AT]
        room = step[at, TOP] - bottom(curve, step, number, at)
        arc[entering, COST] = step[at, PRICE]
    lots, join, leaves, at_first = _blocking(vertex, first, second, room)
    if lots:
        _send(vertex, first, join, -lots)
        _send(vertex, second, join, lots)
    if leaves == -1:
        curve[entering - arcs, AT] += gain > 0
        return True
    out = vertex[leaves, ARC]
    if arcs <= out < arcs + len(curve):
        # Full is a curve to the root that blocks upwards, or one from the root, downwards.
        curve[out - arcs, AT] += (arc[out, TAIL] == leaves) != at_first
        curve[out - arcs, INSIDE] = 0
    if entering >= arcs:
        curve[entering - arcs, INSIDE] = 1
    cost = arc[entering, COST] if gain > 0 else -arc[entering, COST]  # from first to second
    if at_first:
        _hang(vertex, first, leaves, second, entering, room - lots, lots)
        _shift(vertex, price, first, price[second] - cost - price[first])
    else:
        _hang(vertex, second, leaves, first, entering, lots, room - lots)
        _shift(vertex, price, second, price[first] + cost - price[second])
    return False


@njit(cache=True, nogil=True)
def _blocking(vertex: Ints, first: int, second: int, room: int) -> tuple[int, int, int, bool]:
    """Return how much fits, the top of the cycle, and what blocks: the arc above a vertex (-1 for
    the entering arc), and if that is on the side of `first`.

    Lots go from `first` to `second` and up to the top. Of all that block, it is the last on the
    way from the top over `first` and `second` back to the top: so the tree stays strongly feasible.
    """
    down, low = room, -1
    up, high = room, -1
    while first != second:
        if vertex[first, DEPTH] >= vertex[second, DEPTH]:
            if vertex[first, DOWN] < down:
                down, low = vertex[first, DOWN], first
            first = vertex[first, PARENT]
        else:
            if vertex[second, UP] <= up:
                up, high = vertex[second, UP], second
            second = vertex[second, PARENT]
    if high != -1 and up <= down:
        return up, first, high, False
    return down, first, low, True


@njit(cache=True, nogil=True)
def _send(vertex: Ints, here: int, join: int, lots: int) -> None:
    """Send lots from a vertex up to the top of the cycle; less than nothing goes down."""
    while here != join:
        vertex[here, UP] -= lots
        vertex[here, DOWN] += lots
        here = vertex[here, PARENT]


@njit(cache=True, nogil=True)
def _hang(vertex: Ints, here: int, last: int, onto: int, entering: int, up: int, down: int) -> None:
    """Cut the subtree below `last` off, turn it so that `here` is its top, hang it elsewhere."""
    while True:
        parent, old_arc = vertex[here, PARENT], vertex[here, ARC]
        old_up, old_down = vertex[here, UP], vertex[here, DOWN]
        left, right = vertex[here, BEFORE], vertex[here, AFTER]
        if left != -1:
            vertex[left, AFTER] = right
        else:
            vertex[parent, CHILD] = right
        if right != -1:
            vertex[right, BEFORE] = left
        vertex[here, PARENT], vertex[here, ARC] = onto, entering
        vertex[here, UP], vertex[here, DOWN] = up, down
        head = vertex[onto, CHILD]
        vertex[here, AFTER], vertex[here, BEFORE] = head, -1
        if head != -1:
            vertex[head, BEFORE] = here
        vertex[onto, CHILD] = here
        if here == last:
            return
        onto, entering, up, down, here = here, old_arc, old_down, old_up, parent


@njit(cache=True, nogil=True)
def _shift(vertex: Ints, price: Ints, top: int, more: int) -> None:
    """Add to the prices of `top` and all below it, and set their depths."""
    price[top] += more
    vertex[top, DEPTH] = vertex[vertex[top, PARENT], DEPTH] + 1
    depth = vertex[top, DEPTH] + 1
    here = vertex[top, CHILD]
    while here != -1:
        price[here] += more
        vertex[here, DEPTH] = depth
        if vertex[here, CHILD] != -1:
            here = vertex[here, CHILD]
            depth += 1
            continue
        while here != top and vertex[here, AFTER] == -1:
            here = vertex[here, PARENT]
            depth -= 1
        if here == top:
            return
        here = vertex[here, AFTER]
