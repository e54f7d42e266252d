"""Small random problems of a round, and records of their solutions.

`is_right` is the verifier's oracle: it solves the problem again and compares, where the verifier
checks conditions.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

import numpy as np
from hypothesis import strategies as st

from swatow_market.exchange.certificate.merkle import Tree
from swatow_market.exchange.certificate.publish import publish
from swatow_market.exchange.certificate.record import Record, Round
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution

ROUND = Round(
    network="local", shard="main", epoch=3, number=1_234, rule_version=1, salt=bytes(range(32))
)

Steps = list[tuple[int, int]]
"""(price, lots) of each step."""
Arcs = dict[int, tuple[int, int]]
"""Supply node -> (cost, the path charge in it)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A problem, segment by segment and node by node."""

    demand: list[Steps]
    supply: list[Steps]
    arcs: list[Arcs]
    """Of each segment."""

    @property
    def problem(self) -> Problem:
        """Return it in arrays."""
        demand, supply = [_falling(each) for each in self.demand], [sorted(s) for s in self.supply]
        rows = [sorted(each.items()) for each in self.arcs]
        return Problem(
            arc_start=starts([len(row) for row in rows]),
            arc_node=ints([node for row in rows for node, _ in row]),
            arc_cost=ints([cost for row in rows for _, (cost, _) in row]),
            demand_start=starts([len(steps) for steps in demand]),
            demand_price=ints([price for steps in demand for price, _ in steps]),
            demand_lots=ints([lots for steps in demand for _, lots in steps]),
            supply_start=starts([len(steps) for steps in supply]),
            supply_price=ints([price for steps in supply for price, _ in steps]),
            supply_lots=ints([lots for steps in supply for _, lots in steps]),
        )

    @property
    def arc_charge(self) -> Ints:
        """Return (E,) the path charge of each arc."""
        return ints([charge for each in self.arcs for _, (_, charge) in sorted(each.items())])


def ints(values: list[int]) -> Ints:
    """Return an array."""
    return np.array(values, dtype=np.int64)


def starts(lengths: list[int]) -> Ints:
    """Return where rows of these lengths start, and where the last one ends."""
    return ints(list(accumulate(lengths, initial=0)))


def _falling(steps: Steps) -> Steps:
    return sorted(steps, reverse=True)


def _curves(price_max: int, lots_max: int) -> st.SearchStrategy[Steps]:
    """Return strategies of curves, in any order of steps; some are empty."""
    step = st.tuples(st.integers(0, price_max), st.integers(1, lots_max))
    return st.lists(step, max_size=3, unique_by=lambda each: each[0])


@st.composite
def problems(draw: st.DrawFn, price_max: int = 12, lots_max: int = 5) -> Drawn:
    """Return small problems with ties, empty curves, unreachable nodes and lonely segments."""
    supply = draw(st.lists(_curves(price_max, lots_max), max_size=4))
    demand = draw(st.lists(_curves(price_max, lots_max), max_size=4))
    cost = st.integers(0, max(1, price_max // 3)).flatmap(
        lambda most: st.tuples(st.just(most), st.integers(0, most))
    )
    nodes = st.integers(0, max(0, len(supply) - 1))
    arcs = st.dictionaries(nodes, cost, max_size=len(supply))
    return Drawn(demand, supply, [draw(arcs) for _ in demand])


def record_of(drawn: Drawn, solution: Solution | None = None) -> Record:
    """Return the record of the round that has this solution, or the right one."""
    offers, orders = _trees(len(drawn.supply), len(drawn.demand))
    return publish(
        round_=ROUND,
        offers=offers.head,
        orders=orders.head,
        problem=drawn.problem,
        arc_charge=drawn.arc_charge,
        solution=solution or solve(drawn.problem),
    )


@lru_cache
def _trees(offers: int, orders: int) -> tuple[Tree, Tree]:
    return Tree([b"offer %d" % n for n in range(offers)]), Tree([b"%d" % n for n in range(orders)])


def priced(solution: Solution, prices: Ints) -> Solution:
    """Return the solution with these as its only prices."""
    return replace(solution, price_least=prices, price_greatest=prices)


def is_right(problem: Problem, solution: Solution, prices: Ints) -> bool:
    """Tell whether this is an outcome as the solver's: as good, as large, and so priced."""
    best = solve(problem)
    return (
        _is_feasible(problem, solution)
        and solution.welfare == _worth(problem, solution) == best.welfare
        and solution.arc_lots.sum() == best.arc_lots.sum()
        and prices.tolist() == middle(best.price_least, best.price_greatest).tolist()
    )


def _is_feasible(problem: Problem, solution: Solution) -> bool:
    for used, lots in (
        (solution.demand_used, problem.demand_lots),
        (solution.supply_used, problem.supply_lots),
        (solution.arc_lots, np.full_like(solution.arc_lots, 2**62)),
    ):
        if any(
            not 0 <= one <= most for one, most in zip(used.tolist(), lots.tolist(), strict=True)
        ):
            return False
    served = [
        (sum(solution.arc_lots[a:b].tolist()), sum(solution.demand_used[c:d].tolist()))
        for a, b, c, d in zip(
            problem.arc_start[:-1].tolist(),
            problem.arc_start[1:].tolist(),
            problem.demand_start[:-1].tolist(),
            problem.demand_start[1:].tolist(),
            strict=True,
        )
    ]
    sold = [
        (
            sum(solution.arc_lots[problem.arc_node == node].tolist()),
            sum(solution.supply_used[at:end].tolist()),
        )
        for node, (at, end) in enumerate(
            zip(problem.supply_start[:-1].tolist(), problem.supply_start[1:].tolist(), strict=True)
        )
    ]
    return all(left == right for left, right in served + sold)


def _worth(problem: Problem, solution: Solution) -> int:
    pairs = (
        (1, problem.demand_price, solution.demand_used),
        (-1, problem.supply_price, solution.supply_used),
        (-1, problem.arc_cost, solution.arc_lots),
    )
    return sum(
        sign * price * lots
        for sign, prices, quantities in pairs
        for price, lots in zip(prices.tolist(), quantities.tolist(), strict=True)
    )
