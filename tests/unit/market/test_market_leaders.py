"""One leader writes at a time, and whoever leads next goes on where the last one stopped."""

import asyncio
import dataclasses
import gc
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from swatow_market.exchange.admission import ACCEPTED
from swatow_market.ledger.database import sqlite_url
from swatow_protocol.errors import ConfigError, SwatowError
from swatow_protocol.messages.answers import AdmissionReason, OrderState
from tests.support.market_ledger import BusyDatabase, connections_ended
from tests.support.market_world import UNIT, World, open_world
from tests.support.samples import BUYER, STRANGER


@pytest.fixture
async def stale(empty_home: Path) -> AsyncIterator[World]:
    """Open a market that is about to lose its lead."""
    world = await open_world(empty_home)
    try:
        yield world
    finally:
        await world.close()


class TestFencing:
    async def test_a_second_leader_stops_the_first_at_its_next_round(self, stale: World) -> None:
        await stale.deposit(UNIT)
        await stale.supply((80_000, 60))
        placed = await stale.place(5, 100_000)
        leader = await open_world(stale.home, stale.clock)
        try:
            before = leader.contents()
            with pytest.raises(ConfigError, match="another process leads"):
                await stale.round()
            assert leader.contents() == before, "nothing is written"
            await leader.supply((80_000, 60))
            await leader.round()
            assert leader.rows("SELECT epoch, number FROM rounds") == [(2, 1)]
            assert leader.rows("SELECT state FROM orders") == [("filled",)]
            assert placed.events[-1].state is OrderState.OPEN, "the first has told nobody"
        finally:
            await leader.close()

    async def test_a_stale_leader_expires_nothing(self, stale: World) -> None:
        """Its clock may be wrong, and the one that leads has the order in its book."""
        await stale.deposit(UNIT)
        await stale.place(5, 100_000, life_s=1)
        leader = await open_world(stale.home, stale.clock)
        try:
            before = leader.contents()
            stale.clock.advance(1)
            with pytest.raises(ConfigError, match="another process leads"):
                await stale.round()
            assert leader.contents() == before
        finally:
            await leader.close()

    async def test_a_stale_leader_settles_no_award(self, stale: World) -> None:
        await stale.deposit(UNIT)
        award = await stale.bought(5, 80_000)
        leader = await open_world(stale.home, stale.clock)
        try:
            before = leader.contents()
            stale.clock.now_us = award.message.settle_by_us
            with pytest.raises(ConfigError, match="another process leads"):
                await stale.round()
            assert leader.contents() == before
        finally:
            await leader.close()

    async def test_a_stale_leader_takes_no_order_in(self, stale: World) -> None:
        """It would be in nobody's book, with its money held."""
        await stale.deposit(UNIT)
        leader = await open_world(stale.home, stale.clock)
        try:
            reason, detail = await stale.refused(stale.order(5, 100_000))
            assert reason is AdmissionReason.NOT_LEADING
            assert "another process leads" in detail
            assert stale.market.state.book.rows_of(BUYER.key) == 0
            assert await leader.money(BUYER) == (UNIT, 0)
        finally:
            await leader.close()

    async def test_a_stale_leader_cancels_nothing(self, stale: World) -> None:
        """The order is in the book of the one that leads, and may be in its round."""
        await stale.deposit(UNIT)
        placed = await stale.place(5, 100_000)
        leader = await open_world(stale.home, stale.clock)
        try:
            before = leader.contents()
            verdict = await stale.cancel(placed.id)
            assert verdict.reason is AdmissionReason.NOT_LEADING
            assert leader.contents() == before
            assert await leader.cancel(placed.id) == ACCEPTED
            assert await leader.money(BUYER) == (UNIT, 0)
        finally:
            await leader.close()

    async def test_a_stale_leader_with_nothing_to_do_notices_too(self, stale: World) -> None:
        leader = await open_world(stale.home, stale.clock)
        try:
            with pytest.raises(ConfigError, match="another process leads"):
                await stale.round()
        finally:
            await leader.close()

    async def test_each_shard_has_its_own_leader(self, stale: World) -> None:
        other = await open_world(stale.home, stale.clock, shard="other")
        try:
            await stale.deposit(UNIT)
            await stale.place(5, 100_000)
            await stale.round()
            query = "SELECT shard, epoch, number FROM leaders ORDER BY shard"
            assert stale.rows(query) == [("main", 1, 1), ("other", 1, 0)]
        finally:
            await other.close()

    async def test_shards_do_not_clear_each_others_orders(self, stale: World) -> None:
        """An order that was placed with one shard is in no other shard's book."""
        await stale.deposit(UNIT)
        await stale.place(5, 100_000)
        other = await open_world(stale.home, stale.clock, shard="other")
        try:
            assert other.market.state.book.orders_count() == 0
            verdict = await other.cancel(*[order.id for order in stale.market.state.book.orders()])
            assert verdict.reason is AdmissionReason.NOT_YOURS
        finally:
            await other.close()


