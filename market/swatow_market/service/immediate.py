"""Immediate orders: decided at once, at the posted prices, by one transaction; none waits.

**No lot is sold twice.** An immediate order is decided and written under the lock that a round
holds from its snapshot to the end of its transaction, and reads which lots are out in the
transaction that writes its awards. So whoever comes second, another immediate order or a round,
reads the awards of whoever came first; nothing about sold lots is kept anywhere but in the
database. The price is that an order that comes while a round is under way waits for its end. Orders
for the book are taken in meanwhile: they sell nothing.
"""

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.admission import ACCEPTED, rejected
from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing import Unmet
from swatow_market.exchange.clearing.reasons import nearest_limits
from swatow_market.exchange.orders import BookOrder, OrderColumns
from swatow_market.exchange.posted import Purchase, Shelf, buy
from swatow_market.ledger import accounts
from swatow_market.service import store
from swatow_market.service.grants import make_grants
from swatow_market.service.orders import admitted_event, insufficient
from swatow_market.service.state import MarketState, NotLeading
from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Order
from swatow_protocol.messages.answers import (
    AdmissionReason,
    LimitName,
    OrderEvent,
    OrderState,
    Verdict,
)
from swatow_protocol.units import format_price

WAITING_MAX = 64
"""Immediate orders that are being decided or wait for it. One more is TOO_MANY: the next round
waits behind all of them."""


class Immediate:
    """Decides about immediate orders. Safe to call from many tasks."""

    def __init__(self, state: MarketState) -> None:
        self._state = state
        self._waiting = 0
        self._shelf = Shelf((), state.rules.models, state.network_map)

    async def buy(self, signed: Signed[Order], entry: BookOrder) -> OrderEvent | None:
        """Buy what an order asks for, as far as there is any at its price; return its only news.

        An order that can have nothing, or not all where it must be all, leaves no trace. What it
        could not have in part is over with it. None if the message was taken in before.
        """
        if self._waiting >= WAITING_MAX:
            reason = rejected(AdmissionReason.TOO_MANY, f"{WAITING_MAX} immediate orders wait")
            return admitted_event(entry.id, reason, 0)
        self._waiting += 1
        try:
            async with self._state.round_lock:  # see above: what this lock is for
                return await self._buy(signed, entry)
        except NotLeading as error:
            verdict = rejected(AdmissionReason.NOT_LEADING, str(error))
            return admitted_event(entry.id, verdict, 0)
        finally:
            self._waiting -= 1

    async def _buy(self, signed: Signed[Order], entry: BookOrder) -> OrderEvent | None:
        state, message, now_us = self._state, signed.message, self._state.now_us()
        if entry.terms.expires_us <= now_us:  # while it waited
            return _refused(entry, AdmissionReason.REFUSED_MESSAGE, "expires_us is past")
        async with state.leading() as connection:
            if not await store.add_message(
                connection, signed.id, message.kind, signed.envelope, now_us
            ):
                return None
            purchase = await self._choose(connection, entry, now_us)
            told = await self._write(connection, signed, entry, purchase, now_us)
            if told is None or told.state is None:
                await connection.rollback()
        if told is None:
            told = self._nothing(entry, purchase)
        elif told.state is None:
            return told  # the buyer has no money: nobody asked
        state.posted.note(purchase)
        return told

    async def _choose(self, connection: AsyncConnection, entry: BookOrder, now_us: int) -> Purchase:
        state = self._state
        state.book.drop_expired_offers(now_us)
        if self._shelf.offers is not state.book.live:
            self._shelf = Shelf(state.book.live, state.rules.models, state.network_map)
        models = {limit.model for limit in entry.terms.models}
        lots_out = await store.lots_out(connection, now_us, models)
        return buy(entry, self._shelf, lots_out, state.posted)

    async def _write(
        self,
        connection: AsyncConnection,
        signed: Signed[Order],
        entry: BookOrder,
        purchase: Purchase,
        now_us: int,
    ) -> OrderEvent | None:
        """Write order, hold and awards; the order is over by then, and what it did not need free
        again. None if there is nothing to award; an event without a state is a refusal."""
        state, fills = self._state, purchase.fills
        if not fills:
            return None
        account = accounts.buyer_account(entry.buyer)
        if not await accounts.hold(connection, account, {entry.id: entry.worth}):
            verdict = await insufficient(connection, account, entry.worth, state.currency)
            return admitted_event(entry.id, verdict, 0)
        await store.add_orders(connection, state.shard, signed.id, [entry])
        number = await store.last_round(connection, state.shard)
        grants = await asyncio.to_thread(
            make_grants, state, fills, [entry], self._shelf.offers, number, now_us
        )
        await accounts.turn_over(connection, [grant.turn for grant in grants])
        await store.add_awards(connection, [grant.row for grant in grants])
        left = entry.lots - sum(fill.lots for fill in fills)
        told = OrderEvent(
            order=entry.id,
            verdict=ACCEPTED,
            state=OrderState.EXPIRED if left else OrderState.FILLED,
            granted=tuple(grant.told for grant in grants),
            lots_open=left,
            unmet=_NAMES[purchase.unmet],
        )
        await store.update_orders(connection, [told])
        await accounts.release_all(connection, [entry.id])
        return told

    def _nothing(self, entry: BookOrder, purchase: Purchase) -> OrderEvent:
        """Tell why an order can have nothing at once."""
        state, cheapest = self._state, purchase.cheapest
        detail = "nothing is left" if cheapest is None else _at(cheapest, state.currency)
        unmet = _NAMES.get(purchase.unmet)
        if unmet is None:
            offers = Snapshot(
                offers=self._shelf.offers,
                orders=OrderColumns.of(()),
                models=state.rules.models,
                network_map=state.network_map,
                salt=b"",
            )
            unmet = nearest_limits(entry, offers)
            detail = "no offer meets " + ", ".join(unmet)
        return _refused(entry, AdmissionReason.NOT_AT_ONCE, detail, unmet)


def _refused(
    entry: BookOrder, reason: AdmissionReason, detail: str, unmet: tuple[LimitName, ...] = ()
) -> OrderEvent:
    verdict: Verdict = rejected(reason, detail)
    return OrderEvent(
        order=entry.id, verdict=verdict, state=None, granted=(), lots_open=0, unmet=unmet
    )


def _at(price: int, currency: str) -> str:
    return f"the cheapest lots are posted at {format_price(price)} {currency} a million, delivered"


_NAMES: dict[Unmet, tuple[LimitName, ...]] = {
    Unmet.NOTHING: (),
    Unmet.PRICE: (LimitName.PRICE,),
    Unmet.CAPACITY: (LimitName.CAPACITY,),
}
