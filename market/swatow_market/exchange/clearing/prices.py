"""Canonical prices: the middle, rounded down, of all prices that support an optimal flow.

The prices that support an optimum form a lattice with a least and a greatest element: potentials
of the residual graph, found as shortest paths from and to a reference at price zero. Their middle
supports the optimum too, so a tie leaves nobody any discretion. Node prices are never negative.
"""

from swatow_market.exchange.clearing.flow import Flow

_ZERO = ("z", 0)
_Vertex = tuple[str, int]

Range = tuple[int, int]
"""The least and the greatest price of a node."""


def price_ranges(flow: Flow) -> list[Range | None]:
    """Return what each supply node may cost; None for one that nothing bounds from above."""
    edges = _constraints(flow)
    greatest = _shortest(edges)
    least = _shortest([(after, before, weight) for before, after, weight in edges])
    ranges: list[Range | None] = []
    for node in range(len(flow.supply)):
        high, low = greatest.get(("n", node)), least.get(("n", node))
        ranges.append(None if high is None or low is None else (-low, high))
    return ranges


def _constraints(flow: Flow) -> list[tuple[_Vertex, _Vertex, int]]:
    """Return edges (u, v, w), each meaning price(v) <= price(u) + w."""
    edges: list[tuple[_Vertex, _Vertex, int]] = []
    for node, curve in enumerate(flow.supply):
        vertex = ("n", node)
        step, last = curve.next(), curve.last_price()
        if step is not None:
            edges.append((_ZERO, vertex, step[0]))
        edges.append((vertex, _ZERO, -(last or 0)))
    for segment, curve in enumerate(flow.demand):
        vertex = ("g", segment)
        step, last = curve.next(), curve.last_price()
        if step is not None:
            edges.append((vertex, _ZERO, -step[0]))
        if last is not None:
            edges.append((_ZERO, vertex, last))
        for node, cost in flow.cost[segment].items():
            edges.append((("n", node), vertex, cost))
            if flow.lots[segment].get(node):
                edges.append((vertex, ("n", node), -cost))
    return edges


def _shortest(edges: list[tuple[_Vertex, _Vertex, int]]) -> dict[_Vertex, int]:
    distance: dict[_Vertex, int] = {_ZERO: 0}
    changed = True
    while changed:
        changed = False
        for before, after, weight in edges:
            here = distance.get(before)
            if here is not None and here + weight < distance.get(after, here + weight + 1):
                distance[after] = here + weight
                changed = True
    return distance
