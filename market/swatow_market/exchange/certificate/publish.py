"""Making the record of a round from its problem, its solution and the charges of its paths."""

from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.certificate.merkle import Head, Tree
from swatow_market.exchange.certificate.record import (
    Record,
    Round,
    Totals,
    pack,
    pack_amount,
)
from swatow_market.exchange.clearing import Outcome
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution


@dataclass(frozen=True, slots=True)
class WholeOrders:
    """W all-or-none orders of a round: accepted, or left out of its curves."""

    order: Ints
    """(W,) Leaf of each; rising."""
    segment: Ints
    """(W,)"""
    price: Ints
    """(W,) Its limit."""
    lots: Ints
    """(W,)"""
    filled: Ints
    """(W,) All of its lots, or 0: then it is in no curve."""
    relaxed_price: Ints
    """(N,) Node prices of the round with all of them in its curves, to be filled in part."""
    relaxed_welfare: int
    """What that round is worth."""


def publish_round(number: Round, outcome: Outcome) -> Record:
    """Return the record of a round that was cleared.

    A leaf of the tree of offers is the offer's id and the lots of it that awards held before the
    round, a leaf of the tree of orders the order's id and its lots that were open: 32 bytes and
    8, big-endian. Both lists are in the order of the ids.
    """
    offers = Tree([_leaf(entry.id, entry.lots_out) for entry in outcome.snapshot.offers])
    lots = outcome.orders.totals(outcome.orders.lots).tolist()
    entries = zip(outcome.orders.entries, lots, strict=True)
    orders = Tree([_leaf(entry.id, each) for entry, each in entries])
    return publish(
        round_=number,
        offers=offers.head,
        orders=orders.head,
        problem=outcome.cleared.problem,
        arc_charge=outcome.cleared.arc_charge,
        solution=outcome.cleared.solution,
    )


def publish(
    *,
    round_: Round,
    offers: Head,
    orders: Head,
    problem: Problem,
    arc_charge: Ints,
    solution: Solution,
    whole: WholeOrders | None = None,
) -> Record:
    """Return the record of a round.

    Args:
        round_: Which round it is.
        offers: The tree of the offers that took part.
        orders: The tree of the orders that took part.
        problem: What was to be solved.
        arc_charge: (E,) The path charge in the cost of each arc, nanos a lot.
        solution: What was decided.
        whole: The all-or-none orders, if there are any.
    """
    price = middle(solution.price_least, solution.price_greatest)
    none = np.zeros(0, np.int64)
    whole = whole or WholeOrders(none, none, none, none, none, none, solution.welfare)
    left_out = bool((whole.filled == 0).any())
    bound = whole.relaxed_welfare if left_out else solution.welfare
    return Record(
        round=round_,
        offers=offers,
        orders=orders,
        totals=_totals(problem, arc_charge, solution, price, bound),
        arc_start=pack(problem.arc_start),
        arc_node=pack(problem.arc_node),
        arc_cost=pack(problem.arc_cost),
        arc_charge=pack(arc_charge),
        arc_lots=pack(solution.arc_lots),
        demand_start=pack(problem.demand_start),
        demand_price=pack(problem.demand_price),
        demand_lots=pack(problem.demand_lots),
        demand_used=pack(solution.demand_used),
        supply_start=pack(problem.supply_start),
        supply_price=pack(problem.supply_price),
        supply_lots=pack(problem.supply_lots),
        supply_used=pack(solution.supply_used),
        node_price=pack(price),
        whole_order=pack(whole.order),
        whole_segment=pack(whole.segment),
        whole_price=pack(whole.price),
        whole_lots=pack(whole.lots),
        whole_filled=pack(whole.filled),
        relaxed_price=pack(whole.relaxed_price if left_out else none),
    )


def _leaf(name: bytes, lots: int) -> bytes:
    return name + lots.to_bytes(8, "big")


def _totals(
    problem: Problem, arc_charge: Ints, solution: Solution, price: Ints, bound: int
) -> Totals:
    """Add up the money arc by arc, in integers without bound; few arcs carry anything."""
    nodes = carriers = 0
    for arc in np.flatnonzero(solution.arc_lots).tolist():
        lots, target = int(solution.arc_lots[arc]), int(problem.arc_node[arc])
        carriers += lots * int(arc_charge[arc])
        if target < problem.nodes:  # no hub, which passes on what it takes
            nodes += lots * int(price[target])
    return Totals(
        welfare=pack_amount(solution.welfare),
        buyers=pack_amount(nodes + carriers),
        nodes=pack_amount(nodes),
        carriers=pack_amount(carriers),
        relaxed_welfare=pack_amount(bound),
    )
