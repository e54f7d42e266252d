"""Where a simplex begins: a spanning tree with a flow, from no knowledge at all or from a tree that
was optimal for a similar problem; and how a tree goes on with finer steps."""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
import numpy as np
from numba import njit

from swatow_market.exchange.clearing.pivots import (
    ANCHOR,
    ARC,
    ARC_COLUMNS,
    AT,
    BEFORE,
    CHILDREN,
    COST,
    DEPTH,
    DOWN,
    FIRST,
    HEAD,
    INSIDE,
    LAST,
    MANY,
    NEXT,
    OFFSET,
    PARENT,
    PRICE,
    PRICE_COLUMNS,
    TAIL,
    TOP,
    UP,
    VERTEX_COLUMNS,
    bottom,
    first_step,
    join,
)
from swatow_market.exchange.clearing.problem import Ints


@njit(cache=True, nogil=True)
def arc_table(arc_start: Ints, arc_node: Ints, arc_cost: Ints, segments: int, nodes: int) -> Ints:
    """Return E arcs between vertices, S + N curves, and an artificial arc for each vertex.

    Vertices are S segments, N supply nodes, H hubs, and the root last; costs are doubled.
    """
    rows, arcs, curves = len(arc_start) - 1, len(arc_node), segments + nodes
    root = nodes + rows
    table = np.empty((arcs + curves + root, ARC_COLUMNS), np.int64)
    for row in range(rows):
        for arc in range(arc_start[row], arc_start[row + 1]):
            table[arc, TAIL] = segments + arc_node[arc]
            table[arc, HEAD] = row if row < segments else row + nodes
            table[arc, COST] = 2 * arc_cost[arc]
    for vertex in range(root):
        curve, artificial = table[arcs + vertex], table[arcs + curves + vertex]
        if vertex < curves:
            upwards = vertex < segments
            curve[TAIL], curve[HEAD] = (vertex, root) if upwards else (root, vertex)
            curve[COST] = MANY
        artificial[TAIL], artificial[HEAD], artificial[COST] = vertex, root, MANY
    return table


@njit(cache=True, nogil=True)
def plant(
    arc: Ints, curve: Ints, step: Ints, inside: Ints, arcs: int, segments: int, vertices: int
) -> tuple[Ints, Ints, Ints]:
    """Return (vertices, bases, prices) of a tree of arcs and curves `inside`, less those of cycles.

    Curves outside the tree are used as far as they are at; what does not fit into an arc of the
    tree, or would not leave the tree strongly feasible, goes over an artificial arc.
    """
    vertex, order = _grow(arc, curve, inside, arcs, vertices)
    over = np.zeros(vertices, np.int64)  # lots that a vertex must send up
    for number in range(len(curve)):
        if not curve[number, INSIDE]:
            lots = bottom(curve, step, number, curve[number, AT])
            over[number] += -lots if number < segments else lots
    for place in range(vertices - 1, 0, -1):
        here = order[place]
        if not _fit(arc, vertex, curve, step, arcs, segments, here, over):
            _hold(arc, vertex, here, vertices - 1, arcs + len(curve) + here, over[here])
    base, price = np.zeros(vertices, np.int64), np.zeros((vertices, PRICE_COLUMNS), np.int64)
    for here in range(vertices - 1):
        price[vertex[here, PARENT], CHILDREN] += 1
    root = vertices - 1
    vertex[root, NEXT] = vertex[root, BEFORE] = root
    for place in range(1, vertices):
        here = order[place]
        if price[here, CHILDREN] or here >= segments:
            parent = vertex[here, PARENT]
            join(vertex, here, vertex[parent, NEXT])
            join(vertex, parent, here)
    for number in range(len(curve)):
        if curve[number, INSIDE]:
            arc[arcs + number, COST] = step[curve[number, AT], PRICE]
    price_tree(arc, vertex, base, price)
    return vertex, base, price


