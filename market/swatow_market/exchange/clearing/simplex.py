"""Exact min-cost flow by a network simplex of our own, compiled once for each machine.

The flow is a circulation through a root: root -> supply node at what the node asks, supply node ->
segment at the cost of the arc, segment -> root at minus what the segment pays; on the way from node
to segment, lots may pass through hubs. Curves stay whole:
a curve is one arc whose cost rises from step to step, and outside the tree it stands between two
of its steps. Trees are strongly feasible (Cunningham 1976), so no sequence of pivots repeats.

Curves are solved coarsely first, many steps as one, and refined from the optimum that was found:
the tree and the flow of one level are a tree and a flow of the next, so the result is exact.

Costs are doubled and every lot served pays one more. A cycle passes the root at most once, so
this never outweighs a cost, and of all optimal flows one that trades most is found. Ahuja,
Magnanti, Orlin, Network Flows (1993), chapter 11.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import NamedTuple

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import Ints, Problem

LEVELS = (64, 8, 1)
"""Steps of a curve that are one step, level by level."""

_MANY = np.int64(1) << np.int64(60)
"""More lots, and a greater cost, than any that occurs."""
_BLOCK_MIN = 32


class _Network(NamedTuple):
    """Arcs by number: E between vertices, S + N curves, N + H artificial from nodes and hubs to
    the root."""

    tail: Ints
    head: Ints
    start: Ints
    """Steps of a curve, by curve: S of the segments, then N of the nodes."""
    price: Ints
    """Cost of a lot in a step; rises within a curve."""
    top: Ints
    """Lots of the curve up to the end of a step."""


class _Flow(NamedTuple):
    """Of each arc: its lots, and the bounds and the cost within which they may change."""

    lots: Ints
    low: Ints
    high: Ints
    cost: Ints
    at: Ints
    """By curve: steps wholly used outside the tree; the step that may change inside it."""


class _Tree(NamedTuple):
    """A spanning tree; vertices are S segments, N supply nodes, H hubs, and the root last."""

    parent: Ints
    arc: Ints
    """Arc to the parent."""
    depth: Ints
    price: Ints
    """Of a lot at the vertex; zero at the root."""
    child: Ints
    """First child; -1 is none."""
    after: Ints
    """Next child of the same parent."""
    before: Ints
    inside: Ints
    """By arc: one if it is in the tree."""


def solve_flow(problem: Problem) -> tuple[Ints, Ints, Ints]:
    """Return (arc lots (E,), demand used (D,), supply used (K,)) of an optimal flow."""
    segments, nodes, arcs = problem.segments, problem.nodes, len(problem.arc_node)
    start = np.concatenate(
        [problem.demand_start, problem.supply_start[1:] + len(problem.demand_price)]
    )
    price = np.concatenate([-2 * problem.demand_price - 1, 2 * problem.supply_price])
    lots = np.concatenate([problem.demand_lots, problem.supply_lots])
    bottom = _bottoms(start, lots)
    network, flow, tree = _begin(problem, start)
    for level in LEVELS:
        steps = _coarse(start, price, bottom + lots, level)
        network = network._replace(start=steps[0], price=steps[1], top=steps[2])
        _refine(network, flow, tree, arcs, segments)
        _run(network, flow, tree, arcs)
    curves = np.repeat(np.arange(segments + nodes), np.diff(start))
    used: Ints = np.clip(flow.lots[arcs + curves] - bottom, 0, lots)
    demand = len(problem.demand_price)
    return flow.lots[:arcs].copy(), used[:demand], used[demand:]


def _bottoms(start: Ints, lots: Ints) -> Ints:
    """Return for each step the lots of its curve before it."""
    running: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(lots)])
    bottoms: Ints = running[:-1] - np.repeat(running[start[:-1]], np.diff(start))
    return bottoms


def _coarse(start: Ints, price: Ints, top: Ints, level: int) -> tuple[Ints, Ints, Ints]:
    """Return curves of which each step is `level` steps, at the price of the one in the middle."""
    counts = np.diff(start)
    fewer = -(-counts // level)
    coarse = np.concatenate([np.zeros(1, np.int64), np.cumsum(fewer)])
    number = np.arange(coarse[-1]) - np.repeat(coarse[:-1], fewer)
    first = np.repeat(start[:-1], fewer) + number * level
    last = np.minimum(first + level, np.repeat(start[1:], fewer)) - 1
    return coarse, price[(first + last) // 2], top[last]


def _begin(problem: Problem, start: Ints) -> tuple[_Network, _Flow, _Tree]:
    """Return an empty flow, and the tree of all segments' curves and all artificial arcs."""
    segments, nodes, arcs = problem.segments, problem.nodes, len(problem.arc_node)
    curves = segments + nodes
    root = curves + problem.hubs
    segment, node, hub = np.split(np.arange(root), [segments, curves])
    sources = np.concatenate([node, hub])
    tail = np.concatenate([segments + problem.arc_node, segment, np.full(nodes, root), sources])
    head_of_arcs = np.repeat(np.concatenate([segment, hub]), np.diff(problem.arc_start))
    to_root = np.full(segments, root), np.full(len(sources), root)
    head = np.concatenate([head_of_arcs, to_root[0], node, to_root[1]])
    count = len(tail)
    flow = _Flow(
        lots=np.zeros(count, np.int64),
        low=np.zeros(count, np.int64),
        high=np.full(count, _MANY),
        cost=np.zeros(count, np.int64),
        at=np.zeros(curves, np.int64),
    )
    flow.cost[:arcs] = 2 * problem.arc_cost
    flow.cost[arcs + curves :] = _MANY
    tree = _Tree(
        parent=np.full(root + 1, root),
        arc=np.concatenate([arcs + segment, arcs + curves + np.arange(len(sources)), [-1]]),
        depth=np.ones(root + 1, np.int64),
        price=np.zeros(root + 1, np.int64),
        child=np.full(root + 1, -1),
        after=np.concatenate([np.arange(1, root), [-1, -1]])[: root + 1],
        before=np.concatenate([np.arange(-1, root - 1), [-1]])[: root + 1],
        inside=np.zeros(count, np.int64),
    )
    tree.parent[root], tree.depth[root] = -1, 0
    if root:
        tree.child[root] = 0
    tree.inside[tree.arc[:root]] = 1
    return _Network(tail, head, start, start, start), flow, tree


