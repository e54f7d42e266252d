"""Who may be served by whom, and when: the rows of segments, and of pools of later supply.

Orders that can wait draw on pools. The pool of a period takes what the eligible offers have in it,
and from the pool of the period before; an order that may be served until then draws on the last
pool that is early enough, besides the supply of now. So a chain of pools stands for all periods,
and whoever waits longer can draw on all that the less patient can, and never pays more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from swatow_market.exchange.clearing.problem import Ints
from swatow_market.exchange.clearing.supply import NOW, Supply
from swatow_market.exchange.offer_table import Row
from swatow_market.exchange.orders import joined, starts

Place = tuple[bytes, int]
"""A segment: the key of its row of offers, and how many pools of that row it may draw on."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Arcs of S segments and then of H pools, as in a Problem, and their charges."""

    arc_start: Ints
    """(S + H + 1,)"""
    arc_node: Ints
    arc_cost: Ints
    arc_charge: Ints
    places: Mapping[Place, int]
    """Segment -> its number."""
    segments: list[tuple[bytes, int]]
    """(S) The key of its row of offers, and when the last pool that it draws on starts, or NOW."""
    pools: list[tuple[bytes, int]]
    """(H) The key of its row of offers, and when its period starts."""


@dataclass(slots=True)
class Chain:
    """The pools of one row of offers: those periods in which some of them have lots."""

    row: Row
    periods: list[int] = field(default_factory=list)
    """Starts of the pools' periods, rising."""
    nodes: list[tuple[Ints, Ints]] = field(default_factory=list)
    """Of each pool: places in the row, and their supply nodes in the period."""

    @classmethod
    def of(cls, row: Row, supply: Mapping[int, tuple[Ints, Ints]]) -> "Chain":
        """Return the pools of a row; `supply` has offers and nodes of each later period."""
        chain = cls(row)
        for start_us, (offers, nodes) in sorted(supply.items()):
            _, places, found = np.intersect1d(
                row.numbers, offers, assume_unique=True, return_indices=True
            )
            if len(places):
                chain.periods.append(start_us)
                chain.nodes.append((places, nodes[found]))
        return chain

    def until(self, last_us: int) -> int:
        """Return how many pools have periods that start by then."""
        return int(np.searchsorted(self.periods, last_us, side="right"))


def later_supply(supply: Supply, periods: Iterable[int]) -> dict[int, tuple[Ints, Ints]]:
    """Return, by the start of its period, which offers have lots and which nodes they are."""
    found = {start_us: supply.later(start_us) for start_us in periods}
    return {start_us: each for start_us, each in found.items() if len(each[0])}


def rows_of(chains: Mapping[bytes, Chain], segments: Iterable[Place], nodes: int) -> Rows:
    """Return the arcs of these segments and of the pools they need, in an order of their keys.

    Args:
        chains: key -> row of offers with its pools.
        segments: what is wanted.
        nodes: number of supply nodes; a pool is that and its own number.
    """
    wanted = sorted(set(segments))
    lengths = dict(wanted)  # by key and then length: the longest comes last and counts
    first = dict(zip(lengths, accumulate(lengths.values(), initial=0), strict=False))
    targets, costs, charges = list[Ints](), list[Ints](), list[Ints]()

    def add(row: Row, places: Ints | slice, target: Ints, pool: int | None) -> None:
        """Add a row: some offers of a row at other nodes, and a pool."""
        more = [] if pool is None else [nodes + pool]
        free = np.zeros(len(more), np.int64)
        targets.append(joined([target, np.array(more, np.int64)]))
        costs.append(joined([row.costs[places], free]))
        charges.append(joined([row.charges[places], free]))

    for key, length in wanted:
        row = chains[key].row
        add(row, slice(None), row.numbers, first[key] + length - 1 if length else None)
    for key, length in lengths.items():
        for number, (places, found) in enumerate(chains[key].nodes[:length]):
            add(chains[key].row, places, found, first[key] + number - 1 if number else None)
    return Rows(
        arc_start=starts([len(each) for each in targets]),
        arc_node=joined(targets),
        arc_cost=joined(costs),
        arc_charge=joined(charges),
        places={place: number for number, place in enumerate(wanted)},
        segments=[
            (key, chains[key].periods[length - 1] if length else NOW) for key, length in wanted
        ],
        pools=[
            (key, start_us)
            for key, length in lengths.items()
            for start_us in chains[key].periods[:length]
        ],
    )
