"""The database: transactions are serial, readers wait for nobody, and what fails is said."""

import asyncio
import gc
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger.database import Database, insert_new, sqlite_url
from swatow_market.ledger.schema import leaders
from swatow_protocol.errors import ConfigError
from tests.support.market_ledger import STUCK_S, connections_ended, read_rows
from tests.support.market_world import settle_down

INSERT = "INSERT INTO leaders VALUES ('{}', 1, 0)"


@pytest.fixture
def file(empty_ledger: Path, tmp_path: Path) -> Path:
    """Copy an empty ledger."""
    return Path(shutil.copy(empty_ledger, tmp_path / "ledger.sqlite"))


@pytest.fixture
async def first(file: Path) -> AsyncIterator[Database]:
    """Open the file."""
    database = Database(sqlite_url(file))
    yield database
    await database.close()


@pytest.fixture
async def second(file: Path) -> AsyncIterator[Database]:
    """Open the file once more, as another process would."""
    database = Database(sqlite_url(file))
    yield database
    await database.close()


async def shards(connection: AsyncConnection) -> list[str]:
    rows = await connection.exec_driver_sql("SELECT shard FROM leaders ORDER BY shard")
    return [shard for (shard,) in rows]


async def pragma(connection: AsyncConnection, name: str) -> object:
    return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()


