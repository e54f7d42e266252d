"""What a round begins with from the one before it: prices and tree of its solution.

From round to round offers and orders get new numbers, and some come and go. What stays is who they
are: a supply node is a node's offer of a model for a period, a segment or a pool is known by the
signatures of the orders in it, which draw on the same offers. Whoever is new is unknown, and so are
its arcs. A round ends alike whatever it begins with (`Start`), so nothing here must be right.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.compiled import Compiled
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Start
from swatow_market.exchange.offer_table import Bools
from swatow_market.exchange.signature import Signature, signature

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Kept:
    """A solution of an earlier round with S segments, H pools and N supply nodes."""

    nodes: Mapping[tuple[bytes, bytes, int], int]
    """(node, model, start of its period) -> supply node."""
    keys: Mapping[Signature, bytes]
    """Signature -> the key that its row of offers had."""
    segments: Mapping[tuple[bytes, int], int]
    """(key, start of the last pool) -> segment."""
    pools: Mapping[tuple[bytes, int], int]
    """(key, start of its period) -> pool."""
    row: Ints
    """(t,) Row of each arc of the tree: segments, then pools."""
    target: Ints
    """(t,) Where it leads: supply nodes, then pools."""
    node_price: Ints
    """(N,)"""
    node_inside: Ints
    """(N,)"""
    segment_inside: Ints
    """(S,)"""


def keep(snapshot: Snapshot, compiled: Compiled, start: Start) -> Kept:
    """Return a start by who everybody is."""
    rows, terms = compiled.rows, snapshot.orders.terms
    (inside,) = np.nonzero(start.arc_inside)
    return Kept(
        nodes={node: number for number, node in enumerate(_nodes(snapshot, compiled))},
        keys={signature(terms[number]): key for number, key in compiled.keys.items()},
        segments={segment: number for number, segment in enumerate(rows.segments)},
        pools={pool: number for number, pool in enumerate(rows.pools)},
        row=_row_of(compiled, inside),
        target=rows.arc_node[inside],
        node_price=start.node_price,
        node_inside=start.node_inside,
        segment_inside=start.segment_inside,
    )


def start_from(kept: Kept, snapshot: Snapshot, compiled: Compiled) -> Start:
    """Return what a round begins with; what was not there before is unknown."""
    rows, terms = compiled.rows, snapshot.orders.terms
    keys = {key: kept.keys.get(signature(terms[each])) for each, key in compiled.keys.items()}
    segment = _numbers([_was(kept.segments, keys, *each) for each in rows.segments])
    pool = _numbers([_was(kept.pools, keys, *each) for each in rows.pools])
    node = _numbers([kept.nodes.get(each, UNKNOWN) for each in _nodes(snapshot, compiled)])
    row = np.concatenate([segment, _beyond(pool, len(kept.segment_inside))])
    target = np.concatenate([node, _beyond(pool, len(kept.node_price))])
    return Start(
        node_price=_taken(kept.node_price, node, NO_PRICE),
        arc_inside=_inside(kept, compiled, row, target).astype(np.int64),
        segment_inside=_taken(kept.segment_inside, segment, 0),
        node_inside=_taken(kept.node_inside, node, 0),
    )


def _nodes(snapshot: Snapshot, compiled: Compiled) -> list[tuple[bytes, bytes, int]]:
    offers = [(each.offer.sender, each.offer.model) for each in snapshot.offers]
    supply = compiled.supply
    pairs = zip(supply.offer.tolist(), supply.from_us.tolist(), strict=True)
    return [(*offers[offer], from_us) for offer, from_us in pairs]


def _was(
    numbers: Mapping[tuple[bytes, int], int],
    keys: Mapping[bytes, bytes | None],
    key: bytes,
    start_us: int,
) -> int:
    """Return the number that a segment or a pool had; a segment of now never has another period."""
    earlier = keys.get(key)
    return UNKNOWN if earlier is None else numbers.get((earlier, start_us), UNKNOWN)


def _inside(kept: Kept, compiled: Compiled, row: Ints, target: Ints) -> Bools:
    """(E,) Return which arcs were in the tree."""
    targets = len(kept.node_price) + len(kept.pools)
    arcs = np.arange(len(compiled.rows.arc_node))
    from_row, to = row[_row_of(compiled, arcs)], target[compiled.rows.arc_node]
    was = np.where((from_row == UNKNOWN) | (to == UNKNOWN), UNKNOWN, from_row * targets + to)
    return np.isin(was, kept.row * targets + kept.target)


def _row_of(compiled: Compiled, arcs: Ints) -> Ints:
    return np.searchsorted(compiled.rows.arc_start, arcs, side="right") - 1


def _taken(values: Ints, numbers: Ints, unknown: int) -> Ints:
    """Return the values of those that are known."""
    taken = np.full(len(numbers), unknown, np.int64)
    known = numbers != UNKNOWN
    taken[known] = values[numbers[known]]
    return taken


def _beyond(pool: Ints, others: int) -> Ints:
    """Return the numbers of pools behind so many others."""
    return np.where(pool == UNKNOWN, UNKNOWN, pool + others)


def _numbers(found: list[int]) -> Ints:
    return np.array(found, np.int64)
