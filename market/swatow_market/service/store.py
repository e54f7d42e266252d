"""Queries on orders, awards and rounds. Money is moved by ledger.accounts alone."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.orders import BookOrder, Curve
from swatow_market.ledger.database import insert_new, select_by_ids
from swatow_market.ledger.schema import awards, leaders, messages, orders, rounds
from swatow_protocol import codec
from swatow_protocol.messages import OrderTerms
from swatow_protocol.messages.answers import OrderEvent, OrderState
from swatow_protocol.units import STANDARD_TOKENS_PER_LOT


async def take_lead(connection: AsyncConnection, shard: str) -> int:
    """Become the leader of a shard; return the new epoch. Whoever led before can write no more."""
    await insert_new(connection, leaders, [{"shard": shard, "epoch": 0, "number": 0}])
    epoch = leaders.c.epoch + 1
    where = leaders.c.shard == shard
    await connection.execute(update(leaders).where(where).values(epoch=epoch, number=0))
    return int((await connection.execute(select(leaders.c.epoch).where(where))).scalar_one())


async def begin_round(connection: AsyncConnection, shard: str, epoch: int) -> int | None:
    """Take the next round number of this epoch; None if another leads by now."""
    where = (leaders.c.shard == shard) & (leaders.c.epoch == epoch)
    changed = await connection.execute(
        update(leaders).where(where).values(number=leaders.c.number + 1)
    )
    if not changed.rowcount:
        return None
    return int((await connection.execute(select(leaders.c.number).where(where))).scalar_one())


async def leads(connection: AsyncConnection, shard: str, epoch: int) -> bool:
    """Tell whether this epoch is the shard's. In a transaction that writes, it stays so."""
    query = select(leaders.c.epoch).where(leaders.c.shard == shard).with_for_update(read=True)
    return (await connection.execute(query)).scalar() == epoch


async def last_round(connection: AsyncConnection, shard: str) -> int:
    """Return the number of the last round of the current epoch."""
    query = select(leaders.c.number).where(leaders.c.shard == shard)
    return (await connection.execute(query)).scalar() or 0


async def add_round(connection: AsyncConnection, row: dict[str, Any]) -> None:
    """Record a round."""
    await connection.execute(rounds.insert(), row)


async def add_message(
    connection: AsyncConnection, message_id: bytes, kind: str, envelope: bytes, now_us: int
) -> bool:
    """Keep a signed message as evidence; False if it is kept already."""
    row = {"id": message_id, "kind": kind, "received_us": now_us, "envelope": envelope}
    return bool(await insert_new(connection, messages, [row]))


async def has_message(connection: AsyncConnection, message_id: bytes) -> bool:
    """Tell whether a signed message was taken before."""
    query = select(messages.c.id).where(messages.c.id == message_id)
    return (await connection.execute(query)).first() is not None


async def add_orders(
    connection: AsyncConnection, shard: str, message_id: bytes, entries: Iterable[BookOrder]
) -> None:
    """Add the orders that a message asked a shard for."""
    rows = [
        {
            "id": entry.id,
            "message_id": message_id,
            "shard": shard,
            "buyer": entry.buyer,
            "terms": codec.encode(entry.terms),
            "curve": _packed(entry.curve),
            "lots": entry.lots,
            "lots_open": entry.lots,
            "state": OrderState.OPEN.value,
            "expires_us": entry.terms.expires_us,
        }
        for entry in entries
    ]
    await connection.execute(orders.insert(), rows)


async def open_orders(connection: AsyncConnection, shard: str) -> list[BookOrder]:
    """Return every open order of a shard, as the book holds it: all of them have waited."""
    query = select(orders).where(orders.c.state == OrderState.OPEN.value, orders.c.shard == shard)
    return [
        BookOrder(
            id=row["id"],
            buyer=row["buyer"],
            terms=codec.decode(OrderTerms, row["terms"]),
            lots=row["lots_open"],
            carried=True,
            curve=_unpacked(row["curve"]),
        )
        for row in (await connection.execute(query)).mappings()
    ]


async def update_orders(connection: AsyncConnection, events: Iterable[OrderEvent]) -> None:
    """Write where orders stand after a round, an expiry or a cancellation."""
    rows = [
        {"order": event.order, "open": event.lots_open, "now": event.state.value}
        for event in events
        if event.state is not None
    ]
    if rows:
        values: dict[str, Any] = {"lots_open": bindparam("open"), "state": bindparam("now")}
        where = orders.c.id == bindparam("order")
        await connection.execute(update(orders).where(where).values(values), rows)


