"""Random programs of deposits, holds, releases and payments against a ledger of plain integers."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger import accounts
from swatow_market.ledger.accounts import CARRIER, CASH, FEE, buyer_account, node_account
from swatow_market.ledger.database import Database, sqlite_url
from swatow_market.ledger.rules import Split
from tests.support.market_ledger import check_books
from tests.support.samples import BUYER, NODE, NOW_US, STRANGER, digest

BUYERS = st.sampled_from((BUYER.key, STRANGER.key))
AMOUNTS = st.integers(1, 100) | st.integers(1, 10**15)
SPLITS = st.builds(Split, node=AMOUNTS, carriage=st.integers(0, 50), fee=st.integers(0, 50))


@dataclass
class Held:
    """What the simple ledger knows of a hold."""

    account: str
    left: int
    closed: bool = False


@dataclass
class Simple:
    """The ledger as anyone would write it who trusts everybody."""

    balance: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    holds: dict[bytes, Held] = field(default_factory=dict)
    transfers: set[bytes] = field(default_factory=set)

    def add(self, account: str, amount: int) -> None:
        self.balance[account] = self.balance.get(account, 0) + amount

    def free(self, account: str) -> int:
        return self.balance.get(account, 0) - self.held.get(account, 0)


class Program(RuleBasedStateMachine):
    """Does everything twice: in the database, and in plain integers."""

    made = Bundle("made")

    def __init__(self, empty_ledger: Path, file: Path) -> None:
        super().__init__()
        shutil.copy(empty_ledger, file)
        self.runner = asyncio.Runner()
        self.database = Database(sqlite_url(file))
        self.reader = sqlite3.connect(file)
        self.simple = Simple()
        self.count = 0

    def name(self) -> bytes:
        self.count += 1
        return digest(f"{self.count}")

    def write(self, work: Callable[[AsyncConnection], Coroutine[Any, Any, Any]]) -> Any:
        async def in_transaction() -> Any:
            async with self.database.writing() as connection:
                return await work(connection)

        return self.runner.run(in_transaction())

    @rule(owner=BUYERS, amount=AMOUNTS, name=st.integers(0, 5))
    def deposit(self, owner: bytes, amount: int, name: int) -> None:
        transfer = digest(f"deposit {name}")
        done = self.write(
            lambda connection: accounts.deposit(
                connection,
                transfer=transfer,
                owner=owner,
                amount=amount,
                currency="USD",
                now_us=NOW_US,
            )
        )
        for account in (CASH, buyer_account(owner)):
            self.simple.add(account, 0)
        assert done == (transfer not in self.simple.transfers)
        if done:
            self.simple.transfers.add(transfer)
            self.simple.add(CASH, amount)
            self.simple.add(buyer_account(owner), amount)

    @rule(target=made, owner=BUYERS, amount=AMOUNTS, share=st.sampled_from((0, 1, 50, 100, 101)))
    def hold(self, owner: bytes, amount: int, share: int) -> bytes:
        """Hold a percentage of what is free, or any amount; above 100 % it must be refused."""
        account, hold_id = buyer_account(owner), self.name()
        free = self.simple.free(account)
        wanted = {0: amount, 101: free + 1}.get(share, free * share // 100)
        done = self.write(lambda connection: accounts.hold(connection, account, {hold_id: wanted}))
        assert done == (account in self.simple.balance and wanted <= free)
        if done:
            self.simple.holds[hold_id] = Held(account, wanted, closed=wanted == 0)
            self.simple.held[account] = self.simple.held.get(account, 0) + wanted
        return hold_id

    @rule(hold_id=made, part=st.none() | st.integers(0, 100))
    def release(self, hold_id: bytes, part: int | None) -> None:
        held = self.simple.holds.get(hold_id)
        if held is None:
            return
        amount = None if part is None else held.left * part // 100
        given = self.write(lambda connection: accounts.release(connection, hold_id, amount))
        assert given == (0 if held.closed else held.left if amount is None else amount)
        held.left -= given
        held.closed = held.closed or not held.left
        self.simple.held[held.account] -= given

    @rule(hold_id=made, split=SPLITS)
    def pay(self, hold_id: bytes, split: Split) -> None:
        held = self.simple.holds.get(hold_id)
        if held is None:
            return
        cause = self.name()

        def paying(connection: AsyncConnection) -> Coroutine[Any, Any, None]:
            return accounts.pay(
                connection,
                hold_id=hold_id,
                cause=cause,
                split=split,
                node=NODE.key,
                currency="USD",
                now_us=NOW_US,
            )

        if split.total > held.left:
            with pytest.raises(IntegrityError):
                self.write(paying)
            return
        self.write(paying)
        held.left -= split.total
        self.simple.held[held.account] -= split.total
        self.simple.add(held.account, -split.total)
        legs = (node_account(NODE.key), split.node), (CARRIER, split.carriage), (FEE, split.fee)
        for account, amount in legs:
            if amount:
                self.simple.add(account, amount)

    @rule(hold_id=consumes(made), owner=BUYERS, amount=AMOUNTS)
    def change_much_and_fail(self, hold_id: bytes, owner: bytes, amount: int) -> None:
        """Whatever a transaction did before it failed has not happened."""

        async def work(connection: AsyncConnection) -> None:
            await accounts.deposit(
                connection,
                transfer=self.name(),
                owner=owner,
                amount=amount,
                currency="USD",
                now_us=NOW_US,
            )
            await accounts.hold(connection, buyer_account(owner), {self.name(): amount})
            if hold_id in self.simple.holds:
                await accounts.release(connection, hold_id)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            self.write(work)

    @invariant()
    def is_what_the_simple_ledger_is(self) -> None:
        query = "SELECT id, CASE kind WHEN 'cash' THEN -1 ELSE 1 END * (credits - debits), held"
        rows = self.reader.execute(f"{query} FROM accounts").fetchall()
        assert {name: balance for name, balance, _ in rows} == self.simple.balance
        held = {account: amount for account, amount in self.simple.held.items() if amount}
        assert {name: amount for name, _, amount in rows if amount} == held
        others = sum(amount for name, amount in self.simple.balance.items() if name != CASH)
        assert self.simple.balance.get(CASH, 0) == others
        query = "SELECT id, amount - paid - released, closed FROM holds"
        assert {
            name: (left, bool(closed)) for name, left, closed in self.reader.execute(query)
        } == {name: (each.left, each.closed) for name, each in self.simple.holds.items()}

    def teardown(self) -> None:
        async def end() -> None:
            async with self.database.reading() as connection:
                await check_books(connection)
            await self.database.close()

        self.reader.close()
        self.runner.run(end())
        self.runner.close()


def test_random_programs_neither_make_nor_lose_money(empty_ledger: Path, tmp_path: Path) -> None:
    class Here(Program):
        def __init__(self) -> None:
            super().__init__(empty_ledger, tmp_path / "market.sqlite")

    run_state_machine_as_test(Here, settings=settings(max_examples=25, stateful_step_count=25))
