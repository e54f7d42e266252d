"""The ledger under tests: what must hold of it at any moment, and ways to get in its way."""

import asyncio
import gc
import sqlite3
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger import accounts
from swatow_market.ledger.database import Database

STUCK_S = 60.0
"""What is waited for is there at once or never; this turns a wait for ever into a failure."""
ENDING_S = 10.0
"""How long the thread of a connection may take to end."""


async def check_books(connection: AsyncConnection) -> None:
    """Check every sum that must hold between accounts, holds and transfers at any moment."""
    rows = {row["id"]: row for row in await accounts.read_accounts(connection)}
    cash = sum(accounts.balance(row) for name, row in rows.items() if name == accounts.CASH)
    assert cash == sum(accounts.balance(row) for name, row in rows.items() if name != accounts.CASH)
    assert cash >= 0
    holds: list[Any] = list(await connection.exec_driver_sql(HELD))
    held = {name: row["held"] for name, row in rows.items() if row["held"]}
    assert held == {account: left for account, left in holds if left}
    for side, column in (("debit", "debits"), ("credit", "credits")):
        query = f"SELECT {side}, SUM(amount) FROM transfers GROUP BY {side}"
        found: list[Any] = list(await connection.exec_driver_sql(query))
        assert dict(found) == {name: row[column] for name, row in rows.items() if row[column]}
    assert (await connection.exec_driver_sql(PAID_APART)).all() == []


HELD = "SELECT account, SUM(amount - paid - released) FROM holds GROUP BY account"
PAID_APART = """
SELECT holds.id FROM holds LEFT JOIN transfers ON transfers.hold = holds.id
GROUP BY holds.id HAVING holds.paid <> COALESCE(SUM(transfers.amount), 0)
"""


def read_rows(file: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Read from a SQLite file, through a connection that is closed again."""
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


class LateDatabase(Database):
    """Answers its first commit late, as a busy machine may: others go on in between."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.committed = asyncio.Event()
        self.answer = asyncio.Event()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        async with super().writing() as connection:
            yield connection
        if not self.committed.is_set():
            self.committed.set()
            await self.answer.wait()


class BusyDatabase(Database):
    """Is locked by others for so many of its next transactions."""

    failures = 0

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        if self.failures:
            self.failures -= 1
            locked = sqlite3.OperationalError("database is locked")
            raise OperationalError("BEGIN IMMEDIATE", {}, locked)
        async with super().writing() as connection:
            yield connection


async def connections_ended() -> None:
    """Wait for the threads of SQLite connections; all of them must be closed, failed or lost.

    One that could not be opened, or was lost, ends its thread a moment later, and wants the event
    loop for it: without this it spoils another test.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, ENDING_S)
