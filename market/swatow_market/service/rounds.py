"""Rounds: at a fixed interval, clear the book and write the outcome in one transaction.

A round that has no open orders leaves no trace but expiries. Each transaction is fenced by the
leader's epoch: if another process has taken the lead, nothing of the round is written and this
process stops leading.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.choice import decide
from swatow_market.exchange.clearing import Outcome, Unmet, limits_unmet, prepare
from swatow_market.exchange.clearing.warm import Kept
from swatow_market.exchange.orders import BookOrder
from swatow_market.ledger import accounts
from swatow_market.service import store
from swatow_market.service.grants import Grant, make_grants
from swatow_market.service.kept import KeptRounds
from swatow_market.service.orders import end_orders, forget_orders, round_event
from swatow_market.service.publication import Publication, publish
from swatow_market.service.state import MarketState
from swatow_protocol.carriers.topics import head_topic
from swatow_protocol.messages import RoundNumber
from swatow_protocol.messages.answers import Granted, OrderEvent, OrderState
from swatow_protocol.periods import later_starts
from swatow_protocol.units import MICROS_PER_SECOND

ROUND_AWARDS_MAX = 4_000
"""Awards of one round; orders that would make more wait (`choice`). Bounds the time that writing
them takes."""
EXPLAINED_MAX = 64
"""Orders of a round that are told which limits keep every offer away; others may ask."""
SALT_BYTES = 32
ROUND_THREADS_MAX = 8
"""Threads that clear a round, and no more than there are cores."""

log = structlog.get_logger("swatow.rounds")


class Rounds:
    """The round loop of a shard."""

    def __init__(self, state: MarketState) -> None:
        self._state = state
        self._threads = min(os.cpu_count() or 1, ROUND_THREADS_MAX)
        self._last: Kept | None = None  # the solution of the last round
        self.kept = KeptRounds(state)

    async def lead(self) -> None:
        """Take the lead of the shard and fill the book with its open orders."""
        state = self._state
        await asyncio.to_thread(prepare)
        async with state.database.writing() as connection:
            state.epoch = await store.take_lead(connection, state.shard)
            for entry in await store.open_orders(connection, state.shard):
                state.book.put_order(entry)
        log.info("leading", shard=state.shard, epoch=state.epoch)

    async def run(self, stop: asyncio.Event) -> None:
        """Run a round at every interval until `stop` is set; a round under way is finished.

        Raises:
            NotLeading: another process leads this shard by now.
        """
        interval_s = self._state.terms.message.round_us / MICROS_PER_SECOND
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + interval_s, loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await stop.wait()
                return
            try:
                await self._state.database.finish(self.run_once())
            except DBAPIError as error:  # nothing was written: the next round tries again
                log.warning("round_failed", error=str(error.orig))

    async def run_once(self) -> None:
        """Expire what is over, then clear what is open."""
        async with self._state.round_lock:
            await self._expire()
            self._state.posted.move(self._state.book.live)
            if self._state.book.orders_count():
                await self._clear()

    async def _expire(self) -> None:
        state = self._state
        now_us = state.now_us()
        state.book.drop_expired_offers(now_us)
        over = state.book.expired_orders(now_us)
        async with state.database.reading() as connection:
            if not await store.leads(connection, state.shard, state.epoch):
                raise state.not_leading()
            ended = await store.ended_awards(connection, now_us)
        if not over and not ended:
            return
        async with state.leading() as connection:
            rows = await store.read_orders(connection, over)
            events = await end_orders(connection, rows, OrderState.EXPIRED)
            released = await accounts.release_all(connection, ended)
            await store.close_awards(connection, ended)
            for award in ended:
                log.info("award_ended", award=award, released_nanos=released.get(award, 0))
        forget_orders(state, events)

    async def _clear(self) -> None:
        state = self._state
        now_us = state.now_us()
        async with state.database.reading() as connection:
            lots_out = await store.lots_out(connection, now_us)
            lots_promised = await store.lots_promised(connection, now_us)
            number = await store.last_round(connection, state.shard) + 1
        snapshot = state.book.snapshot(
            models=state.rules.models,
            network_map=state.network_map,
            salt=state.random_bytes(SALT_BYTES),
            lots_out=lots_out,
            lots_promised=lots_promised,
            periods=later_starts(now_us, state.terms.message.period_us),
        )
        decision = await asyncio.to_thread(
            decide, snapshot, ROUND_AWARDS_MAX, self._threads, self._last
        )
        self._last = decision.kept
        # Made before the transaction begins: meanwhile others may write.
        made = await asyncio.to_thread(_make, state, decision.outcome, number, now_us)
        async with state.database.writing() as connection:
            if await store.begin_round(connection, state.shard, state.epoch) != number:
                raise state.not_leading()
            events = await self._write(connection, decision.outcome, made)
            forgotten = await self.kept.forget(connection, now_us)
        state.book.settle_round(decision.orders, decision.filled, decision.told)
        state.posted.settle(decision.outcome)
        state.node_prices = decision.outcome.node_prices
        state.feed.publish(events)
        if made.publication is not None:
            topic = head_topic(state.identity.key, state.shard)
            state.carriers.publish(topic, made.publication.head, retained=True)
        lots = sum(fill.lots for fill in decision.outcome.fills)
        tell = log.info if lots else log.debug
        tell("round", number=number, orders=len(decision.outcome.orders), lots=lots)
        await self.kept.written(number, made.publication, snapshot.offers, forgotten)

    async def _write(
        self, connection: AsyncConnection, outcome: Outcome, made: "_Made"
    ) -> list[OrderEvent]:
        """Write the round: its record, awards with their holds, and what is left of orders."""
        await store.add_round(connection, made.row)
        if made.publication is not None:
            await self.kept.keep_offers(connection, outcome.snapshot.offers)
        await accounts.turn_over(connection, [grant.turn for grant in made.grants])
        await store.add_awards(connection, [grant.row for grant in made.grants])
        events = _events(outcome, made.grants)
        await store.update_orders(connection, (event for event in events if event.granted))
        await store.update_curves(connection, _curves_left(outcome))
        return events


@dataclass(frozen=True, slots=True)
class _Made:
    """What is made of an outcome before it is written."""

    publication: Publication | None
    """None of a round that did not trade."""
    row: dict[str, Any]
    """Of the round, as the database keeps it."""
    grants: list[Grant]


def _make(state: MarketState, outcome: Outcome, number: int, now_us: int) -> _Made:
    """Publish a round and sign its awards; slow enough for another thread."""
    snapshot, publication = outcome.snapshot, None
    columns: dict[str, bytes | None] = {"head": None, "record": None, "inputs": None}
    if outcome.fills:
        publication = publish(
            outcome,
            state.identity,
            network=state.network,
            number=RoundNumber(shard=state.shard, epoch=state.epoch, number=number),
            now_us=now_us,
        )
        columns = {**publication.row}
    row = {
        "shard": state.shard,
        "epoch": state.epoch,
        "number": number,
        "closed_us": now_us,
        "salt": snapshot.salt,
        "orders": len(snapshot.orders),
        "lots": sum(fill.lots for fill in outcome.fills),
        "welfare": outcome.welfare,
        **columns,
    }
    orders, offers = snapshot.orders.entries, snapshot.offers
    grants = make_grants(state, outcome.fills, orders, offers, number, now_us)
    return _Made(publication, row, grants)


def _events(outcome: Outcome, grants: list[Grant]) -> list[OrderEvent]:
    """Tell of every order that was filled in part or whole, or for which the reason is news."""
    orders = outcome.orders
    granted: dict[bytes, list[Granted]] = {}
    for grant in grants:
        granted.setdefault(grant.order.id, []).append(grant.told)
    filled = orders.totals(outcome.filled)
    left = orders.totals(orders.lots) - filled
    events, explained = [], 0
    for number in np.flatnonzero((filled > 0) | (outcome.unmet != orders.told)).tolist():
        ineligible = outcome.unmet[number] == Unmet.ELIGIBILITY
        explained += ineligible
        unmet = () if explained > EXPLAINED_MAX and ineligible else limits_unmet(outcome, number)
        order = orders.entries[number].id
        events.append(round_event(order, tuple(granted.get(order, ())), int(left[number]), unmet))
    return events


def _curves_left(outcome: Outcome) -> Iterator[BookOrder]:
    """Yield the orders of several limit prices that were filled, with what is open of them."""
    left = replace(outcome.orders, lots=outcome.orders.lots - outcome.filled)
    for number in np.flatnonzero(left.totals(outcome.filled)).tolist():
        if left.entries[number].curve is not None:
            yield left[number]
