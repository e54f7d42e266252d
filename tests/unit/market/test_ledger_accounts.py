"""The ledger on a real SQLite file: what the code refuses, the database refuses as well."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger import accounts
from swatow_market.ledger.accounts import CARRIER, CASH, FEE, buyer_account, node_account
from swatow_market.ledger.database import Database, sqlite_url
from swatow_market.ledger.rules import NOTHING, Split
from swatow_protocol import limits
from tests.support.samples import BUYER, NODE, NOW_US, STRANGER, digest

ALICE = buyer_account(BUYER.key)
HOLD = digest("hold")


async def deposit_in(
    connection: AsyncConnection, amount: int, name: str = "1", owner: bytes = BUYER.key
) -> bool:
    return await accounts.deposit(
        connection,
        transfer=digest(f"deposit {name}"),
        owner=owner,
        amount=amount,
        currency="USD",
        now_us=NOW_US,
    )


async def deposit(
    database: Database, amount: int, name: str = "1", owner: bytes = BUYER.key
) -> bool:
    async with database.writing() as connection:
        return await deposit_in(connection, amount, name, owner)


async def hold(database: Database, amounts: Mapping[bytes, int], account: str = ALICE) -> bool:
    async with database.writing() as connection:
        return await accounts.hold(connection, account, amounts)


async def release(database: Database, hold_id: bytes, amount: int | None = None) -> int:
    async with database.writing() as connection:
        return await accounts.release(connection, hold_id, amount)


async def pay(database: Database, split: Split, cause: str = "1", hold_id: bytes = HOLD) -> None:
    async with database.writing() as connection:
        await accounts.pay(
            connection,
            hold_id=hold_id,
            cause=digest(cause),
            split=split,
            node=NODE.key,
            currency="USD",
            now_us=NOW_US,
        )


async def balances(database: Database) -> dict[str, tuple[int, int]]:
    async with database.reading() as connection:
        rows = await accounts.read_accounts(connection)
    return {row["id"]: (accounts.balance(row), row["held"]) for row in rows}


async def found(database: Database, hold_id: bytes = HOLD) -> accounts.Hold:
    async with database.reading() as connection:
        return await accounts.read_hold(connection, hold_id)


async def execute(database: Database, statement: str, *values: Any) -> None:
    async with database.writing() as connection:
        await connection.exec_driver_sql(statement, values)


class TestDeposits:
    async def test_credit_the_buyer_and_debit_cash(self, database: Database) -> None:
        assert await deposit(database, 500)
        assert await balances(database) == {ALICE: (500, 0), CASH: (500, 0)}

    async def test_the_same_transfer_is_made_once_whatever_its_amount(
        self, database: Database
    ) -> None:
        assert await deposit(database, 500)
        assert not await deposit(database, 500)
        assert not await deposit(database, 900)
        assert await balances(database) == {ALICE: (500, 0), CASH: (500, 0)}

    async def test_other_transfers_and_other_buyers_add_up(self, database: Database) -> None:
        await deposit(database, 500)
        await deposit(database, 70, name="2")
        await deposit(database, 9, name="3", owner=STRANGER.key)
        bob = buyer_account(STRANGER.key)
        assert await balances(database) == {ALICE: (570, 0), bob: (9, 0), CASH: (579, 0)}

    @pytest.mark.parametrize("amount", [0, -1])
    async def test_of_nothing_or_less_are_refused_by_the_database(
        self, database: Database, amount: int
    ) -> None:
        with pytest.raises(IntegrityError, match="ck_transfers_amount"):
            await deposit(database, amount)
        assert await balances(database) == {}

    async def test_beyond_63_bits_are_refused_and_nothing_becomes_a_float(
        self, empty_ledger: Path
    ) -> None:
        """SQLite adds whole numbers that do not fit as floats, unless a constraint forbids it."""
        database = Database(sqlite_url(empty_ledger))
        try:
            async with database.writing() as connection:
                with contextlib.suppress(DBAPIError):
                    for number in (1, 2):
                        await deposit_in(connection, limits.MONEY_MAX, f"{number}")
                rows = await accounts.read_accounts(connection)
                await connection.rollback()
        finally:
            await database.close()
        assert {row["id"]: row["credits"] + row["debits"] for row in rows} == {
            ALICE: limits.MONEY_MAX,
            CASH: limits.MONEY_MAX,
        }


class TestHolds:
    async def test_reserve_and_do_not_spend(self, database: Database) -> None:
        await deposit(database, 500)
        assert await hold(database, {HOLD: 300, digest("other"): 200})
        assert await balances(database) == {ALICE: (500, 500), CASH: (500, 0)}
        assert await found(database) == accounts.Hold(ALICE, 300, 0, 0, closed=False)

    async def test_of_more_than_is_free_reserve_nothing_at_all(self, database: Database) -> None:
        await deposit(database, 500)
        assert not await hold(database, {HOLD: 300, digest("other"): 201})
        assert await balances(database) == {ALICE: (500, 0), CASH: (500, 0)}
        assert await hold(database, {HOLD: 300, digest("other"): 200})
        assert not await hold(database, {digest("third"): 1})

    async def test_on_an_account_that_is_not_open_are_refused(self, database: Database) -> None:
        assert not await hold(database, {HOLD: 0})
        assert not await hold(database, {HOLD: 1})

    async def test_of_nothing_are_closed_at_once(self, database: Database) -> None:
        await deposit(database, 500)
        assert await hold(database, {HOLD: 0})
        assert (await found(database)).closed
        assert await release(database, HOLD) == 0

    async def test_have_ids_that_are_used_once(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 100})
        with pytest.raises(IntegrityError, match=re.escape("holds.id")):
            await hold(database, {HOLD: 100})
        assert await balances(database) == {ALICE: (500, 100), CASH: (500, 0)}


class TestReleases:
    async def test_part_and_then_the_rest(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        assert await release(database, HOLD, 100) == 100
        assert await found(database) == accounts.Hold(ALICE, 300, 0, 100, closed=False)
        assert await release(database, HOLD) == 200
        assert await found(database) == accounts.Hold(ALICE, 300, 0, 300, closed=True)
        assert await balances(database) == {ALICE: (500, 0), CASH: (500, 0)}

    async def test_a_second_resolution_gives_nothing_back(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await release(database, HOLD)
        assert await release(database, HOLD) == 0
        assert await release(database, HOLD, 300) == 0
        assert await balances(database) == {ALICE: (500, 0), CASH: (500, 0)}

    async def test_of_exactly_what_is_left_close_the_hold(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await release(database, HOLD, 300)
        assert (await found(database)).closed

    async def test_of_more_than_is_left_are_a_fault_of_the_caller(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        with pytest.raises(AssertionError):
            await release(database, HOLD, 301)
        assert await balances(database) == {ALICE: (500, 300), CASH: (500, 0)}


class TestPayments:
    async def test_go_to_node_carrier_and_fee(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await pay(database, Split(node=100, carriage=20, fee=3))
        assert await balances(database) == {
            ALICE: (377, 177),
            CARRIER: (20, 0),
            CASH: (500, 0),
            FEE: (3, 0),
            node_account(NODE.key): (100, 0),
        }
        assert await found(database) == accounts.Hold(ALICE, 300, 123, 0, closed=False)
        async with database.reading() as connection:
            assert await accounts.paid_from(connection, HOLD) == Split(node=100, carriage=20, fee=3)

    async def test_add_up_over_several_causes(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await pay(database, Split(node=100, carriage=20, fee=3), "first")
        await pay(database, Split(node=0, carriage=0, fee=4), "second")
        async with database.reading() as connection:
            assert await accounts.paid_from(connection, HOLD) == Split(node=100, carriage=20, fee=7)
            assert await accounts.paid_from(connection, digest("unpaid")) == NOTHING

    async def test_of_nothing_leave_no_trace(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await pay(database, NOTHING)
        await pay(database, NOTHING)
        assert await balances(database) == {ALICE: (500, 300), CASH: (500, 0)}

    async def test_twice_for_one_cause_are_refused_by_the_database(
        self, database: Database
    ) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await pay(database, Split(node=100, carriage=0, fee=0), "first")
        before = await balances(database)
        with pytest.raises(IntegrityError, match=re.escape("transfers.id")):
            await pay(database, Split(node=100, carriage=0, fee=0), "first")
        assert await balances(database) == before

    async def test_beyond_the_hold_are_refused_by_the_database(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        with pytest.raises(IntegrityError, match="ck_holds_no_more_than_held"):
            await pay(database, Split(node=301, carriage=0, fee=0))
        assert await balances(database) == {ALICE: (500, 300), CASH: (500, 0)}

    async def test_from_a_closed_hold_are_refused_by_the_database(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await release(database, HOLD)
        with pytest.raises(IntegrityError, match=r"no_more_than_held|closed_is_resolved"):
            await pay(database, Split(node=1, carriage=0, fee=0))
        assert await balances(database) == {ALICE: (500, 0), CASH: (500, 0)}

    async def test_of_all_of_a_hold_leave_nothing_to_release(self, database: Database) -> None:
        await deposit(database, 500)
        await hold(database, {HOLD: 300})
        await pay(database, Split(node=300, carriage=0, fee=0))
        assert await release(database, HOLD) == 0
        assert (await found(database)).closed


@pytest.fixture
async def ledger(database: Database) -> Database:
    """A ledger with 500 paid in, 300 of it held and 100 of that paid."""
    await deposit(database, 500)
    await hold(database, {HOLD: 300})
    await pay(database, Split(node=97, carriage=2, fee=1))
    return database


class TestConstraints:
    """Plain SQL, past the code: the database itself keeps every rule."""

    @pytest.mark.parametrize(
        ("statement", "constraint"),
        [
            ("UPDATE accounts SET held = 401 WHERE kind = 'buyer'", "ck_accounts_no_overdraft"),
            ("UPDATE accounts SET debits = 301 WHERE kind = 'buyer'", "ck_accounts_no_overdraft"),
            ("UPDATE accounts SET credits = 299 WHERE kind = 'buyer'", "ck_accounts_no_overdraft"),
            ("UPDATE accounts SET debits = 98 WHERE kind = 'node'", "ck_accounts_no_overdraft"),
            ("UPDATE accounts SET held = -1 WHERE kind = 'buyer'", "ck_accounts_no_negative"),
            ("UPDATE accounts SET debits = -1 WHERE kind = 'fee'", "ck_accounts_no_negative"),
            ("UPDATE accounts SET credits = 501 WHERE kind = 'cash'", "ck_accounts_cash_is_there"),
            ("UPDATE accounts SET held = 1 WHERE kind = 'cash'", "ck_accounts_cash_is_there"),
            ("UPDATE accounts SET kind = 'friend' WHERE kind = 'fee'", "ck_accounts_kind"),
            ("UPDATE holds SET paid = 301", "ck_holds_no_more_than_held"),
            ("UPDATE holds SET released = 201", "ck_holds_no_more_than_held"),
            ("UPDATE holds SET released = -1", "ck_holds_no_negative"),
            ("UPDATE holds SET closed = 1", "ck_holds_closed_is_resolved"),
            ("UPDATE transfers SET amount = 0", "ck_transfers_amount"),
            ("UPDATE transfers SET credit = debit", "ck_transfers_two_sides"),
            ("UPDATE transfers SET kind = 'gift'", "ck_transfers_kind"),
            ("UPDATE transfers SET credit = 'buyer:nobody'", "FOREIGN KEY"),
            ("UPDATE holds SET account = 'buyer:nobody'", "FOREIGN KEY"),
            ("DELETE FROM holds", "FOREIGN KEY"),
            ("DELETE FROM accounts WHERE kind = 'buyer'", "FOREIGN KEY"),
            ("UPDATE accounts SET currency = NULL", "NOT NULL"),
            ("INSERT INTO holds SELECT * FROM holds", "UNIQUE"),
            ("INSERT INTO transfers SELECT * FROM transfers", "UNIQUE"),
        ],
    )
    async def test_refuses(self, ledger: Database, statement: str, constraint: str) -> None:
        before = await balances(ledger)
        with pytest.raises(IntegrityError, match=constraint):
            await execute(ledger, statement)
        assert await balances(ledger) == before

    async def test_the_statements_above_are_refused_for_their_values_alone(
        self, ledger: Database
    ) -> None:
        """The same columns take values that keep the rules, so the refusals prove something."""
        for statement in (
            "UPDATE accounts SET held = 400 WHERE kind = 'buyer'",
            "UPDATE accounts SET held = 200 WHERE kind = 'buyer'",
            "UPDATE holds SET released = 200",
            "UPDATE holds SET closed = 1",
            "UPDATE holds SET closed = 0",
            "UPDATE holds SET released = 0",
        ):
            await execute(ledger, statement)


class TestManyAtOnce:
    """What a round does: many holds change hands in a few statements."""

    async def test_holds_turn_into_others_and_the_rest_is_free(self, ledger: Database) -> None:
        before = await balances(ledger)
        turns = [
            accounts.Turn(HOLD, released=60, hold=digest("first"), amount=45),
            accounts.Turn(HOLD, released=140, hold=digest("second"), amount=0),
        ]
        async with ledger.writing() as connection:
            await accounts.turn_over(connection, turns)
        source = await found(ledger)
        assert (source.released, source.left, source.closed) == (200, 0, True)
        first, second = await found(ledger, digest("first")), await found(ledger, digest("second"))
        assert (first.amount, first.closed) == (45, False)
        assert (second.amount, second.closed) == (0, True)
        balance, held = before[ALICE]
        assert (await balances(ledger))[ALICE] == (balance, held - 200 + 45)

    async def test_no_hold_gives_more_than_it_has(self, ledger: Database) -> None:
        turns = [
            accounts.Turn(HOLD, released=150, hold=digest("first"), amount=150),
            accounts.Turn(HOLD, released=51, hold=digest("second"), amount=51),
        ]
        with pytest.raises(IntegrityError, match="no_more_than_held"):
            async with ledger.writing() as connection:
                await accounts.turn_over(connection, turns)
        assert (await found(ledger)).left == 200

    async def test_what_is_left_of_many_is_released_and_closed_ones_stay(
        self, ledger: Database
    ) -> None:
        before = await balances(ledger)
        assert await hold(ledger, {digest("other"): 30, digest("closed"): 20})
        assert await release(ledger, digest("closed")) == 20
        ids = [HOLD, digest("other"), digest("closed"), digest("none")]
        async with ledger.writing() as connection:
            await accounts.release_all(connection, ids)
            await accounts.release_all(connection, ids)
        assert all([(await found(ledger, each)).closed for each in ids[:3]])
        assert (await found(ledger, digest("closed"))).released == 20
        balance, held = before[ALICE]
        assert (await balances(ledger))[ALICE] == (balance, held - 200)

    async def test_nothing_at_all_is_nothing(self, ledger: Database) -> None:
        before = await balances(ledger)
        async with ledger.writing() as connection:
            await accounts.turn_over(connection, [])
            await accounts.release_all(connection, [])
        assert await balances(ledger) == before


class TestRollback:
    async def test_a_transaction_that_fails_leaves_nothing(self, ledger: Database) -> None:
        before = await balances(ledger)
        with pytest.raises(RuntimeError):
            await self.everything_and_fail(ledger)
        assert await balances(ledger) == before
        assert (await found(ledger)).left == 200
        assert await deposit(ledger, 50, name="2"), "the transfer was not kept either"

    async def everything_and_fail(self, ledger: Database) -> None:
        async with ledger.writing() as connection:
            await accounts.open_account(connection, "fee:other", "USD")
            await deposit_in(connection, 50, "2")
            await accounts.hold(connection, ALICE, {digest("second hold"): 60})
            await accounts.release(connection, HOLD, 10)
            await accounts.pay(
                connection,
                hold_id=HOLD,
                cause=digest("cause"),
                split=Split(node=20, carriage=0, fee=0),
                node=STRANGER.key,
                currency="USD",
                now_us=NOW_US,
            )
            raise RuntimeError
