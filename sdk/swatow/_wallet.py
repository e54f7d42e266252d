"""A buyer's wallet: its key, the orders that it has sent, and the receipts that it has got.

An order is written down before it is sent, so that after a crash the same order, with the same id,
can be asked about or sent again. SQLite, in the wallet's directory; calls do disk I/O and are made
in a thread.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from swatow_protocol.identity import Identity
from swatow_protocol.shell.keyfile import load_or_create_key

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id BLOB PRIMARY KEY,
    envelope BLOB NOT NULL,
    placed_us INTEGER NOT NULL
);
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

_AWARDS = (
    "SELECT orders.envelope, award, offer FROM awards JOIN orders ON orders.id = awards.order_id"
)


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """An order in the wallet."""

    id: bytes
    envelope: bytes


@dataclass(frozen=True, slots=True)
class KeptAward:
    """An award in the wallet, with the order that it answers and the offer that it draws on."""

    order: bytes
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

    def order(self, prefix: str) -> KeptOrder | None:
        """Return the one order whose id starts with these hexadecimal digits."""
        rows = self._by_prefix("SELECT id, envelope FROM orders", "id", prefix)
        return KeptOrder(*rows[0]) if len(rows) == 1 else None

    def orders(self, most: int) -> list[KeptOrder]:
        """Return the latest orders, newest first."""
        query = "SELECT id, envelope FROM orders ORDER BY placed_us DESC, id LIMIT ?"
        with closing(self._open()) as connection:
            return [KeptOrder(*row) for row in connection.execute(query, (most,))]

    def keep_award(self, award: bytes, order: bytes, envelope: bytes, offer: bytes) -> None:
        """Keep an award and the offer that it draws on, so that another process can use it."""
        values = (award, order, envelope, offer)
        self._write("INSERT OR IGNORE INTO awards VALUES (?, ?, ?, ?)", values)

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
            return int(connection.execute("SELECT COUNT(*) FROM orders").fetchone()[0])

    def _by_prefix(self, query: str, column: str, prefix: str) -> list[tuple[bytes, ...]]:
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
