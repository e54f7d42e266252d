"""All-or-none orders: what a round with them takes, and what it may have cost to keep them whole.

    python -m benchmarks.whole_orders [--orders 1000 ...] [--share 0.2] [--repeats 3] [--seed 1]
                                      [--peer-seconds 30] [--json]

Books of a market (benchmarks/market_books.py) of which a share is all-or-none are cleared, all the
way from orders to fills, beside the same books with none. The gap is the one that the certificate
states: what is missing to the welfare with all of them filled in part at will. The peer, HiGHS,
looks for the best choice of orders whatever the prices are, in a process of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.clearing_books import make_network, make_orders
from benchmarks.market_books import make_snapshot
from tests.support.market_records import ROUND

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.publish import publish_round
from swatow_market.exchange.certificate.verify import judge
from swatow_market.exchange.clearing import Outcome, clear, prepare
from swatow_market.exchange.clearing.compiled import compile_round
from swatow_protocol.shell.terminal import Terminal

BOOKS = ((1_000, 0.2), (10_000, 0.2), (100_000, 0.2), (10_000, 1.0))
"""(orders, share of them that is all-or-none)."""
PEER_ORDERS_MAX = 10_000
"""Above this HiGHS takes too long to wait for."""


def main() -> None:
    """Make the books, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, nargs="+", help="sizes of books, in place of all")
    parser.add_argument("--share", type=float, default=0.2, help="of these orders, all-or-none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer-seconds", type=float, default=30.0, help="0 is no peer")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    terminal = Terminal(as_json=options.json)
    prepare()
    books = [(count, options.share) for count in options.orders] if options.orders else BOOKS
    rows = []
    for count, share in books:
        terminal.note(f"{count:,} orders, {share:.0%} all-or-none")
        rows.append(measure(count, share, options.seed, options.repeats, options.peer_seconds))
    report(terminal, rows, options.repeats)


def measure(
    count: int, share: float, seed: int, repeats: int, peer_seconds: float
) -> dict[str, Any]:
    """Clear a book with and without its all-or-none orders in turn, after a warm-up."""
    network, orders = make_network(seed), make_orders(count, seed)
    book = make_snapshot(network, orders, share, seed)
    plain = make_snapshot(network, orders, 0.0, seed)
    outcome = clear(book)
    clear(plain)
    seconds = [(_timed(book), _timed(plain)) for _ in range(repeats)]
    shortfall = shortfall_of(outcome)
    peer = ask_peer(book, peer_seconds) if peer_seconds and count <= PEER_ORDERS_MAX else {}
    bound = outcome.cleared.relaxed.welfare
    return {
        "orders": count,
        "share": share,
        "solves": outcome.cleared.solves,
        "seconds": statistics.median(whole for whole, _ in seconds),
        "ratio": statistics.median(whole / none for whole, none in seconds),
        "gap": shortfall.gap_ppb / 1e9,
        "passed_over": shortfall.passed_over,
        "in_part": in_part(outcome),
        **({"peer_gap": 1 - peer["welfare"] / bound} if peer else {}),
        **({"peer_bound": 1 - peer["bound"] / bound} if peer else {}),
        **({"peer_seconds": peer["seconds"]} if peer else {}),
    }


def _timed(book: Snapshot) -> float:
    begun = time.perf_counter()
    clear(book)
    return time.perf_counter() - begun


def in_part(outcome: Outcome) -> int:
    """Count the all-or-none orders that are filled in part or at a loss."""
    orders = outcome.orders
    filled = orders.totals(outcome.filled)
    whole = np.array([entry.terms.all_or_none for entry in orders.entries])
    paid = sum(fill.worth < fill.lots * fill.price for fill in outcome.fills)
    return paid + int((whole & (filled > 0) & (filled < orders.totals(orders.lots))).sum())


def shortfall_of(outcome: Outcome) -> Any:
    """Have the record verified; return what it says of all-or-none orders."""
    judgement = judge(publish_round(ROUND, outcome).record)
    assert judgement.shortfall is not None, judgement.findings
    return judgement.shortfall


def ask_peer(book: Snapshot, seconds: float) -> dict[str, float]:
    """Have HiGHS choose among the all-or-none orders for this long."""
    compiled = compile_round(book)
    whole = np.array([entry.terms.all_or_none for entry in book.orders.entries])[compiled.order]
    taken = whole & (compiled.segment >= 0)
    problem, _ = compiled.problem(~whole)
    arrays = {
        "segment": compiled.segment[taken],
        "price": compiled.price[taken],
        "lots": compiled.lots[taken],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        np.savez(file, **{**asdict(problem), **arrays})
        program = [sys.executable, "-m", "benchmarks.whole_peer", str(file), str(seconds)]
        ended = subprocess.run(program, stdout=subprocess.PIPE, check=True)
    answer: dict[str, float] = json.loads(ended.stdout)
    return answer


def report(terminal: Terminal, rows: Sequence[dict[str, Any]], repeats: int) -> None:
    """Print one table, or one JSON object."""
    if terminal.as_json:
        terminal.data({"repeats": repeats, "rows": list(rows)})
        return
    form = {
        "orders": "{:,}",
        "share": "{:.0%}",
        "solves": "{}",
        "seconds": "{:.3f}",
        "ratio": "{:.2f}",
        "gap": "{:.1e}",
        "passed_over": "{}",
        "in_part": "{}",
        "peer_gap": "{:.1e}",
        "peer_bound": "{:.1e}",
        "peer_seconds": "{:.1f}",
    }
    heads = [name.replace("_", " ").replace("peer", "HiGHS") for name in form]
    heads[heads.index("ratio")] = "ratio to none"
    table = [[form[name].format(row[name]) if name in row else "" for name in form] for row in rows]
    terminal.table(f"medians of {repeats} rounds", heads, table)


if __name__ == "__main__":
    main()
