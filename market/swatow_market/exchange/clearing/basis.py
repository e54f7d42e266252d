"""Where a simplex begins: a spanning tree with a flow, from no knowledge at all or from a tree that
was optimal for a similar problem; and how a tree goes on with finer steps."""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
import numpy as np
from numba import njit

from swatow_market.exchange.clearing.pivots import (
    AT,
    FIRST,
    INSIDE,
    LAST,
    MANY,
    PRICE,
    TOP,
    bottom,
    first_step,
)
from swatow_market.exchange.clearing.problem import Ints
from swatow_market.exchange.clearing.tree import (
    ARC,
    BEFORE,
    CHILDREN,
    DOWN,
    END_COLUMNS,
    HEAD,
    NEXT,
    NONE,
    PARENT,
    TAIL,
    UP,
    VALUE_COLUMNS,
    VERTEX_COLUMNS,
    Links,
    join,
    price_tree,
)


@njit(cache=True, nogil=True)
def arc_tables(
    arc_start: Ints, arc_node: Ints, arc_cost: Ints, segments: int, nodes: int
) -> tuple[Links, Ints]:
    """Return ends and costs of E arcs between vertices, S + N curves, and an artificial arc for
    each vertex.

    Vertices are S segments, N supply nodes, H hubs, and the root last; costs are doubled.
    """
    rows, arcs, curves = len(arc_start) - 1, len(arc_node), segments + nodes
    root = nodes + rows
    ends = np.empty((arcs + curves + root, END_COLUMNS), np.uint32)
    cost = np.full(len(ends), MANY)
    for row in range(rows):
        for arc in range(arc_start[row], arc_start[row + 1]):
            ends[arc, TAIL] = segments + arc_node[arc]
            ends[arc, HEAD] = row if row < segments else row + nodes
            cost[arc] = 2 * arc_cost[arc]
    for vertex in range(root):
        if vertex < curves:
            tail, head = (vertex, root) if vertex < segments else (root, vertex)
            ends[arcs + vertex, TAIL], ends[arcs + vertex, HEAD] = tail, head
        ends[arcs + curves + vertex, TAIL], ends[arcs + curves + vertex, HEAD] = vertex, root
    return ends, cost


@njit(cache=True, nogil=True)
def plant(
    ends: Links,
    cost: Ints,
    curve: Ints,
    step: Ints,
    inside: Ints,
    arcs: int,
    segments: int,
    vertices: int,
) -> tuple[Links, Ints]:
    """Return (vertices, values) of a tree of arcs and curves `inside`, less those of cycles.

    Curves outside the tree are used as far as they are at; what does not fit into an arc of the
    tree, or would not leave the tree strongly feasible, goes over an artificial arc.
    """
    vertex, order = _grow(ends, curve, inside, arcs, vertices)
    value = np.zeros((vertices, VALUE_COLUMNS), np.int64)
    over = np.zeros(vertices, np.int64)  # lots that a vertex must send up
    for number in range(len(curve)):
        if not curve[number, INSIDE]:
            lots = bottom(curve, step, number, curve[number, AT])
            over[number] += -lots if number < segments else lots
    for here in order[:0:-1]:
        if not _fit(ends, vertex, value, curve, step, arcs, segments, here, over):
            _hold(ends, vertex, value, here, arcs + len(curve) + here, over[here])
    root = vertices - 1
    vertex[:, CHILDREN] = 0
    for here in range(root):
        vertex[vertex[here, PARENT], CHILDREN] += 1
    vertex[root, NEXT] = vertex[root, BEFORE] = root
    for here in order[1:]:
        if vertex[here, CHILDREN] or here >= segments:
            parent = vertex[here, PARENT]
            join(vertex, here, vertex[parent, NEXT])
            join(vertex, parent, here)
    for number in range(len(curve)):
        if curve[number, INSIDE]:
            cost[arcs + number] = step[curve[number, AT], PRICE]
    price_tree(ends, cost, vertex, value)
    return vertex, value


@njit(cache=True, nogil=True)
def _fit(
    ends: Links,
    vertex: Links,
    value: Ints,
    curve: Ints,
    step: Ints,
    arcs: int,
    segments: int,
    here: int,
    over: Ints,
) -> bool:
    """Send what is over at a vertex up by its arc; return whether that arc may stay in the tree."""
    upwards, lots = vertex[here, ARC], over[here]
    if arcs <= upwards < arcs + len(curve):
        over[here] = _fit_curve(value, curve, step, upwards - arcs, segments, lots)
        return bool(curve[upwards - arcs, INSIDE])
    if upwards == NONE:
        return False
    if ends[upwards, TAIL] == here and lots >= 0:
        value[here, UP], value[here, DOWN] = MANY - lots, lots
    elif ends[upwards, HEAD] == here and lots < 0:
        value[here, UP], value[here, DOWN] = -lots, MANY + lots
    else:
        return False
    over[vertex[here, PARENT]] += lots
    return True


