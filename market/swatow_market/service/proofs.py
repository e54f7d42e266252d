"""Proofs for buyers: how an order stood in a round, made again from what is kept of the round."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.certificate.merkle import Tree
from swatow_market.exchange.certificate.publish import RULE_VERSION, tree_of_orders
from swatow_market.exchange.certificate.record import decode
from swatow_market.exchange.clearing.compiled import compile_round
from swatow_market.exchange.orders import Ints
from swatow_market.published import decompress
from swatow_market.service import records, store
from swatow_market.service.replays import KeptInputs, read_inputs
from swatow_market.service.state import MarketState
from swatow_protocol.errors import InvalidValue, MessageRefused
from swatow_protocol.messages import Query
from swatow_protocol.messages.answers import PROOFS_MAX, OrderProof, OrderState

ROUNDS_TRIED_MAX = 4
"""Rounds without an award that are looked through for an order, from the last one back."""
TREES_MAX = 2
"""Rounds whose trees are held for the next query."""

_Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Stood:
    """How the orders of a round stood in it."""

    head: bytes
    orders: list[bytes]
    """Ids, rising."""
    lots: Ints
    """(n,) Open before the round."""
    segment: Ints
    """(n,) Below zero for none."""
    tree: Tree

    def proof(self, order: bytes) -> OrderProof | None:
        """Return the proof of an order; None if it did not take part."""
        index = bisect_left(self.orders, order)
        if self.orders[index : index + 1] != [order]:
            return None
        proof, segment = self.tree.proof(index), int(self.segment[index])
        return OrderProof(
            order=order,
            head=self.head,
            lots=int(self.lots[index]),
            segment=segment if segment >= 0 else None,
            index=proof.index,
            leaves=proof.leaves,
            hashes=proof.hashes,
        )


class Proofs:
    """Makes proofs. Whoever calls sees to it that one query at a time does: a round costs two
    hashes an order."""

    def __init__(self, state: MarketState) -> None:
        self._state = state
        self._stood: LRUCache[_Key, _Stood | None] = LRUCache(TREES_MAX)

    async def of(self, connection: AsyncConnection, query: Query) -> tuple[OrderProof, ...]:
        """Return the proofs of the sender's own orders among those that a query names."""
        rows = await store.read_orders(connection, list(query.ids[:PROOFS_MAX]))
        whose = (query.sender, self._state.shard)
        found = []
        for row in rows:
            if (row["buyer"], row["shard"]) == whose:
                proof = await self._proof(connection, row, query)
                found += [proof] if proof is not None else []
        return tuple(found)

    async def _proof(
        self, connection: AsyncConnection, order: dict[str, Any], query: Query
    ) -> OrderProof | None:
        for key in await self._rounds(connection, order, query):
            stood = await self._round(connection, key)
            proof = stood.proof(order["id"]) if stood is not None else None
            if proof is not None:
                return proof
        return None

    async def _rounds(
        self, connection: AsyncConnection, order: dict[str, Any], query: Query
    ) -> Iterable[_Key]:
        """Return the rounds to look into, the likeliest first."""
        shard = self._state.shard
        if query.round is not None:
            return [(query.round.epoch, query.round.number)] if query.round.shard == shard else []
        rows = await store.awards_of(connection, [order["id"]])
        awarded = await asyncio.to_thread(self._last_awarded, rows)
        if order["state"] == OrderState.FILLED and awarded is not None:
            return [awarded]
        latest = await records.rounds_between(
            connection, shard, 0, order["expires_us"], ROUNDS_TRIED_MAX
        )
        later = [key for key in latest if awarded is None or key > awarded]
        return later if awarded is None else [*later, awarded]

    def _last_awarded(self, rows: list[dict[str, Any]]) -> _Key | None:
        """Return the last round in which any of these awards was made."""
        numbers = [self._state.award_of(row).round for row in rows]
        return max(((each.epoch, each.number) for each in numbers), default=None)

    async def _round(self, connection: AsyncConnection, key: _Key) -> _Stood | None:
        """Return how orders stood in a round; None if not enough is kept, or rules have changed."""
        if key in self._stood:
            return self._stood[key]
        row = await records.read_round(connection, self._state.shard, *key, with_inputs=True)
        if row is None or row["record"] is None or row["inputs"] is None:
            return None
        kept = await read_inputs(connection, self._state.identity.key, row)
        stood = await asyncio.to_thread(_stand, row, kept)
        self._stood[key] = stood
        return stood


def _stand(row: dict[str, Any], kept: KeptInputs) -> _Stood | None:
    record = decode(decompress(row["record"]))
    if record.round.rule_version != RULE_VERSION:
        return None
    try:
        snapshot = kept.snapshot()
    except (InvalidValue, MessageRefused):
        return None
    orders, segment = snapshot.orders, compile_round(snapshot).order_segment
    tree = tree_of_orders(orders, segment)
    if tree.head != record.orders:
        return None  # what is kept is not what was published: nothing can be shown from it
    ids = [entry.id for entry in orders.entries]
    return _Stood(row["head"], ids, orders.totals(orders.lots), segment, tree)
