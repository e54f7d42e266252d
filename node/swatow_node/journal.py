"""What a node must not forget: vouchers, receipts, and what it has redeemed.

SQLite in a thread of its own. Everything that waits is written in one transaction with one sync
to disk (group commit), so that a voucher is durable before more work is done for it, also when
many streams bring vouchers at once. A crash loses only what nobody was told is written.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from swatow_protocol.errors import ConfigError

WRITES_WAITING_MAX = 4_096
"""Writes that wait for the disk; further callers wait for a place."""
WRITES_PER_COMMIT_MAX = 512

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS awards (
    id BLOB PRIMARY KEY,
    envelope BLOB NOT NULL,
    expires_us INTEGER NOT NULL,
    settle_by_us INTEGER NOT NULL,
    voucher BLOB,
    standard_tokens INTEGER NOT NULL DEFAULT 0,  -- promised by the voucher
    claim INTEGER NOT NULL DEFAULT 0,            -- what this node counted, at most that
    redeemed INTEGER NOT NULL DEFAULT 0,         -- claimed with success
    released INTEGER NOT NULL DEFAULT 0,         -- the buyer draws no more
    settled INTEGER NOT NULL DEFAULT 0           -- redeemed for good
);
CREATE TABLE IF NOT EXISTS receipts (
    job BLOB PRIMARY KEY,
    envelope BLOB NOT NULL,
    countersignature BLOB
);
"""


@dataclass(frozen=True, slots=True)
class AwardRecord:
    """What the journal knows of an award."""

    id: bytes
    envelope: bytes
    expires_us: int
    settle_by_us: int
    voucher: bytes | None
    standard_tokens: int
    claim: int
    redeemed: int
    released: bool
    settled: bool


class Journal:
    """The node's journal. Calls are safe from any task; a cancelled write may still happen."""

    def __init__(self, path: Path) -> None:
        """Open the journal, or make it.

        Raises:
            ConfigError: the file cannot be opened, or is no journal.
        """
        self._path = path
        self._writes: queue.Queue[tuple[Callable[[sqlite3.Connection], Any], Any] | None]
        self._writes = queue.Queue(WRITES_WAITING_MAX)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._connection = _open(path)
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what waits and close the file."""
        self._closed = True
        await asyncio.to_thread(self._writes.put, None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    async def keep_award(
        self, award: bytes, envelope: bytes, expires_us: int, settle_by_us: int
    ) -> None:
        """Note an award when its first job opens."""
        await self._run(
            "INSERT INTO awards (id, envelope, expires_us, settle_by_us) "
            "VALUES (:award, :envelope, :expires_us, :settle_by_us) ON CONFLICT DO NOTHING",
            award=award,
            envelope=envelope,
            expires_us=expires_us,
            settle_by_us=settle_by_us,
        )

    async def keep_voucher(self, award: bytes, voucher: bytes, standard_tokens: int) -> None:
        """Write a voucher; durable on return. A lower one than is kept changes nothing."""
        await self._run(
            "UPDATE awards SET voucher = :voucher, standard_tokens = :standard_tokens, "
            "claim = MAX(claim, :standard_tokens) "
            "WHERE id = :award AND standard_tokens < :standard_tokens",
            award=award,
            voucher=voucher,
            standard_tokens=standard_tokens,
        )

    async def keep_claim(self, award: bytes, standard_tokens: int) -> None:
        """Note that less is to be claimed than the voucher promises."""
        await self._run(
            "UPDATE awards SET claim = MIN(standard_tokens, :standard_tokens) WHERE id = :award",
            award=award,
            standard_tokens=standard_tokens,
        )

    async def keep_release(self, award: bytes) -> None:
        """Note that the buyer draws no more on an award."""
        await self._run("UPDATE awards SET released = 1 WHERE id = :award", award=award)

    async def keep_redeemed(self, award: bytes, standard_tokens: int, *, settled: bool) -> None:
        """Note what the market has taken, and whether it is the last word on the award."""
        await self._run(
            "UPDATE awards SET redeemed = MAX(redeemed, :redeemed), "
            "settled = MAX(settled, :settled) WHERE id = :award",
            award=award,
            redeemed=standard_tokens,
            settled=settled,
        )

    async def keep_receipt(
        self, job: bytes, envelope: bytes, countersignature: bytes | None
    ) -> None:
        """Keep a receipt, and the countersignature when it comes."""
        await self._run(
            "INSERT INTO receipts VALUES (:job, :envelope, :countersignature) "
            "ON CONFLICT (job) DO UPDATE SET countersignature = :countersignature",
            job=job,
            envelope=envelope,
            countersignature=countersignature,
        )

    async def award(self, award: bytes) -> AwardRecord | None:
        """Return what is known of an award."""
        rows = await self._query("SELECT * FROM awards WHERE id = :award", award=award)
        return _record(rows[0]) if rows else None

    async def unsettled(self) -> list[AwardRecord]:
        """Return awards that are not redeemed for good."""
        query = "SELECT * FROM awards WHERE NOT settled ORDER BY id"
        return [_record(row) for row in await self._query(query)]

    async def receipts_count(self) -> int:
        """Count receipts, countersigned or not."""
        return int((await self._query("SELECT COUNT(*) FROM receipts"))[0][0])

    async def _run(self, statement: str, **values: object) -> None:
        await self._submit(lambda connection: connection.execute(statement, values))

    async def _query(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        return await self._submit(lambda each: each.execute(query, values).fetchall())

    async def _submit(self, write: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise RuntimeError("the journal is closed")
        done: asyncio.Future[T] = self._loop.create_future()
        try:
            self._writes.put_nowait((write, done))
        except queue.Full:
            await asyncio.to_thread(self._writes.put, (write, done))
        return await done

    def _work(self) -> None:
        running = True
        while running:
            batch = [self._writes.get()]
            while len(batch) < WRITES_PER_COMMIT_MAX and not self._writes.empty():
                batch.append(self._writes.get())
            writes = [item for item in batch if item is not None]
            running = len(writes) == len(batch)
            self._commit(writes)

    def _commit(self, writes: list[tuple[Callable[[sqlite3.Connection], Any], Any]]) -> None:
        results: list[tuple[Any, Any]] = []
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                results = [(done, write(self._connection)) for write, done in writes]
        except Exception as error:  # noqa: BLE001 - whatever it is, its callers must hear of it
            failed = [done for _, done in writes]
            self._loop.call_soon_threadsafe(_fail, failed, error)
        else:
            self._loop.call_soon_threadsafe(_finish, results)


def _open(path: Path) -> sqlite3.Connection:
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=10000")
        connection.executescript(_SCHEMA)
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise ConfigError(f"journal {path}: {error}") from None
    return connection


def _record(row: tuple[Any, ...]) -> AwardRecord:
    award, envelope, expires_us, settle_by_us, voucher, promised, claim, redeemed = row[:8]
    return AwardRecord(
        id=award,
        envelope=envelope,
        expires_us=expires_us,
        settle_by_us=settle_by_us,
        voucher=voucher,
        standard_tokens=promised,
        claim=claim,
        redeemed=redeemed,
        released=bool(row[8]),
        settled=bool(row[9]),
    )


def _finish(results: list[tuple["asyncio.Future[Any]", Any]]) -> None:
    for done, result in results:
        if not done.done():
            done.set_result(result)


def _fail(waiting: list["asyncio.Future[Any]"], error: Exception) -> None:
    for done in waiting:
        if not done.done():
            done.set_exception(error)
