"""The journal on a real file: what it says is written is there after any crash, and only that."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from swatow_node import journal as journals
from swatow_node.journal import WRITES_PER_COMMIT_MAX, AwardRecord, Journal
from swatow_protocol.errors import ConfigError
from tests.support.samples import NOW_US, digest

AWARD, OTHER = digest("award"), digest("other award")
FRESH = AwardRecord(
    id=AWARD,
    envelope=b"award",
    expires_us=NOW_US,
    settle_by_us=NOW_US + 1,
    voucher=None,
    standard_tokens=0,
    claim=0,
    redeemed=0,
    released=False,
    settled=False,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "node.sqlite"


@asynccontextmanager
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = Journal(path)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def with_award(path: Path) -> AsyncIterator[Journal]:
    async with journal(path) as opened:
        await opened.keep_award(AWARD, b"award", NOW_US, NOW_US + 1)
        yield opened


async def record(opened: Journal, award: bytes = AWARD) -> AwardRecord:
    found = await opened.award(award)
    assert found is not None
    return found


async def test_an_award_is_there_when_the_journal_is_opened_again(path: Path) -> None:
    async with with_award(path) as opened:
        assert await opened.award(AWARD) == FRESH
        assert await opened.award(OTHER) is None
    async with journal(path) as again:
        assert await again.award(AWARD) == FRESH
        assert await again.unsettled() == [FRESH]


async def test_an_award_that_is_kept_already_is_not_started_anew(path: Path) -> None:
    async with with_award(path) as opened:
        await opened.keep_voucher(AWARD, b"voucher", 70)
        await opened.keep_award(AWARD, b"another envelope", 0, 0)
        assert await record(opened) == replace(
            FRESH, voucher=b"voucher", standard_tokens=70, claim=70
        )


async def test_a_voucher_is_on_disk_when_the_call_returns(path: Path) -> None:
    """Another connection sees it while the journal is still open, so no close is needed."""
    async with with_award(path) as opened:
        await opened.keep_voucher(AWARD, b"voucher", 70)
        with closing(sqlite3.connect(path)) as other:
            rows = other.execute("SELECT voucher, standard_tokens FROM awards").fetchall()
        assert rows == [(b"voucher", 70)]
        synchronous = await opened._query("PRAGMA synchronous")
        assert synchronous == [(2,)], "FULL: each commit is synced to the disk"


async def test_a_lower_or_equal_voucher_changes_nothing(path: Path) -> None:
    async with with_award(path) as opened:
        await opened.keep_voucher(AWARD, b"high", 70)
        for tokens in (69, 70, 0):
            await opened.keep_voucher(AWARD, b"low", tokens)
        kept = await record(opened)
        assert (kept.voucher, kept.standard_tokens, kept.claim) == (b"high", 70, 70)
        await opened.keep_voucher(AWARD, b"higher", 71)
        assert (await record(opened)).voucher == b"higher"


async def test_less_may_be_claimed_than_the_voucher_promises_but_never_more(path: Path) -> None:
    async with with_award(path) as opened:
        await opened.keep_voucher(AWARD, b"voucher", 70)
        await opened.keep_claim(AWARD, 60)
        assert (await record(opened)).claim == 60
        await opened.keep_voucher(AWARD, b"higher", 80)
        assert (await record(opened)).claim == 80, "signed after the lower count was known"
        await opened.keep_claim(AWARD, 500)
        assert (await record(opened)).claim == 80


async def test_what_was_redeemed_only_grows_and_settled_stays_settled(path: Path) -> None:
    async with with_award(path) as opened:
        for tokens, settled in ((50, False), (40, True), (45, False)):
            await opened.keep_redeemed(AWARD, tokens, settled=settled)
        kept = await record(opened)
        assert (kept.redeemed, kept.settled) == (50, True)
        assert await opened.unsettled() == []


async def test_a_release_is_kept(path: Path) -> None:
    async with with_award(path) as opened:
        await opened.keep_release(AWARD)
    async with journal(path) as again:
        assert await record(again) == replace(FRESH, released=True)


async def test_what_is_said_of_one_award_is_said_of_no_other(path: Path) -> None:
    async with with_award(path) as opened:
        await opened.keep_award(OTHER, b"other", NOW_US, NOW_US)
        await opened.keep_voucher(OTHER, b"voucher", 70)
        await opened.keep_claim(OTHER, 60)
        await opened.keep_redeemed(OTHER, 60, settled=True)
        await opened.keep_release(OTHER)
        assert await opened.award(AWARD) == FRESH
        assert await opened.unsettled() == [FRESH]


async def test_a_receipt_gets_its_countersignature_later(path: Path) -> None:
    async with journal(path) as opened:
        await opened.keep_receipt(digest("job"), b"receipt", None)
        await opened.keep_receipt(digest("job"), b"a second receipt", b"signature")
        await opened.keep_receipt(digest("job 2"), b"receipt 2", None)
        assert await opened.receipts_count() == 2
        rows = await opened._query("SELECT * FROM receipts WHERE job = :job", job=digest("job"))
        assert rows == [(digest("job"), b"receipt", b"signature")]


@asynccontextmanager
async def held_up(path: Path) -> AsyncIterator[Callable[[], None]]:
    """Hold the file's write lock, so that writes gather; yield what lets them go."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield lambda: (other.execute("ROLLBACK"), None)[1]


