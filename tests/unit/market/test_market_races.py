"""Things that happen at once: what the database has and what the book has never part."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from swatow_market.exchange.admission import ACCEPTED, entries_of
from swatow_market.ledger.database import sqlite_url
from swatow_market.service import store
from swatow_protocol.messages.answers import AdmissionReason, Decision, OrderState
from tests.support.market_ledger import BusyDatabase, LateDatabase
from tests.support.market_world import UNIT, World, open_world, settle_down
from tests.support.samples import BUYER

WAITING_S = 0.5
"""Whoever is not done by then is taken to wait for the one that is late, and may."""


@pytest.fixture
async def late(world: World) -> AsyncIterator[LateDatabase]:
    """Let the market's next commit be answered late."""
    await world.deposit(UNIT)
    late, usual = (
        LateDatabase(sqlite_url(world.home / "market.sqlite")),
        world.market.state.database,
    )
    world.market.state.database = late
    try:
        yield late
    finally:
        world.market.state.database = usual
        await late.close()


async def test_an_order_cancelled_before_its_commit_was_answered_is_not_awarded(
    world: World, late: LateDatabase
) -> None:
    """The buyer makes the id itself, so it can cancel before it has heard of the order."""
    await world.supply((80_000, 60))
    signed = world.order(5, 100_000)
    placing = asyncio.create_task(world.send(signed))
    await late.committed.wait()
    cancelling = asyncio.create_task(world.cancel(signed.id))
    await asyncio.wait({cancelling}, timeout=WAITING_S)
    late.answer.set()
    placed, verdict = await placing, await cancelling
    await world.round()
    assert verdict == ACCEPTED
    assert (await placed.rest())[-1].state is OrderState.CANCELLED
    assert world.rows("SELECT state FROM orders") == [("cancelled",)]
    assert await world.money(BUYER) == (UNIT, 0)


async def test_a_client_that_goes_away_while_its_order_is_written_leaves_no_money_held(
    world: World, late: LateDatabase
) -> None:
    """The order counts or it does not. If it does, it expires at its time like any other."""
    signed = world.order(5, 100_000, life_s=10)
    placing = asyncio.create_task(world.send(signed))
    await late.committed.wait()
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    late.answer.set()
    await settle_down()
    world.clock.advance(10)
    await world.round()
    assert await world.money(BUYER) == (UNIT, 0)


async def test_batches_sent_at_once_do_not_pass_the_bound_on_open_orders(
    empty_home: Path,
) -> None:
    world = await open_world(empty_home, orders_open_max=5)
    try:
        await world.deposit(UNIT)
        sent = [world.send(world.batch([(0, 1, 100)] * 3)) for _ in range(3)]
        placed = await asyncio.gather(*sent)
        reasons = [each.verdict.reason for each in placed]
        assert len(world.market.state.book.orders()) <= 5
        assert sorted(map(str, reasons)) == ["None", "too_many", "too_many"]
    finally:
        await world.close()


async def test_a_repeat_that_fails_takes_nothing_from_the_first(world: World) -> None:
    """Both were on their way at once: the one that the database had no time for gives nothing up
    that the other has placed."""
    await world.deposit(UNIT)
    placed = await world.place(5, 100_000)
    busy = BusyDatabase(sqlite_url(world.home / "market.sqlite"))
    busy.failures = 1
    usual, world.market.state.database = world.market.state.database, busy
    try:
        with pytest.raises(OperationalError):
            await world.market._intake._take_in(placed.signed, entries_of(placed.signed))
    finally:
        world.market.state.database = usual
        await busy.close()
    assert [order.id for order in world.market.state.book.orders()] == [placed.id]


async def test_an_order_that_cannot_be_written_is_expected_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.deposit(UNIT)

    async def fail(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    with monkeypatch.context() as broken:
        broken.setattr(store, "add_orders", fail)
        with pytest.raises(OperationalError):
            await world.place(5, 100_000)
    assert world.market.state.book.rows_of(BUYER.key) == 0
    assert await world.money(BUYER) == (UNIT, 0)


async def test_one_envelope_sent_many_times_at_once_is_placed_once(world: World) -> None:
    await world.deposit(UNIT)
    signed = world.order(5, 100_000)
    placed = await asyncio.gather(*[world.send(signed) for _ in range(6)])
    decisions = sorted(each.verdict.decision for each in placed)
    assert decisions == [Decision.ACCEPT, *[Decision.IGNORE] * 5]
    assert {event.state for each in placed for event in each.events} == {OrderState.OPEN}
    assert await world.money(BUYER) == (UNIT - 500_000, 500_000)


async def test_orders_sent_at_once_never_spend_the_same_money(world: World) -> None:
    """There is money for three of eight."""
    await world.deposit(1_500_000)
    placed = await asyncio.gather(*[world.send(world.order(5, 100_000)) for _ in range(8)])
    reasons = [each.verdict.reason for each in placed]
    assert reasons.count(None) == 3
    assert reasons.count(AdmissionReason.INSUFFICIENT_FUNDS) == 5
    assert await world.money(BUYER) == (0, 1_500_000)


async def test_rounds_orders_cancellations_and_redemptions_at_once_keep_the_books(
    world: World,
) -> None:
    await world.deposit(100 * UNIT)
    award = await world.bought(50, 80_000)
    await world.supply((80_000, 500), (90_000, 500))
    signed = [world.order(3, 100_000) for _ in range(12)]

    async def cancel_soon(order: bytes) -> None:
        await settle_down()
        await world.cancel(order)

    await asyncio.gather(
        *[world.send(each) for each in signed],
        *[cancel_soon(each.id) for each in signed[::3]],
        *[world.round() for _ in range(4)],
        *[world.redeem(award, tokens) for tokens in range(1_000, 9_000, 1_000)],
        world.deposit(UNIT, reference=b"meanwhile"),
    )
    await world.round()
    await world.check_books()
    states = {state for (state,) in world.rows("SELECT state FROM orders")}
    assert states <= {"filled", "cancelled"}
    query = "SELECT COUNT(*) FROM awards JOIN orders ON orders.id = awards.order_id WHERE state = ?"
    assert world.rows(query, "cancelled") == [(0,)]
    assert world.market.state.book.orders_count() == 0
