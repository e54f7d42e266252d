"""Accounts, holds and transfers: the only code that changes money.

Every function runs inside a transaction of its caller. An expected "no" is returned, not raised;
the constraints of the schema stand behind each of them and stop even what this code gets wrong.

    cash                 the operator's bank: debited by deposits
    buyer:<key>          prepaid money: credit balance, part of it held
    node:<key>           what nodes have earned
    carrier, fee         what carriers and the market have earned

Conservation: cash = sum of all other balances, held parts included.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.ledger.database import insert_new, select_by_ids
from swatow_market.ledger.rules import NOTHING, Split
from swatow_market.ledger.schema import accounts, holds, transfers
from swatow_protocol.envelope import content_id
from swatow_protocol.errors import ConfigError
from swatow_protocol.limits import MONEY_MAX

CASH, CARRIER, FEE = "cash", "carrier", "fee"


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation of money, in nanos."""

    account: str
    amount: int
    paid: int
    released: int
    closed: bool

    @property
    def left(self) -> int:
        """What is neither paid nor released."""
        return self.amount - self.paid - self.released


@dataclass(frozen=True, slots=True)
class Turn:
    """Part of a hold that becomes another: of an order that is awarded, its award's."""

    source: bytes
    released: int
    """Nanos that the source gives up."""
    hold: bytes
    amount: int
    """Nanos that the new hold takes; at most what is released."""


def buyer_account(owner: bytes) -> str:
    """Return the account id of a buyer."""
    return f"buyer:{owner.hex()}"


def node_account(owner: bytes) -> str:
    """Return the account id of a node."""
    return f"node:{owner.hex()}"


async def open_account(
    connection: AsyncConnection, account: str, currency: str, owner: bytes | None = None
) -> None:
    """Open an account, unless it is open."""
    row = {
        "id": account,
        "kind": account.partition(":")[0],
        "owner": owner,
        "currency": currency,
        "debits": 0,
        "credits": 0,
        "held": 0,
    }
    await insert_new(connection, accounts, [row])


async def check_currency(connection: AsyncConnection, currency: str) -> None:
    """Check that the accounts, if there are any, are kept in this currency.

    Raises:
        ConfigError: they are kept in another one.
    """
    query = select(accounts.c.currency).where(accounts.c.currency != currency).limit(1)
    other = (await connection.execute(query)).scalar()
    if other is not None:
        raise ConfigError(f"currency {currency}: the accounts of this database are in {other}")


async def deposit(
    connection: AsyncConnection,
    *,
    transfer: bytes,
    owner: bytes,
    amount: int,
    currency: str,
    now_us: int,
) -> bool:
    """Credit a buyer with money that came in; False if this transfer was made before."""
    account = buyer_account(owner)
    await open_account(connection, CASH, currency)
    await open_account(connection, account, currency, owner)
    row = _transfer(transfer, "deposit", CASH, account, amount, None, now_us)
    if not await insert_new(connection, transfers, [row]):
        return False
    await _change(connection, CASH, debits=amount)
    await _change(connection, account, credits=amount)
    return True


async def hold(connection: AsyncConnection, account: str, amounts: Mapping[bytes, int]) -> bool:
    """Reserve money of an account under ids that its owner made: all of it, or none.

    Returns False if the account cannot cover the sum.
    """
    total = sum(amounts.values())
    if total > MONEY_MAX:
        return False
    free = accounts.c.credits - accounts.c.debits - accounts.c.held
    if not await _change(connection, account, where=free >= total, held=total):
        return False
    rows = [_hold(hold_id, account, amount) for hold_id, amount in amounts.items()]
    await connection.execute(holds.insert(), rows)
    return True


async def read_hold(connection: AsyncConnection, hold_id: bytes) -> Hold:
    """Return a hold; it must exist."""
    columns = (
        holds.c.account,
        holds.c.amount,
        holds.c.paid,
        holds.c.released,
        holds.c.closed,
    )
    row = (await connection.execute(select(*columns).where(holds.c.id == hold_id))).one()
    return Hold(*row)


async def release(connection: AsyncConnection, hold_id: bytes, amount: int | None = None) -> int:
    """Give back part of a hold, or all that is left of it; close it when nothing is left.

    Returns the nanos given back; 0 for a hold that is closed.
    """
    found = await read_hold(connection, hold_id)
    if found.closed:
        return 0
    given = found.left if amount is None else amount
    assert given <= found.left, (given, found)
    values = {"released": holds.c.released + given, "closed": given == found.left}
    await connection.execute(update(holds).where(holds.c.id == hold_id).values(values))
    await _change(connection, found.account, held=-given)
    return given


async def release_all(connection: AsyncConnection, hold_ids: list[bytes]) -> dict[bytes, int]:
    """Give back all that is left of these holds, and close them; closed ones stay as they are.

    Returns the nanos given back, by hold; those that were closed are absent.
    """
    left = holds.c.amount - holds.c.paid - holds.c.released
    query = select(holds.c.id, holds.c.account, left.label("left")).where(~holds.c.closed)
    found = await select_by_ids(connection, query, holds.c.id, hold_ids)
    if not found:
        return {}
    closing = update(holds).where(holds.c.id == bindparam("hold_id"))
    await connection.execute(
        closing.values(released=holds.c.amount - holds.c.paid, closed=True),
        [{"hold_id": row["id"]} for row in found],
    )
    for account, released in _sums((row["account"], row["left"]) for row in found).items():
        await _change(connection, account, held=-released)
    return {row["id"]: row["left"] for row in found}


