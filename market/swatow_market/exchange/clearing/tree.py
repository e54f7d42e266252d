"""The spanning tree of the network simplex, in tables: where vertices hang, what they cost.

Tables have a row for each vertex or arc, so that what is looked at together lies together; their
columns are named below. Most vertices are leaves: segments that one node serves. Their prices hang
on that of their parent, so moving a part of the tree touches only those of its vertices that are no
leaves; these are linked in preorder, so that what hangs below a vertex follows it.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from swatow_market.exchange.clearing.problem import Ints

Links: TypeAlias = NDArray[np.uint32]
"""Numbers of vertices and arcs. Without a sign, since compiled code asks of each index that has one
whether it counts from the end, which takes a quarter of the time."""

NONE: Final = 0xFFFF_FFFF
"""In place of a vertex or an arc."""

PARENT: Final = 0
ARC: Final = 1
"""Arc to the parent."""
NEXT: Final = 2
"""Next vertex in preorder: all that are no leaves, in a ring from the root."""
BEFORE: Final = 3
ANCHOR: Final = 4
"""The vertex itself, or the parent of a leaf."""
CHILDREN: Final = 5
"""How many there are. A leaf has none, nor a depth."""
VERTEX_COLUMNS: Final = 6

BASE: Final = 0
OFFSET: Final = 1
"""The price of a lot at a vertex is the base of its anchor and this."""
UP: Final = 2
"""Lots that may be sent to the parent on the arc to it."""
DOWN: Final = 3
"""Lots that may be sent the other way."""
DEPTH: Final = 4
VALUE_COLUMNS: Final = 5

TAIL: Final = 0
HEAD: Final = 1
END_COLUMNS: Final = 2


@njit(cache=True, nogil=True)
def price_at(vertex: Links, value: Ints, here: int) -> int:
    """Return the price of a lot at a vertex."""
    price: int = value[vertex[here, ANCHOR], BASE] + value[here, OFFSET]
    return price


@njit(cache=True, nogil=True)
def price_tree(ends: Links, cost: Ints, vertex: Links, value: Ints) -> None:
    """Set depth and price of every vertex; the root is the last."""
    root = len(vertex) - 1
    for here in range(root):  # of all vertices, what they differ by from their parents
        upwards = vertex[here, ARC]
        downwards = ends[upwards, HEAD] == here
        value[here, OFFSET] = cost[upwards] if downwards else -cost[upwards]
        vertex[here, ANCHOR] = vertex[here, PARENT]
    value[root, DEPTH], vertex[root, ANCHOR] = 0, root
    here = vertex[root, NEXT]
    while here != root:
        parent = vertex[here, PARENT]
        value[here, BASE] = value[parent, BASE] + value[here, OFFSET]
        vertex[here, ANCHOR], value[here, OFFSET] = here, 0
        value[here, DEPTH] = value[parent, DEPTH] + 1
        here = vertex[here, NEXT]


@njit(cache=True, nogil=True)
def move(
    vertex: Links,
    value: Ints,
    segments: int,
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
    _branch(vertex, value, onto)
    if top != last:
        _branch(vertex, value, top)
        vertex[top, CHILDREN] += 1
        vertex[last, CHILDREN] -= 1
    vertex[onto, CHILDREN] += 1
    vertex[cut, CHILDREN] -= 1
    if vertex[top, ANCHOR] != top:  # a leaf alone
        vertex[top, PARENT], vertex[top, ARC] = onto, entering
        value[top, UP], value[top, DOWN] = up, down
        value[top, OFFSET] += more + value[vertex[top, ANCHOR], BASE] - value[onto, BASE]
        vertex[top, ANCHOR] = onto
    else:
        _turn(vertex, value, top, last, onto, entering, up, down, more)
        if not vertex[last, CHILDREN] and last < segments:
            _become_leaf(vertex, value, last)
    if not vertex[cut, CHILDREN] and cut < segments:
        _become_leaf(vertex, value, cut)


@njit(cache=True, nogil=True)
def _branch(vertex: Links, value: Ints, here: int) -> None:
    """Make a leaf a vertex that may have children."""
    parent = vertex[here, ANCHOR]
    if parent == here:
        return
    value[here, BASE] = value[parent, BASE] + value[here, OFFSET]
    vertex[here, ANCHOR], value[here, OFFSET] = here, 0
    value[here, DEPTH] = value[parent, DEPTH] + 1
    join(vertex, here, vertex[parent, NEXT])
    join(vertex, parent, here)


@njit(cache=True, nogil=True)
def _become_leaf(vertex: Links, value: Ints, here: int) -> None:
    """Let the price of a vertex that has no children any more hang on its parent's."""
    parent = vertex[here, PARENT]
    join(vertex, vertex[here, BEFORE], vertex[here, NEXT])
    value[here, OFFSET] = value[here, BASE] - value[parent, BASE]
    vertex[here, ANCHOR] = parent


@njit(cache=True, nogil=True)
def join(vertex: Links, left: int, right: int) -> None:
    """Let one vertex follow another in preorder."""
    vertex[left, NEXT], vertex[right, BEFORE] = right, left


@njit(cache=True, nogil=True)
def _turn(
    vertex: Links,
    value: Ints,
    top: int,
    last: int,
    onto: int,
    entering: int,
    up: int,
    down: int,
    more: int,
) -> None:
    """Turn the arcs from `top` to `last` around, none of them a leaf, and hang `top` onto another.

    In preorder, what is below `top` comes first then. The others on the way follow, each with what
    else is below it: that from before the way, then that from behind it.
    """
    ahead, tail, rest = vertex[last, BEFORE], top, top
    here, below, depth = top, NONE, value[onto, DEPTH] + 1
    parent = onto
    while True:
        above, old_arc, floor = vertex[here, PARENT], vertex[here, ARC], value[here, DEPTH]
        old_up, old_down = value[here, UP], value[here, DOWN]
        vertex[here, PARENT], vertex[here, ARC] = parent, entering
        value[here, UP], value[here, DOWN] = up, down
        if below != NONE:
            join(vertex, tail, here)
        tail, after = _shift(vertex, value, here, below, floor, depth - floor, more)
        if below == NONE:
            rest = after
        elif value[rest, DEPTH] > floor:
            join(vertex, tail, rest)
            tail, rest = _shift(vertex, value, rest, NONE, floor, depth - floor, more)
        if here == last:
            break
        parent, entering, up, down = here, old_arc, old_down, old_up
        below, here, depth = here, above, depth + 1
    join(vertex, ahead, rest)
    join(vertex, tail, vertex[onto, NEXT])
    join(vertex, onto, top)


@njit(cache=True, nogil=True)
def _shift(
    vertex: Links, value: Ints, here: int, stop: int, floor: int, deeper: int, more: int
) -> tuple[int, int]:
    """Add to price and depth of a vertex, and of those after it that are below a depth, as far as
    another. Return the last of them, and what comes after it."""
    while True:
        value[here, BASE] += more
        value[here, DEPTH] += deeper
        end, here = here, vertex[here, NEXT]
        if here == stop or value[here, DEPTH] <= floor:
            return end, here
