"""Small random problems of a round, and records of their solutions.

`is_right` is the verifier's oracle: it solves the problem again and compares, where the verifier
checks conditions. It knows no hubs: the cheapest way through them to a node is an arc to that node.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
from hypothesis import strategies as st

from swatow_market.exchange.certificate.merkle import Tree
from swatow_market.exchange.certificate.publish import WholeOrders, publish
from swatow_market.exchange.certificate.record import Record, Round
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution

ROUND = Round(
    network="local",
    shard="main",
    epoch=3,
    number=1_234,
    rule_version=1,
    salt=bytes(range(32)),
    network_map=bytes(32),
    first_period_us=0,
    period_us=0,
    periods=0,
    inputs=bytes(32),
)

Steps = list[tuple[int, int]]
"""(price, lots) of each step."""
Arcs = dict[int, tuple[int, int]]
"""Supply node, or nodes + number of a hub -> (cost, the path charge in it)."""
Way = tuple[int, tuple[int, ...]]
"""What a lot costs on these arcs, one behind the other."""
WholeOrder = tuple[int, int, int]
"""All-or-none: (segment, limit price, lots)."""
ORDERS = 8
"""Leaves of the tree of orders, whatever the curves are."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A problem, segment by segment and node by node."""

    demand: list[Steps]
    supply: list[Steps]
    arcs: list[Arcs]
    """Of each segment."""
    hubs: list[Arcs] = field(default_factory=list)
    """The arcs of each hub, to nodes and lower hubs."""

    @property
    def problem(self) -> Problem:
        """Return it in arrays."""
        demand, supply = [_falling(each) for each in self.demand], [sorted(s) for s in self.supply]
        rows = [sorted(each.items()) for each in (*self.arcs, *self.hubs)]
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
        rows = (*self.arcs, *self.hubs)
        return ints([charge for each in rows for _, (_, charge) in sorted(each.items())])


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
def problems(
    draw: st.DrawFn, price_max: int = 12, lots_max: int = 5, hubs_max: int = 0, least: int = 0
) -> Drawn:
    """Return small problems with ties, empty curves, unreachable nodes and lonely segments.

    Of the hubs, some have no arcs, some are used by nobody, and some stand in a row. There are at
    least so many nodes, segments, and arcs of each.
    """
    supply = draw(st.lists(_curves(price_max, lots_max), min_size=least, max_size=4))
    demand = draw(st.lists(_curves(price_max, lots_max), min_size=least, max_size=4))
    cost = st.integers(0, max(1, price_max // 3)).flatmap(
        lambda most: st.tuples(st.just(most), st.integers(0, most))
    )
    hubs = draw(st.integers(0, hubs_max))

    def row(targets: int) -> Arcs:
        if not targets:
            return {}
        return draw(st.dictionaries(st.integers(0, targets - 1), cost, min_size=least, max_size=4))

    arcs = [row(len(supply) + hubs) for _ in demand]
    return Drawn(demand, supply, arcs, [row(len(supply) + hub) for hub in range(hubs)])


def whole_orders(least: int = 0) -> st.SearchStrategy[list[WholeOrder]]:
    """Return all-or-none orders of segments that may be drawn, and larger than most steps."""
    each = st.tuples(st.integers(0, 3), st.integers(0, 14), st.integers(1, 9))
    return st.lists(each, min_size=least, max_size=5)


def with_orders(drawn: Drawn, orders: Iterable[WholeOrder]) -> Drawn:
    """Return the round with these orders in its curves; those of no segment drop out."""
    demand = [Counter(dict(steps)) for steps in drawn.demand]
    for segment, price, lots in orders:
        if segment < len(demand):
            demand[segment][price] += lots
    return replace(drawn, demand=[list(steps.items()) for steps in demand])


def clear_whole(
    drawn: Drawn, orders: list[WholeOrder]
) -> tuple[Drawn, Solution, WholeOrders | None]:
    """Clear a round with all-or-none orders: one that does not fit whole is left out, and again.

    The leaf of each is its place in the list.
    """
    orders = [each for each in orders if each[0] < len(drawn.demand)]
    left_out: set[int] = set()
    relaxed = best(with_orders(drawn, orders).problem)
    while True:
        kept = {n: order for n, order in enumerate(orders) if n not in left_out}
        cleared = with_orders(drawn, kept.values())
        solution = best(cleared.problem)
        accepted, unfit = _fit(cleared.problem, solution, kept)
        if unfit is None:
            break
        left_out.add(unfit)
    listed = sorted(accepted | left_out)
    if not listed:
        return cleared, solution, None
    rows = [orders[n] for n in listed]
    whole = WholeOrders(
        order=ints(listed),
        segment=ints([segment for segment, _, _ in rows]),
        price=ints([price for _, price, _ in rows]),
        lots=ints([lots for _, _, lots in rows]),
        filled=ints([orders[n][2] if n in accepted else 0 for n in listed]),
        relaxed_price=middle(relaxed.price_least, relaxed.price_greatest),
        relaxed_welfare=relaxed.welfare,
    )
    return cleared, solution, whole


def _fit(
    problem: Problem, solution: Solution, orders: Mapping[int, WholeOrder]
) -> tuple[set[int], int | None]:
    """Give each step's lots to its all-or-none orders first; return those served, and one unfit."""
    left: dict[tuple[int, int], int] = {}
    for segment, (at, end) in enumerate(pairwise(problem.demand_start.tolist())):
        for step in range(at, end):
            key = segment, int(problem.demand_price[step])
            left[key] = int(solution.demand_used[step])
    served = set()
    for number, (segment, price, lots) in orders.items():
        if left[segment, price] >= lots:
            left[segment, price] -= lots
            served.add(number)
        elif left[segment, price]:
            return served, number
    return served, None


def record_of(
    drawn: Drawn, solution: Solution | None = None, whole: WholeOrders | None = None
) -> Record:
    """Return the record of the round that has this solution, or the right one."""
    offers, orders = _trees(len(drawn.supply), ORDERS)
    return publish(
        round_=ROUND,
        offers=offers.head,
        orders=orders.head,
        problem=drawn.problem,
        arc_charge=drawn.arc_charge,
        solution=solution or best(drawn.problem),
        whole=whole,
    )


def best(problem: Problem) -> Solution:
    """Return the right outcome: without hubs, then each lot along its way through them."""
    direct, ways = _without_hubs(problem)
    found = solve(direct)
    arc_lots = np.zeros(len(problem.arc_node), np.int64)
    for way, lots in zip(ways, found.arc_lots.tolist(), strict=True):
        arc_lots[list(way)] += lots
    return replace(found, arc_lots=arc_lots)


def _without_hubs(problem: Problem) -> tuple[Problem, list[tuple[int, ...]]]:
    """Return the same problem without hubs, and the arcs that each of its arcs stands for."""
    nodes, segments = len(problem.supply_start) - 1, len(problem.demand_start) - 1
    rows = [range(at, end) for at, end in pairwise(problem.arc_start.tolist())]
    of_hubs: list[dict[int, Way]] = []
    for row in rows[segments:]:
        of_hubs.append(_ways(problem, row, nodes, of_hubs))
    found = [sorted(_ways(problem, row, nodes, of_hubs).items()) for row in rows[:segments]]
    direct = replace(
        problem,
        arc_start=starts([len(row) for row in found]),
        arc_node=ints([node for row in found for node, _ in row]),
        arc_cost=ints([cost for row in found for _, (cost, _) in row]),
    )
    return direct, [way for row in found for _, (_, way) in row]


def _ways(
    problem: Problem, row: range, nodes: int, of_hubs: list[dict[int, Way]]
) -> dict[int, Way]:
    """Return the cheapest way to each node that a row leads to."""
    found: dict[int, Way] = {}
    for arc in row:
        target, cost = int(problem.arc_node[arc]), int(problem.arc_cost[arc])
        onward: dict[int, Way] = {target: (0, ())} if target < nodes else of_hubs[target - nodes]
        for node, (rest, arcs) in onward.items():
            way = (cost + rest, (arc, *arcs))
            found[node] = min(found.get(node, way), way)
    return found


@lru_cache
def _trees(offers: int, orders: int) -> tuple[Tree, Tree]:
    return Tree([b"offer %d" % n for n in range(offers)]), Tree([b"%d" % n for n in range(orders)])


def priced(solution: Solution, prices: Ints) -> Solution:
    """Return the solution with these as its only prices."""
    return replace(solution, price_least=prices, price_greatest=prices)


def is_right(problem: Problem, solution: Solution, prices: Ints) -> bool:
    """Tell whether this is an outcome as the solver's: as good, as large, and so priced."""
    right = best(problem)
    return (
        _is_feasible(problem, solution)
        and solution.welfare == _worth(problem, solution) == right.welfare
        and solution.demand_used.sum() == right.demand_used.sum()
        and prices.tolist() == middle(right.price_least, right.price_greatest).tolist()
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
    served, sold = (
        [sum(used[at:end].tolist()) for at, end in pairwise(start.tolist())]
        for used, start in (
            (solution.demand_used, problem.demand_start),
            (solution.supply_used, problem.supply_start),
        )
    )
    leaving = [
        sum(solution.arc_lots[at:end].tolist()) for at, end in pairwise(problem.arc_start.tolist())
    ]
    hubs = leaving[len(served) :]
    entering = [
        sum(solution.arc_lots[problem.arc_node == target].tolist())
        for target in range(len(sold) + len(hubs))
    ]
    return leaving == served + hubs and entering == sold + hubs


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
