"""Solvers that did not come from here, each in a process of its own, as oracles for clearing.

OR-tools and HiGHS cannot be imported in one process (their symbols clash), so each oracle is a
program, `tests.support.oracle_*`: it reads problems on standard input and writes one answer to
each on standard output, until the input ends. Problems and answers are MessagePack, each behind
its length in 8 bytes. An oracle reports the flow it found; what that is worth is added up here, in
Python's integers, which cannot overflow.
"""

import operator
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Self

import msgspec
import numpy as np

from swatow_market.exchange.clearing.problem import Ints, Problem

ROOT = Path(__file__).parents[2]
DOUBLES_PRICE_MAX = 2**28
"""HiGHS has an absolute tolerance, 1e-7, that sums of some such prices must keep."""
DOUBLES_VALUE_MAX = 2**52
_LENGTH_BYTES = 8
_ARRAYS = tuple(field.name for field in fields(Problem))


@dataclass(frozen=True, slots=True)
class Found:
    """A flow that a solver calls optimal, and what finding it took."""

    arc_lots: Ints
    """(E,)"""
    demand_used: Ints
    """(D,)"""
    supply_used: Ints
    """(K,)"""
    seconds: float
    """From the arrays of the problem to those of the flow."""


class Answer(msgspec.Struct, frozen=True):
    """What an oracle says of a problem."""

    welfare_digits: str
    """Decimal: MessagePack's integers end at 64 bits."""
    lots: int
    """Lots traded."""
    seconds: float
    """From the arrays of the problem to those of the flow."""
    peak_bytes: int
    """The most memory that the process has had so far."""

    @property
    def welfare(self) -> int:
        """Return value of the demand served - cost of supply - cost of arcs, in nanos."""
        return int(self.welfare_digits)


class Oracle:
    """A program that solves problems, kept alive from one to the next.

    Raises RuntimeError when it ends before it has answered; its errors go to standard error.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        """Start the program."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, problem: Problem) -> Answer:
        """Have a problem solved."""
        reader, writer = self._process.stdout, self._process.stdin
        assert reader is not None
        assert writer is not None
        _write(writer, [getattr(problem, name).astype("<i8").tobytes() for name in _ARRAYS])
        body = _read(reader)
        if body is None:
            raise RuntimeError(f"the oracle ended with {self._process.wait()} and no answer")
        return msgspec.msgpack.decode(body, type=Answer)


def serve(solve: Callable[[Problem], Found]) -> None:
    """Be an oracle: answer problems until there are no more."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a solver prints must not get among the answers.
    while (body := _read(sys.stdin.buffer)) is not None:
        arrays = msgspec.msgpack.decode(body, type=list[bytes])
        problem = Problem(
            **{
                name: np.frombuffer(array, dtype="<i8").astype(np.int64)
                for name, array in zip(_ARRAYS, arrays, strict=True)
            }
        )
        found = solve(problem)
        _write(writer, _answer(problem, found))


def welfare_of(problem: Problem, *, arc_lots: Ints, demand_used: Ints, supply_used: Ints) -> int:
    """Return what a flow of (E,), (D,), (K,) lots is worth in nanos, exactly."""
    value = dot(problem.demand_price, demand_used)
    return value - dot(problem.supply_price, supply_used) - dot(problem.arc_cost, arc_lots)


def owners(start: Ints) -> Ints:
    """Return to whom each item belongs, where those of i are start[i] to start[i + 1]."""
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def places_of_rows(problem: Problem) -> Ints:
    """(E,) Return where lots on an arc go, if segments are numbered first, then nodes, then hubs.

    By the same numbers they come from segments + arc_node.
    """
    rows = owners(problem.arc_start)
    return np.where(rows < problem.segments, rows, rows + problem.nodes)


def dot(left: Ints, right: Ints) -> int:
    """Return the sum of products in Python's integers, which cannot overflow."""
    return sum(map(operator.mul, left.tolist(), right.tolist()))


def exact_in_doubles(problem: Problem) -> bool:
    """Whether HiGHS, which computes in doubles, can be right about a problem to the last nano."""
    prices = (problem.demand_price, problem.supply_price, problem.arc_cost)
    highest = max((int(each.max()) for each in prices if len(each)), default=0)
    lots = int(problem.demand_lots.sum()) + int(problem.supply_lots.sum())
    return highest <= DOUBLES_PRICE_MAX and 2 * (highest + 1) * lots <= DOUBLES_VALUE_MAX


def _answer(problem: Problem, found: Found) -> Answer:
    welfare = welfare_of(
        problem,
        arc_lots=found.arc_lots,
        demand_used=found.demand_used,
        supply_used=found.supply_used,
    )
    return Answer(
        welfare_digits=str(welfare),
        lots=int(found.demand_used.sum()),
        seconds=found.seconds,
        peak_bytes=peak_bytes(),
    )


def peak_bytes() -> int:
    """Return the most memory that this process has had.

    Linux keeps the maximum of getrusage across exec, so that a child starts with its parent's;
    VmHWM of proc(5) belongs to the program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


def _write(stream: IO[bytes], value: object) -> None:
    body = msgspec.msgpack.encode(value)
    stream.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    """Return the next body, or None where the stream ends."""
    length = stream.read(_LENGTH_BYTES)
    if not length:
        return None
    size = int.from_bytes(length, "big")
    body = stream.read(size)
    return body if len(body) == size else None
