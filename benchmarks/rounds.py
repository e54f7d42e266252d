"""Rounds of a running market with a full book: whether they hold their interval, intake going on.

    python -m benchmarks.rounds [--orders 100000] [--seconds 20] [--buyers 8] [--json]

The market is a process of its own, with SQLite synced at every commit, on this machine. 200 nodes
in 31 zones stand in its book. Buyers send one order after another, each waiting for the first
answer only, all the time that is measured: first beside an empty book, which is the peer, then
beside `--orders` open orders that came in batches, most of which nobody fills. Most of the
buyers' orders are filled in the next round.
"""

import argparse
import asyncio
import os
import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from tests.support import samples

from swatow_market.admin import deposit
from swatow_market.config import MarketSettings
from swatow_mesh.processes import Child, Children
from swatow_protocol.carriers.grpc.connection import connect
from swatow_protocol.carriers.grpc.market import MarketClient
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.identity import Identity
from swatow_protocol.limits import BATCH_ORDERS_MAX
from swatow_protocol.messages import (
    Attributes,
    Limits,
    Model,
    ModelLimit,
    Order,
    OrderBatch,
    OrderTerms,
    PriceStep,
)
from swatow_protocol.messages.answers import Decision
from swatow_protocol.messages.order import pack_columns
from swatow_protocol.shell import logs
from swatow_protocol.shell.clock import now_us
from swatow_protocol.shell.terminal import Terminal

NODES, ZONES = 200, 31
ROUND_MS = 1_000
BATCH_ROWS = 10_000
BATCH_TERMS = 100
"""Distinct sets of terms in a batch: by zones, and by carbon cap."""
ASK = 100_000
"""What nodes ask for their first lots, in nanos; the last cost half as much again."""
OFFER_LIFE_US = 500_000_000
ORDER_LIFE_US = 3_600_000_000
MONEY = 10**15
OFFER = {"attributes": Attributes(vendor="ascend", carbon_mg_per_lot=100)}


@dataclass(slots=True)
class Phase:
    """What was measured beside one book."""

    name: str
    first_us: int = 0
    last_us: int = 0
    answers_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Bench:
    """A market, and who deals with it."""

    market: Child
    home: Path
    model: bytes = b""
    """Id of the model that is traded."""
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def address(self) -> tuple[bytes, str]:
        """Key and host:port of the market."""
        key, _, address = self.market.first_line.partition("@")
        return bytes.fromhex(key), address

    async def client(self) -> MarketClient:
        """Connect to the market."""
        key, address = self.address
        connection, _ = await connect(address, server=key, network="local", now_us=now_us)
        return MarketClient(connection)


