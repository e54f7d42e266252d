"""`swatow chat` and `wallet`: buying an answer, and what came of it."""

import asyncio
import sys
from typing import TYPE_CHECKING

from swatow._commands.common import (
    DEFAULT_MODEL,
    NO_LIMIT_FLAGS,
    Directory,
    Json,
    open_client,
    show_awards,
    waiting,
)
from swatow._limit_flags import LimitFlags

if TYPE_CHECKING:
    from swatow._answers import JobReceipt
    from swatow._status import AwardStatus
    from swatow_protocol.shell.terminal import Terminal


def chat(
    prompt: str | None = None,
    *,
    model: str = DEFAULT_MODEL,
    max_price: str | None = None,
    system: str = "You are a helpful assistant.",
    max_tokens: int | None = None,
    temperature: float | None = None,
    award: str | None = None,
    take_or_pay: str | None = None,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
    limits: LimitFlags = NO_LIMIT_FLAGS,
) -> None:
    """Buy one answer and stream it to the terminal; its receipt follows.

    Example: swatow chat "What is the capital of France?" --max-price 0.20

    Example: echo "Sum up: ..." | swatow chat --jurisdictions sg --json

    Parameters
    ----------
    prompt
        The question; read from standard input if it is not given.
    model
        Name of the model, as the market lists it.
    max_price
        Most that is paid for a million standard tokens; else from the settings.
    system
        Instruction that precedes the question.
    max_tokens
        Longest answer.
    temperature
        0 gives the likeliest answer every time.
    award
        Draw on this award of the wallet, by the first digits of its id.
    take_or_pay
        Share of what is awarded that is paid for even if it is not used, 0 to 1.
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell.terminal import Terminal

    question = prompt if prompt is not None else sys.stdin.read()
    request: dict[str, object] = {
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": question},
        ]
    }
    options = {"max_tokens": max_tokens, "temperature": temperature}
    request |= {name: value for name, value in options.items() if value is not None}
    terminal = Terminal(as_json=json)

    async def run() -> None:
        client = open_client(market, directory, max_price, take_or_pay=take_or_pay)
        try:
            with waiting(terminal, "ordering"):
                if award is not None:
                    stream = await (await client.award(award)).run(request)
                else:
                    stream = await client.run(request, model=model, limits=limits.limits())
            async with stream:
                async for piece in stream:
                    if not json:
                        terminal.text(piece.text, end="")
            if json:
                receipt = stream.receipt
                terminal.data(
                    {"text": stream.text, "receipt": receipt.as_dict() if receipt else None}
                )
            else:
                terminal.text("")
                if stream.receipt is not None:
                    _show_receipt(terminal, stream.receipt)
        finally:
            await client.aclose(release=award is None)

    asyncio.run(run())


def wallet(
    *,
    receipts: int = 5,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Show the balance in the market, the awards that are not over, what was paid for unused
    tokens, and the latest receipts.

    Example: swatow wallet --receipts 20

    Parameters
    ----------
    receipts
        How many of the latest receipts.
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow._statement import read_awards, read_receipts
    from swatow_protocol.shell.clock import now_us
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import format_money, format_time

    terminal = Terminal(as_json=json)

    async def run() -> None:
        client = open_client(market, directory, None)
        try:
            account = await client.account()
            listed = await client.catalogue()
            names = listed.names
            awards = read_awards(
                client.wallet,
                market=listed.terms.sender,
                network=client.settings.network,
                models=names,
                now_us=now_us(),
            )
            shares = await client.shares()
            told = await client.award_statements([award["id"] for award in awards])
            closed = {each.award.hex() for each in told if each.closed}
            awards = [award for award in awards if award["id"] not in closed]
        finally:
            await client.aclose()
        kept = read_receipts(client.wallet, receipts, client.settings.network, names)
        if json:
            balance = (
                {"balance_nanos": account.balance, "held_nanos": account.held} if account else {}
            )
            parts = {"awards": awards, "take_or_pay": [each.as_dict() for each in shares]}
            terminal.data({"key": client.key, **balance, **parts, "receipts": kept})
            return
        money = [("key", client.key)]
        if account is not None:
            money += [
                ("balance", f"{format_money(account.balance)} {account.currency}"),
                ("held for orders and awards", f"{format_money(account.held)} {account.currency}"),
            ]
        else:
            money.append(("balance", "no account yet: the market's operator credits deposits"))
        terminal.facts("Wallet", money)
        if awards:
            show_awards(terminal, awards)
        if kept:
            heads = ("closed", "model", "tokens in", "out", "cost", "signed by both")
            rows = [
                (
                    format_time(each["closed_us"]),
                    str(each["model"]),
                    str(each["prompt_tokens"]),
                    str(each["output_tokens"]),
                    f"{format_money(each['cost'])} {each['currency']}",
                    "yes" if each["countersigned"] else "no",
                )
                for each in kept
            ]
            terminal.table("Receipts", heads, rows)
        if shares:
            _show_shares(terminal, shares)

    asyncio.run(run())


def network_map(
    *, market: str | None = None, directory: Directory = None, json: Json = False
) -> None:
    """Show the market's zones, the paths between them, and the corridors for restricted data.

    Example: swatow map --market KEY@127.0.0.1:7700

    Round trips and charges count from `--origin`; a corridor is named with `--corridor`, and asks
    for `--data-origin` and `--data-class` too.

    Parameters
    ----------
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell.network_map import show_map
    from swatow_protocol.shell.terminal import Terminal

    async def run() -> None:
        client = open_client(market, directory, None)
        try:
            signed = await client.network_map()
        finally:
            await client.aclose()
        facts = {"id": signed.id.hex(), "market": signed.message.sender.hex()}
        show_map(Terminal(as_json=json), signed.message, facts)

    asyncio.run(run())


def _show_receipt(terminal: "Terminal", receipt: "JobReceipt") -> None:
    if terminal.watched:
        terminal.facts("Receipt", receipt.rows())
    else:  # standard output is for the answer alone
        for name, value in receipt.rows():
            terminal.note(f"{name}: {value}")


def _show_shares(terminal: "Terminal", shares: "list[AwardStatus]") -> None:
    from swatow_protocol.units import format_money, format_share

    heads = ("award", "lots", "share", "tokens used", "paid", "of it for unused", "settled")
    rows = [
        (
            each.id[:16],
            str(each.lots),
            format_share(each.take_or_pay_ppm),
            str(each.standard_tokens),
            f"{format_money(each.paid)} {each.currency}",
            f"{format_money(each.paid_unused)} {each.currency}",
            "yes" if each.closed else "no",
        )
        for each in shares
    ]
    terminal.table("Take-or-pay", heads, rows)
