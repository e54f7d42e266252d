"""The pivots of the network simplex: find an arc that gains, send along its cycle, turn the tree.

Ahuja, Magnanti, Orlin, Network Flows (1993), chapter 11; long steps along curves and all. Tables
have a row for each vertex, arc or curve, so that what is looked at together lies together; their
columns are named below. Trees are strongly feasible (Cunningham 1976): from every vertex, lots can
be sent up to the root, so no sequence of pivots repeats.

Most vertices are leaves: segments that one node serves. Their prices hang on that of their parent,
so a pivot that moves a part of the tree touches only those of its vertices that are no leaves.
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
"""First child that is no leaf; -1 is none."""
AFTER: Final = 4
"""Next such child of the same parent."""
BEFORE: Final = 5
UP: Final = 6
"""Lots that may be sent to the parent on the arc to it."""
DOWN: Final = 7
"""Lots that may be sent the other way."""
VERTEX_COLUMNS: Final = 8

BASE: Final = 0
"""Price of a lot at a vertex that is no leaf; zero at the root."""
ANCHOR: Final = 1
"""The vertex itself, or the parent of a leaf."""
OFFSET: Final = 2
"""The price of a vertex is the base of its anchor and this."""
CHILDREN: Final = 3
"""How many there are. A leaf has none, nor a depth, and the root is none."""
PRICE_COLUMNS: Final = 4

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

_BLOCK_MIN = 8
_BLOCK_SHARE = 4
"""Of so many times the block, the square is the number of arcs and curves."""


@njit(cache=True, nogil=True)
def bottom(curve: Ints, step: Ints, number: int, at: int) -> int:
    """Return the lots of a curve before a step."""
    return step[at - 1, TOP] if at > curve[number, FIRST] else 0


@njit(cache=True, nogil=True)
def tension(price: Ints, tail: int, head: int) -> int:
    """Return by how much a lot is dearer at `head` than at `tail`."""
    there: int = price[price[head, ANCHOR], BASE] + price[head, OFFSET]
    here: int = price[price[tail, ANCHOR], BASE] + price[tail, OFFSET]
    return there - here


@njit(cache=True, nogil=True)
def run(
    arc: Ints, vertex: Ints, price: Ints, curve: Ints, step: Ints, listed: Ints, arcs: int
) -> None:
    """Pivot until none of the arcs `listed`, and no curve, is worth changing."""
    count = len(listed) + len(curve)
    block = max(_BLOCK_MIN, int(np.sqrt(count)) // _BLOCK_SHARE)
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
        gain = tension(price, arc[entering, TAIL], arc[entering, HEAD]) - arc[entering, COST]
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
    tense = tension(price, arc[arcs + number, TAIL], arc[arcs + number, HEAD])
    at = curve[number, AT]
    gain = 0
    if at < curve[number, LAST] and step[at, PRICE] < tense:
        gain = tense - step[at, PRICE]
    elif at > curve[number, FIRST] and step[at - 1, PRICE] > tense:
        gain = tense - step[at - 1, PRICE]
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
    lots, join, leaves, at_first = _blocking(vertex, price, first, second, room)
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
    more = cost - tension(price, first, second)
    if at_first:
        _move(vertex, price, first, leaves, second, entering, room - lots, lots, -more)
    else:
        _move(vertex, price, second, leaves, first, entering, lots, room - lots, more)
    return False


@njit(cache=True, nogil=True)
def _blocking(
    vertex: Ints, price: Ints, first: int, second: int, room: int
) -> tuple[int, int, int, bool]:
    """Return how much fits, the top of the cycle, and what blocks: the arc above a vertex (-1 for
    the entering arc), and if that is on the side of `first`.

    Lots go from `first` to `second` and up to the top. Of all that block, it is the last on the
    way from the top over `first` and `second` back to the top: so the tree stays strongly feasible.
    """
    for end in (first, second):
        if price[end, ANCHOR] != end:
            vertex[end, DEPTH] = vertex[vertex[end, PARENT], DEPTH] + 1
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
def _move(
    vertex: Ints,
    price: Ints,
    top: int,
    last: int,
    onto: int,
    entering: int,
    up: int,
    down: int,
    more: int,
) -> None:
    """Cut the subtree below `last` off, turn it so that `top` is its top, hang it elsewhere.

    Its prices become `more`, and the entering arc, from `top` to `onto`, has these rooms.
    """
    cut = vertex[last, PARENT]
    _branch(vertex, price, onto)
    if top != last:
        _branch(vertex, price, top)
        price[top, CHILDREN] += 1
        price[last, CHILDREN] -= 1
    price[onto, CHILDREN] += 1
    price[cut, CHILDREN] -= 1
    if price[top, ANCHOR] != top:  # a leaf alone
        vertex[top, PARENT], vertex[top, ARC] = onto, entering
        vertex[top, UP], vertex[top, DOWN] = up, down
        price[top, OFFSET] += more + price[price[top, ANCHOR], BASE] - price[onto, BASE]
        price[top, ANCHOR] = onto
    else:
        _hang(vertex, top, last, onto, entering, up, down)
        if not price[last, CHILDREN]:
            _become_leaf(vertex, price, last)
        if price[top, ANCHOR] == top:
            _shift(vertex, price, top, more)
        else:
            price[top, OFFSET] += more
    if not price[cut, CHILDREN] and vertex[cut, PARENT] != -1:
        _become_leaf(vertex, price, cut)


@njit(cache=True, nogil=True)
def _branch(vertex: Ints, price: Ints, here: int) -> None:
    """Make a leaf a vertex that may have children."""
    parent = price[here, ANCHOR]
    if parent == here:
        return
    price[here, BASE] = price[parent, BASE] + price[here, OFFSET]
    price[here, ANCHOR], price[here, OFFSET] = here, 0
    vertex[here, DEPTH] = vertex[parent, DEPTH] + 1
    _link(vertex, here, parent)


@njit(cache=True, nogil=True)
def _become_leaf(vertex: Ints, price: Ints, here: int) -> None:
    """Let the price of a vertex that has no children any more hang on its parent's."""
    parent = vertex[here, PARENT]
    _unlink(vertex, here)
    price[here, OFFSET] = price[here, BASE] - price[parent, BASE]
    price[here, ANCHOR] = parent


