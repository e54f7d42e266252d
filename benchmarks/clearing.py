"""Time to clear a round: from orders to a checked record, beside OR-tools, HiGHS and scipy.

    python -m benchmarks.clearing [--books usual traces rich] [--orders 1000 10000] [--repeats 5]
                                  [--seed 1] [--traces ../shared/data] [--large] [--json]

Books are made by a seed (benchmarks/clearing_books.py). Ours goes from the columns of the orders to
a record that is checked, cold and from the tree of the round before, of which 1 in 100 orders
differed. The others solve the same problem, orders added up already, and find no prices: their time
is that from the arrays of the problem to those of the flow. HiGHS is asked for its dual simplex,
which was faster on these problems than its interior points. Each is a process of its own, and they
take turns; the first turn is a warm-up. Ratios are to OR-tools in the same turn.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.clearing_books import curves_of, make_problem
from benchmarks.clearing_rounds import make_book
from tests.support.oracles import ROOT, Oracle

from swatow_market.exchange.clearing.problem import Problem
from swatow_protocol.shell.terminal import Terminal

ORDERS = (1_000, 10_000, 100_000, 1_000_000)
ORDERS_LARGE = 10_000_000
BOOKS = ("usual", "traces", "rich")
STAGES = ("aggregate", "compile", "solve", "fills", "publish", "verify")
OURS = tuple(
    (f"swatow {start}, {threads} thread{'s' * (threads > 1)}", f"{threads} {start}")
    for start in ("cold", "warm")
    for threads in (1, 2)
)
ALL_IN = ("aggregate", "solve", "fills", "verify")
"""What `all in` adds up: without putting arrays together for the benchmark, and for publishing."""
REFERENCE = "OR-tools"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another solver."""

    name: str
    program: tuple[str, ...]
    orders_max: int
    """Above this it takes too long to wait for."""


PEERS = (
    Peer(REFERENCE, ("tests.support.oracle_ortools",), ORDERS_LARGE),
    Peer("HiGHS", ("tests.support.oracle_highs",), 100_000),
    Peer("scipy", ("benchmarks.clearing_peers",), 10_000),
)


@dataclass(slots=True)
class Measured:
    """What one of them did, turn by turn."""

    seconds: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    answers: set[tuple[int, int]] = field(default_factory=set)
    """(welfare, lots): one, if it is deterministic."""
    peak_bytes: int = 0

    def add(self, seconds: float, answer: tuple[int, int], peak_bytes: int) -> None:
        """Note a turn."""
        self.seconds.append(seconds)
        self.answers.add(answer)
        self.peak_bytes = max(self.peak_bytes, peak_bytes)


class Rounds:
    """The process that clears rounds as we do."""

    def __init__(self, *arguments: str) -> None:
        """Start it."""
        program = [sys.executable, "-m", "benchmarks.clearing_rounds", *arguments]
        self._process = subprocess.Popen(
            program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, how: str) -> dict[str, Any]:
        """Have the round cleared once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(how, file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def main() -> None:
    """Make the books, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--books", nargs="+", default=["usual"], choices=["usual", "traces", "rich"]
    )
    parser.add_argument("--orders", type=int, nargs="+", default=ORDERS, help="sizes of books")
    parser.add_argument("--large", action="store_true", help="10 million orders too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--traces", default="../shared/data", help="folder of the request traces")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    terminal = Terminal(as_json=options.json)
    rows: list[dict[str, object]] = []
    for name in options.books:
        for count in (*options.orders, *((ORDERS_LARGE,) if options.large else ())):
            try:
                network, orders = make_book(name, count, options.seed, Path(options.traces))
            except OSError as error:
                terminal.note(f"{name}: skipped, {error}")
                break
            terminal.note(f"{name}, {count:,} orders")
            problem = make_problem(network, curves_of(orders)[0])
            book = (name, str(count), str(options.seed), options.traces)
            measured = measure(book, problem, count, options.repeats)
            rows += [{"book": name, "orders": count, **row} for row in compare(measured, problem)]
    report(terminal, rows, options.repeats)


