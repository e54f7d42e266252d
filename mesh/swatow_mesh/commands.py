"""The commands of the mesh: `swatow up` and `check`. Heavy imports stay inside them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from swatow._evidence import RoundEvidence
    from swatow_mesh.check import OrderCheck
    from swatow_protocol.messages import RoundNumber
    from swatow_protocol.shell.terminal import Terminal


def up(
    prompt: str = "What is the capital of France?",
    *,
    once: Annotated[bool, Parameter(negative="")] = False,
    directory: Annotated[Path | None, Parameter(name=["--directory", "-d"])] = None,
    zone: str = "cn-gd-shantou",
    price: str = "0.08",
    max_price: str = "0.20",
    money: str = "5.00",
    gateway_port: int = 8800,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")] = False,
) -> None:
    """Run a market, a node with a real small model and a gateway, and buy one completion.

    Example: swatow up

    Example: swatow up "Write a haiku about the sea." --once

    Parameters
    ----------
    prompt
        What to ask the model.
    once
        Stop after the completion; else everything serves until interrupted.
    directory
        Keys, ledger and logs; made if missing, used again if there. [~/.swatow/up]
    zone
        Where the node says that it stands.
    price
        What the node asks, in currency units for a million standard tokens.
    max_price
        What the buyer pays at most.
    money
        What is deposited for the buyer when it has less than half of it.
    gateway_port
        Port of the OpenAI API on 127.0.0.1; 0 takes a free one.
    """
    from swatow_mesh.up import Plan, run
    from swatow_protocol.shell import logs
    from swatow_protocol.shell.service import run_until_stopped
    from swatow_protocol.shell.settings import role_directory
    from swatow_protocol.shell.terminal import Terminal

    logs.configure("warning")
    plan = Plan(
        directory=role_directory("up", directory),
        prompt=prompt,
        zone=zone,
        price=price,
        max_price=max_price,
        money=money,
        gateway_port=gateway_port,
        once=once,
    )
    terminal = Terminal(as_json=json)
    asyncio.run(run_until_stopped(lambda stop: run(plan, terminal, stop)))


def check(
    order: str,
    *,
    in_round: Annotated[str | None, Parameter(name="--round")] = None,
    market: str | None = None,
    directory: Annotated[Path | None, Parameter(name=["--directory", "-d"])] = None,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")] = False,
) -> None:
    """Check how a round has treated an order of this wallet, by the round's published record.

    Example: swatow check 1a2b3c4d

    The record and the proof come from the market; what they say is checked here, against the order
    and the awards that were signed. Ends with 1 if anything is wrong, and says what.

    Parameters
    ----------
    order
        The first digits of its id, as swatow orders shows it.
    in_round
        SHARD/EPOCH/NUMBER; else the last round that traded in which the order took part.
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow._client import AsyncClient
    from swatow_mesh.check import check_order
    from swatow_protocol.addresses import parse_market
    from swatow_protocol.shell.terminal import Terminal

    terminal = Terminal(as_json=json)
    client = AsyncClient(market=market, directory=directory)
    key, _ = parse_market(client.settings.market or "")
    number = None if in_round is None else _round_number(in_round)

    async def run() -> "RoundEvidence":
        try:
            return await client.round_evidence(order, number)
        finally:
            await client.aclose(release=False)

    evidence = asyncio.run(run())
    found = check_order(evidence, key)
    if json:
        terminal.data({"check": found.as_dict()})
        if found.wrong:
            raise SystemExit(1)
        return
    _show_check(terminal, found, evidence.order.message.terms.currency)
    if found.wrong:
        terminal.fail("this is wrong: " + "; ".join(found.wrong))
    terminal.text("The round is right, and so is what it did to this order.")


def _round_number(text: str) -> "RoundNumber":
    from swatow_protocol.errors import InvalidValue
    from swatow_protocol.messages import RoundNumber

    parts = text.rsplit("/", 2)
    if len(parts) != 3 or not all(each.isdecimal() for each in parts[1:]):
        raise InvalidValue("round", f"{text!r} is not SHARD/EPOCH/NUMBER")
    return RoundNumber(shard=parts[0], epoch=int(parts[1]), number=int(parts[2]))


def _show_check(terminal: "Terminal", found: "OrderCheck", currency: str) -> None:
    from swatow_protocol.units import format_money, format_price

    price = "none" if found.price is None else f"{format_price(found.price)} {currency} a million"
    terminal.facts(
        "Order",
        [
            ("order", found.order),
            ("round", found.round),
            ("price of its segment", price),
            ("lots open before", found.lots_before),
            ("lots awarded", found.lots),
            ("for at most", f"{format_money(found.paid)} {currency}"),
        ],
    )
