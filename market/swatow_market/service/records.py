"""Queries on what rounds left behind: their records and inputs, and the offers of those."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.offers import BookOffer
from swatow_market.ledger.database import insert_new, select_by_ids
from swatow_market.ledger.schema import messages, models, offers, rounds
from swatow_protocol import limits

_LONG = (rounds.c.record, rounds.c.inputs)
_SHORT = [column for column in rounds.c if column not in set(_LONG)]


async def forget_records(
    connection: AsyncConnection, shard: str, before_us: int
) -> list[tuple[int, int]]:
    """Drop records and inputs of a shard's rounds that closed before; what they traded stays.

    Offers go too that have been over for so long that no round that is kept had them.

    Returns:
        (epoch, number) of the rounds.
    """
    old = (rounds.c.closed_us < before_us) & rounds.c.record.is_not(None)
    old &= rounds.c.shard == shard
    found = await connection.execute(select(rounds.c.epoch, rounds.c.number).where(old))
    gone = [(epoch, number) for epoch, number in found]
    if gone:
        await connection.execute(update(rounds).where(old).values(record=None, inputs=None))
        over = offers.c.expires_us < before_us - limits.OFFER_LIFE_US
        await connection.execute(delete(offers).where(over))
    return gone


async def latest_rounds(connection: AsyncConnection, most: int) -> list[dict[str, Any]]:
    """Return the rounds that traded last, latest first, without their records."""
    query = (
        select(*_SHORT, rounds.c.record.is_not(None).label("has_record"))
        .where(rounds.c.head.is_not(None))
        .order_by(rounds.c.closed_us.desc(), rounds.c.number.desc())
        .limit(most)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def read_round(
    connection: AsyncConnection,
    shard: str,
    epoch: int | None,
    number: int,
    *,
    with_inputs: bool = False,
) -> dict[str, Any] | None:
    """Return a round of an epoch, or of the latest epoch that has had one of this number."""
    columns = [*_SHORT, rounds.c.record, *([rounds.c.inputs] if with_inputs else [])]
    query = select(*columns).where(rounds.c.shard == shard, rounds.c.number == number)
    if epoch is not None:
        query = query.where(rounds.c.epoch == epoch)
    found = await connection.execute(query.order_by(rounds.c.epoch.desc()).limit(1))
    row = found.mappings().first()
    return dict(row) if row else None


async def kept_rounds(
    connection: AsyncConnection, shard: str, after: tuple[int, int], most: int
) -> list[tuple[int, int]]:
    """Return (epoch, number) of rounds of a shard whose records are kept, after one, in order."""
    key = tuple_(rounds.c.epoch, rounds.c.number)
    query = (
        select(rounds.c.epoch, rounds.c.number)
        .where(rounds.c.shard == shard, rounds.c.record.is_not(None), key > after)
        .order_by(rounds.c.epoch, rounds.c.number)
        .limit(most)
    )
    return [(epoch, number) for epoch, number in await connection.execute(query)]


async def rounds_between(
    connection: AsyncConnection, shard: str, first_us: int, last_us: int, most: int
) -> list[tuple[int, int]]:
    """Return (epoch, number) of rounds whose inputs are kept, latest first; both times count."""
    query = (
        select(rounds.c.epoch, rounds.c.number)
        .where(rounds.c.shard == shard, rounds.c.record.is_not(None))
        .where(rounds.c.inputs.is_not(None), rounds.c.closed_us.between(first_us, last_us))
        .order_by(rounds.c.closed_us.desc(), rounds.c.epoch.desc(), rounds.c.number.desc())
        .limit(most)
    )
    return [(epoch, number) for epoch, number in await connection.execute(query)]


async def add_offers(connection: AsyncConnection, entries: Iterable[BookOffer]) -> None:
    """Keep the envelopes of offers, once each."""
    rows = [
        {"id": entry.id, "expires_us": entry.offer.expires_us, "envelope": entry.envelope}
        for entry in entries
    ]
    await insert_new(connection, offers, rows)


async def read_offers(connection: AsyncConnection, ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return id -> envelope of those of these offers that are kept."""
    found = await select_by_ids(connection, select(offers), offers.c.id, list(ids))
    return {row["id"]: row["envelope"] for row in found}


async def read_models(connection: AsyncConnection) -> list[bytes]:
    """Return the envelopes of all models."""
    return list((await connection.execute(select(models.c.envelope))).scalars())


async def read_message(connection: AsyncConnection, message_id: bytes) -> bytes | None:
    """Return the envelope of a message that is kept as evidence."""
    query = select(messages.c.envelope).where(messages.c.id == message_id)
    return (await connection.execute(query)).scalar()