@njit(cache=True, nogil=True)
def _refine(network: _Network, flow: _Flow, tree: _Tree, arcs: int, segments: int) -> None:
    """Take up the steps of a finer level where the flow stands, and price the tree anew.

    Inside the tree, a segment's curve goes on with the step in which it can still grow, and a
    node's with the one in which it can still shrink: so the tree stays strongly feasible.
    """
    for curve in range(len(flow.at)):
        arc = arcs + curve
        lots = flow.lots[arc]
        at, end = network.start[curve], network.start[curve + 1]
        while at < end and network.top[at] <= lots:
            at += 1
        if tree.inside[arc] and curve >= segments and _bottom(network, curve, at) == lots:
            at -= 1
        flow.at[curve] = at
        if tree.inside[arc]:
            if at < end:
                _take_step(network, flow, arc, curve)
            else:  # a segment that wants nothing: it is never offered anything either
                flow.low[arc], flow.high[arc], flow.cost[arc] = 0, 0, 0
    _price_subtree(network, flow, tree, len(tree.parent) - 1)


@njit(cache=True, nogil=True)
def _bottom(network: _Network, curve: int, step: int) -> int:
    """Return the lots of a curve before a step."""
    return network.top[step - 1] if step > network.start[curve] else 0


@njit(cache=True, nogil=True)
def _take_step(network: _Network, flow: _Flow, arc: int, curve: int) -> None:
    """Let a curve change within its current step."""
    step = flow.at[curve]
    flow.low[arc] = _bottom(network, curve, step)
    flow.high[arc] = network.top[step]
    flow.cost[arc] = network.price[step]


