"""Intake: offers into the book, orders into database and book with their money held."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.admission import (
    ACCEPTED,
    entries_of,
    ignored,
    judge_offer,
    judge_terms,
    rejected,
)
from swatow_market.exchange.batch import entries_of_batch
from swatow_market.exchange.book import ROWS_MAX
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_market.ledger import accounts
from swatow_market.service import store
from swatow_market.service.immediate import Immediate
from swatow_market.service.orders import (
    admitted_event,
    end_orders,
    forget_orders,
    insufficient,
    messages_of,
    order_events,
)
from swatow_market.service.state import MarketState, NotLeading
from swatow_protocol.envelope import Signed, check_time, peek_kind, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Offer, Order, OrderBatch, OrderCancel
from swatow_protocol.messages.answers import (
    AdmissionReason,
    Decision,
    OrderEvent,
    OrderEvents,
    OrderState,
    Verdict,
)


class Intake:
    """Takes in what nodes and buyers send. Safe to call from many tasks."""

    def __init__(self, state: MarketState) -> None:
        self._state = state
        self._immediate = Immediate(state)

    def submit_offer(self, envelope: bytes, sender: bytes | None = None) -> Verdict:
        """Take an offer into the book, or say why not; `sender` is who alone may have signed it."""
        state = self._state
        now_us = state.now_us()
        try:
            signed = verify(envelope, Offer, network=state.network, now_us=now_us, sender=sender)
        except MessageRefused as refusal:
            return rejected(AdmissionReason.REFUSED_MESSAGE, str(refusal))
        state.book.drop_expired_offers(now_us)
        verdict = judge_offer(signed, state.rules, state.book, now_us)
        if verdict.decision is Decision.ACCEPT:
            state.book.put_offer(BookOffer(signed.id, signed.message, envelope))
        return verdict

    async def place_orders(self, envelope: bytes) -> AsyncIterator[OrderEvents]:
        """Take in an order or a batch; tell what becomes of it until all of it has ended.

        All orders of a batch are taken in, or none is. The subscription exists before the orders
        do, so no news is missed.

        Raises:
            MessageRefused: the envelope is neither an order nor a batch, or fails a check.
        """
        signed, entries, verdict = await self._read(envelope)
        if verdict.decision is Decision.ACCEPT and entries[0].terms.immediate:
            bought = await self._state.database.finish(self._immediate.buy(signed, entries[0]))
            if bought is not None:
                for message in messages_of([bought]):
                    yield message
                return
            verdict = ignored(AdmissionReason.KNOWN)
        lots = {entry.id: entry.lots for entry in entries}
        ids = list(lots) or [signed.id]
        subscription = self._state.feed.subscribe(ids)
        try:
            if verdict.decision is Decision.ACCEPT:
                verdict = await self._state.database.finish(self._take_in(signed, entries))
            taken = verdict.decision is not Decision.REJECT
            first = [admitted_event(order, verdict, lots.get(order, 0)) for order in ids]
            known = verdict.reason is AdmissionReason.KNOWN
            if known:  # sent before: tell where the orders stand by now
                first = await self._state.database.finish(self._where_they_stand(ids, verdict))
                subscription.forget(
                    event.order for event in first if event.state is not OrderState.OPEN
                )
            for message in messages_of(first):
                yield message
            if taken:
                async for events in subscription.news():
                    for message in messages_of(events):
                        yield message
        finally:
            subscription.close()

    async def cancel_orders(self, envelope: bytes) -> Verdict:
        """Take open orders of the sender out of the book and release what is held for them."""
        state = self._state
        now_us = state.now_us()
        try:
            signed = verify(envelope, OrderCancel, network=state.network, now_us=now_us)
        except MessageRefused as refusal:
            return rejected(AdmissionReason.REFUSED_MESSAGE, str(refusal))
        try:
            async with state.round_lock:
                return await self._cancel(signed, now_us)
        except NotLeading as error:
            return rejected(AdmissionReason.NOT_LEADING, str(error))

    async def _cancel(self, signed: Signed[OrderCancel], now_us: int) -> Verdict:
        state, cancel = self._state, signed.message
        whose = (cancel.sender, state.shard)  # another shard's book would not know
        async with state.leading() as connection:
            rows = await store.read_orders(connection, list(cancel.orders))
            owned = [row for row in rows if (row["buyer"], row["shard"]) == whose]
            if len(owned) != len(set(cancel.orders)):
                return rejected(AdmissionReason.NOT_YOURS)
            await store.add_message(connection, signed.id, cancel.kind, signed.envelope, now_us)
            ended = await end_orders(connection, owned, OrderState.CANCELLED)
        forget_orders(state, ended)
        return ACCEPTED

    async def _read(self, envelope: bytes) -> tuple[Signed[Any], list[BookOrder], Verdict]:
        """Return the verified message and its orders; no orders where the verdict is a no.

        A message that was taken in before may be sent again at any age, to ask how it stands.
        """
        network, now_us = self._state.network, self._state.now_us()
        signed: Signed[Any]
        if peek_kind(envelope) is OrderBatch:
            batch = verify(envelope, OrderBatch, network=network, now_us=None)
            signed, all_terms, expand = batch, batch.message.terms, partial(entries_of_batch, batch)
        else:
            order = verify(envelope, Order, network=network, now_us=None)
            signed, all_terms, expand = order, (order.message.terms,), partial(entries_of, order)
        if await self._state.database.finish(self._is_known(signed.id)):
            return signed, expand(), ignored(AdmissionReason.KNOWN)
        check_time(signed.message, now_us)
        rules, in_batch = self._state.rules, signed.message.kind == "order_batch"
        for terms in all_terms:
            verdict = judge_terms(terms, signed.message.sender, rules, now_us, in_batch=in_batch)
            if verdict.decision is not Decision.ACCEPT:
                return signed, [], verdict
        try:
            return signed, expand(), ACCEPTED
        except ValueError as error:
            return signed, [], rejected(AdmissionReason.BAD_COLUMNS, str(error))

    async def _take_in(self, signed: Signed[Any], entries: list[BookOrder]) -> Verdict:
        """Write orders, with their money held, and only then let rounds have them."""
        state = self._state
        with ExitStack() as undo:  # what is not written in the end is expected no more
            try:
                async with state.leading() as connection:
                    verdict = await self._write(connection, signed, entries, undo)
                    if verdict.decision is not Decision.ACCEPT:
                        await connection.rollback()
            except NotLeading as error:
                return rejected(AdmissionReason.NOT_LEADING, str(error))
            if verdict.decision is Decision.ACCEPT:
                undo.pop_all()
                state.book.put_expected(entries)
        return verdict

    async def _write(
        self,
        connection: AsyncConnection,
        signed: Signed[Any],
        entries: list[BookOrder],
        undo: ExitStack,
    ) -> Verdict:
        state, message = self._state, signed.message
        if not await store.add_message(
            connection, signed.id, message.kind, signed.envelope, state.now_us()
        ):
            return ignored(AdmissionReason.KNOWN)
        most = state.terms.message.orders_open_max
        rows = sum(entry.rows for entry in entries)
        if state.book.rows_of(message.sender) + rows > most:
            return rejected(AdmissionReason.TOO_MANY, f"{most} open orders")
        if state.book.rows_count() + rows > ROWS_MAX:
            return rejected(AdmissionReason.TOO_MANY, f"{ROWS_MAX} open orders of all buyers")
        state.book.expect_orders(entries)
        undo.callback(self._give_up, entries)
        amounts = {entry.id: entry.worth for entry in entries}
        account = accounts.buyer_account(message.sender)
        if not await accounts.hold(connection, account, amounts):
            return await insufficient(connection, account, sum(amounts.values()), state.currency)
        await store.add_orders(connection, state.shard, signed.id, entries)
        return ACCEPTED

    def _give_up(self, entries: list[BookOrder]) -> None:
        for entry in entries:
            self._state.book.drop_order(entry.id)

    async def _is_known(self, message: bytes) -> bool:
        async with self._state.database.reading() as connection:
            return await store.has_message(connection, message)

    async def _where_they_stand(self, ids: list[bytes], verdict: Verdict) -> list[OrderEvent]:
        async with self._state.database.reading() as connection:
            return await order_events(connection, ids, verdict)
