"""All-or-none orders: the optimum of a round in which none is filled in part.

Beginning with all of them, the round is solved; of every segment, the all-or-none row that would be
filled in part leaves the round, and it is solved again, from where it was, until there is no such
row. Only at the margin is a row filled in part, so what leaves had least to gain in its segment,
and what stays gains at these prices: none is ever filled at a loss. What left may be worth more
than what took its place; so rows that left are put back, one at a time, and the best round is kept.

Each solve is another one's neighbour and starts from it; how many there are is bounded.
"""

from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.clearing.compiled import Compiled
from swatow_market.exchange.clearing.fills import filled_rows
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Solution, Start
from swatow_market.exchange.offer_table import Bools
from swatow_market.exchange.orders import OrderColumns

SOLVES_MAX = 64
"""Solves until no row is filled in part. The last one is without any all-or-none row."""
STEADY_SOLVES = 32
"""From here on, twice as many rows of a segment leave from solve to solve: orders of a size that
fits nowhere can be as many as anybody likes to send, and would leave one by one."""
RETURNS_MAX = 8
"""How often a row that has left is put back."""
RETURN_SOLVES_MAX = 8
"""Solves until no row is filled in part after one was put back; beyond, it leaves for good."""
GAP_ENOUGH_PPB = 10_000
"""No row is put back if what is left to gain is this part of the relaxed welfare or less."""

_FAR = np.int64(1) << np.int64(62)


@dataclass(frozen=True, slots=True)
class Found:
    """A round of some rows."""

    taken: Bools
    """(r,) Rows that are in it."""
    problem: Problem
    solution: Solution
    prices: Ints
    """(N,) The middle of each node's range, rounded down."""
    filled: Ints
    """(r,) Lots of each row."""
    start: Start
    """From which it, and ones like it, are found soon."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A round in which no all-or-none row is filled in part."""

    found: Found
    relaxed: Solution
    """Of the round with every row, filled in part or not."""
    passed_over: Bools
    """(r,) Rows that are not in it although their limit lies above the price of their segment."""
    solves: int
    """How many it took."""
    start: Start
    """From which the relaxed round, and ones like it, are found soon."""


def settle(
    orders: OrderColumns,
    compiled: Compiled,
    salt: bytes,
    threads: int = 1,
    start: Start | None = None,
) -> Settled:
    """Return the best round found without an all-or-none row that is filled in part.

    It depends on orders and salt alone.

    Args:
        orders: n orders of r rows, by id.
        compiled: the same, by segment.
        salt: decides what quantity cannot.
        threads: how many may solve parts of the book that nothing joins.
        start: where the first solve begins.
    """
    search = _Search(orders, compiled, salt, threads)
    first = search.find(np.ones(len(compiled.order), np.bool_), start)
    best = search.leave(first, SOLVES_MAX) or search.find(~search.whole, first.start)
    tried = np.zeros(len(compiled.order), np.bool_)
    bound = first.solution.welfare
    for _ in range(RETURNS_MAX):
        gain = np.where(tried, 0, search.gains(best))
        if (bound - best.solution.welfare) * 10**9 <= GAP_ENOUGH_PPB * bound or not gain.any():
            break
        row = int(np.argmax(gain))  # by id, so equals go by id
        tried[row] = True
        taken = best.taken.copy()
        taken[row] = True
        again = search.leave(search.find(taken, best.start), RETURN_SOLVES_MAX)
        if again is not None and again.solution.welfare > best.solution.welfare:
            best = again
    return Settled(
        found=best,
        relaxed=first.solution,
        passed_over=search.gains(best) > 0,
        solves=search.solves,
        start=first.start,
    )


class _Search:
    """The rounds of one book."""

    def __init__(self, orders: OrderColumns, compiled: Compiled, salt: bytes, threads: int) -> None:
        entries = orders.entries
        of_orders = np.fromiter(
            (each.terms.all_or_none for each in entries), np.bool_, len(entries)
        )
        self.whole = of_orders[compiled.order]
        """(r,) Rows that are all-or-none."""
        self.solves = 0
        self._orders = orders
        self._compiled = compiled
        self._salt = salt
        self._threads = threads

    def find(self, taken: Bools, start: Start | None) -> Found:
        """Solve the round of the rows that are `taken` (r,)."""
        self.solves += 1
        problem, step = self._compiled.problem(taken, self._threads)
        solution = solve(problem, self._threads, start)
        filled = filled_rows(
            self._orders, self.whole, step, problem.demand_lots, solution.demand_used, self._salt
        )
        prices = middle(solution.price_least, solution.price_greatest)
        assert solution.start is not None
        return Found(taken, problem, solution, prices, filled, solution.start)

    def leave(self, found: Found, solves: int) -> Found | None:
        """Take rows out until none is filled in part; None if so many solves do not do."""
        for turn in range(solves):
            partial = self.whole & (found.filled > 0) & (found.filled < self._compiled.lots)
            if not partial.any():
                return found
            taken = found.taken & ~partial
            if turn >= STEADY_SOLVES:
                taken[self._next(found, partial, 1 << (turn - STEADY_SOLVES))] = False
            found = self.find(taken, found.start)
        return None

    def gains(self, found: Found) -> Ints:
        """(r,) Return what rows that have left would gain at the prices of a round, if anything."""
        compiled = self._compiled
        at = np.append(compiled.segment_prices(found.prices), NO_PRICE)  # NOWHERE is last
        price = at[compiled.segment]
        gains = np.maximum(compiled.price - price, 0) * compiled.lots
        return np.where(found.taken | (price == NO_PRICE), 0, gains)

    def _next(self, found: Found, partial: Bools, count: int) -> Ints:
        """Return of each segment with such a row the next ones that get nothing, and want more
        lots than it got: there are hardly more for those that pay less."""
        compiled, segment, price = self._compiled, self._compiled.segment, self._compiled.price
        got = np.full(compiled.segments + 1, _FAR)  # NOWHERE is last
        got[segment[partial]] = found.filled[partial]
        next_ = self.whole & found.taken & (found.filled == 0) & (compiled.lots > got[segment])
        rows = np.flatnonzero(next_)
        rows = rows[np.lexsort((rows, -price[rows], segment[rows]))]
        first = np.searchsorted(segment[rows], segment[rows])
        return rows[np.arange(len(rows)) - first < count]
