"""`swatow up`: a market, a node with a real small model and a gateway, and one paid completion."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swatow import AsyncClient, JobReceipt
from swatow_market.admin import Books, books, deposit
from swatow_market.config import MarketSettings
from swatow_mesh.processes import ChildFailed, Children, explain
from swatow_protocol.shell.clock import now_us, random_bytes
from swatow_protocol.shell.service import unless_stopped
from swatow_protocol.shell.settings import load
from swatow_protocol.shell.terminal import Terminal
from swatow_protocol.units import format_money, parse_money

MODEL = "smollm2-135m-instruct-q4_1"
ROUND_MS = 200
"""Rounds follow each other as fast as a market allows, for nobody else is waiting."""
SETTLED_S = 15.0
"""The ledger posts within so long after the job."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    directory: Path
    prompt: str
    zone: str
    price: str
    max_price: str
    money: str
    """Deposit for the buyer, when it has less than half of it."""
    gateway_port: int
    once: bool


async def run(plan: Plan, terminal: Terminal, stop: asyncio.Event) -> None:
    """Bring everything up, buy one completion, and serve until `stop` is set.

    Raises:
        ChildFailed: a process did not start, or ended.
        SwatowError: the trade did not go through.
    """
    children = Children(plan.directory / "logs")
    try:
        await unless_stopped(stop, _run(plan, terminal, children))
    finally:
        if not plan.once:
            terminal.note("stopping")
        await children.stop()


async def _run(plan: Plan, terminal: Terminal, children: Children) -> None:
    market, url = await _bring_up(plan, terminal, children)
    home = plan.directory / "market"
    settings = load(MarketSettings, home).settings
    async with AsyncClient(
        market=market, directory=plan.directory / "buyer", max_price=plan.max_price
    ) as client:
        account = await client.account()
        if account is None or 2 * account.balance < parse_money(plan.money):
            await deposit(
                settings,
                home,
                buyer=bytes.fromhex(client.key),
                amount=parse_money(plan.money),
                reference=random_bytes(16),
                now_us=now_us,
            )
            terminal.note(f"wallet   {plan.money} {settings.currency} deposited")
        before = await books(settings, home)
        text, receipt = await _buy(plan, terminal, client)
        await client.release_all()
        await _settled(client, receipt.award)
    after = await books(settings, home)
    _report(plan, terminal, url, text, receipt, before, after)
    if not plan.once:
        raise ChildFailed(explain(await children.wait_for_any()))


async def _bring_up(plan: Plan, terminal: Terminal, children: Children) -> tuple[str, str]:
    """Start the three processes; return the market's address and the gateway's URL."""
    at = plan.directory
    with _doing(terminal, "starting the market"):
        market = await children.start(
            "market",
            *("market", "run", "--directory", str(at / "market"), "--listen", "127.0.0.1:0"),
            *("--round-ms", str(ROUND_MS)),
        )
    address = market.first_line
    terminal.note(f"market   {address}")
    with _doing(terminal, "starting the node, which loads the model, and the gateway"):
        node, gateway = await asyncio.gather(
            children.start(
                "node",
                *("node", "run", "--directory", str(at / "node"), "--listen", "127.0.0.1:0"),
                *("--market", address, "--model", MODEL),
                *("--zone", plan.zone, "--price", plan.price),
            ),
            children.start(
                "gateway",
                *("gateway", "--directory", str(at / "buyer"), "--market", address),
                *("--max-price", plan.max_price, "--listen", f"127.0.0.1:{plan.gateway_port}"),
            ),
        )
    terminal.note(f"node     {node.first_line} in {plan.zone}, {MODEL} at {plan.price} a million")
    terminal.note(f"gateway  {gateway.first_line}")
    return address, gateway.first_line


async def _buy(plan: Plan, terminal: Terminal, client: AsyncClient) -> tuple[str, JobReceipt]:
    terminal.note(f"\n> {plan.prompt}")
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": plan.prompt},
    ]
    stream = await client.chat(
        model=MODEL, messages=messages, stream=True, max_tokens=256, temperature=0
    )
    async with stream:
        async for piece in stream:
            if not terminal.as_json:
                terminal.text(piece.text, end="")
    if not terminal.as_json:
        terminal.text("\n")
    assert stream.receipt is not None, "an answer that ends well ends with a receipt"
    return stream.text, stream.receipt


async def _settled(client: AsyncClient, award: str) -> None:
    """Wait until the market has posted what the job cost and released the rest."""
    async with asyncio.timeout(SETTLED_S):
        while True:
            statement = await client.award_statement(award)
            if statement is not None and statement.closed:
                return
            await asyncio.sleep(0.1)


def _report(
    plan: Plan,
    terminal: Terminal,
    url: str,
    text: str,
    receipt: JobReceipt,
    before: Books,
    after: Books,
) -> None:
    key_file = plan.directory / "buyer" / "gateway.key"
    if terminal.as_json:
        terminal.data(
            {
                "text": text,
                "receipt": receipt.as_dict(),
                "before": {line.account: line.balance for line in before.lines},
                "after": {line.account: line.balance for line in after.lines},
                "cash_nanos": after.cash,
                "claims_nanos": after.claims,
                "gateway": url,
                "gateway_key_file": str(key_file),
            }
        )
        return
    terminal.facts("Receipt", receipt.rows())
    terminal.text("")
    terminal.table(
        f"Ledger ({after.currency})",
        ("account", "before", "after", "change"),
        list(_ledger_rows(before, after)),
    )
    if after.cash != after.claims:
        terminal.fail(f"cash {after.cash} is not all others' {after.claims} nanos")
    terminal.text(
        f"cash {format_money(after.cash)} = all other accounts {format_money(after.claims)}\n"
    )
    if not plan.once:
        terminal.text(
            "Point any OpenAI client at it:\n"
            f"    export OPENAI_BASE_URL={url} OPENAI_API_KEY=$(cat {key_file})\n"
            f"    model: {MODEL}\n"
            "Serving until interrupted (Ctrl-C)."
        )


def _ledger_rows(before: Books, after: Books) -> Iterator[tuple[str, str, str, str]]:
    earlier = {line.account: line.balance for line in before.lines}
    for line in after.lines:
        was = earlier.get(line.account, 0)
        kind, _, owner = line.account.partition(":")
        name = f"{kind}:{owner[:16]}" if owner else kind
        change = f"{'+' if line.balance > was else ''}{format_money(line.balance - was)}"
        yield name, format_money(was), format_money(line.balance), change


@contextlib.contextmanager
def _doing(terminal: Terminal, what: str) -> Iterator[None]:
    """Show what is being waited for, where a person watches."""
    if terminal.watched:
        with terminal.err.status(what):
            yield
    else:
        yield
