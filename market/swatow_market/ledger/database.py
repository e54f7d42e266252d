"""The database of a market: one URL, SQLite by default, and transactions that are serial."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from swatow_protocol.errors import ConfigError

T = TypeVar("T")

BUSY_MS_MAX = 10_000
"""How long a SQLite transaction waits for another process to finish its own."""
IDS_PER_QUERY = 10_000
"""Ids that one query names; SQLite takes 32,766 values, PostgreSQL's protocol 65,535."""
WAL_TRIES_MAX = 50
WAL_TRY_MS = 100
WAL_PAUSE_S = 0.01
"""How often a new connection tries to have SQLite in WAL mode, how long each time, and the pause
after it."""


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite+aiosqlite:///{path}"


class Database:
    """Connections to the database at a URL. SQLite runs in WAL mode and syncs every commit.

    Raises:
        ConfigError: the URL is none, or names a driver that is not there.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._engine = create_async_engine(url)
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigError(f"database: {error}") from None
        except ValueError:  # its words may be a part of the URL, which may hold a password
            raise ConfigError("database: the URL cannot be read") from None
        self._working: set[asyncio.Future[Any]] = set()
        self._turns: AbstractAsyncContextManager[None] = nullcontext()
        if self._engine.dialect.name == "sqlite":
            self._turns = asyncio.Lock()
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that changes something: all of it, or nothing on any exception.

        SQLite has one writer at a time and lets the others try again and again: here they take
        turns, so that none of this process waits longer than those before it take.
        """
        async with self._turns, self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Run queries on one consistent state, without waiting for writers."""
        async with self._engine.connect() as connection:
            await connection.execution_options(swatow_reading=True)
            async with connection.begin():
                yield connection

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`, which uses the database, to its end, also if the caller is cancelled.

        A caller that has gone away must not leave a transaction half done, nor a connection in
        the middle of an answer. `close` waits for such work.
        """
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def upgrade(self) -> None:
        """Bring the schema up to date.

        Raises:
            ConfigError: the database cannot be opened.
        """
        from swatow_market.ledger.migrations import upgrade

        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(upgrade)
        except (DBAPIError, OSError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise ConfigError(f"database {self._engine.url!r}: {reason}") from None

    async def close(self) -> None:
        """Wait for work that is under way, then close all connections."""
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._engine.dispose()

    def _done(self, task: "asyncio.Future[Any]") -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # the caller has it, or there is no caller any more


async def select_by_ids(
    connection: AsyncConnection,
    query: Select[*tuple[Any, ...]],
    column: ColumnElement[bytes],
    ids: list[bytes],
) -> list[dict[str, Any]]:
    """Return the rows of a query whose `column` is one of these ids, by that column."""
    rows: list[dict[str, Any]] = []
    wanted = sorted(ids)
    for first in range(0, len(wanted), IDS_PER_QUERY):
        some = query.where(column.in_(wanted[first : first + IDS_PER_QUERY])).order_by(column)
        rows += [dict(row) for row in (await connection.execute(some)).mappings()]
    return rows


async def insert_new(connection: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose primary key is new; return how many were."""
    if not rows:
        return 0
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    result = await connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
    return result.rowcount


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin in _begin_sqlite, not in the driver
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS_MAX}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Have the file in WAL mode. Two that change a new file's mode at once shut each other out
    without SQLite waiting for either, so whoever was shut out tries again."""
    cursor.execute(f"PRAGMA busy_timeout={WAL_TRY_MS}")
    for tries_left in reversed(range(WAL_TRIES_MAX)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if not tries_left:
                raise
            time.sleep(WAL_PAUSE_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("swatow_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
