"""Rounds: at a fixed interval, clear the book and write the outcome in one transaction.

A round that has no open orders leaves no trace but expiries. Each transaction is fenced by the
leader's epoch: if another process has taken the lead, nothing of the round is written and this
process stops leading.
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.book import BookOffer, BookOrder, Snapshot
from swatow_market.exchange.certificate.publish import publish_round
from swatow_market.exchange.certificate.record import Round, encode, id_of
from swatow_market.exchange.choice import by_price, choose_orders
from swatow_market.exchange.clearing import Fill, Outcome, clear, prepare
from swatow_market.exchange.eligibility import agreed_payment
from swatow_market.ledger import accounts
from swatow_market.ledger.rules import award_hold, order_hold
from swatow_market.published import compress
from swatow_market.service import store
from swatow_market.service.orders import end_orders, forget_orders, round_event
from swatow_market.service.state import MarketState
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.messages import Award, RoundHead, RoundNumber
from swatow_protocol.messages.answers import Granted, OrderEvent, OrderState
from swatow_protocol.units import MICROS_PER_SECOND

ROUND_ORDERS_MAX = 4_000
"""Orders in one round; those that pay least wait. Bounds the time that writing its awards takes."""
ROUND_REACH_MAX = 16_000
"""Orders among which those of a round are chosen, where more are open; those that pay most."""
SALT_BYTES = 32
RULE_VERSION = 1
"""Of what is published: the mechanism by which rounds are cleared."""

log = structlog.get_logger("swatow.rounds")


def _decide(snapshot: Snapshot, orders_max: int) -> tuple[Snapshot, Outcome]:
    """Choose the orders of the round and clear it; pure, and slow enough for another thread."""
    chosen = replace(snapshot, orders=choose_orders(snapshot, orders_max))
    return chosen, clear(chosen)


@dataclass(frozen=True, slots=True)
class _Grant:
    """An award, for what, and from whom."""

    order: BookOrder
    entry: BookOffer
    award: Signed[Award]

    @property
    def told(self) -> Granted:
        """What the buyer is told."""
        return Granted(award=self.award.envelope, offer=self.entry.envelope)

    @property
    def turn(self) -> accounts.Turn:
        """Part of what is held for the order becomes what is held for the award."""
        award = self.award.message
        released = order_hold(award.lots, self.order.limit_price)
        return accounts.Turn(self.order.id, released, self.award.id, award_hold(award))

    @property
    def row(self) -> dict[str, Any]:
        """What the database keeps."""
        award = self.award.message
        return {
            "id": self.award.id,
            "order_id": self.order.id,
            "buyer": award.buyer,
            "node": award.node,
            "model": award.model,
            "lots": award.lots,
            "expires_us": award.expires_us,
            "settle_by_us": award.settle_by_us,
            "envelope": self.award.envelope,
            "offer_envelope": self.entry.envelope,
            "standard_tokens": 0,
            "voucher": None,
            "closed": False,
        }


class Rounds:
    """The round loop of a shard."""

    def __init__(self, state: MarketState) -> None:
        self._state = state

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
        snapshot = state.book.snapshot(
            models=state.rules.models,
            network_map=state.network_map,
            salt=state.random_bytes(SALT_BYTES),
            lots_out=lots_out,
            orders=self._orders_in_reach(),
        )
        snapshot, outcome = await asyncio.to_thread(_decide, snapshot, ROUND_ORDERS_MAX)
        async with state.database.writing() as connection:
            number = await store.begin_round(connection, state.shard, state.epoch)
            if number is None:
                raise state.not_leading()
            events = await self._write(connection, snapshot, outcome, number, now_us)
        state.book.carry_over({event.order: event.lots_open for event in events})
        state.feed.publish(events)
        lots = sum(fill.lots for fill in outcome.fills)
        tell = log.info if lots else log.debug
        tell("round", number=number, orders=len(snapshot.orders), lots=lots)

    def _orders_in_reach(self) -> list[BookOrder]:
        """Return the open orders among which the round chooses."""
        waiting = self._state.book.orders()
        if len(waiting) > ROUND_REACH_MAX:
            waiting.sort(key=by_price)
        return waiting[:ROUND_REACH_MAX]

    async def _write(
        self,
        connection: AsyncConnection,
        snapshot: Snapshot,
        outcome: Outcome,
        number: int,
        now_us: int,
    ) -> list[OrderEvent]:
        """Write the round: its record, awards with their holds, and what is left of orders."""
        state = self._state
        row = {
            "shard": state.shard,
            "epoch": state.epoch,
            "number": number,
            "closed_us": now_us,
            "salt": snapshot.salt,
            "orders": len(snapshot.orders),
            "lots": sum(fill.lots for fill in outcome.fills),
            "welfare": outcome.welfare,
            **await asyncio.to_thread(self._published, snapshot, outcome, number, now_us),
        }
        await store.add_round(connection, row)
        await store.forget_records(connection, now_us - state.records_us)
        grants = await asyncio.to_thread(self._grants, snapshot, outcome, number, now_us)
        await accounts.turn_over(connection, [grant.turn for grant in grants])
        await store.add_awards(connection, [grant.row for grant in grants])
        granted: dict[bytes, list[Granted]] = {}
        filled = Counter[bytes]()
        for grant in grants:
            granted.setdefault(grant.order.id, []).append(grant.told)
            filled[grant.order.id] += grant.award.message.lots
        events = [
            round_event(
                order.id,
                tuple(granted.get(order.id, ())),
                order.lots - filled[order.id],
                outcome.unmet.get(order.id, ()),
            )
            for order in snapshot.orders
        ]
        news = zip(snapshot.orders, events, strict=True)
        changed = (event for order, event in news if event.granted or not order.carried)
        await store.update_orders(connection, changed)
        return events

    def _published(
        self, snapshot: Snapshot, outcome: Outcome, number: int, now_us: int
    ) -> dict[str, bytes | None]:
        """Return the record of a round that traded and the signed word on it."""
        if not outcome.fills:
            return {"head": None, "record": None}
        state = self._state
        of = Round(
            network=state.network,
            shard=state.shard,
            epoch=state.epoch,
            number=number,
            rule_version=RULE_VERSION,
            salt=snapshot.salt,
        )
        record = encode(publish_round(of, snapshot, outcome))
        head = RoundHead(
            network=state.network,
            sender=state.identity.key,
            issued_us=now_us,
            round=RoundNumber(shard=state.shard, epoch=state.epoch, number=number),
            record=id_of(record),
        )
        return {"head": sign(head, state.identity).envelope, "record": compress(record)}

    def _grants(
        self, snapshot: Snapshot, outcome: Outcome, number: int, now_us: int
    ) -> list["_Grant"]:
        """Sign an award for each fill; slow enough for another thread."""
        orders = {order.id: order for order in snapshot.orders}
        offers = {entry.id: entry for entry in snapshot.offers}
        grants = []
        for fill in outcome.fills:
            order, entry = orders[fill.order], offers[fill.offer]
            award = self._award(order, entry, fill, number, now_us)
            grants.append(_Grant(order, entry, award))
        return grants

    def _award(
        self, order: BookOrder, entry: BookOffer, fill: Fill, number: int, now_us: int
    ) -> Signed[Award]:
        state, offer, terms = self._state, entry.offer, order.terms
        payment = agreed_payment(offer.payment, terms.payment)
        assert payment is not None, "an eligible offer agrees on payment"
        expires_us = now_us + terms.award_life_us
        award = Award(
            network=state.network,
            sender=state.identity.key,
            issued_us=now_us,
            order=order.id,
            offer=entry.id,
            model=offer.model,
            buyer=order.buyer,
            node=offer.sender,
            round=RoundNumber(shard=state.shard, epoch=state.epoch, number=number),
            currency=state.currency,
            lots=fill.lots,
            price=fill.price,
            node_price=fill.node_price,
            path_charge=fill.path_charge,
            fee_ppm=state.terms.message.fee_ppm,
            rate=terms.rate,
            zone=offer.zone,
            expires_us=expires_us,
            settle_by_us=expires_us + state.terms.message.dispute_us,
            take_or_pay_ppm=terms.take_or_pay_ppm,
            payment=payment,
            package=terms.package,
            certificate_sha256=offer.certificate_sha256,
            sealing_key=offer.sealing_key,
        )
        return sign(award, state.identity)