@njit(cache=True, nogil=True)
def _fit(
    arc: Ints,
    vertex: Ints,
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
        over[here] = _fit_curve(vertex, curve, step, upwards - arcs, segments, lots)
        return bool(curve[upwards - arcs, INSIDE])
    if upwards == -1:
        return False
    if arc[upwards, TAIL] == here and lots >= 0:
        vertex[here, UP], vertex[here, DOWN] = MANY - lots, lots
    elif arc[upwards, HEAD] == here and lots < 0:
        vertex[here, UP], vertex[here, DOWN] = -lots, MANY + lots
    else:
        return False
    over[vertex[here, PARENT]] += lots
    return True


@njit(cache=True, nogil=True)
def _grow(arc: Ints, curve: Ints, inside: Ints, arcs: int, vertices: int) -> tuple[Ints, Ints]:
    """Return vertices with their parents and arcs to them, -1 for none, and a way down the tree."""
    root = vertices - 1
    vertex = np.full((vertices, VERTEX_COLUMNS), -1)
    chosen = np.empty(arcs + len(curve), np.int64)  # more than a tree has, if there are cycles
    count = 0
    for number in range(arcs + len(curve)):
        if inside[number] if number < arcs else curve[number - arcs, INSIDE]:
            chosen[count] = number
            count += 1
    start = np.zeros(vertices + 1, np.int64)
    for number in chosen[:count]:
        start[arc[number, TAIL] + 1] += 1
        start[arc[number, HEAD] + 1] += 1
    start = np.cumsum(start)
    place, beside = start[:-1].copy(), np.empty(2 * count, np.int64)
    for number in chosen[:count]:
        for end in (arc[number, TAIL], arc[number, HEAD]):
            beside[place[end]] = number
            place[end] += 1
    order = np.empty(vertices, np.int64)
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
            there = arc[number, TAIL] + arc[number, HEAD] - here
            if not seen[there]:
                seen[there], order[known] = 1, there
                vertex[there, PARENT], vertex[there, ARC] = here, number
                known += 1
    return vertex, order


@njit(cache=True, nogil=True)
def _fit_curve(vertex: Ints, curve: Ints, step: Ints, number: int, segments: int, over: int) -> int:
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
    stand(vertex, curve, step, number, segments, lots)
    return 0


@njit(cache=True, nogil=True)
def stand(vertex: Ints, curve: Ints, step: Ints, number: int, segments: int, lots: int) -> None:
    """Let a curve in the tree stand at so many lots: a segment's in the step in which it can still
    grow, a node's in the one in which it can still shrink. So the tree is strongly feasible."""
    at = first_step(
        step, curve[number, FIRST], curve[number, LAST], TOP, lots + (number < segments)
    )
    curve[number, AT] = at
    used, free = lots - bottom(curve, step, number, at), step[at, TOP] - lots
    vertex[number, UP], vertex[number, DOWN] = free, used
    if number >= segments:
        vertex[number, UP], vertex[number, DOWN] = used, free


@njit(cache=True, nogil=True)
def _hold(arc: Ints, vertex: Ints, here: int, root: int, artificial: int, over: int) -> None:
    """Hang a vertex on the root by an artificial arc that takes, or gives, what is over."""
    vertex[here, PARENT], vertex[here, ARC] = root, artificial
    if over >= 0:
        arc[artificial, TAIL], arc[artificial, HEAD] = here, root
        vertex[here, UP], vertex[here, DOWN] = MANY - over, over
    else:
        arc[artificial, TAIL], arc[artificial, HEAD] = root, here
        vertex[here, UP], vertex[here, DOWN] = -over, MANY + over


@njit(cache=True, nogil=True)
def price_tree(arc: Ints, vertex: Ints, base: Ints, price: Ints) -> None:
    """Set depth and price of every vertex; the root is the last."""
    root = len(vertex) - 1
    for here in range(root):  # of all vertices, what they differ by from their parents
        upwards = vertex[here, ARC]
        downwards = arc[upwards, HEAD] == here
        price[here, OFFSET] = arc[upwards, COST] if downwards else -arc[upwards, COST]
        price[here, ANCHOR] = vertex[here, PARENT]
    vertex[root, DEPTH], base[root], price[root, ANCHOR] = 0, 0, root
    here = vertex[root, NEXT]
    while here != root:
        parent = vertex[here, PARENT]
        base[here] = base[parent] + price[here, OFFSET]
        price[here, ANCHOR], price[here, OFFSET] = here, 0
        vertex[here, DEPTH] = vertex[parent, DEPTH] + 1
        here = vertex[here, NEXT]


@njit(cache=True, nogil=True)
def lots_of_arcs(arc: Ints, vertex: Ints, arcs: int) -> tuple[Ints, Ints]:
    """Return the lots of the E arcs, and which of them are in the tree (1)."""
    lots, inside = np.zeros(arcs, np.int64), np.zeros(arcs, np.int64)
    for here in range(len(vertex) - 1):
        upwards = vertex[here, ARC]
        if upwards < arcs:
            downwards = arc[upwards, HEAD] == here
            lots[upwards] = vertex[here, UP if downwards else DOWN]
            inside[upwards] = 1
    return lots, inside


@njit(cache=True, nogil=True)
def lots_of_curves(vertex: Ints, curve: Ints, step: Ints, segments: int) -> Ints:
    """Return the lots of the S + N curves."""
    lots = np.empty(len(curve), np.int64)
    for number in range(len(curve)):
        lots[number] = bottom(curve, step, number, curve[number, AT])
        if curve[number, INSIDE]:
            lots[number] += vertex[number, DOWN if number < segments else UP]
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
    arc: Ints,
    vertex: Ints,
    base: Ints,
    price: Ints,
    curve: Ints,
    step: Ints,
    lots: Ints,
    arcs: int,
    segments: int,
) -> None:
    """Take up other steps where the flow stands, which is at the end of a step outside the tree."""
    for number in range(len(curve)):
        if curve[number, INSIDE]:
            stand(vertex, curve, step, number, segments, lots[number])
            arc[arcs + number, COST] = step[curve[number, AT], PRICE]
        else:
            curve[number, AT] = first_step(
                step, curve[number, FIRST], curve[number, LAST], TOP, lots[number] + 1
            )
    price_tree(arc, vertex, base, price)