async def main() -> None:
    """Set up, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, default=BATCH_ORDERS_MAX, help="open orders")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured beside each book")
    parser.add_argument("--buyers", type=int, default=8, help="who send orders at once")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logs.configure("warning")
    os.environ["SWATOW_MARKET_ORDERS_OPEN_MAX"] = str(BATCH_ORDERS_MAX)
    terminal = Terminal(as_json=options.json)
    with tempfile.TemporaryDirectory() as folder:
        children = Children(Path(folder) / "logs")
        try:
            bench = await set_up(children, Path(folder))
            phases = [Phase("nothing else"), Phase(f"{options.orders:,} open orders")]
            terminal.note("beside an empty book")
            await measure(bench, phases[0], options.seconds, options.buyers)
            terminal.note(f"{options.orders:,} orders come in batches of {BATCH_ROWS:,}")
            batch_s = [await stand(bench, n) for n in range(options.orders // BATCH_ROWS)]
            terminal.note(f"a batch was answered in {statistics.median(batch_s):.2f} s")
            await measure(bench, phases[1], options.seconds, options.buyers)
            rows = [row_of(bench, phase) for phase in phases]
            for row, phase in zip(rows, phases, strict=True):
                row["intake_ratio"] = len(phase.answers_ms) / len(phases[0].answers_ms)
            report(terminal, rows)
        finally:
            await children.stop()


async def set_up(children: Children, at: Path) -> Bench:
    """Start the market with its nodes."""
    home = at / "market"
    market = await children.start(
        "market",
        *("market", "run", "-d", str(home), "--listen", "127.0.0.1:0"),
        *("--round-ms", str(ROUND_MS), "--log-level", "warning"),
    )
    bench = Bench(market, home)
    client = await bench.client()
    listed = (await client.catalogue()).models[0]
    bench.model = verify(listed, Model, network="local", now_us=None).id
    for number in range(NODES):
        verdict = await client.submit_offer(offer_of(bench, number).envelope)
        assert verdict.decision is Decision.ACCEPT, verdict
    return bench


def offer_of(bench: Bench, number: int) -> Signed[Any]:
    """Make the offer of a node."""
    node, at_us = identity(b"node", number), now_us()
    first = ASK + 200 * number
    offer = samples.offer(
        network="local",
        sender=node.key,
        issued_us=at_us,
        valid_from_us=at_us,
        expires_us=at_us + OFFER_LIFE_US,
        sequence=1,
        model=bench.model,
        zone=zone(number),
        later=(),
        steps=tuple(PriceStep(price=first * (5 + n) // 5, lots=20_000) for n in range(4)),
        **OFFER,
    )
    return sign(offer, node)


def terms_of(bench: Bench, price: int, number: int) -> OrderTerms:
    """Return terms of an order: some zones, and half of the time a cap on carbon."""
    around = tuple(sorted({zone(number + n) for n in range(0, 3 * (1 + number % 5), 3)}))
    return samples.terms(
        models=(ModelLimit(model=bench.model, price=price),),
        limits=Limits(zones=around, carbon_mg_per_lot=150 + number if number % 2 else None),
        expires_us=now_us() + ORDER_LIFE_US,
    )


async def stand(bench: Bench, number: int) -> float:
    """Send a batch, of whose rows one in ten pays what nodes ask; return the seconds it took."""
    buyer = await funded(bench, b"batch", number)
    rows = [
        (row % BATCH_TERMS, bench.rng.randint(1, 20), price_of(bench.rng))
        for row in range(BATCH_ROWS)
    ]
    term_column, lots_column, price_column = pack_columns(rows)
    batch = OrderBatch(
        network="local",
        sender=buyer.key,
        issued_us=now_us(),
        nonce=number.to_bytes(16, "big"),
        terms=tuple(terms_of(bench, ASK, term) for term in range(BATCH_TERMS)),
        term_column=term_column,
        lots_column=lots_column,
        price_column=price_column,
    )
    begun = time.perf_counter()
    await first_answer(await bench.client(), sign(batch, buyer))
    return time.perf_counter() - begun


def price_of(rng: random.Random) -> int:
    """Draw a limit price: one in ten pays what nodes ask."""
    return rng.randint(ASK, ASK * 6 // 5) if rng.random() < 0.1 else rng.randint(ASK // 2, ASK - 1)


async def measure(bench: Bench, phase: Phase, seconds: float, buyers: int) -> None:
    """Send orders for so long, after a round of warming up."""
    identities = [await funded(bench, phase.name.encode(), n) for n in range(buyers)]
    clients = [await bench.client() for _ in range(buyers)]
    await asyncio.sleep(3 * ROUND_MS / 1_000)
    phase.first_us = now_us()
    until = time.perf_counter() + seconds
    pairs = zip(clients, identities, strict=True)
    await asyncio.gather(*(buy(bench, phase, client, buyer, until) for client, buyer in pairs))
    phase.last_us = now_us()


async def buy(
    bench: Bench, phase: Phase, client: MarketClient, buyer: Identity, until: float
) -> None:
    """Send one order after another."""
    number = 0
    while time.perf_counter() < until:
        number += 1
        order = Order(
            network="local",
            sender=buyer.key,
            issued_us=now_us(),
            nonce=number.to_bytes(16, "big"),
            lots=1 + number % 10,
            terms=terms_of(bench, ASK * 8 // 5, number),
        )
        signed = sign(order, buyer)
        begun = time.perf_counter()
        await first_answer(client, signed)
        phase.answers_ms.append(1_000 * (time.perf_counter() - begun))


async def first_answer(client: MarketClient, signed: Signed[Any]) -> None:
    """Send an order or a batch, and wait until it is taken in."""
    async with aclosing(client.place_orders(signed.envelope)) as news:  # type: ignore[type-var]
        async for events in news:
            verdict = events.events[0].verdict
            assert verdict is not None
            assert verdict.decision is Decision.ACCEPT, verdict
            return


async def funded(bench: Bench, name: bytes, number: int) -> Identity:
    """Return a buyer with money."""
    buyer = identity(name, number)
    await deposit(
        MarketSettings(),
        bench.home,
        buyer=buyer.key,
        amount=MONEY,
        reference=name + number.to_bytes(4, "big"),
        now_us=now_us,
    )
    return buyer


def row_of(bench: Bench, phase: Phase) -> dict[str, Any]:
    """Return what a phase came to; rounds are those that the database has."""
    with sqlite3.connect(f"file:{bench.home / 'market.sqlite'}?mode=ro", uri=True) as database:
        rounds = database.execute(
            "SELECT closed_us, orders, lots FROM rounds WHERE closed_us BETWEEN ? AND ?"
            " ORDER BY closed_us",
            (phase.first_us, phase.last_us),
        ).fetchall()
    gaps = [(after[0] - before[0]) / 1e6 for before, after in pairwise(rounds)]
    answers = sorted(phase.answers_ms)
    return {
        "beside": phase.name,
        "rounds": len(rounds),
        "interval_s": statistics.median(gaps),
        "interval_max_s": max(gaps),
        "orders": int(statistics.median(each[1] for each in rounds)),
        "lots": sum(each[2] for each in rounds),
        "intake_a_second": len(answers) / ((phase.last_us - phase.first_us) / 1e6),
        "answer_ms": statistics.median(answers),
        "answer_p99_ms": answers[len(answers) * 99 // 100],
        "market_mib": psutil.Process(bench.market.process.pid).memory_info().rss / 2**20,
    }


def report(terminal: Terminal, rows: list[dict[str, Any]]) -> None:
    """Print one table, or one JSON object."""
    if terminal.as_json:
        terminal.data({"round_s": ROUND_MS / 1_000, "rows": rows})
        return
    form = {
        "beside": "{}",
        "rounds": "{}",
        "interval_s": "{:.3f}",
        "interval_max_s": "{:.3f}",
        "orders": "{:,}",
        "lots": "{:,}",
        "intake_a_second": "{:.0f}",
        "intake_ratio": "{:.2f}",
        "answer_ms": "{:.1f}",
        "answer_p99_ms": "{:.1f}",
        "market_mib": "{:.0f}",
    }
    table = [[each.format(row[name]) for name, each in form.items()] for row in rows]
    terminal.table(
        f"rounds of {ROUND_MS / 1_000:g} s, orders sent all the time",
        [name.replace("_", " ") for name in form],
        table,
    )


def identity(name: bytes, number: int) -> Identity:
    """Return the same identity for the same name and number."""
    return Identity(blake2b(name + number.to_bytes(4, "big"), digest_size=32).digest())


def zone(number: int) -> str:
    """Return a zone: one of ZONES in ten countries."""
    number %= ZONES
    return f"{'cnsgmyidthvnjpkrinau'[2 * (number % 10) :][:2]}-z{number}"


if __name__ == "__main__":
    asyncio.run(main())
