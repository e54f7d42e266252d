"""What the operator does on the market's own database, while the market runs or not."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.config import MarketSettings
from swatow_market.ledger import accounts
from swatow_market.ledger.database import Database, sqlite_url
from swatow_market.published import PublishedRound, decompress
from swatow_market.service import records
from swatow_market.service.replays import Replayed, replay
from swatow_protocol import codec
from swatow_protocol.envelope import content_id
from swatow_protocol.errors import InvalidValue
from swatow_protocol.identity import KEY_BYTES
from swatow_protocol.limits import MONEY_MAX
from swatow_protocol.units import format_money

_TOO_MUCH = f"all deposits together are at most {format_money(MONEY_MAX)}"


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account in the operator's books, in nanos."""

    account: str
    balance: int
    """Held part included; for cash, what came in."""
    held: int


@dataclass(frozen=True, slots=True)
class Books:
    """All accounts of a market at one moment."""

    currency: str
    lines: tuple[AccountLine, ...]

    @property
    def cash(self) -> int:
        """What the operator holds for all others."""
        return sum(line.balance for line in self.lines if line.account == accounts.CASH)

    @property
    def claims(self) -> int:
        """What all others have, held parts included. Equal to cash, to the nano."""
        return sum(line.balance for line in self.lines if line.account != accounts.CASH)


async def latest_rounds(
    settings: MarketSettings, directory: Path, most: int
) -> list[dict[str, Any]]:
    """Return the rounds that traded last, latest first. Errors as in `books`."""
    async with _reading(settings, directory) as connection:
        return await records.latest_rounds(connection, most)


async def published_round(settings: MarketSettings, directory: Path, name: str) -> bytes:
    """Return the file of a round by NUMBER, or EPOCH/NUMBER.

    Raises:
        InvalidValue: no such round, or its record is not kept.
        ConfigError: as in `books`.
    """
    async with _reading(settings, directory) as connection:
        row = await _kept_round(connection, settings.shard, name)
    return codec.encode(PublishedRound(head=row["head"], record=decompress(row["record"])))


async def replayed_round(settings: MarketSettings, directory: Path, name: str) -> Replayed:
    """Clear a round again from what is kept of it, by NUMBER or EPOCH/NUMBER.

    Raises:
        InvalidValue: as in `published_round`, or its inputs are not kept.
        MessageRefused: what is kept is not what was signed.
        ConfigError: as in `books`.
    """
    async with _reading(settings, directory) as connection:
        row = await _kept_round(connection, settings.shard, name)
        if row["inputs"] is None:
            raise InvalidValue("round", f"the inputs of {name} were not kept")
        return await replay(connection, row)


async def _kept_round(connection: AsyncConnection, shard: str, name: str) -> dict[str, Any]:
    epoch, _, number = name.rpartition("/")
    if not number.isdecimal() or (epoch and not epoch.isdecimal()):
        raise InvalidValue("round", f"{name!r} is not NUMBER or EPOCH/NUMBER")
    row = await records.read_round(
        connection, shard, int(epoch) if epoch else None, int(number), with_inputs=True
    )
    if row is None or row["head"] is None:
        raise InvalidValue("round", f"no round {name} of shard {shard} has traded")
    if row["record"] is None:
        raise InvalidValue("round", f"the record of {name} is no longer kept")
    return row


@asynccontextmanager
async def _reading(settings: MarketSettings, directory: Path) -> AsyncIterator[AsyncConnection]:
    database = database_of(settings, directory)
    try:
        await database.upgrade()
        async with database.reading() as connection:
            yield connection
    finally:
        await database.close()


def database_of(settings: MarketSettings, directory: Path) -> Database:
    """Open the database of a market. The caller closes it."""
    return Database(settings.database or sqlite_url(directory / "market.sqlite"))


async def deposit(
    settings: MarketSettings,
    directory: Path,
    *,
    buyer: bytes,
    amount: int,
    reference: bytes,
    now_us: Callable[[], int],
) -> bool:
    """Credit a buyer with `amount` nanos; False if this reference was credited before.

    Raises:
        InvalidValue: no key, or an amount that is nothing, below the market's smallest, or more
            than its accounts can count.
        ConfigError: the database cannot be used, or keeps another currency.
    """
    if len(buyer) != KEY_BYTES:
        raise InvalidValue("buyer", f"a key has {KEY_BYTES} bytes in hexadecimal digits")
    smallest = max(settings.deposit_min, 1)
    if amount < smallest:
        raise InvalidValue("amount", f"the smallest deposit is {format_money(smallest)}")
    if amount > MONEY_MAX:
        raise InvalidValue("amount", _TOO_MUCH)
    database = database_of(settings, directory)
    try:
        await database.upgrade()
        async with database.writing() as connection:
            await accounts.check_currency(connection, settings.currency)
            return await accounts.deposit(
                connection,
                transfer=content_id(b"deposit\0" + buyer + reference),
                owner=buyer,
                amount=amount,
                currency=settings.currency,
                now_us=now_us(),
            )
    except (DataError, IntegrityError):  # the sum of all deposits has its bound in the schema
        raise InvalidValue("amount", _TOO_MUCH) from None
    finally:
        await database.close()


async def books(settings: MarketSettings, directory: Path) -> Books:
    """Read all accounts.

    Raises:
        ConfigError: the database cannot be used, or keeps another currency.
    """
    async with _reading(settings, directory) as connection:
        await accounts.check_currency(connection, settings.currency)
        rows = await accounts.read_accounts(connection)
    lines = tuple(AccountLine(row["id"], accounts.balance(row), row["held"]) for row in rows)
    return Books(settings.currency, lines)
