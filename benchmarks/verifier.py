"""Time to check a published round, in a process that has no solver, beside the time to solve it.

    python -m benchmarks.verifier [--orders 1000000] [--repeats 7] [--seed 1] [--json]

This process clears random orders (benchmarks/clearing_books.py) and writes the record to a file.
Another one, which cannot import clearing, book or numba, reads it (benchmarks/verifier_alone.py).
Then they take turns: one solves the problem again, the other decodes and checks the record again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.clearing_books import (
    Network,
    curves_of,
    make_network,
    make_orders,
    make_problem,
)

from swatow_market.exchange.certificate.merkle import Head
from swatow_market.exchange.certificate.publish import publish
from swatow_market.exchange.certificate.record import Round, encode
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.problem import Problem, Solution
from swatow_protocol.shell.terminal import Terminal

ORDERS = (10_000, 100_000, 1_000_000)


def main() -> None:
    """Make the records, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, nargs="+", default=ORDERS, help="sizes of books")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    terminal = Terminal(as_json=options.json)
    network = make_network(options.seed)
    rows = []
    for count in options.orders:
        terminal.note(f"{count:,} orders")
        rows.append(measure(network, count, options.seed, options.repeats))
    report(terminal, rows, options.repeats)


def measure(network: Network, orders: int, seed: int, repeats: int) -> dict[str, Any]:
    """Solve and check one book in turn; the first time of each is a warm-up."""
    curves, _ = curves_of(make_orders(orders, seed))
    problem = make_problem(network, curves)
    data = record_of(problem, solve(problem), orders)
    seconds, answers = [], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record"
        file.write_bytes(data)
        program = [sys.executable, "-m", "benchmarks.verifier_alone", str(file)]
        with subprocess.Popen(program, stdin=-1, stdout=-1, text=True) as alone:
            assert alone.stdin is not None
            assert alone.stdout is not None
            for _ in range(1 + repeats):
                begun = time.perf_counter()
                solve(problem)
                seconds.append(time.perf_counter() - begun)
                print(file=alone.stdin, flush=True)
                answers.append(json.loads(alone.stdout.readline()))
    solved, answers = seconds[1:], answers[1:]
    checked = [each["decode"] + each["check"] for each in answers]
    pairs = zip(solved, checked, strict=True)
    return {
        "orders": orders,
        "arcs": len(problem.arc_node),
        "steps": len(problem.demand_lots),
        "record_mib": len(data) / 2**20,
        "decode_ms": 1e3 * statistics.median(each["decode"] for each in answers),
        "check_ms": 1e3 * statistics.median(each["check"] for each in answers),
        "all_ms": 1e3 * statistics.median(checked),
        "solve_ms": 1e3 * statistics.median(solved),
        "solve_to_all": statistics.median(solve / check for solve, check in pairs),
        "right": all(each["right"] for each in answers),
        "peak_mib": answers[-1]["peak_bytes"] / 2**20,
        "idle_mib": answers[-1]["before_bytes"] / 2**20,
    }


def record_of(problem: Problem, solution: Solution, orders: int) -> bytes:
    """Return the record of the round; its offers and orders are in no tree."""
    network = Round(
        network="local",
        shard="main",
        epoch=1,
        number=1,
        rule_version=1,
        salt=bytes(32),
        network_map=bytes(32),
        first_period_us=0,
        period_us=0,
        periods=0,
        inputs=bytes(32),
    )
    record = publish(
        round_=network,
        offers=Head(root=bytes(32), leaves=problem.nodes),
        orders=Head(root=bytes(32), leaves=orders),
        problem=problem,
        arc_charge=problem.arc_cost,
        solution=solution,
    )
    return encode(record)


def report(terminal: Terminal, rows: Sequence[dict[str, Any]], repeats: int) -> None:
    """Print one table, or one JSON object."""
    if terminal.as_json:
        terminal.data({"repeats": repeats, "rows": list(rows)})
        return
    form = {
        "orders": "{:,}",
        "arcs": "{:,}",
        "steps": "{:,}",
        "record_mib": "{:.1f}",
        "decode_ms": "{:.1f}",
        "check_ms": "{:.1f}",
        "all_ms": "{:.1f}",
        "solve_ms": "{:.0f}",
        "solve_to_all": "{:.1f}",
        "right": "{}",
        "peak_mib": "{:.0f}",
        "idle_mib": "{:.0f}",
    }
    heads = [name.replace("_", " ").replace("mib", "MiB") for name in form]
    table = [[form[name].format(row[name]) for name in form] for row in rows]
    terminal.table(f"medians of {repeats} rounds", heads, table)


if __name__ == "__main__":
    main()
