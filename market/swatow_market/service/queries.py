"""Answers to signed queries: each asker is told of what is its own, and of nothing else."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger import accounts
from swatow_market.service import store
from swatow_market.service.orders import order_events
from swatow_market.service.prices import posted_prices
from swatow_market.service.state import MarketState
from swatow_protocol.envelope import verify
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages import Query, Subject
from swatow_protocol.messages.answers import (
    STANDBY_MAX,
    AccountStatement,
    AwardStatement,
    OrderEvent,
    PostedPrice,
    QueryAnswer,
    Standby,
)
from swatow_protocol.units import cost_nanos


async def answer(state: MarketState, envelope: bytes) -> QueryAnswer:
    """Answer a query.

    Raises:
        MessageRefused: the envelope fails a check, or asks another market.
    """
    query = verify(envelope, Query, network=state.network, now_us=state.now_us()).message
    if query.market != state.identity.key:
        raise MessageRefused(Refusal.WRONG_NETWORK, "the query is for another market")
    statements: tuple[AccountStatement, ...] = ()
    orders: tuple[OrderEvent, ...] = ()
    awards: tuple[AwardStatement, ...] = ()
    standby: tuple[Standby, ...] = ()
    prices: tuple[PostedPrice, ...] = ()
    async with state.database.reading() as connection:
        if query.subject is Subject.ACCOUNT:
            statements = await _accounts(connection, query.sender)
        elif query.subject is Subject.ORDERS:
            orders = await _orders(connection, query)
        elif query.subject is Subject.AWARDS:
            awards = await _awards(connection, state, query)
        elif query.subject is Subject.PRICES:
            prices = await posted_prices(connection, state, query.ids)
        else:
            standby = await _standby(connection, query)
        number = await store.last_round(connection, state.shard)
    return QueryAnswer(
        accounts=statements,
        orders=orders,
        awards=awards,
        standby=standby,
        prices=prices,
        round=number,
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
