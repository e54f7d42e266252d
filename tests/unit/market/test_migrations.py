"""The versions of the schema build what ledger.schema says, and can be taken down again."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, inspect

from swatow_market.ledger import migrations
from swatow_market.ledger.database import Database, sqlite_url
from swatow_market.ledger.schema import metadata
from tests.support.market_ledger import check_books

ALEMBIC = "alembic_version"


def described(connection: Connection) -> dict[str, dict[str, Any]]:
    """Return everything that the database says of its tables, in an order of its own."""
    inspector = inspect(connection)
    tables = {}
    for name in inspector.get_table_names():
        if name != ALEMBIC:
            tables[name] = {
                "columns": [
                    (each["name"], str(each["type"]), each["nullable"])
                    for each in inspector.get_columns(name)
                ],
                "key": inspector.get_pk_constraint(name),
                "foreign": sorted(
                    (
                        each["name"],
                        each["constrained_columns"],
                        each["referred_table"],
                        each["referred_columns"],
                    )
                    for each in inspector.get_foreign_keys(name)
                ),
                "unique": sorted(
                    (each["name"], each["column_names"])
                    for each in inspector.get_unique_constraints(name)
                ),
                "checks": sorted(
                    (each["name"], each["sqltext"])
                    for each in inspector.get_check_constraints(name)
                ),
                "indexes": sorted(
                    (each["name"], each["column_names"], each["unique"])
                    for each in inspector.get_indexes(name)
                ),
            }
    return tables


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    """Connect to an empty SQLite file, through the synchronous driver."""
    engine = create_engine(f"sqlite:///{tmp_path / 'market.sqlite'}")
    event.listen(engine, "connect", _no_transactions_of_its_own)
    event.listen(engine, "begin", _begin)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _no_transactions_of_its_own(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Describe what ledger.schema builds by itself."""
    engine = create_engine(f"sqlite:///{tmp_path / 'expected.sqlite'}")
    with engine.begin() as connection:
        metadata.create_all(connection)
        found = described(connection)
    engine.dispose()
    return found


HEAD = "0005"
BEFORE_PERIODS: dict[str, dict[str, Any]] = {
    "messages": {"id": b"message", "kind": "order", "received_us": 1, "envelope": b""},
    "orders": {
        "id": b"order",
        "message_id": b"message",
        "shard": "main",
        "buyer": b"buyer",
        "terms": b"",
        "lots": 5,
        "lots_open": 0,
        "state": "filled",
        "carried": True,
        "expires_us": 2,
    },
    "awards": {
        "id": b"award",
        "order_id": b"order",
        "buyer": b"buyer",
        "node": b"node",
        "model": b"model",
        "lots": 5,
        "expires_us": 3,
        "settle_by_us": 4,
        "envelope": b"",
        "offer_envelope": b"",
        "standard_tokens": 0,
        "closed": False,
    },
}
"""One row of each table, as the first version had it."""

PARTS = ("columns", "key", "foreign", "unique", "checks", "indexes")


class TestHead:
    def test_has_the_tables_of_the_schema(
        self, connection: Connection, expected: dict[str, Any]
    ) -> None:
        migrations.upgrade(connection)
        assert set(described(connection)) == set(expected) == set(metadata.tables)

    @pytest.mark.parametrize("part", PARTS)
    def test_is_the_schema(
        self, connection: Connection, expected: dict[str, Any], part: str
    ) -> None:
        migrations.upgrade(connection)
        found = described(connection)
        assert {name: table[part] for name, table in found.items()} == {
            name: table[part] for name, table in expected.items()
        }

    def test_names_every_constraint_as_the_schema_names_it(self, connection: Connection) -> None:
        """A later version drops or changes a constraint by its name."""
        migrations.upgrade(connection)
        for name, table in described(connection).items():
            for check, _ in table["checks"]:
                assert check.startswith(f"ck_{name}_")
                assert check.count("ck_") == 1, check


class TestWays:
    def test_down_to_nothing_and_up_again(
        self, connection: Connection, expected: dict[str, Any]
    ) -> None:
        migrations.upgrade(connection)
        first = described(connection)
        migrations.downgrade(connection, "base")
        assert described(connection) == {}
        migrations.upgrade(connection)
        assert described(connection) == first
        assert set(first) == set(expected)

    def test_up_twice_is_up_once(self, connection: Connection) -> None:
        migrations.upgrade(connection)
        first = described(connection)
        migrations.upgrade(connection)
        assert described(connection) == first
        version = connection.exec_driver_sql(f"SELECT * FROM {ALEMBIC}").all()
        assert version == [(HEAD,)]

    def test_awards_from_before_periods_have_begun(self, connection: Connection) -> None:
        """And keep what they are checked by, for which SQLite would make a table anew."""
        migrations.upgrade(connection, "0001")
        for table, values in BEFORE_PERIODS.items():
            names, marks = ", ".join(values), ", ".join("?" for _ in values)
            insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"
            connection.exec_driver_sql(insert, tuple(values.values()))
        before = described(connection)
        migrations.upgrade(connection)
        found = connection.exec_driver_sql("SELECT id, lots, from_us FROM awards").all()
        assert found == [(b"award", 5, 0)]
        migrations.downgrade(connection, "0001")
        assert described(connection)["awards"] == before["awards"]
        assert connection.exec_driver_sql("SELECT id, lots FROM awards").all() == [(b"award", 5)]

    async def test_what_is_in_the_tables_stays_when_the_market_starts_again(
        self, database: Database
    ) -> None:
        insert = "INSERT INTO accounts VALUES ('fee', 'fee', NULL, 'USD', 0, 0, 0)"
        async with database.writing() as connection:
            await connection.exec_driver_sql(insert)
        await database.upgrade()
        async with database.reading() as connection:
            rows = (await connection.exec_driver_sql("SELECT id FROM accounts")).all()
            await check_books(connection)
        assert rows == [("fee",)]

    async def test_two_that_start_at_once_upgrade_once(self, tmp_path: Path) -> None:
        """Each waits for the other's transaction, and then finds nothing to do."""
        url = sqlite_url(tmp_path / "market.sqlite")
        databases = [Database(url) for _ in range(3)]
        await asyncio.gather(*[database.upgrade() for database in databases])
        async with databases[0].reading() as connection:
            rows = (await connection.exec_driver_sql(f"SELECT * FROM {ALEMBIC}")).all()
        assert rows == [(HEAD,)]
        for database in databases:
            await database.close()