def measure(
    book: tuple[str, ...], problem: Problem, count: int, repeats: int
) -> dict[str, Measured]:
    """Have all solve the book in turn; the first turn is the warm-up."""
    peers = [peer for peer in PEERS if count <= peer.orders_max]
    measured = {name: Measured() for name in [*dict(OURS), *(peer.name for peer in peers)]}
    with ExitStack() as stack:
        rounds = stack.enter_context(Rounds(*book))
        oracles = {peer.name: stack.enter_context(Oracle(*peer.program)) for peer in peers}
        for turn in range(1 + repeats):
            for name, how in OURS:
                found = rounds.ask(how)
                if not found["right"]:
                    raise RuntimeError(f"{name}: the record of {book} is refused")
                if turn:
                    welfare = int(found["welfare"]), int(found["lots"])
                    measured[name].add(found["solve"], welfare, found["peak_bytes"])
                    measured[name].stages.append(found)
            for name, oracle in oracles.items():
                answer = oracle.ask(problem)
                if turn:
                    values = (answer.welfare, answer.lots)
                    measured[name].add(answer.seconds, values, answer.peak_bytes)
    return measured


def compare(measured: dict[str, Measured], problem: Problem) -> list[dict[str, object]]:
    """Return medians, how many times as fast as the reference each is, and whether they agree."""
    reference = measured[REFERENCE]
    rows = []
    for name, each in measured.items():
        row: dict[str, object] = {
            "segments": problem.segments,
            "arcs": len(problem.arc_node),
            "steps": len(problem.demand_lots),
            "who": name,
            "seconds": statistics.median(each.seconds),
            "times_as_fast": _times_as_fast(each.seconds, reference.seconds),
            "welfare": min(welfare for welfare, _ in each.answers),
            "lots": min(lots for _, lots in each.answers),
            "equal": len(each.answers) == 1 and each.answers == reference.answers,
            "peak_mib": each.peak_bytes / 2**20,
            "seconds_all": [round(value, 4) for value in each.seconds],
        }
        if each.stages:
            whole = [sum(turn[stage] for stage in ALL_IN) for turn in each.stages]
            row |= {s: statistics.median(turn[s] for turn in each.stages) for s in STAGES}
            row["all_in"] = statistics.median(whole)
            row["all_in_times_as_fast"] = _times_as_fast(whole, reference.seconds)
        rows.append(row)
    return rows


def _times_as_fast(mine: Sequence[float], theirs: Sequence[float]) -> float:
    pairs = zip(mine, theirs, strict=True)
    return statistics.median(reference / seconds for seconds, reference in pairs)


def report(terminal: Terminal, rows: Sequence[dict[str, object]], repeats: int) -> None:
    """Print one table, or one JSON object."""
    if terminal.as_json:
        terminal.data({"repeats": repeats, "rows": list(rows)})
        return
    form = {
        "book": "{}",
        "orders": "{:,}",
        "segments": "{:,}",
        "arcs": "{:,}",
        "steps": "{:,}",
        "who": "{}",
        "seconds": "{:.3f}",
        "times_as_fast": "{:.2f}",
        "all_in": "{:.3f}",
        "all_in_times_as_fast": "{:.2f}",
        **dict.fromkeys(("aggregate", "fills", "verify"), "{:.3f}"),
        "welfare": "{:,}",
        "lots": "{:,}",
        "equal": "{}",
        "peak_mib": "{:.0f}",
    }
    heads = [name.replace("_", " ").replace("mib", "MiB") for name in form]
    table = [[form[name].format(row[name]) if name in row else "" for name in form] for row in rows]
    terminal.table(f"medians of {repeats} turns; as fast as {REFERENCE}", heads, table)


if __name__ == "__main__":
    main()
