"""Time to clear a round: our solver beside OR-tools, HiGHS and scipy on the same problems.

    python -m benchmarks.clearing [--orders 1000 10000] [--repeats 5] [--seed 1] [--large] [--json]

Random orders (benchmarks/clearing_books.py) become demand curves, timed apart; then every
solver solves the same round, each in a process of its own, in turn, after a warm-up. A solver's
time is that from the arrays of the problem to those of the flow; ours includes the prices.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.clearing_books import (
    Network,
    Orders,
    curves_of,
    make_network,
    make_orders,
    make_problem,
)
from tests.support.oracles import Answer, Oracle

from swatow_market.exchange.clearing.problem import Problem
from swatow_protocol.shell.terminal import Terminal

ORDERS = (1_000, 10_000, 100_000, 1_000_000)
ORDERS_LARGE = 10_000_000


@dataclass(frozen=True, slots=True)
class Peer:
    """A solver."""

    name: str
    program: tuple[str, ...]
    orders_max: int = ORDERS_LARGE
    """Above this it takes too long to wait for."""


REFERENCE = "OR-tools"
PEERS = (
    Peer("swatow", ("benchmarks.clearing_peers", "1")),
    Peer("swatow, 2 threads", ("benchmarks.clearing_peers", "2")),
    Peer(REFERENCE, ("tests.support.oracle_ortools",)),
    Peer("HiGHS", ("tests.support.oracle_highs",), 100_000),
    Peer("scipy", ("benchmarks.clearing_peers", "scipy"), 10_000),
)


@dataclass(slots=True)
class Measured:
    """What a solver did on one problem."""

    seconds: list[float] = field(default_factory=list)
    answers: set[tuple[int, int]] = field(default_factory=set)
    """(welfare, lots): one, if it is deterministic."""
    peak_bytes: int = 0

    def add(self, answer: Answer) -> None:
        """Note an answer."""
        self.seconds.append(answer.seconds)
        self.answers.add((answer.welfare, answer.lots))
        self.peak_bytes = max(self.peak_bytes, answer.peak_bytes)


def main() -> None:
    """Make the books, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, nargs="+", default=ORDERS, help="sizes of books")
    parser.add_argument("--large", action="store_true", help="10 million orders too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    terminal = Terminal(as_json=options.json)
    network = make_network(options.seed)
    rows: list[dict[str, object]] = []
    for count in (*options.orders, *((ORDERS_LARGE,) if options.large else ())):
        terminal.note(f"{count:,} orders")
        problem, aggregation = prepare(make_orders(count, options.seed), network, options.repeats)
        size = {
            "orders": count,
            "segments": problem.segments,
            "arcs": len(problem.arc_node),
            "steps": len(problem.demand_lots),
        }
        rows.append({**size, "who": "orders to curves", "seconds": aggregation})
        peers = [peer for peer in PEERS if count <= peer.orders_max]
        rows += [{**size, **row} for row in compare(measure(peers, problem, options.repeats))]
    report(terminal, rows, options.repeats)


def prepare(orders: Orders, network: Network, repeats: int) -> tuple[Problem, float]:
    """Return the round, and the median of the seconds that adding up its orders takes."""
    (curves, _), seconds = curves_of(orders), []
    for _ in range(repeats):
        begun = time.perf_counter()
        curves, _ = curves_of(orders)
        seconds.append(time.perf_counter() - begun)
    return make_problem(network, curves), statistics.median(seconds)


def measure(peers: Sequence[Peer], problem: Problem, repeats: int) -> dict[str, Measured]:
    """Have every peer solve the problem, in turn; the first answers are the warm-up."""
    measured = {peer.name: Measured() for peer in peers}
    with ExitStack() as stack:
        oracles = {peer.name: stack.enter_context(Oracle(*peer.program)) for peer in peers}
        for oracle in oracles.values():
            oracle.ask(problem)
        for _ in range(repeats):
            for name, oracle in oracles.items():
                measured[name].add(oracle.ask(problem))
    return measured


def compare(measured: dict[str, Measured]) -> list[dict[str, object]]:
    """Return medians, the ratio of each peer to the reference, and whether they agree."""
    reference = measured[REFERENCE]
    return [
        {
            "who": name,
            "seconds": statistics.median(each.seconds),
            "ratio": statistics.median(
                mine / theirs for mine, theirs in zip(each.seconds, reference.seconds, strict=True)
            ),
            "welfare": min(welfare for welfare, _ in each.answers),
            "lots": min(lots for _, lots in each.answers),
            "equal": len(each.answers) == 1 and each.answers == reference.answers,
            "peak_mib": each.peak_bytes / 2**20,
            "seconds_all": [round(value, 4) for value in each.seconds],
        }
        for name, each in measured.items()
    ]


def report(terminal: Terminal, rows: Sequence[dict[str, object]], repeats: int) -> None:
    """Print one table, or one JSON object."""
    if terminal.as_json:
        terminal.data({"repeats": repeats, "rows": list(rows)})
        return
    form = {
        "orders": "{:,}",
        "segments": "{:,}",
        "arcs": "{:,}",
        "steps": "{:,}",
        "who": "{}",
        "seconds": "{:.3f}",
        "ratio": "{:.2f}",
        "welfare": "{:,}",
        "lots": "{:,}",
        "equal": "{}",
        "peak_mib": "{:.0f}",
    }
    heads = [name.replace("_", " ").replace("mib", "MiB") for name in form]
    heads[heads.index("ratio")] = f"ratio to {REFERENCE}"
    table = [[form[name].format(row[name]) if name in row else "" for name in form] for row in rows]
    terminal.table(f"medians of {repeats} rounds", heads, table)


if __name__ == "__main__":
    main()
