"""Databases and markets for the tests of this folder."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swatow_market.ledger.database import Database, sqlite_url
from tests.support.market_ledger import check_books
from tests.support.market_world import World, open_world


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a SQLite file with the whole schema and no rows, to be copied."""
    file = tmp_path_factory.mktemp("ledger") / "empty.sqlite"

    async def make() -> None:
        database = Database(sqlite_url(file))
        await database.upgrade()
        await database.close()

    asyncio.run(make())
    return file


@pytest.fixture
async def database(empty_ledger: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database of this test's own; its books must balance when the test is over."""
    file = tmp_path / "market.sqlite"
    shutil.copy(empty_ledger, file)
    database = Database(sqlite_url(file))
    try:
        yield database
        async with database.reading() as connection:
            await check_books(connection)
    finally:
        await database.close()


@pytest.fixture
def empty_home(empty_ledger: Path, tmp_path: Path) -> Path:
    """Make the directory of a market that has never run."""
    home = tmp_path / "market"
    home.mkdir()
    shutil.copy(empty_ledger, home / "market.sqlite")
    return home


@pytest.fixture
async def world(empty_home: Path) -> AsyncIterator[World]:
    """Open a market of this test's own; its books must balance when the test is over."""
    world = await open_world(empty_home)
    try:
        yield world
        await world.check_books()
    finally:
        await world.close()