async def test_writers_that_wait_share_a_commit_and_every_one_is_durable(path: Path) -> None:
    writers = 400
    assert writers < WRITES_PER_COMMIT_MAX
    async with with_award(path) as opened:
        statements: list[str] = []
        opened._connection.set_trace_callback(statements.append)
        async with held_up(path) as let_go:
            kept = [
                asyncio.create_task(opened.keep_receipt(digest(f"job {each}"), b"receipt", None))
                for each in range(writers)
            ]
            first = asyncio.create_task(opened.keep_voucher(AWARD, b"voucher", 1))
            done, _ = await asyncio.wait([*kept, first], timeout=0)
            assert not done, "nobody is told that something is written while it is not"
            let_go()
            await asyncio.gather(*kept, first)
        assert statements.count("COMMIT") <= 3, "what waits goes into one transaction"
    async with journal(path) as again:
        assert await again.receipts_count() == writers
        assert (await record(again)).standard_tokens == 1


async def test_callers_beyond_the_bound_wait_for_a_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "WRITES_WAITING_MAX", 2)
    async with with_award(path) as opened:
        async with held_up(path) as let_go:
            writes = [
                asyncio.create_task(opened.keep_receipt(digest(f"job {each}"), b"receipt", None))
                for each in range(20)
            ]
            done, _ = await asyncio.wait(writes, timeout=0)
            assert not done
            let_go()
            await asyncio.gather(*writes)
        assert await opened.receipts_count() == 20


async def test_of_many_vouchers_at_once_the_highest_is_kept(path: Path) -> None:
    async with with_award(path) as opened:
        order = [(tokens * 37) % 101 for tokens in range(1, 101)]
        await asyncio.gather(
            *(opened.keep_voucher(AWARD, b"voucher %d" % tokens, tokens) for tokens in order)
        )
        kept = await record(opened)
        assert (kept.voucher, kept.standard_tokens) == (b"voucher 100", 100)


async def test_a_write_that_fails_tells_its_caller_and_the_journal_goes_on(path: Path) -> None:
    async with with_award(path) as opened:
        with pytest.raises(sqlite3.IntegrityError):
            await opened.keep_receipt(digest("job"), cast("bytes", None), None)
        await opened.keep_voucher(AWARD, b"voucher", 5)
        assert await opened.receipts_count() == 0
        assert (await record(opened)).standard_tokens == 5


async def test_whoever_shares_a_commit_with_a_failing_write_is_told_the_truth(path: Path) -> None:
    """A whole batch fails together; what matters is that a success always means durable."""
    async with with_award(path) as opened:
        async with held_up(path) as let_go:
            jobs = [digest(f"job {each}") for each in range(40)]
            writes: list[asyncio.Task[Any]] = []
            for each, job in enumerate(jobs):
                envelope = cast("bytes", None) if each == 20 else b"receipt"
                writes.append(asyncio.create_task(opened.keep_receipt(job, envelope, None)))
            await asyncio.wait(writes, timeout=0)
            let_go()
            results = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(results[20], sqlite3.IntegrityError)
        kept = {row[0] for row in await opened._query("SELECT job FROM receipts")}
        assert kept == {job for job, result in zip(jobs, results, strict=True) if result is None}


async def test_a_caller_that_gives_up_disturbs_no_other(path: Path) -> None:
    async with with_award(path) as opened:
        async with held_up(path) as let_go:
            given_up = asyncio.create_task(opened.keep_voucher(AWARD, b"voucher", 5))
            other = asyncio.create_task(opened.keep_receipt(digest("job"), b"receipt", None))
            await asyncio.wait([given_up, other], timeout=0)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            let_go()
            await other
        assert given_up.cancelled()
        assert await opened.receipts_count() == 1


async def test_what_waits_is_written_before_the_journal_closes(path: Path) -> None:
    async with with_award(path) as opened:
        writes = [
            asyncio.create_task(opened.keep_receipt(digest(f"job {each}"), b"receipt", None))
            for each in range(50)
        ]
        await asyncio.wait(writes, timeout=0)
    await asyncio.gather(*writes)
    async with journal(path) as again:
        assert await again.receipts_count() == 50


async def test_a_closed_journal_says_so_and_takes_nothing(path: Path) -> None:
    async with journal(path) as opened:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await opened.keep_award(AWARD, b"award", NOW_US, NOW_US + 1)


@pytest.fixture(params=[b"no database", b"SQLite format 3\0" + bytes(200)], ids=["text", "torn"])
def no_journal(request: pytest.FixtureRequest, path: Path) -> Path:
    path.parent.mkdir()
    path.write_bytes(request.param * 20)
    return path


async def test_a_file_that_is_no_journal_is_named(no_journal: Path) -> None:
    with pytest.raises(ConfigError, match=str(no_journal)):
        Journal(no_journal)
