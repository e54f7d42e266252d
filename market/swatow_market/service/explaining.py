"""Answers to the question what keeps an order from being filled."""

import asyncio
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.explain import explain
from swatow_market.exchange.orders import BookOrder
from swatow_market.service import store
from swatow_market.service.state import MarketState
from swatow_protocol.envelope import verify
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages import Order, Query
from swatow_protocol.messages.answers import Explanation, OrderState
from swatow_protocol.periods import later_starts


async def explained(connection: AsyncConnection, state: MarketState, query: Query) -> Explanation:
    """Explain the order that a query carries, whether the market has taken it in or not.

    What is open of an order that it knows is what the database says; else all of it. The offers
    are those that are live now.

    Raises:
        MessageRefused: there is no order in the query, or it is not the sender's.
    """
    if query.order is None:
        raise MessageRefused(Refusal.MALFORMED, "order: which one is to be explained?")
    signed = verify(query.order, Order, network=state.network, now_us=None, sender=query.sender)
    order = signed.message
    known = await store.read_orders(connection, [signed.id])
    now_us = state.now_us()
    state.book.drop_expired_offers(now_us)
    snapshot = state.book.supply(
        models=state.rules.models,
        network_map=state.network_map,
        lots_out=await store.lots_out(connection, now_us),
        lots_promised=await store.lots_promised(connection, now_us),
        periods=later_starts(now_us, state.terms.message.period_us),
    )
    entry = BookOrder(signed.id, order.sender, order.terms, order.lots)
    where = None
    for row in known:
        entry, where = replace(entry, lots=row["lots_open"]), OrderState(row["state"])
    return await asyncio.to_thread(explain, entry, where, snapshot, state.node_prices)
