"""Random problems for clearing: by seed, and as a strategy that shrinks what fails.

Small books with few prices, so that ties, shared price levels and unused arcs are common, and the
corners that trouble solvers (the kinds below).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from swatow_market.exchange.clearing.problem import Ints, Problem
from swatow_protocol.limits import LOTS_MAX, PRICE_MAX

Steps: TypeAlias = dict[int, int]
"""Price -> lots."""


def build(
    demand: Sequence[Steps], supply: Sequence[Steps], arcs: Sequence[Mapping[int, int]]
) -> Problem:
    """Return the problem of these curves; `arcs` holds node -> cost for each segment, then hub.

    Hub h is node len(supply) + h.
    """
    served = [sorted(each.items()) for each in arcs]
    falling = [sorted(each.items(), reverse=True) for each in demand]
    rising = [sorted(each.items()) for each in supply]
    return Problem(
        arc_start=_starts(served),
        arc_node=_column(served, 0),
        arc_cost=_column(served, 1),
        demand_start=_starts(falling),
        demand_price=_column(falling, 0),
        demand_lots=_column(falling, 1),
        supply_start=_starts(rising),
        supply_price=_column(rising, 0),
        supply_lots=_column(rising, 1),
    )


def parts(problem: Problem) -> tuple[list[Steps], list[Steps], list[dict[int, int]]]:
    """Return what `build` makes the problem of."""
    return (
        _pairs(problem.demand_start, problem.demand_price, problem.demand_lots),
        _pairs(problem.supply_start, problem.supply_price, problem.supply_lots),
        _pairs(problem.arc_start, problem.arc_node, problem.arc_cost),
    )


def permuted(problem: Problem, segments: Sequence[int], nodes: Sequence[int]) -> Problem:
    """Return the same problem, its segments and nodes in another order: new i is old [i]."""
    demand, supply, arcs = parts(problem)
    hubs = range(problem.hubs)
    place = {old: new for new, old in enumerate(nodes)}
    place |= {len(nodes) + hub: len(nodes) + hub for hub in hubs}
    rows = [*segments, *(len(segments) + hub for hub in hubs)]
    return build(
        [demand[old] for old in segments],
        [supply[old] for old in nodes],
        [{place[target]: cost for target, cost in arcs[old].items()} for old in rows],
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """What the numbers of a random problem are drawn from; every range is inclusive."""

    segments: tuple[int, int] = (1, 12)
    nodes: tuple[int, int] = (1, 8)
    demand_steps: tuple[int, int] = (0, 6)
    supply_steps: tuple[int, int] = (0, 4)
    bids: tuple[int, int] = (0, 40)
    asks: tuple[int, int] = (0, 30)
    costs: tuple[int, int] = (0, 6)
    lots: tuple[int, int] = (1, 9)
    density: float = 0.5
    """Chance of an arc."""
    hubs: tuple[int, int] = (0, 0)
    hub_chance: float = 0.5
    """Chance of an arc to a hub, of segments and of hubs; that of hubs to nodes is density."""
    node_chance: float = 1.0
    """Chance that a segment of a problem with hubs has arcs to nodes at all."""


KINDS: Mapping[str, Kind] = {
    "mixed": Kind(),
    "dense": Kind(segments=(8, 25), nodes=(5, 15), density=1.0),
    "long curves": Kind(demand_steps=(10, 40), supply_steps=(5, 15), bids=(0, 200), asks=(0, 150)),
    "segments without arcs": Kind(density=0.12),
    "one node": Kind(nodes=(1, 1), density=0.9),
    "one segment": Kind(segments=(1, 1), density=0.9),
    "no demand": Kind(demand_steps=(0, 0)),
    "no supply": Kind(supply_steps=(0, 0)),
    "no segments": Kind(segments=(0, 0)),
    "no nodes": Kind(nodes=(0, 0)),
    "all prices equal": Kind(bids=(7, 7), asks=(7, 7), costs=(0, 0), supply_steps=(0, 1)),
    "equal costs": Kind(costs=(3, 3), bids=(4, 9), asks=(1, 5), density=0.9),
    "costs of nothing": Kind(costs=(0, 0), bids=(0, 4), asks=(0, 4), density=0.9),
    "single lots": Kind(lots=(1, 1), density=0.8),
    "demand below all asks": Kind(bids=(0, 9), asks=(10, 30)),
    "scarce": Kind(segments=(8, 20), nodes=(1, 4), lots=(1, 30), supply_steps=(1, 1), density=0.9),
    "plenty": Kind(segments=(1, 5), nodes=(8, 15), supply_steps=(3, 4), density=0.9),
    "wide": Kind(bids=(0, 10**6), asks=(0, 10**6), costs=(0, 10**5), lots=(1, 5_000)),
    "greatest prices": Kind(
        bids=(PRICE_MAX - 5, PRICE_MAX), asks=(PRICE_MAX - 8, PRICE_MAX), costs=(0, 3)
    ),
    "greatest numbers": Kind(
        bids=(0, PRICE_MAX), asks=(0, PRICE_MAX), costs=(0, PRICE_MAX // 4), lots=(1, LOTS_MAX)
    ),
    "worth more than 64 bits": Kind(
        segments=(8, 12),
        demand_steps=(3, 4),
        bids=(PRICE_MAX // 2, PRICE_MAX),
        asks=(0, 9),
        lots=(LOTS_MAX, 20 * LOTS_MAX),
        density=0.9,
    ),
    "hubs": Kind(hubs=(1, 6), density=0.3),
    "hubs only": Kind(hubs=(1, 4), node_chance=0.0, density=0.6),
    "hubs in chains": Kind(segments=(4, 12), hubs=(8, 14), hub_chance=0.15, density=0.15),
    "hubs at no cost": Kind(hubs=(2, 8), costs=(0, 0), bids=(0, 4), asks=(0, 4), density=0.4),
    "hubs that nobody feeds": Kind(hubs=(2, 8), hub_chance=0.6, density=0.05),
    "hubs that nobody uses": Kind(hubs=(2, 8), hub_chance=0.05, density=0.3),
    "scarce behind hubs": Kind(
        segments=(8, 20), nodes=(1, 4), supply_steps=(1, 1), lots=(1, 30), hubs=(2, 6)
    ),
    "greatest numbers through hubs": Kind(
        asks=(0, PRICE_MAX),
        bids=(0, PRICE_MAX),
        costs=(0, PRICE_MAX // 8),
        lots=(1, LOTS_MAX),
        hubs=(2, 9),
    ),
}


def random_problem(seed: int, kind: Kind) -> Problem:
    """Return a problem; the same one for the same seed and kind."""
    return _make(kind, np.random.default_rng(seed))


def problems(
    *, segments: int = 6, nodes: int = 4, hubs: int = 3, price: int = 12, lots: int = 5
) -> st.SearchStrategy[Problem]:
    """Return problems of at most so much, which hypothesis shrinks towards the empty one."""
    curves = st.dictionaries(st.integers(0, price), st.integers(1, lots), max_size=4)

    @st.composite
    def draw_problem(draw: st.DrawFn) -> Problem:
        supply: list[dict[int, int]] = draw(st.lists(curves, max_size=nodes))
        demand: list[dict[int, int]] = draw(st.lists(curves, max_size=segments))
        between = draw(st.integers(0, hubs))

        def rows(targets: int, count: int) -> list[dict[int, int]]:
            row: st.SearchStrategy[dict[int, int]] = st.just({})
            if targets:
                row = st.dictionaries(st.integers(0, targets - 1), st.integers(0, price))
            return draw(st.lists(row, min_size=count, max_size=count))

        arcs = rows(len(supply) + between, len(demand))
        for hub in range(between):
            arcs += rows(len(supply) + hub, 1)
        return build(demand, supply, arcs)

    return draw_problem()


def _make(kind: Kind, random: np.random.Generator) -> Problem:
    def within(span: tuple[int, int]) -> int:
        return int(random.integers(span[0], span[1], endpoint=True))

    def curve(steps: tuple[int, int], prices: tuple[int, int]) -> Steps:
        return {within(prices): within(kind.lots) for _ in range(within(steps))}

    def row(targets: Iterable[int], chance: float) -> dict[int, int]:
        return {target: within(kind.costs) for target in targets if random.random() < chance}

    nodes = within(kind.nodes)
    supply = [curve(kind.supply_steps, kind.asks) for _ in range(nodes)]
    demand = [curve(kind.demand_steps, kind.bids) for _ in range(within(kind.segments))]
    if not kind.hubs[1]:
        arcs = [row(range(nodes), kind.density) for _ in demand]
        return build(demand, supply, arcs)
    hubs = within(kind.hubs)
    arcs = []
    for number in range(len(demand) + hubs):
        hub = max(0, number - len(demand))
        own = number >= len(demand) or random.random() < kind.node_chance
        below = range(nodes, nodes + (hub if number >= len(demand) else hubs))
        direct = row(range(nodes), kind.density) if own else {}
        arcs.append(direct | row(below, kind.hub_chance))
    return build(demand, supply, arcs)


def _starts(rows: Sequence[Sequence[Any]]) -> Ints:
    return np.cumsum([0, *map(len, rows)], dtype=np.int64)


def _column(rows: Sequence[Sequence[tuple[int, int]]], column: int) -> Ints:
    return np.array([pair[column] for row in rows for pair in row], dtype=np.int64)


def _pairs(start: Ints, left: Ints, right: Ints) -> list[dict[int, int]]:
    return [
        dict(zip(left[begin:end].tolist(), right[begin:end].tolist(), strict=True))
        for begin, end in pairwise(start.tolist())
    ]
