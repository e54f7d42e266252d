"""`swatow market rounds`, `verify`, `replay`: what rounds left. Heavy imports stay inside."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from swatow_market.commands.common import Directory, Json

if TYPE_CHECKING:
    from swatow_market.published import Checked


def rounds(
    *,
    directory: Directory = None,
    most: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 20,
    json: Json = False,
) -> None:
    """Show the rounds that traded last, latest first.

    Example: swatow market rounds --most 5

    Parameters
    ----------
    most
        How many.
    """
    from swatow_market import admin
    from swatow_market.config import MarketSettings
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import format_money, format_time

    home = role_directory("market", directory)
    settings = load(MarketSettings, home).settings
    found = asyncio.run(admin.latest_rounds(settings, home, most))
    terminal = Terminal(as_json=json)
    if json:
        names = ("shard", "epoch", "number", "closed_us", "orders", "lots")
        rows = [
            {name: row[name] for name in names} | {"welfare_nanos": row["welfare"]} for row in found
        ]
        terminal.data({"rounds": rows})
        return
    terminal.table(
        f"Rounds of shard {settings.shard} ({settings.currency})",
        ("round", "closed", "orders", "lots", "welfare", "record"),
        [
            (
                f"{row['epoch']}/{row['number']}",
                format_time(row["closed_us"]),
                str(row["orders"]),
                str(row["lots"]),
                format_money(row["welfare"]),
                "kept" if row["has_record"] else "no longer kept",
            )
            for row in found
        ],
    )


def verify(
    what: str,
    *,
    directory: Directory = None,
    key: str | None = None,
    save: Path | None = None,
    json: Json = False,
) -> None:
    """Check a round: that its outcome was optimal and its prices right, from its record alone.

    Examples: swatow market verify 1/17 --save round-17.swatow
              swatow market verify round-17.swatow --key 3f0a...c1

    Ends with 1 if anything is wrong, and says what.

    Parameters
    ----------
    what
        A file, or a round of this market's database: NUMBER or EPOCH/NUMBER.
    key
        The market's public key; a record that another has signed is refused.
    save
        Write the file of the round, for others to check.
    """
    from swatow_market import admin
    from swatow_market.config import MarketSettings
    from swatow_market.published import FILE_BYTES_MAX, check
    from swatow_protocol.errors import InvalidValue, MessageRefused
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal

    terminal = Terminal(as_json=json)
    if Path(what).is_file():
        with Path(what).open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    else:
        home = role_directory("market", directory)
        settings = load(MarketSettings, home).settings
        data = asyncio.run(admin.published_round(settings, home, what))
    try:
        found = check(data)
    except MessageRefused as refusal:
        terminal.fail(f"{what}: {refusal}")
    if key is not None and found.head.sender.hex() != key.lower():
        raise InvalidValue("key", f"the round is signed by {found.head.sender.hex()}")
    if save is not None:
        save.write_bytes(data)
    wrong = [f"{each.check.value}: {each.detail}" for each in found.judgement.findings]
    if json:
        number, shortfall = found.head.round, found.judgement.shortfall
        terminal.data(
            {
                "shard": number.shard,
                "epoch": number.epoch,
                "number": number.number,
                "market": found.head.sender.hex(),
                "record": found.head.record.hex(),
                "valid": not wrong,
                "findings": wrong,
                "passed_over": shortfall and shortfall.passed_over,
                "bound_nanos": shortfall and shortfall.bound,
                "gap_ppb": shortfall and shortfall.gap_ppb,
            }
        )
        if wrong:
            raise SystemExit(1)
        return
    terminal.facts("Round", _facts_of(found))
    if wrong:
        terminal.fail("the round is wrong: " + "; ".join(wrong))
    terminal.text("The outcome is optimal and the prices are right.")


def replay(what: str, *, directory: Directory = None, json: Json = False) -> None:
    """Clear a round again from what the database keeps of it, and compare the records.

    Example: swatow market replay 1/17

    Ends with 1 if the record comes out other than the one that was published, and says where.

    Parameters
    ----------
    what
        A round of this market's database: NUMBER or EPOCH/NUMBER.
    """
    from swatow_market import admin
    from swatow_market.config import MarketSettings
    from swatow_protocol.errors import MessageRefused
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal

    terminal = Terminal(as_json=json)
    home = role_directory("market", directory)
    settings = load(MarketSettings, home).settings
    try:
        found = asyncio.run(admin.replayed_round(settings, home, what))
    except MessageRefused as refusal:
        terminal.fail(f"{what}: {refusal}")
    number, same = found.head.round, not found.differs
    if json:
        terminal.data(
            {
                "shard": number.shard,
                "epoch": number.epoch,
                "number": number.number,
                "record": found.head.record.hex(),
                "replayed": found.record.hex(),
                "same": same,
                "differs": list(found.differs),
            }
        )
        if not same:
            raise SystemExit(1)
        return
    if not same:
        terminal.fail("the round comes out other than published: " + ", ".join(found.differs))
    terminal.text(f"Round {number.epoch}/{number.number} gives the same record, byte for byte.")


def _facts_of(found: "Checked") -> list[tuple[str, object]]:
    from swatow_market.exchange.certificate.record import unpack, unpack_amount
    from swatow_protocol.units import format_money, format_time

    head, record = found.head, found.record
    totals, shortfall = record.totals, found.judgement.shortfall
    facts: list[tuple[str, object]] = [
        ("round", f"{head.round.shard} {head.round.epoch}/{head.round.number}"),
        ("closed", format_time(head.issued_us)),
        ("market", head.sender.hex()),
        ("record", head.record.hex()),
        ("offers, orders", f"{record.offers.leaves}, {record.orders.leaves}"),
        ("lots traded", int(unpack(record.demand_used).sum())),
        ("buyers pay", format_money(unpack_amount(totals.buyers))),
        ("nodes get", format_money(unpack_amount(totals.nodes))),
        ("carriers get", format_money(unpack_amount(totals.carriers))),
        ("welfare", format_money(unpack_amount(totals.welfare))),
    ]
    if shortfall is not None:
        facts += [
            ("at most possible", format_money(shortfall.bound)),
            ("gap", f"at most {shortfall.gap_ppb / 10**7:.7f} %"),
            ("all-or-none orders passed over", shortfall.passed_over),
        ]
    return facts