async def turn_over(connection: AsyncConnection, turns: list[Turn]) -> None:
    """Turn parts of holds into new holds; what the new ones do not need is free again."""
    if not turns:
        return
    query = select(holds.c.id, holds.c.account)
    found = await select_by_ids(connection, query, holds.c.id, [turn.source for turn in turns])
    owners = {row["id"]: row["account"] for row in found}
    given = bindparam("given", type_=BigInteger)
    taking = update(holds).where(holds.c.id == bindparam("hold_id"))
    await connection.execute(
        taking.values(
            released=holds.c.released + given,
            closed=holds.c.paid + holds.c.released + given == holds.c.amount,
        ),
        [{"hold_id": turn.source, "given": turn.released} for turn in turns],
    )
    rows = [_hold(turn.hold, owners[turn.source], turn.amount) for turn in turns]
    await connection.execute(holds.insert(), rows)
    changes = _sums((owners[turn.source], turn.amount - turn.released) for turn in turns)
    for account, held in changes.items():
        await _change(connection, account, held=held)


async def pay(
    connection: AsyncConnection,
    *,
    hold_id: bytes,
    cause: bytes,
    split: Split,
    node: bytes,
    currency: str,
    now_us: int,
) -> None:
    """Post part of a hold to node, carrier and fee. `cause` names it: once is enough."""
    if not split.total:
        return
    found = await read_hold(connection, hold_id)
    legs = {
        "payment": (node_account(node), split.node),
        "carriage": (CARRIER, split.carriage),
        "fee": (FEE, split.fee),
    }
    values = {"paid": holds.c.paid + split.total}
    await connection.execute(update(holds).where(holds.c.id == hold_id).values(values))
    await _change(connection, found.account, held=-split.total, debits=split.total)
    for kind, (account, amount) in legs.items():
        if amount:
            owner = node if kind == "payment" else None
            await open_account(connection, account, currency, owner)
            transfer = content_id(cause + kind.encode())
            row = _transfer(transfer, kind, found.account, account, amount, hold_id, now_us)
            await connection.execute(transfers.insert(), row)
            await _change(connection, account, credits=amount)


async def paid_from(connection: AsyncConnection, hold_id: bytes) -> Split:
    """Return how what was paid from a hold was split."""
    query = (
        select(transfers.c.kind, func.sum(transfers.c.amount))
        .where(transfers.c.hold == hold_id)
        .group_by(transfers.c.kind)
    )
    sums = {kind: int(amount) for kind, amount in (await connection.execute(query)).all()}
    if not sums:
        return NOTHING
    return Split(
        node=sums.get("payment", 0), carriage=sums.get("carriage", 0), fee=sums.get("fee", 0)
    )


async def read_accounts(
    connection: AsyncConnection, ids: list[str] | None = None
) -> list[Mapping[str, Any]]:
    """Return accounts by id: those named, or all."""
    query = select(accounts).order_by(accounts.c.id)
    if ids is not None:
        query = query.where(accounts.c.id.in_(ids))
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def balance(account: Mapping[str, Any]) -> int:
    """Return what an account holds, held part included; cash counts what came in."""
    net = int(account["credits"]) - int(account["debits"])
    return -net if account["kind"] == CASH else net


async def _change(
    connection: AsyncConnection,
    account: str,
    *,
    where: ColumnElement[bool] | None = None,
    debits: int = 0,
    credits: int = 0,  # noqa: A002 - the ledger's word
    held: int = 0,
) -> bool:
    condition = accounts.c.id == account
    statement = (
        update(accounts)
        .where(condition if where is None else and_(condition, where))
        .values(
            debits=accounts.c.debits + debits,
            credits=accounts.c.credits + credits,
            held=accounts.c.held + held,
        )
    )
    changed = (await connection.execute(statement)).rowcount
    assert changed or where is not None, f"account {account} is not open"
    return bool(changed)


def _sums(changes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the sum of the changes of each account, by account: locks are taken in one order."""
    sums: Counter[str] = Counter()
    for account, amount in changes:
        sums[account] += amount
    return dict(sorted(sums.items()))


def _hold(hold_id: bytes, account: str, amount: int) -> dict[str, Any]:
    return {
        "id": hold_id,
        "account": account,
        "amount": amount,
        "paid": 0,
        "released": 0,
        "closed": amount == 0,
    }


def _transfer(
    transfer: bytes,
    kind: str,
    debit: str,
    credit: str,
    amount: int,
    hold_id: bytes | None,
    now_us: int,
) -> dict[str, Any]:
    return {
        "id": transfer,
        "kind": kind,
        "debit": debit,
        "credit": credit,
        "amount": amount,
        "hold": hold_id,
        "at_us": now_us,
    }