@njit(cache=True, nogil=True)
def _price_subtree(network: _Network, flow: _Flow, tree: _Tree, top: int) -> None:
    """Set depth and price of every vertex below `top`."""
    head, cost, price, depth = network.head, flow.cost, tree.price, tree.depth
    parents, arcs, child, after = tree.parent, tree.arc, tree.child, tree.after
    vertex = child[top]
    while vertex != -1:
        arc, parent = arcs[vertex], parents[vertex]
        price[vertex] = price[parent] + (cost[arc] if head[arc] == vertex else -cost[arc])
        depth[vertex] = depth[parent] + 1
        if child[vertex] != -1:
            vertex = child[vertex]
            continue
        while vertex != top and after[vertex] == -1:
            vertex = parents[vertex]
        if vertex == top:
            return
        vertex = after[vertex]


@njit(cache=True, nogil=True)
def _run(network: _Network, flow: _Flow, tree: _Tree, arcs: int) -> None:
    """Pivot until no arc is worth changing."""
    count = arcs + len(flow.at)
    block = min(count, max(_BLOCK_MIN, int(np.sqrt(count))))
    position, idle = 0, 0
    while idle < count:
        arc, gain = _search(network, flow, tree, arcs, position, block)
        position = (position + block) % count
        idle = 0 if gain else idle + block
        while gain and _pivot(network, flow, tree, arcs, arc, gain):
            # A curve may go on to its next step without a change of the tree.
            arc, gain = _search(network, flow, tree, arcs, arc, 1)


@njit(cache=True, nogil=True)
def _search(
    network: _Network, flow: _Flow, tree: _Tree, arcs: int, position: int, block: int
) -> tuple[int, int]:
    """Return which of the arcs from `position` on gains most, and what a lot of it gains.

    The gain of a lot less than now has a minus; 0 is none. Arrays are taken out of their tuples
    first: each access to a tuple counts references, which costs more than the rest of the loop.
    """
    head, tail, start, step_price = network.head, network.tail, network.start, network.price
    price, inside, cost, at = tree.price, tree.inside, flow.cost, flow.at
    best, most = position, 0
    count = arcs + len(at)
    for number in range(position, position + block):
        arc = number if number < count else number - count
        tension = price[head[arc]] - price[tail[arc]]
        gain = 0
        if arc < arcs:
            gain = tension - cost[arc] if tension > cost[arc] else 0
        elif not inside[arc]:
            curve = arc - arcs
            step = at[curve]
            if step < start[curve + 1] and step_price[step] < tension:
                gain = tension - step_price[step]
            elif step > start[curve] and step_price[step - 1] > tension:
                gain = tension - step_price[step - 1]
        if abs(gain) > abs(most):
            best, most = arc, gain
    return best, most


@njit(cache=True, nogil=True)
def _pivot(network: _Network, flow: _Flow, tree: _Tree, arcs: int, arc: int, gain: int) -> bool:
    """Send along the cycle of an arc what fits; return whether the tree stayed as it is."""
    if gain > 0:
        first, second = network.tail[arc], network.head[arc]
    else:
        first, second = network.head[arc], network.tail[arc]
    if arc >= arcs:
        flow.at[arc - arcs] -= gain < 0
        _take_step(network, flow, arc, arc - arcs)
    join = _join(tree, first, second)
    room = flow.high[arc] - flow.lots[arc] if gain > 0 else flow.lots[arc] - flow.low[arc]
    lots, leaves, at_first = _blocking(network, flow, tree, first, second, join, room)
    if lots:
        flow.lots[arc] += lots if gain > 0 else -lots
        _send(network, flow, tree, first, join, -lots)
        _send(network, flow, tree, second, join, lots)
    if leaves == -1:
        _settle(flow, arcs, arc)
        return True
    out = tree.arc[leaves]
    tree.inside[out] = 0
    _settle(flow, arcs, out)
    tree.inside[arc] = 1
    top, onto = (first, second) if at_first else (second, first)
    _hang(tree, top, leaves, onto, arc)
    _price_moved(network, flow, tree, top)
    return False


