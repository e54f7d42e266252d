"""Answers to signed queries: each asker is told of what is its own, and of nothing else."""

import asyncio
from contextlib import nullcontext
from typing import Any

from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger import accounts
from swatow_market.service import store
from swatow_market.service.explaining import explained
from swatow_market.service.orders import order_events
from swatow_market.service.prices import posted_prices
from swatow_market.service.proofs import Proofs
from swatow_market.service.state import MarketState
from swatow_protocol.envelope import verify
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages import Query, Subject
from swatow_protocol.messages.answers import (
    STANDBY_MAX,
    AccountStatement,
    AwardStatement,
    Explanation,
    OrderEvent,
    OrderProof,
    PostedPrice,
    QueryAnswer,
    Standby,
)
from swatow_protocol.units import cost_nanos


class Queries:
    """Answers queries; those that cost more are answered one at a time."""

    def __init__(self, state: MarketState) -> None:
        self._state = state
        self._proofs = Proofs(state)
        self._slow = asyncio.Lock()  # taken before a connection is, so that none wait with one

    async def answer(self, envelope: bytes) -> QueryAnswer:
        """Answer a query.

        Raises:
            MessageRefused: the envelope fails a check, or asks another market, or what it asks
                about is not the sender's order.
        """
        state = self._state
        query = verify(envelope, Query, network=state.network, now_us=state.now_us()).message
        if query.market != state.identity.key:
            raise MessageRefused(Refusal.WRONG_NETWORK, "the query is for another market")
        slow = query.subject in (Subject.PROOF, Subject.EXPLAIN)
        async with self._slow if slow else nullcontext(), state.database.reading() as connection:
            told = await self._told(connection, query)
            return structs.replace(told, round=await store.last_round(connection, state.shard))

    async def _told(self, connection: AsyncConnection, query: Query) -> QueryAnswer:
        state, subject = self._state, query.subject
        if subject is Subject.ACCOUNT:
            return _answer(accounts=await _accounts(connection, query.sender))
        if subject is Subject.ORDERS:
            return _answer(orders=await _orders(connection, query))
        if subject is Subject.AWARDS:
            return _answer(awards=await _awards(connection, state, query))
        if subject is Subject.PROOF:
            return _answer(proofs=await self._proofs.of(connection, query))
        if subject is Subject.EXPLAIN:
            return _answer(explanation=await explained(connection, state, query))
        if subject is Subject.PRICES:
            return _answer(prices=await posted_prices(connection, state, query.ids))
        return _answer(standby=await _standby(connection, query))


def _answer(
    *,
    accounts: tuple[AccountStatement, ...] = (),
    orders: tuple[OrderEvent, ...] = (),
    awards: tuple[AwardStatement, ...] = (),
    standby: tuple[Standby, ...] = (),
    prices: tuple[PostedPrice, ...] = (),
    proofs: tuple[OrderProof, ...] = (),
    explanation: Explanation | None = None,
) -> QueryAnswer:
    return QueryAnswer(
        accounts=accounts,
        orders=orders,
        awards=awards,
        standby=standby,
        prices=prices,
        round=0,
        proofs=proofs,
        explanation=explanation,
    )


def statement(account: dict[str, Any]) -> AccountStatement:
    """Return an account as its owner is told of it."""
    return AccountStatement(
        owner=account["owner"],
        kind=account["kind"],
        currency=account["currency"],
        balance=accounts.balance(account) - account["held"],
        held=account["held"],
        paid_in=account["credits"],
        paid_out=account["debits"],
    )


async def _accounts(connection: AsyncConnection, owner: bytes) -> tuple[AccountStatement, ...]:
    ids = [accounts.buyer_account(owner), accounts.node_account(owner)]
    return tuple(statement(dict(row)) for row in await accounts.read_accounts(connection, ids))


async def _orders(connection: AsyncConnection, query: Query) -> tuple[OrderEvent, ...]:
    rows = await store.read_orders(connection, list(query.ids))
    own = [row["id"] for row in rows if row["buyer"] == query.sender]
    return tuple(await order_events(connection, own, None))


async def _awards(
    connection: AsyncConnection, state: MarketState, query: Query
) -> tuple[AwardStatement, ...]:
    found = []
    for award in query.ids:
        row = await store.read_award(connection, award)
        if row is None or query.sender not in (row["buyer"], row["node"]):
            continue
        hold = await accounts.read_hold(connection, award)
        used = cost_nanos(row["standard_tokens"], state.award_of(row).price)
        found.append(
            AwardStatement(
                award=award,
                lots=row["lots"],
                held=hold.amount,
                paid=hold.paid,
                released=hold.released,
                standard_tokens=row["standard_tokens"],
                closed=row["closed"],
                from_us=row["from_us"],
                expires_us=row["expires_us"],
                settle_by_us=row["settle_by_us"],
                paid_unused=hold.paid - used,
                contested_us=row["contested_us"],
            )
        )
    return tuple(found)


async def _standby(connection: AsyncConnection, query: Query) -> tuple[Standby, ...]:
    after = query.ids[-1] if query.ids else b""
    rows = await store.standby_awards(connection, query.sender, after, STANDBY_MAX)
    return tuple(
        Standby(award=row["envelope"], contested=row["contested_us"] is not None) for row in rows
    )
