"""Rounds as files: whole or not there, written again where missing, forgotten with their rows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swatow_market import admin
from swatow_market.published import check
from swatow_market.service.round_files import RoundFiles
from tests.support.market_world import UNIT, World, open_world

DAY_S = 86_400


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await open_world(tmp_path, records_days=1)
    await opened.deposit(10 * UNIT)
    yield opened
    await opened.close()


def files(world: World) -> list[str]:
    return sorted(each.name for each in (world.home / "rounds").glob("*"))


async def trade(world: World) -> None:
    await world.supply((80_000, 3))
    await world.place(1, 100_000)
    await world.round()


async def test_a_round_that_traded_is_a_file_that_can_be_checked(world: World) -> None:
    await trade(world)
    await world.place(1, 10)
    await world.round()
    assert files(world) == ["main-1-1.swatow"], "the second round did not trade"
    data = (world.home / "rounds" / "main-1-1.swatow").read_bytes()
    assert data == await admin.published_round(world.settings, world.home, "1/1")
    assert check(data).judgement.findings == ()


async def test_files_are_forgotten_with_their_rows(world: World) -> None:
    await trade(world)
    world.clock.advance(DAY_S + 1)
    await trade(world)
    assert files(world) == ["main-1-2.swatow"]


async def test_they_can_be_switched_off(tmp_path: Path) -> None:
    world = await open_world(tmp_path, round_files=False)
    await world.deposit(UNIT)
    await trade(world)
    await world.market.rounds.kept.catch_up()
    await world.close()
    assert not (tmp_path / "rounds").exists()


async def test_what_cannot_be_written_fails_no_round_and_is_written_at_the_next_start(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "rounds").write_text("no directory")
    await trade(world)
    await trade(world)
    assert world.rows("SELECT COUNT(*) FROM rounds WHERE record NOTNULL") == [(2,)]
    await world.market.rounds.kept.catch_up()  # nothing raises: the next start tries again
    (tmp_path / "rounds").unlink()
    again = await open_world(tmp_path, world.clock, records_days=1)
    await again.market.rounds.kept.catch_up()
    assert files(again) == ["main-1-1.swatow", "main-1-2.swatow"]
    for name in ("1/1", "1/2"):
        written = tmp_path / "rounds" / f"main-{name.replace('/', '-')}.swatow"
        assert written.read_bytes() == await admin.published_round(again.settings, tmp_path, name)
    await again.close()


async def test_a_start_removes_what_is_over_and_leaves_what_is_not_its_own(
    world: World, tmp_path: Path
) -> None:
    await trade(world)
    strange = {"other-1-1.swatow", "notes.txt", "main-x-1.swatow", "main-1-01.swatow"}
    for name in strange | {"main-1-9.swatow", "main-1-1.swatow.part"}:
        (tmp_path / "rounds" / name).write_bytes(b"")
    again = await open_world(tmp_path, world.clock)
    await trade(again)
    await again.market.rounds.kept.catch_up()
    assert set(files(again)) == strange | {"main-1-1.swatow", "main-2-1.swatow"}
    await again.close()


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = RoundFiles(tmp_path / "rounds", "eu/main")
    rounds.write((1, 2), b"first")

    def fail(_: int) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            rounds.write((1, 2), b"second")
    assert rounds.path((1, 2)).read_bytes() == b"first"
    assert [each.name for each in (tmp_path / "rounds").iterdir()] == ["eu%2Fmain-1-2.swatow"]
    assert rounds.present() == {(1, 2)}
    rounds.forget([(1, 2), (1, 3)])
    assert rounds.present() == set()
