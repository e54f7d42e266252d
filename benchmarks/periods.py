"""Time to clear a round of 24 periods with orders that can wait, beside OR-tools on the same.

    python -m benchmarks.periods [--orders 100000 1000000] [--shares 0.3 1.0] [--repeats 3]
                                 [--seed 1] [--json]

Books (benchmarks/period_books.py) go through the pools of the market; then our solver, here, and
OR-tools, in a process of its own, solve the same round in turn, from the beginning each time, after
a warm-up; ours finds all prices besides. `patience` tells how much less is paid by who can wait for
all periods than by who can wait for one, in the mean over models and classes. That nobody who can
wait longer pays more, and that the verifier accepts the record, is checked.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from benchmarks.clearing_books import make_network, make_orders
from benchmarks.period_books import PERIODS, Round, make_round, make_waiting
from benchmarks.verifier import record_of
from tests.support.oracles import Oracle

from swatow_market.exchange.certificate.verify import verify
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import middle, row_prices
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution
from swatow_protocol.shell.terminal import Terminal

ORDERS = (100_000, 1_000_000)
SHARES = (0.3, 1.0)
REFERENCE = "OR-tools"
REFERENCE_PROGRAM = "tests.support.oracle_ortools"
Solved: TypeAlias = tuple[float, tuple[int, int]]
"""Seconds, and (welfare, lots)."""


def main() -> None:
    """Make the books, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, nargs="+", default=ORDERS, help="sizes of books")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="that can wait")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    terminal = Terminal(as_json=options.json)
    rows = []
    for count in options.orders:
        for share in options.shares:
            terminal.note(f"{count:,} orders, {share:.0%} can wait")
            rows.append(measure(count, share, options.seed, options.repeats))
    report(terminal, rows, options.repeats)


def measure(count: int, share: float, seed: int, repeats: int) -> dict[str, Any]:
    """Make a round, have it solved in turn, and check what the solution says."""
    network = make_network(seed)
    waiting = make_waiting(make_orders(count, seed), share, seed)
    begun = time.perf_counter()
    made = make_round(network, waiting)
    making, problem = time.perf_counter() - begun, made.problem
    ways: dict[str, Callable[[], Solved]] = {
        "seconds": lambda: _solve(problem, 1),
        "two": lambda: _solve(problem, 2),
    }
    found: dict[str, list[Solved]] = {}
    with Oracle(REFERENCE_PROGRAM) as oracle:
        ways["ortools"] = lambda: _ask(oracle, problem)
        for turn in range(1 + repeats):
            for name, way in ways.items():
                answer = way()
                if turn:
                    found.setdefault(name, []).append(answer)
    solution = solve(problem)
    prices = prices_of(made, solution)
    return {
        "orders": count,
        "share": share,
        "segments": problem.segments,
        "hubs": problem.hubs,
        "nodes": problem.nodes,
        "arcs": len(problem.arc_node),
        "steps": len(problem.demand_lots),
        "to_arrays": making,
        **{name: statistics.median(seconds for seconds, _ in each) for name, each in found.items()},
        "ratio": statistics.median(
            mine / theirs
            for (mine, _), (theirs, _) in zip(found["seconds"], found["ortools"], strict=True)
        ),
        "equal": len({result for each in found.values() for _, result in each}) == 1,
        "patience": discount(made, prices),
        "falling": is_falling(made, prices),
        "certified": verify(record_of(problem, solution, count)) == (),
    }


def _solve(problem: Problem, threads: int) -> Solved:
    begun = time.perf_counter()
    solution = solve(problem, threads)
    seconds = time.perf_counter() - begun
    return seconds, (solution.welfare, int(solution.demand_used.sum()))


def _ask(oracle: Oracle, problem: Problem) -> Solved:
    answer = oracle.ask(problem)
    return answer.seconds, (answer.welfare, answer.lots)


def prices_of(made: Round, solution: Solution) -> Ints:
    """(S,) Return what orders of each segment pay, at the canonical prices."""
    problem = made.problem
    prices = middle(solution.price_least, solution.price_greatest)
    arcs = (problem.arc_start, problem.arc_node, problem.arc_cost)
    _, paid = row_prices(*arcs, prices, problem.segments)
    return paid


def is_falling(made: Round, prices: Ints) -> bool:
    """Tell whether nobody pays more who can wait longer."""
    places = sorted(made.rows.places.items())
    return all(
        prices[sooner] >= prices[later]
        for ((key, _), sooner), ((other, _), later) in pairwise(places)
        if key == other
    )


def discount(made: Round, prices: Ints) -> float:
    """Return how much less is paid by who can wait for all periods than for one, in the mean."""
    places = made.rows.places
    pairs = [
        (prices[places[key, 1]], prices[number])
        for (key, length), number in places.items()
        if length == PERIODS and (key, 1) in places
    ]
    return float(np.mean([1 - late / soon for soon, late in pairs])) if pairs else 0.0


def report(terminal: Terminal, rows: Sequence[dict[str, Any]], repeats: int) -> None:
    """Print one table, or one JSON object."""
    if terminal.as_json:
        terminal.data({"repeats": repeats, "rows": list(rows)})
        return
    form = {
        "orders": "{:,}",
        "share": "{:.0%}",
        "segments": "{:,}",
        "hubs": "{:,}",
        "nodes": "{:,}",
        "arcs": "{:,}",
        "steps": "{:,}",
        "to_arrays": "{:.2f}",
        "seconds": "{:.3f}",
        "two": "{:.3f}",
        "ortools": "{:.3f}",
        "ratio": "{:.2f}",
        "equal": "{}",
        "patience": "{:.1%}",
        "falling": "{}",
        "certified": "{}",
    }
    names = {
        "to_arrays": "to arrays",
        "two": "2 threads",
        "ortools": REFERENCE,
        "ratio": f"ratio to {REFERENCE}",
    }
    table = [[form[name].format(row[name]) for name in form] for row in rows]
    terminal.table(f"medians of {repeats} rounds", [names.get(name, name) for name in form], table)


if __name__ == "__main__":
    main()