@njit(cache=True, nogil=True)
def _join(tree: _Tree, first: int, second: int) -> int:
    """Return the lowest vertex above both."""
    depth, parent = tree.depth, tree.parent
    while first != second:
        if depth[first] >= depth[second]:
            first = parent[first]
        else:
            second = parent[second]
    return first


@njit(cache=True, nogil=True)
def _blocking(
    network: _Network, flow: _Flow, tree: _Tree, first: int, second: int, join: int, lots: int
) -> tuple[int, int, bool]:
    """Return how much fits, below which vertex it blocks (-1 for none), and if that is at `first`.

    Of all that block, it is the last on the way from the top of the cycle over `first` and `second`
    back to the top: so the tree stays strongly feasible.
    """
    head, parent, tree_arc = network.head, tree.parent, tree.arc
    flow_lots, low, high = flow.lots, flow.low, flow.high
    leaves, at_first = -1, False
    vertex = first
    while vertex != join:
        arc = tree_arc[vertex]
        room = high[arc] - flow_lots[arc] if head[arc] == vertex else flow_lots[arc] - low[arc]
        if room < lots:
            lots, leaves, at_first = room, vertex, True
        vertex = parent[vertex]
    vertex = second
    while vertex != join:
        arc = tree_arc[vertex]
        room = flow_lots[arc] - low[arc] if head[arc] == vertex else high[arc] - flow_lots[arc]
        if room <= lots:
            lots, leaves, at_first = room, vertex, False
        vertex = parent[vertex]
    return lots, leaves, at_first


@njit(cache=True, nogil=True)
def _send(network: _Network, flow: _Flow, tree: _Tree, vertex: int, join: int, lots: int) -> None:
    """Send lots from a vertex up to the top of the cycle; less than nothing goes down."""
    head, parent, tree_arc, flow_lots = network.head, tree.parent, tree.arc, flow.lots
    while vertex != join:
        arc = tree_arc[vertex]
        flow_lots[arc] += -lots if head[arc] == vertex else lots
        vertex = parent[vertex]


@njit(cache=True, nogil=True)
def _settle(flow: _Flow, arcs: int, arc: int) -> None:
    """Note for a curve that is outside the tree how many of its steps are wholly used."""
    if arcs <= arc < arcs + len(flow.at) and flow.low[arc] < flow.lots[arc] == flow.high[arc]:
        flow.at[arc - arcs] += 1


@njit(cache=True, nogil=True)
def _hang(tree: _Tree, vertex: int, last: int, onto: int, arc: int) -> None:
    """Cut the subtree below `last` off, turn it so that `vertex` is its top, hang it elsewhere."""
    parents, arcs, child = tree.parent, tree.arc, tree.child
    after, before = tree.after, tree.before
    while True:
        parent, old_arc = parents[vertex], arcs[vertex]
        left, right = before[vertex], after[vertex]
        if left != -1:
            after[left] = right
        else:
            child[parent] = right
        if right != -1:
            before[right] = left
        parents[vertex], arcs[vertex] = onto, arc
        head = child[onto]
        after[vertex], before[vertex] = head, -1
        if head != -1:
            before[head] = vertex
        child[onto] = vertex
        if vertex == last:
            return
        onto, arc, vertex = vertex, old_arc, parent


@njit(cache=True, nogil=True)
def _price_moved(network: _Network, flow: _Flow, tree: _Tree, top: int) -> None:
    """Set depth and price of `top` and everything below it."""
    arc, parent = tree.arc[top], tree.parent[top]
    downwards = network.head[arc] == top
    tree.price[top] = tree.price[parent] + (flow.cost[arc] if downwards else -flow.cost[arc])
    tree.depth[top] = tree.depth[parent] + 1
    _price_subtree(network, flow, tree, top)
