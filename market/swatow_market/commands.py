"""The commands of a market operator: `swatow market ...`. Heavy imports stay inside them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from swatow_market.published import Checked

app = App(name="market", help="Run a market, and keep its books.")

Directory = Annotated[Path | None, Parameter(name=["--directory", "-d"])]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


@app.command
def run(
    *,
    directory: Directory = None,
    listen: str | None = None,
    advertise: str | None = None,
    network: str | None = None,
    currency: str | None = None,
    round_ms: int | None = None,
    fee_ppm: int | None = None,
    award_life_max_s: int | None = None,
    dispute_s: int | None = None,
    log_level: str | None = None,
    until_stdin_closes: Annotated[bool, Parameter(negative="", show=False)] = False,
) -> None:
    """Run a market until interrupted.

    Example: swatow market run --directory ./market --listen 0.0.0.0:7700

    The first line on standard output is the market's address, KEY@host:port, which nodes and
    buyers need; it is also in the file `address` of the directory.

    Parameters
    ----------
    directory
        Holds key, database, model files and config.toml; made if missing. [~/.swatow/market]
    listen
        host:port of the gRPC server; port 0 takes a free one. [127.0.0.1:7700]
    advertise
        host:port under which others reach it, where that differs.
    network
        Name that all parties put into their messages. [local]
    currency
        ISO 4217 code of all prices. [USD]
    round_ms
        Time between two rounds, 200 to 15000. [1000]
    fee_ppm
        The market's part of what nodes earn, in millionths. [10000]
    award_life_max_s
        Longest time in which an award may be drawn upon. [3600]
    dispute_s
        How long after its end an award's vouchers are redeemed. [300]
    log_level
        debug, info, warning or error. [info]
    """
    from swatow_market.config import MarketSettings
    from swatow_market.service.market import open_market, serve_market
    from swatow_protocol.shell import logs
    from swatow_protocol.shell.clock import now_us, random_bytes
    from swatow_protocol.shell.keyfile import load_or_create_key
    from swatow_protocol.shell.service import run_until_stopped
    from swatow_protocol.shell.settings import load, role_directory

    home = role_directory("market", directory)
    given = {
        "listen": listen,
        "advertise": advertise,
        "network": network,
        "currency": currency,
        "round_ms": round_ms,
        "fee_ppm": fee_ppm,
        "award_life_max_s": award_life_max_s,
        "dispute_s": dispute_s,
        "log_level": log_level,
    }
    settings = load(MarketSettings, home, given).settings
    logs.configure(settings.log_level)

    def on_ready(address: str) -> None:
        (home / "address").write_text(address + "\n", encoding="ascii")
        print(address, flush=True)

    async def serve(stop: asyncio.Event) -> None:
        identity = load_or_create_key(home / "key")
        market = await open_market(
            settings, home, identity, now_us=now_us, random_bytes=random_bytes
        )
        await serve_market(settings, market, stop, on_ready)

    asyncio.run(run_until_stopped(serve, until_stdin_closes=until_stdin_closes))


@app.command
def deposit(
    buyer: str,
    amount: str,
    *,
    reference: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Credit a buyer with money that came in outside the system.

    Example: swatow market deposit 3f0a...c1 5.00 --reference invoice-17

    Parameters
    ----------
    buyer
        The buyer's public key in hexadecimal (`swatow keys show`).
    amount
        Amount in the market's currency.
    reference
        Names the deposit; the same buyer and reference are credited once only.
    """
    from swatow_market import admin
    from swatow_market.config import MarketSettings
    from swatow_protocol.errors import InvalidValue
    from swatow_protocol.shell.clock import now_us, random_bytes
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import format_money, parse_money

    home = role_directory("market", directory)
    settings = load(MarketSettings, home).settings
    nanos = parse_money(amount)
    try:
        key = bytes.fromhex(buyer)
    except ValueError:
        raise InvalidValue("buyer", f"{buyer!r} is not hexadecimal") from None
    name = reference.encode() if reference else random_bytes(16)
    done = asyncio.run(
        admin.deposit(settings, home, buyer=key, amount=nanos, reference=name, now_us=now_us)
    )
    terminal = Terminal(as_json=json)
    if json:
        terminal.data({"credited": done, "buyer": buyer, "amount_nanos": nanos})
    elif done:
        terminal.text(f"credited {format_money(nanos)} {settings.currency} to {buyer}")
    else:
        terminal.text(f"reference {reference} was credited before; nothing changed")


@app.command
def accounts(*, directory: Directory = None, json: Json = False) -> None:
    """Show all accounts, and that they add up.

    Example: swatow market accounts --json
    """
    from swatow_market import admin
    from swatow_market.config import MarketSettings
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import format_money

    home = role_directory("market", directory)
    settings = load(MarketSettings, home).settings
    books = asyncio.run(admin.books(settings, home))
    terminal = Terminal(as_json=json)
    if json:
        terminal.data(
            {
                "currency": books.currency,
                "accounts": [
                    {
                        "account": line.account,
                        "balance_nanos": line.balance,
                        "held_nanos": line.held,
                    }
                    for line in books.lines
                ],
                "cash_nanos": books.cash,
                "claims_nanos": books.claims,
            }
        )
        return
    rows = [
        (line.account, format_money(line.balance), format_money(line.held)) for line in books.lines
    ]
    terminal.table(f"Accounts ({books.currency})", ("account", "balance", "of it held"), rows)
    sums = f"cash {format_money(books.cash)} = all others {format_money(books.claims)}"
    if books.cash != books.claims:
        terminal.fail(f"the books do not balance: {sums}".replace(" = ", " but "))
    terminal.text(sums)


@app.command
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


@app.command
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


@app.command
def models(*, directory: Directory = None, json: Json = False) -> None:
    """Show the model files of a market: the built-in ones, and `models/*.toml` in its directory.

    Example: swatow market models
    """
    from swatow_market.service.catalogue import model_files, read_model_file
    from swatow_protocol.shell.settings import role_directory
    from swatow_protocol.shell.terminal import Terminal

    home = role_directory("market", directory)
    read = [read_model_file(name, text) for name, text in model_files(home / "models").items()]
    terminal = Terminal(as_json=json)
    if json:
        plain = [
            {key: value.hex() if isinstance(value, bytes) else value for key, value in each.items()}
            for each in read
        ]
        terminal.data({"models": plain})
        return
    rows = [
        (
            each["name"],
            each["precision"],
            str(each["context_tokens"]),
            f"{each['prompt_weight'] / 1000:g} / {each['cached_weight'] / 1000:g}",
            each["weights_sha256"].hex()[:16],
        )
        for each in read
    ]
    heads = ("model", "precision", "context", "weight prompt / cached", "weights sha256")
    terminal.table("Models", heads, rows)


@app.command(name="map")
def network_map(*, directory: Directory = None, json: Json = False) -> None:
    """Show the network map as the settings state it, and that it can be used.

    Example: swatow market map

    Zones, paths and corridors are the tables [[zones]], [[paths]] and [[corridors]] of config.toml;
    the market signs them when it starts.
    """
    from swatow_market.config import MarketSettings
    from swatow_market.service.network import stated_map
    from swatow_protocol.identity import KEY_BYTES
    from swatow_protocol.shell.network_map import show_map
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal

    settings = load(MarketSettings, role_directory("market", directory)).settings
    unsigned = stated_map(settings, bytes(KEY_BYTES), 0)
    show_map(Terminal(as_json=json), unsigned, {})


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
