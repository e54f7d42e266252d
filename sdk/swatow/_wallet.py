"""A buyer's wallet: its key, the orders that it has sent, and the receipts that it has got.

An order is written down before it is sent, so that after a crash the same order, with the same id,
can be asked about or sent again; a batch of orders is written down once, for all of them. SQLite,
in the wallet's directory; calls do disk I/O and are made in a thread.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swatow_protocol.identity import Identity
from swatow_protocol.shell.keyfile import load_or_create_key

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id BLOB PRIMARY KEY,
    envelope BLOB NOT NULL,
    placed_us INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    id BLOB PRIMARY KEY,
    envelope BLOB NOT NULL,
    placed_us INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batch_orders (
    id BLOB PRIMARY KEY,
    batch BLOB NOT NULL,
    number INTEGER NOT NULL
);
CREATE VIEW IF NOT EXISTS placed AS
    SELECT id, id AS message, NULL AS number, placed_us FROM orders
    UNION ALL
    SELECT batch_orders.id, batch, number, placed_us
    FROM batch_orders JOIN batches ON batches.id = batch;
CREATE TABLE IF NOT EXISTS awards (
    id BLOB PRIMARY KEY,
    order_id BLOB NOT NULL,
    award BLOB NOT NULL,
    offer BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS receipts (
    job BLOB PRIMARY KEY,
    closed_us INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    countersignature BLOB
);
"""

_PLACED = "SELECT id, message, number FROM placed"
_AWARDS = "SELECT order_id, award, offer FROM awards JOIN placed ON placed.id = order_id"
_ENVELOPE = """
SELECT envelope FROM orders WHERE id = :id UNION ALL SELECT envelope FROM batches WHERE id = :id
"""


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """An order in the wallet."""

    id: bytes
    envelope: bytes
    """Of the message that it was placed with."""
    number: int | None
    """Which of a batch's orders it is; None if it was placed alone."""


@dataclass(frozen=True, slots=True)
class KeptAward:
    """An award in the wallet, with the offer that it draws on."""

    order: bytes
    """Id of the order that it answers."""
    award: bytes
    offer: bytes


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt in the wallet."""

    envelope: bytes
    countersignature: bytes | None
    """None where the buyer did not agree with it."""


class Wallet:
    """The wallet in a directory; several processes may use one."""

    def __init__(self, directory: Path) -> None:
        """Open the wallet, or make it with a new key.

        Raises:
            KeyFileError: the key file cannot be used safely.
        """
        self.directory = directory
        self.identity: Identity = load_or_create_key(directory / "key")
        self._path = directory / "wallet.sqlite"
        with closing(self._open()) as connection:
            connection.executescript(_SCHEMA)

    def keep_order(self, order: bytes, envelope: bytes, placed_us: int) -> None:
        """Write an order down, before it is sent."""
        self._write("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", (order, envelope, placed_us))

    def keep_batch(
        self, batch: bytes, envelope: bytes, placed_us: int, orders: Iterable[bytes]
    ) -> None:
        """Write a batch down with the ids of its orders, by their numbers, before it is sent."""
        numbered = [(order, batch, number) for number, order in enumerate(orders)]
        with closing(self._open()) as connection, connection:
            connection.execute(
                "INSERT OR IGNORE INTO batches VALUES (?, ?, ?)", (batch, envelope, placed_us)
            )
            connection.executemany("INSERT OR IGNORE INTO batch_orders VALUES (?, ?, ?)", numbered)

    def order(self, prefix: str) -> KeptOrder | None:
        """Return the one order whose id starts with these hexadecimal digits."""
        rows = self._by_prefix(_PLACED, "id", prefix)
        return self._with_envelopes(rows)[0] if len(rows) == 1 else None

    def orders(self, most: int) -> list[KeptOrder]:
        """Return the latest orders, newest first, those of a batch by their numbers."""
        query = f"{_PLACED} ORDER BY placed_us DESC, number, id LIMIT ?"
        with closing(self._open()) as connection:
            rows = connection.execute(query, (most,)).fetchall()
        return self._with_envelopes(rows)

    def keep_awards(self, awards: Iterable[tuple[bytes, bytes, bytes, bytes]]) -> None:
        """Keep awards, so that another process can use them: (id, order, award, offer) of each."""
        with closing(self._open()) as connection, connection:
            connection.executemany("INSERT OR IGNORE INTO awards VALUES (?, ?, ?, ?)", awards)

    def award(self, prefix: str) -> KeptAward | None:
        """Return the one award whose id starts with these hexadecimal digits."""
        rows = self._by_prefix(_AWARDS, "awards.id", prefix)
        return KeptAward(*rows[0]) if len(rows) == 1 else None

    def awards(self, most: int) -> list[KeptAward]:
        """Return the awards of the latest orders, newest first."""
        query = f"{_AWARDS} ORDER BY placed_us DESC, awards.id LIMIT ?"
        with closing(self._open()) as connection:
            return [KeptAward(*row) for row in connection.execute(query, (most,))]

    def keep_receipt(
        self, job: bytes, closed_us: int, envelope: bytes, countersignature: bytes | None
    ) -> None:
        """Keep a receipt."""
        values = (job, closed_us, envelope, countersignature)
        self._write("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?)", values)

    def receipts(self, most: int) -> list[KeptReceipt]:
        """Return the latest receipts, newest first."""
        query = (
            "SELECT envelope, countersignature FROM receipts ORDER BY closed_us DESC, job LIMIT ?"
        )
        with closing(self._open()) as connection:
            return [KeptReceipt(*row) for row in connection.execute(query, (most,))]

    def orders_count(self) -> int:
        """Count the orders that were ever sent."""
        with closing(self._open()) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM placed").fetchone()[0])

    def _with_envelopes(self, rows: Sequence[tuple[Any, ...]]) -> list[KeptOrder]:
        """Return the orders of (id, message, number) rows; the envelope of a batch is read once."""
        with closing(self._open()) as connection:
            envelopes = {
                message: connection.execute(_ENVELOPE, {"id": message}).fetchone()[0]
                for message in {message for _, message, _ in rows}
            }
        return [KeptOrder(order, envelopes[message], number) for order, message, number in rows]

    def _by_prefix(self, query: str, column: str, prefix: str) -> list[tuple[Any, ...]]:
        """Return up to two rows whose id starts with these hexadecimal digits."""
        if not prefix or not set(prefix.lower()) <= set("0123456789abcdef"):
            return []
        found = f"{query} WHERE lower(hex({column})) LIKE ? || '%' LIMIT 2"
        with closing(self._open()) as connection:
            return connection.execute(found, (prefix.lower(),)).fetchall()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with closing(self._open()) as connection, connection:
            connection.execute(statement, values)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection
