"""Queries on orders, awards and rounds, each on a database of its own."""

import dataclasses
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger import database as databases
from swatow_market.ledger.database import Database
from swatow_market.service import store
from swatow_protocol.messages.answers import OrderEvent, OrderState
from tests.support import samples
from tests.support.market_books import MODEL, OTHER, curved, demand
from tests.support.samples import BUYER, NODE, NOW_US, SECOND, STRANGER, digest

MESSAGE = digest("message")


async def with_message(connection: AsyncConnection) -> None:
    assert await store.add_message(connection, MESSAGE, "order", b"envelope", NOW_US)


def award_row(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": digest(name),
        "order_id": demand("1", 5, 8).id,
        "buyer": BUYER.key,
        "node": NODE.key,
        "model": MODEL,
        "lots": 5,
        "from_us": NOW_US,
        "expires_us": NOW_US + SECOND,
        "settle_by_us": NOW_US + 2 * SECOND,
        "envelope": b"award",
        "offer_envelope": b"offer",
        "standard_tokens": 0,
        "voucher": None,
        "closed": False,
        "take_or_pay_ppm": 0,
        "contested_us": None,
        **changes,
    }


@pytest.fixture
async def stored(database: Database) -> Database:
    """Hold one open order, to which awards may belong."""
    async with database.writing() as connection:
        await with_message(connection)
        await store.add_orders(connection, "main", MESSAGE, [demand("1", 5, 8)])
    return database


def standing(order: bytes, lots_open: int, state: OrderState) -> OrderEvent:
    """Return the news of where an order stands."""
    return OrderEvent(
        order=order, verdict=None, state=state, granted=(), lots_open=lots_open, unmet=()
    )


class TestLeaders:
    async def test_epochs_grow_and_round_numbers_start_again(self, database: Database) -> None:
        async with database.writing() as connection:
            assert await store.last_round(connection, "main") == 0
            assert await store.take_lead(connection, "main") == 1
            assert [await store.begin_round(connection, "main", 1) for _ in range(3)] == [1, 2, 3]
            assert await store.last_round(connection, "main") == 3
            assert await store.take_lead(connection, "main") == 2
            assert await store.last_round(connection, "main") == 0
            assert await store.begin_round(connection, "main", 2) == 1

    async def test_an_epoch_that_is_over_or_never_was_begins_no_round(
        self, database: Database
    ) -> None:
        async with database.writing() as connection:
            await store.take_lead(connection, "main")
            await store.take_lead(connection, "main")
            assert await store.begin_round(connection, "main", 1) is None
            assert await store.begin_round(connection, "main", 3) is None
            assert await store.begin_round(connection, "other", 1) is None
            assert await store.last_round(connection, "main") == 0

    async def test_shards_are_led_apart(self, database: Database) -> None:
        async with database.writing() as connection:
            for expected in (1, 2):
                assert await store.take_lead(connection, "main") == expected
            assert await store.take_lead(connection, "other") == 1

    async def test_a_round_is_recorded_once(self, database: Database) -> None:
        row = {"shard": "main", "epoch": 1, "number": 1, "closed_us": NOW_US, "salt": b"s" * 32}
        row |= {"orders": 1, "lots": 2, "welfare": 3}
        async with database.writing() as connection:
            await store.add_round(connection, row)
            await store.add_round(connection, {**row, "number": 2})
        with pytest.raises(IntegrityError, match="UNIQUE"):
            async with database.writing() as connection:
                await store.add_round(connection, row)


class TestMessages:
    async def test_are_kept_once_as_they_first_came(self, database: Database) -> None:
        async with database.writing() as connection:
            assert not await store.has_message(connection, MESSAGE)
            assert await store.add_message(connection, MESSAGE, "order", b"first", NOW_US)
            assert not await store.add_message(connection, MESSAGE, "order", b"second", NOW_US + 1)
            assert await store.has_message(connection, MESSAGE)
            rows = (await connection.exec_driver_sql("SELECT envelope FROM messages")).all()
        assert rows == [(b"first",)]