class TestLoop:
    """The loop of rounds by the wall clock, at the shortest interval that a market may have."""

    async def test_does_nothing_more_once_it_is_told_to_stop(self, stale: World) -> None:
        stop = asyncio.Event()
        stop.set()
        await stale.deposit(UNIT)
        await stale.place(1, 100)
        await stale.market.rounds.run(stop)
        assert stale.rows("SELECT * FROM rounds") == []

    async def test_runs_round_after_round_until_it_is_told_to_stop(self, empty_home: Path) -> None:
        world = await open_world(empty_home, round_ms=200)
        try:
            await world.deposit(UNIT)
            stop = asyncio.Event()
            running = asyncio.create_task(world.market.rounds.run(stop))
            for _ in range(2):
                placed = await world.place(1, 100)
                (event,) = await placed.next()
                assert event.state is OrderState.OPEN
            stop.set()
            await running
            assert world.rows("SELECT MIN(number) FROM rounds") == [(1,)]
        finally:
            await world.close()

    async def test_ends_with_the_reason_when_another_leads(self, empty_home: Path) -> None:
        stale = await open_world(empty_home, round_ms=200)
        await stale.deposit(UNIT)
        await stale.place(1, 100)
        leader = await open_world(empty_home)
        try:
            with pytest.raises(ConfigError, match="another process leads"):
                await stale.market.rounds.run(asyncio.Event())
        finally:
            await leader.close()
            await stale.close()

    async def test_tries_again_where_the_database_was_busy(self, empty_home: Path) -> None:
        """Nothing of the failed round is written, and its orders are in the next one."""
        world = await open_world(empty_home, round_ms=200)
        busy = BusyDatabase(sqlite_url(empty_home / "market.sqlite"))
        usual, world.market.state.database = world.market.state.database, busy
        try:
            await world.deposit(UNIT)
            await world.supply((80_000, 5))
            placed = await world.place(1, 100_000)
            busy.failures = 2
            stop = asyncio.Event()
            running = asyncio.create_task(world.market.rounds.run(stop))
            (event,) = await placed.rest()
            stop.set()
            await running
            assert busy.failures == 0
            assert event.state is OrderState.FILLED
            assert world.rows("SELECT number FROM rounds") == [(1,)]
        finally:
            await usual.close()
            await world.close()