@njit(cache=True, nogil=True)
def _link(vertex: Ints, here: int, parent: int) -> None:
    head = vertex[parent, CHILD]
    vertex[here, AFTER], vertex[here, BEFORE] = head, -1
    if head != -1:
        vertex[head, BEFORE] = here
    vertex[parent, CHILD] = here


@njit(cache=True, nogil=True)
def _unlink(vertex: Ints, here: int) -> None:
    left, right = vertex[here, BEFORE], vertex[here, AFTER]
    if left != -1:
        vertex[left, AFTER] = right
    else:
        vertex[vertex[here, PARENT], CHILD] = right
    if right != -1:
        vertex[right, BEFORE] = left


@njit(cache=True, nogil=True)
def _hang(vertex: Ints, here: int, last: int, onto: int, entering: int, up: int, down: int) -> None:
    """Turn the arcs from `here` to `last` around, none of them a leaf, and link them anew."""
    while True:
        parent, old_arc = vertex[here, PARENT], vertex[here, ARC]
        old_up, old_down = vertex[here, UP], vertex[here, DOWN]
        _unlink(vertex, here)
        vertex[here, PARENT], vertex[here, ARC] = onto, entering
        vertex[here, UP], vertex[here, DOWN] = up, down
        _link(vertex, here, onto)
        if here == last:
            return
        onto, entering, up, down, here = here, old_arc, old_down, old_up, parent


@njit(cache=True, nogil=True)
def _shift(vertex: Ints, price: Ints, top: int, more: int) -> None:
    """Add to the prices of `top` and all below it, and set their depths."""
    price[top, BASE] += more
    vertex[top, DEPTH] = vertex[vertex[top, PARENT], DEPTH] + 1
    depth = vertex[top, DEPTH] + 1
    here = vertex[top, CHILD]
    while here != -1:
        price[here, BASE] += more
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