@njit(cache=True, nogil=True)
def _grow(ends: Links, curve: Ints, inside: Ints, arcs: int, vertices: int) -> tuple[Links, Links]:
    """Return vertices with parents and the arcs to them, NONE for none, and a way down the tree."""
    root = vertices - 1
    vertex = np.full((vertices, VERTEX_COLUMNS), NONE, np.uint32)
    chosen = np.empty(arcs + len(curve), np.int64)  # more than a tree has, if there are cycles
    count = 0
    for number in range(arcs + len(curve)):
        if inside[number] if number < arcs else curve[number - arcs, INSIDE]:
            chosen[count] = number
            count += 1
    start = np.zeros(vertices + 1, np.int64)
    for number in chosen[:count]:
        start[ends[number, TAIL] + 1] += 1
        start[ends[number, HEAD] + 1] += 1
    start = np.cumsum(start)
    place, beside = start[:-1].copy(), np.empty(2 * count, np.int64)
    for number in chosen[:count]:
        for end in (ends[number, TAIL], ends[number, HEAD]):
            beside[place[end]] = number
            place[end] += 1
    order = np.empty(vertices, np.uint32)
    order[0] = root
    seen = np.zeros(vertices, np.int64)
    seen[root] = 1
    done, known, lone = 0, 1, 0
    while done < vertices:
        if done == known:  # what nothing joins to the root
            while seen[lone]:
                lone += 1
            seen[lone], order[known], vertex[lone, PARENT] = 1, lone, root
            known += 1
        here = order[done]
        done += 1
        for number in beside[start[here] : start[here + 1]]:
            there = ends[number, TAIL] + ends[number, HEAD] - here
            if not seen[there]:
                seen[there], order[known] = 1, there
                vertex[there, PARENT], vertex[there, ARC] = here, number
                known += 1
    return vertex, order


@njit(cache=True, nogil=True)
def _fit_curve(value: Ints, curve: Ints, step: Ints, number: int, segments: int, over: int) -> int:
    """Let the curve of a vertex take what is over, if it stays strongly feasible; return the rest.

    A curve that cannot leaves the tree, unused or full.
    """
    first, last = curve[number, FIRST], curve[number, LAST]
    most = bottom(curve, step, number, last)
    lots = over if number < segments else -over
    fits = 0 <= lots < most if number < segments else 0 < lots <= most
    if not fits:
        full = lots > 0 and last > first
        curve[number, INSIDE], curve[number, AT] = 0, last if full else first
        taken = most if full else 0
        return over - taken if number < segments else over + taken
    curve[number, AT] = first
    stand(value, curve, step, number, segments, lots)
    return 0


@njit(cache=True, nogil=True)
def stand(value: Ints, curve: Ints, step: Ints, number: int, segments: int, lots: int) -> None:
    """Let a curve in the tree stand at so many lots: a segment's in the step in which it can still
    grow, a node's in the one in which it can still shrink. So the tree is strongly feasible."""
    at = first_step(
        step, curve[number, FIRST], curve[number, LAST], TOP, lots + (number < segments)
    )
    curve[number, AT] = at
    used, free = lots - bottom(curve, step, number, at), step[at, TOP] - lots
    value[number, UP], value[number, DOWN] = free, used
    if number >= segments:
        value[number, UP], value[number, DOWN] = used, free


@njit(cache=True, nogil=True)
def _hold(ends: Links, vertex: Links, value: Ints, here: int, artificial: int, over: int) -> None:
    """Hang a vertex on the root by an artificial arc that takes, or gives, what is over."""
    root = len(vertex) - 1
    vertex[here, PARENT], vertex[here, ARC] = root, artificial
    if over >= 0:
        ends[artificial, TAIL], ends[artificial, HEAD] = here, root
        value[here, UP], value[here, DOWN] = MANY - over, over
    else:
        ends[artificial, TAIL], ends[artificial, HEAD] = root, here
        value[here, UP], value[here, DOWN] = -over, MANY + over


@njit(cache=True, nogil=True)
def lots_of_arcs(ends: Links, vertex: Links, value: Ints, arcs: int) -> tuple[Ints, Ints]:
    """Return the lots of the E arcs, and which of them are in the tree (1)."""
    lots, inside = np.zeros(arcs, np.int64), np.zeros(arcs, np.int64)
    for here in range(len(vertex) - 1):
        upwards = vertex[here, ARC]
        if upwards < arcs:
            downwards = ends[upwards, HEAD] == here
            lots[upwards] = value[here, UP if downwards else DOWN]
            inside[upwards] = 1
    return lots, inside


@njit(cache=True, nogil=True)
def lots_of_curves(value: Ints, curve: Ints, step: Ints, segments: int) -> Ints:
    """Return the lots of the S + N curves."""
    lots = np.empty(len(curve), np.int64)
    for number in range(len(curve)):
        lots[number] = bottom(curve, step, number, curve[number, AT])
        if curve[number, INSIDE]:
            lots[number] += value[number, DOWN if number < segments else UP]
    return lots


@njit(cache=True, nogil=True)
def use_before(curve: Ints, step: Ints, limit: Ints) -> None:
    """Let curves outside the tree be used up to the first step that costs their limit."""
    for number in range(len(curve)):
        if not curve[number, INSIDE]:
            curve[number, AT] = first_step(
                step, curve[number, FIRST], curve[number, LAST], PRICE, limit[number]
            )


@njit(cache=True, nogil=True)
def refine(
    ends: Links,
    cost: Ints,
    vertex: Links,
    value: Ints,
    curve: Ints,
    step: Ints,
    lots: Ints,
    arcs: int,
    segments: int,
) -> None:
    """Take up other steps where the flow stands, which is at the end of a step outside the tree."""
    for number in range(len(curve)):
        if curve[number, INSIDE]:
            stand(value, curve, step, number, segments, lots[number])
            cost[arcs + number] = step[curve[number, AT], PRICE]
        else:
            curve[number, AT] = first_step(
                step, curve[number, FIRST], curve[number, LAST], TOP, lots[number] + 1
            )
    price_tree(ends, cost, vertex, value)