class TestTransactions:
    async def test_a_reader_does_not_wait_for_a_writer(
        self, first: Database, second: Database
    ) -> None:
        """It sees the state before, and goes on seeing it until its own transaction ends."""
        async with asyncio.timeout(STUCK_S), first.writing() as writing:
            await writing.exec_driver_sql(INSERT.format("main"))
            for reader in (first, second):
                async with reader.reading() as reading:
                    assert await shards(reading) == []
        async with second.reading() as reading:
            assert await shards(reading) == ["main"]

    async def test_a_reader_sees_one_state_throughout(
        self, first: Database, second: Database
    ) -> None:
        async with second.reading() as reading:
            assert await shards(reading) == []
            async with first.writing() as writing:
                await writing.exec_driver_sql(INSERT.format("main"))
            assert await shards(reading) == []
        async with second.reading() as reading:
            assert await shards(reading) == ["main"]

    async def test_a_writer_has_the_database_from_its_beginning(
        self, first: Database, file: Path
    ) -> None:
        """BEGIN IMMEDIATE: what it reads before it writes is still true when it writes."""
        other = sqlite3.connect(file, timeout=0, isolation_level=None)
        async with first.writing() as writing:
            assert await shards(writing) == []
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            await writing.exec_driver_sql(INSERT.format("main"))
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        other.close()

    async def test_a_second_writer_waits_for_the_first(
        self, first: Database, second: Database
    ) -> None:
        order: list[str] = []

        async def write(database: Database, name: str, go: asyncio.Event) -> None:
            async with database.writing() as connection:
                order.append(f"{name} begins")
                started.set()
                await go.wait()
                await connection.exec_driver_sql(INSERT.format(name))
                order.append(f"{name} ends")

        started, go = asyncio.Event(), asyncio.Event()
        one = asyncio.create_task(write(first, "one", go))
        await started.wait()
        other = asyncio.create_task(write(second, "other", go))
        go.set()
        await asyncio.gather(one, other)
        assert order == ["one begins", "one ends", "other begins", "other ends"]

    async def test_a_reader_blocks_no_writer(self, first: Database, second: Database) -> None:
        async with first.reading() as reading:
            assert await shards(reading) == []
            async with asyncio.timeout(STUCK_S), second.writing() as writing:
                await writing.exec_driver_sql(INSERT.format("main"))

    async def test_an_exception_undoes_everything(self, first: Database) -> None:
        with pytest.raises(ZeroDivisionError):
            await self.write_and_fail(first)
        async with first.reading() as reading:
            assert await shards(reading) == []

    async def write_and_fail(self, database: Database) -> None:
        async with database.writing() as writing:
            await writing.exec_driver_sql(INSERT.format("main"))
            raise ZeroDivisionError

    async def test_a_task_that_is_cancelled_undoes_everything(self, first: Database) -> None:
        written = asyncio.Event()

        async def write() -> None:
            async with first.writing() as writing:
                await writing.exec_driver_sql(INSERT.format("main"))
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with first.writing() as writing:
            assert await shards(writing) == []

    async def test_a_process_that_is_killed_leaves_nothing_of_its_transaction(
        self, first: Database, file: Path
    ) -> None:
        async with first.writing() as writing:
            await writing.exec_driver_sql(INSERT.format("before"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DYING, str(file), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"written\n"
        async with first.reading() as reading:
            assert await shards(reading) == ["before"]
        process.kill()
        await process.wait()
        async with asyncio.timeout(STUCK_S), first.writing() as writing:
            assert await shards(writing) == ["before"]


DYING = """
import asyncio, sys
from swatow_market.ledger.database import Database, sqlite_url

async def main():
    async with Database(sqlite_url(sys.argv[1])).writing() as connection:
        await connection.exec_driver_sql("INSERT INTO leaders VALUES ('dying', 1, 0)")
        print("written", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


class TestFinish:
    """Work that goes on to its end, whatever becomes of whoever asked for it."""

    async def write_when(self, database: Database, go: asyncio.Event) -> str:
        async with database.writing() as writing:
            await writing.exec_driver_sql(INSERT.format("main"))
            await go.wait()
        return "done"

    async def test_returns_what_the_work_returns(self, first: Database) -> None:
        go = asyncio.Event()
        go.set()
        assert await first.finish(self.write_when(first, go)) == "done"

    async def test_raises_what_the_work_raises(self, first: Database) -> None:
        async def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await first.finish(fail())

    async def test_outlives_a_caller_that_is_cancelled(
        self, first: Database, second: Database
    ) -> None:
        go = asyncio.Event()
        caller = asyncio.create_task(first.finish(self.write_when(first, go)))
        await settle_down()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go.set()
        await first.close()
        async with second.reading() as reading:
            assert await shards(reading) == ["main"]

    async def test_closing_waits_for_it(self, first: Database, file: Path) -> None:
        go = asyncio.Event()
        caller = asyncio.create_task(first.finish(self.write_when(first, go)))
        await settle_down()
        closing = asyncio.create_task(first.close())
        await settle_down()
        assert not closing.done()
        go.set()
        await closing
        assert await caller == "done"
        assert read_rows(file, "SELECT shard FROM leaders") == [("main",)]

    async def test_a_failure_that_nobody_waits_for_is_no_noise(self, first: Database) -> None:
        go = asyncio.Event()

        async def fail() -> None:
            await go.wait()
            raise ZeroDivisionError

        caller = asyncio.create_task(first.finish(fail()))
        await settle_down()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        complaints: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        go.set()
        await first.close()
        gc.collect()
        assert complaints == []


class TestSafety:
    async def test_every_connection_syncs_and_checks(self, first: Database) -> None:
        async with first.reading() as one, first.reading() as other:
            for connection in (one, other):
                assert await pragma(connection, "journal_mode") == "wal"
                assert await pragma(connection, "synchronous") == 2
                assert await pragma(connection, "foreign_keys") == 1
                assert await pragma(connection, "busy_timeout") == 10_000

    async def test_when_it_is_closed_everything_is_in_the_one_file(self, file: Path) -> None:
        database = Database(sqlite_url(file))
        async with database.writing() as writing:
            await writing.exec_driver_sql(INSERT.format("main"))
        await database.close()
        assert read_rows(file, "SELECT shard FROM leaders") == [("main",)]
        assert not file.with_name(file.name + "-wal").exists()


class TestInsertNew:
    async def test_inserts_what_is_new_and_counts_it(self, first: Database) -> None:
        rows = [{"shard": name, "epoch": 1, "number": 0} for name in ("a", "b", "c")]
        async with first.writing() as writing:
            assert await insert_new(writing, leaders, []) == 0
            assert await insert_new(writing, leaders, rows[:1]) == 1
            assert await insert_new(writing, leaders, rows[:1]) == 0
            assert await insert_new(writing, leaders, rows) == 2
            assert await shards(writing) == ["a", "b", "c"]

    async def test_leaves_what_is_there_as_it_was(self, first: Database) -> None:
        async with first.writing() as writing:
            await insert_new(writing, leaders, [{"shard": "a", "epoch": 5, "number": 7}])
            await insert_new(writing, leaders, [{"shard": "a", "epoch": 0, "number": 0}])
            row = (await writing.exec_driver_sql("SELECT epoch, number FROM leaders")).one()
            assert tuple(row) == (5, 7)


class TestUnusable:
    async def test_a_path_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        database = Database(sqlite_url(tmp_path / "missing" / "market.sqlite"))
        with pytest.raises(ConfigError, match=r"market\.sqlite.*unable to open"):
            await database.upgrade()
        await database.close()
        await connections_ended()

    async def test_a_directory_is_no_database(self, tmp_path: Path) -> None:
        database = Database(sqlite_url(tmp_path))
        with pytest.raises(ConfigError, match="unable to open"):
            await database.upgrade()
        await database.close()
        await connections_ended()

    async def test_a_file_that_is_no_database_is_refused_and_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("not a database, and of value to somebody" * 50)
        database = Database(sqlite_url(file))
        try:
            with pytest.raises(ConfigError, match="not a database"):
                await database.upgrade()
        finally:
            await database.close()
            await connections_ended()
        assert "of value" in file.read_text()

    @pytest.mark.parametrize(
        "url", ["", "nonsense", "unknown+driver:///x", "sqlite:///x.sqlite", "postgresql://host/x"]
    )
    async def test_a_url_that_cannot_be_used_is_a_config_error(self, url: str) -> None:
        with pytest.raises(ConfigError):
            await Database(url).upgrade()
