"""The rounds of benchmarks/clearing.py in a process of its own: from orders to a checked record.

    python -m benchmarks.clearing_rounds BOOK ORDERS SEED FOLDER

For each line on standard input, a number of threads and `cold` or `warm`, it clears the book once
and writes one line of JSON: the seconds of each stage, welfare, lots, peak memory. A warm round
starts from the tree of a book of which 1 in 100 orders differ. The first rounds are a warm-up.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.clearing_books import (
    Curves,
    Network,
    Orders,
    curves_of,
    make_network,
    make_orders,
    make_problem,
    renewed,
    start_from,
    trace_orders,
)
from tests.support.market_records import ROUND
from tests.support.oracles import peak_bytes

from swatow_market.exchange.certificate.merkle import Head
from swatow_market.exchange.certificate.publish import publish
from swatow_market.exchange.certificate.record import encode
from swatow_market.exchange.certificate.verify import verify
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution, Start

RENEWED = 0.01
"""Share of orders that differ between a book and the one before it."""


@dataclass(frozen=True, slots=True)
class Book:
    """Orders over a network, and what the round before left."""

    orders: Orders
    network: Network
    before: Curves
    start: Start


def make_book(name: str, count: int, seed: int, folder: Path) -> tuple[Network, Orders]:
    """Return a book: usual, rich, or of traces; OSError if there are none in the folder."""
    rich = name == "rich"
    network = make_network(seed, rich=rich)
    if name == "traces":
        return network, trace_orders(folder, count, seed)
    return network, make_orders(count, seed, rich=rich)


def clear(book: Book, threads: int, *, warm: bool) -> dict[str, float | str | int | bool]:
    """Clear a round once; return seconds, and what came of it."""
    seconds: dict[str, float | str | int | bool] = {}
    begun = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal begun
        now = time.perf_counter()
        seconds[stage], begun = now - begun, now

    curves, step = curves_of(book.orders, threads)
    lap("aggregate")
    problem = make_problem(book.network, curves)
    start = start_from(book.network, book.before, book.start, curves) if warm else None
    lap("compile")
    solution = solve(problem, threads, start)
    lap("solve")
    filled = fills(book.orders, problem, solution, step)
    lap("fills")
    record = publish(
        round_=ROUND,
        offers=Head(root=bytes(32), leaves=problem.nodes),
        orders=Head(root=bytes(32), leaves=len(book.orders)),
        problem=problem,
        arc_charge=problem.arc_cost,
        solution=solution,
    )
    data = encode(record)
    lap("publish")
    right = not verify(data)
    lap("verify")
    lots = int(solution.demand_used.sum())
    right = right and int(filled.sum()) == lots
    return seconds | {
        "welfare": str(solution.welfare),
        "lots": lots,
        "right": right,
        "segments": problem.segments,
        "arcs": len(problem.arc_node),
        "steps": len(problem.demand_lots),
        "peak_bytes": peak_bytes(),
    }


def fills(orders: Orders, problem: Problem, solution: Solution, step: Ints) -> Ints:
    """Return the lots of each order: all, none, or its share of a marginal step by quantity.

    What proportion leaves over goes by largest remainder, here in the order of the book.
    """
    wanted, used = problem.demand_lots, solution.demand_used
    filled = np.where((used == wanted)[step], orders.lots, 0)
    (members,) = np.nonzero(((used > 0) & (used < wanted))[step])
    members = members[np.argsort(step[members], kind="stable")]
    for rows in np.split(members, np.flatnonzero(np.diff(step[members])) + 1):
        if len(rows):
            at = step[rows[0]]
            shares, rest = np.divmod(orders.lots[rows] * used[at], wanted[at])
            left = int(used[at] - shares.sum())
            shares[np.argsort(-rest, kind="stable")[:left]] += 1
            filled[rows] = shares
    return filled


def main() -> None:
    """Make the book and the round before it, then clear on demand."""
    name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    network, orders = make_book(name, count, seed, Path(sys.argv[4]))
    others = make_orders(count, seed + 1, rich=orders.rich)
    before, _ = curves_of(renewed(orders, others, RENEWED, seed))
    start = solve(make_problem(network, before)).start
    assert start is not None
    book = Book(orders, network, before, start)
    for line in sys.stdin:
        threads, start_of = line.split()
        print(json.dumps(clear(book, int(threads), warm=start_of == "warm")), flush=True)


if __name__ == "__main__":
    main()