async def update_curves(connection: AsyncConnection, entries: Iterable[BookOrder]) -> None:
    """Write what is open of the rows of these orders; those without a curve stay as they are."""
    rows = [{"order": entry.id, "rows": _packed(entry.curve)} for entry in entries if entry.curve]
    if rows:
        where = orders.c.id == bindparam("order")
        await connection.execute(update(orders).where(where).values(curve=bindparam("rows")), rows)


async def read_orders(connection: AsyncConnection, ids: list[bytes]) -> list[dict[str, Any]]:
    """Return the rows of these orders."""
    return await select_by_ids(connection, select(orders), orders.c.id, ids)


async def add_awards(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    """Record awards."""
    if rows:
        await connection.execute(awards.insert(), rows)


async def read_award(connection: AsyncConnection, award: bytes) -> dict[str, Any] | None:
    """Return the row of an award."""
    row = (await connection.execute(select(awards).where(awards.c.id == award))).mappings().first()
    return dict(row) if row else None


async def awards_of(connection: AsyncConnection, order_ids: list[bytes]) -> list[dict[str, Any]]:
    """Return the awards of these orders, by id."""
    found = await select_by_ids(connection, select(awards), awards.c.order_id, order_ids)
    return sorted(found, key=lambda row: row["id"])


async def ended_awards(connection: AsyncConnection, now_us: int) -> list[bytes]:
    """Return open awards whose time for vouchers is over."""
    query = select(awards.c.id).where(~awards.c.closed, awards.c.settle_by_us <= now_us)
    return list((await connection.execute(query)).scalars())


async def redeem_award(
    connection: AsyncConnection, award: bytes, standard_tokens: int, voucher: bytes | None
) -> None:
    """Write how much of an award is redeemed, and by which voucher."""
    values = {"standard_tokens": standard_tokens, "voucher": voucher}
    await connection.execute(update(awards).where(awards.c.id == award).values(values))


async def contest_award(connection: AsyncConnection, award: bytes, now_us: int) -> None:
    """Write when the buyer contested an award."""
    values = {"contested_us": now_us}
    await connection.execute(update(awards).where(awards.c.id == award).values(values))


async def standby_awards(
    connection: AsyncConnection, node: bytes, after: bytes, most: int
) -> list[dict[str, Any]]:
    """Return open awards of a node with a take-or-pay share and a larger id than `after`, by id."""
    query = (
        select(awards)
        .where(awards.c.node == node, awards.c.take_or_pay_ppm > 0)
        .where(~awards.c.closed, awards.c.id > after)
        .order_by(awards.c.id)
        .limit(most)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def close_awards(connection: AsyncConnection, ids: list[bytes]) -> None:
    """Mark awards as settled for good."""
    if ids:
        closing = update(awards).where(awards.c.id == bindparam("award")).values(closed=True)
        await connection.execute(closing, [{"award": award} for award in ids])


async def lots_out(
    connection: AsyncConnection, now_us: int, of_models: Iterable[bytes] | None = None
) -> dict[tuple[bytes, bytes], int]:
    """Return (node, model) -> lots of usable awards that are not redeemed yet, rounded up.

    An award whose time has not begun is not usable: `lots_promised` counts it. If models are
    named, only theirs are counted.
    """
    query = (
        select(awards.c.node, awards.c.model, func.sum(_LOTS_LEFT))
        .where(_USABLE, awards.c.from_us <= now_us, awards.c.expires_us > now_us)
        .group_by(awards.c.node, awards.c.model)
    )
    if of_models is not None:
        query = query.where(awards.c.model.in_(list(of_models)))
    return {(node, model): int(lots) for node, model, lots in await connection.execute(query)}


def _packed(curve: Curve | None) -> bytes | None:
    return None if curve is None else np.stack([curve.price, curve.lots]).astype("<i8").tobytes()


def _unpacked(data: bytes | None) -> Curve | None:
    return None if data is None else Curve(*np.frombuffer(data, "<i8").reshape(2, -1))


async def lots_promised(
    connection: AsyncConnection, now_us: int
) -> dict[tuple[bytes, bytes, int], int]:
    """Return (node, model, start) -> lots of open awards whose time begins then, after now."""
    query = (
        select(awards.c.node, awards.c.model, awards.c.from_us, func.sum(_LOTS_LEFT))
        .where(_USABLE, awards.c.from_us > now_us)
        .group_by(awards.c.node, awards.c.model, awards.c.from_us)
    )
    rows = await connection.execute(query)
    return {(node, model, start_us): int(lots) for node, model, start_us, lots in rows}


_LOTS_LEFT = awards.c.lots - awards.c.standard_tokens // STANDARD_TOKENS_PER_LOT
_USABLE = ~awards.c.closed & awards.c.contested_us.is_(None)