class TestRestart:
    async def test_open_orders_come_back_as_they_were(self, empty_home: Path) -> None:
        before = await open_world(empty_home)
        await before.deposit(UNIT)
        await before.supply((80_000, 2))
        await before.place(5, 100_000)
        await before.send(before.batch([(0, 3, 70_000), (0, 4, 60_000)]))
        await before.round()
        await before.place(1, 50_000)
        expected = list(before.market.state.book.orders())
        await before.close()

        after = await open_world(empty_home, before.clock)
        try:
            found = list(after.market.state.book.orders())
            assert found == [dataclasses.replace(order, carried=True) for order in expected]
            assert sorted(order.lots for order in found) == [1, 3, 7]
        finally:
            await after.close()

    async def test_the_book_fills_again_and_orders_are_cleared_where_they_were_left(
        self, empty_home: Path
    ) -> None:
        before = await open_world(empty_home)
        await before.deposit(UNIT)
        placed = await before.place(5, 100_000)
        offer = before.offer((80_000, 60))
        await before.market.submit_offer(offer.envelope)
        await before.close()

        after = await open_world(empty_home, before.clock)
        try:
            assert (await after.market.list_offers()).offers == ()
            assert await after.market.submit_offer(offer.envelope) == ACCEPTED
            again = await after.send(placed.signed)
            await after.round()
            (event,) = await again.rest()
            assert event.state is OrderState.FILLED
            assert await after.money(BUYER) == (UNIT - 400_000, 400_000)
        finally:
            await after.close()

    async def test_awards_survive_and_their_lots_are_still_out(self, empty_home: Path) -> None:
        before = await open_world(empty_home)
        await before.deposit(UNIT)
        await before.supply((80_000, 5))
        placed = await before.place(5, 100_000)
        await before.round()
        await placed.rest()
        (award,) = placed.awards
        await before.close()

        after = await open_world(empty_home, before.clock)
        try:
            await after.supply((80_000, 5), sequence=99)
            waiting = await after.place(5, 100_000)
            await after.round()
            assert (await waiting.next())[0].state is OrderState.OPEN
            assert await after.redeem(award, 1_000, final=True) == ACCEPTED
            await after.round()
            assert (await waiting.rest())[-1].state is OrderState.FILLED
            await after.check_books()
        finally:
            await after.close()

    async def test_what_ended_while_nobody_ran_is_released_at_the_first_round(
        self, empty_home: Path
    ) -> None:
        before = await open_world(empty_home)
        await before.deposit(UNIT)
        award = await before.bought(5, 80_000)
        await before.place(5, 1_000)
        await before.close()

        after = await open_world(empty_home, before.clock)
        try:
            after.clock.now_us = award.message.settle_by_us
            await after.round()
            assert await after.money(BUYER) == (UNIT, 0)
            await after.check_books()
        finally:
            await after.close()

    async def test_every_start_is_a_new_epoch_with_rounds_from_one(self, empty_home: Path) -> None:
        for epoch in (1, 2, 3):
            world = await open_world(empty_home)
            await world.deposit(UNIT, STRANGER, reference=bytes([epoch]))
            await world.place(1, 100, buyer=STRANGER)
            for number in (1, 2):
                await world.round()
                query = "SELECT epoch, number FROM leaders"
                assert world.rows(query) == [(epoch, number)]
            await world.close()
        query = "SELECT epoch, number FROM rounds ORDER BY 1, 2"
        assert world.rows(query) == [(e, n) for e in (1, 2, 3) for n in (1, 2)]

    async def test_models_keep_their_ids(self, empty_home: Path) -> None:
        seen = set()
        for _ in range(2):
            world = await open_world(empty_home)
            seen.add(tuple(world.market.state.models))
            world.clock.advance(1_000)
            await world.close()
        assert len(seen) == 1


class TestOtherSettings:
    """What cannot be opened is a ConfigError, and nothing stays open behind it."""

    async def refused(self, home: Path, **settings: Any) -> type[SwatowError] | None:
        """Return what opening a market raises, and let go of everything that it left open."""
        kind = None
        try:
            world = await open_world(home, **settings)
        except SwatowError as error:
            kind = type(error)
        else:
            await world.close()
        await connections_ended()
        return kind

    async def test_a_database_of_another_network(self, empty_home: Path) -> None:
        await (await open_world(empty_home)).close()
        assert await self.refused(empty_home, network="other") is ConfigError

    async def test_a_database_of_another_currency(self, empty_home: Path) -> None:
        """Money that was paid in as one currency must not be spent as another."""
        world = await open_world(empty_home)
        await world.deposit(UNIT)
        await world.close()
        assert await self.refused(empty_home, currency="CNY") is ConfigError

    async def test_a_database_of_another_key(self, empty_home: Path) -> None:
        await (await open_world(empty_home)).close()
        assert await self.refused(empty_home, identity=STRANGER) is ConfigError

    async def test_a_database_that_is_not_there(self, empty_home: Path) -> None:
        url = "sqlite+aiosqlite:////nowhere/market.sqlite"
        assert await self.refused(empty_home, database=url) is ConfigError

    async def test_nothing_stays_open(self, empty_home: Path) -> None:
        models = empty_home / "models"
        models.mkdir()
        (models / "bad.toml").write_text("no TOML")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            with pytest.raises(ConfigError):
                await open_world(empty_home)
            gc.collect()
        await connections_ended()
        assert [str(each.message) for each in caught] == []