class TestOrders:
    async def test_come_back_as_the_book_holds_them(self, database: Database) -> None:
        limited = demand("2", 7, models={MODEL: 9, OTHER: 6}, limits=samples.all_limits(), rate=5)
        entries = [demand("1", 5, 8, all_or_none=True), limited]
        async with database.writing() as connection:
            await with_message(connection)
            await store.add_orders(connection, "main", MESSAGE, entries)
            found = await store.open_orders(connection, "main")
        expected = sorted(entries, key=lambda each: each.id)
        assert sorted(found, key=lambda each: each.id) == [
            dataclasses.replace(each, carried=True) for each in expected
        ]

    async def test_what_is_open_of_a_curve_comes_back(self, stored: Database) -> None:
        order = curved("curved", (5, 8), (0, 9), (2, 7))
        async with stored.writing() as connection:
            await store.add_orders(connection, "other", MESSAGE, [order, demand("plain", 1, 2)])
            left = curved("curved", (1, 8), (0, 9), (2, 7))
            await store.update_curves(connection, [left, demand("plain", 1, 2)])
            found = {each.id: each for each in await store.open_orders(connection, "other")}
        assert found[order.id].curve == left.curve
        assert found[demand("plain", 1, 2).id].curve is None

    async def test_what_is_left_of_them_is_carried(self, stored: Database) -> None:
        order = demand("1", 5, 8)
        async with stored.writing() as connection:
            await store.update_orders(connection, [standing(order.id, 2, OrderState.OPEN)])
            (found,) = await store.open_orders(connection, "main")
            (row,) = await store.read_orders(connection, [order.id, digest("none")])
        assert (found.lots, found.carried) == (2, True)
        assert (row["lots"], row["lots_open"], row["expires_us"]) == (5, 2, order.terms.expires_us)

    async def test_those_that_have_ended_are_not_open(self, stored: Database) -> None:
        order = demand("1", 5, 8)
        for state, lots in (
            (OrderState.FILLED, 0),
            (OrderState.EXPIRED, 5),
            (OrderState.CANCELLED, 2),
        ):
            async with stored.writing() as connection:
                await store.update_orders(connection, [standing(order.id, lots, state)])
                assert await store.open_orders(connection, "main") == []
                (row,) = await store.read_orders(connection, [order.id])
                assert row["state"] == state

    @pytest.mark.parametrize(
        ("lots_open", "state", "constraint"),
        [
            (6, OrderState.OPEN, "lots_open"),
            (-1, OrderState.OPEN, "lots_open"),
            (1, OrderState.FILLED, "filled_is_filled"),
        ],
    )
    async def test_the_database_refuses_what_cannot_be(
        self, stored: Database, lots_open: int, state: OrderState, constraint: str
    ) -> None:
        event = standing(demand("1", 5, 8).id, lots_open, OrderState(state))
        with pytest.raises(IntegrityError, match=constraint):
            async with stored.writing() as connection:
                await store.update_orders(connection, [event])

    async def test_more_are_read_at_once_than_a_query_can_name(
        self, stored: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(databases, "IDS_PER_QUERY", 2)
        orders = [demand(str(number), 5, 8) for number in range(2, 7)]
        async with stored.writing() as connection:
            await store.add_message(connection, digest("more"), "order", b"", NOW_US)
            await store.add_orders(connection, "main", digest("more"), orders)
            ids = [order.id for order in orders]
            found = await store.read_orders(connection, [*reversed(ids), digest("none")])
        assert [row["id"] for row in found] == sorted(ids)


class TestAwards:
    async def test_lots_out_are_those_of_usable_awards_rounded_up(self, stored: Database) -> None:
        rows = [
            award_row("fresh", lots=5),
            award_row("begun", lots=5, standard_tokens=1),
            award_row("one lot used", lots=5, standard_tokens=1_000),
            award_row("nearly two", lots=5, standard_tokens=1_999),
            award_row("used up", lots=5, standard_tokens=5_000),
            award_row("closed", lots=5, closed=True),
            award_row("past", lots=5, expires_us=NOW_US),
            award_row("contested", lots=5, contested_us=NOW_US - 1),
            award_row("other model", lots=3, model=OTHER),
            award_row("other node", lots=2, node=STRANGER.key),
        ]
        async with stored.writing() as connection:
            await store.add_awards(connection, list(rows))
            assert await store.lots_out(connection, NOW_US) == {
                (NODE.key, MODEL): 5 + 5 + 4 + 4 + 0,
                (NODE.key, OTHER): 3,
                (STRANGER.key, MODEL): 2,
            }

    async def test_lots_of_later_awards_are_promised_and_not_out_until_they_begin(
        self, stored: Database
    ) -> None:
        first_us, second_us = NOW_US + SECOND, NOW_US + 2 * SECOND
        rows = [
            award_row("now", lots=1),
            award_row("first", lots=2, from_us=first_us, expires_us=second_us),
            award_row("first again", lots=3, from_us=first_us, expires_us=second_us),
            award_row("second", lots=4, from_us=second_us, expires_us=second_us + SECOND),
            award_row("other node", lots=5, from_us=first_us, node=STRANGER.key),
            award_row("given back", lots=6, from_us=first_us, closed=True),
        ]
        node, other = (NODE.key, MODEL), (STRANGER.key, MODEL)
        async with stored.writing() as connection:
            await store.add_awards(connection, list(rows))
            assert await store.lots_out(connection, NOW_US) == {node: 1}
            assert await store.lots_promised(connection, NOW_US) == {
                (*node, first_us): 5,
                (*node, second_us): 4,
                (*other, first_us): 5,
            }
            assert await store.lots_out(connection, first_us - 1) == {node: 1}
            assert await store.lots_out(connection, first_us) == {node: 5}
            assert await store.lots_promised(connection, first_us) == {(*node, second_us): 4}
            assert await store.lots_out(connection, second_us) == {node: 4}
            assert await store.lots_promised(connection, second_us) == {}

    async def test_awards_end_when_their_time_for_vouchers_is_over(self, stored: Database) -> None:
        rows = [
            award_row("over", settle_by_us=NOW_US),
            award_row("not yet", settle_by_us=NOW_US + 1),
            award_row("closed", settle_by_us=NOW_US, closed=True),
        ]
        async with stored.writing() as connection:
            await store.add_awards(connection, list(rows))
            assert await store.ended_awards(connection, NOW_US) == [digest("over")]
            await store.close_awards(connection, [digest("over")])
            assert await store.ended_awards(connection, NOW_US) == []

    async def test_what_is_redeemed_is_written_with_its_voucher(self, stored: Database) -> None:
        async with stored.writing() as connection:
            await store.add_awards(connection, [award_row("award")])
            await store.redeem_award(connection, digest("award"), 1_234, b"voucher")
            row = await store.read_award(connection, digest("award"))
            assert row is not None
            assert (row["standard_tokens"], row["voucher"], row["closed"]) == (
                1_234,
                b"voucher",
                False,
            )
            assert await store.read_award(connection, digest("none")) is None

    async def test_no_award_is_redeemed_beyond_its_lots(self, stored: Database) -> None:
        async with stored.writing() as connection:
            await store.add_awards(connection, [award_row("award")])
            await store.redeem_award(connection, digest("award"), 5_000, None)
        with pytest.raises(IntegrityError, match="standard_tokens"):
            async with stored.writing() as connection:
                await store.redeem_award(connection, digest("award"), 5_001, None)

    async def test_nodes_stand_by_for_open_awards_with_a_share_by_id(
        self, stored: Database
    ) -> None:
        share: dict[str, Any] = {"take_or_pay_ppm": 1}
        rows = [
            *(award_row(name, **share) for name in "abcde"),
            award_row("contested", **share, contested_us=NOW_US),
            award_row("no share"),
            award_row("closed", **share, closed=True),
            award_row("other node", **share, node=STRANGER.key),
        ]
        expected = sorted(map(digest, [*"abcde", "contested"]))
        async with stored.writing() as connection:
            await store.add_awards(connection, list(rows))
            found, after = list[bytes](), b""
            while page := await store.standby_awards(connection, NODE.key, after, 4):
                assert len(page) <= 4
                found += [row["id"] for row in page]
                after = found[-1]
        assert found == expected

    async def test_awards_of_an_order_are_found_by_id(self, stored: Database) -> None:
        names = sorted(("a", "b", "c"), key=digest)
        async with stored.writing() as connection:
            await store.add_awards(connection, [award_row(name) for name in ("b", "c", "a")])
            found = await store.awards_of(connection, [demand("1", 5, 8).id])
            assert [row["id"] for row in found] == [digest(name) for name in names]
            assert await store.awards_of(connection, [digest("none")]) == []
