"""Making the record of a round from its problem, its solution and the charges of its paths."""

from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.merkle import Head, Tree
from swatow_market.exchange.certificate.record import (
    Record,
    Round,
    Totals,
    pack,
    pack_amount,
)
from swatow_market.exchange.certificate.trader import offer_leaf, order_leaf
from swatow_market.exchange.clearing import Outcome
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution
from swatow_market.exchange.orders import OrderColumns

RULE_VERSION = 1
"""Of what is published: the mechanism by which rounds are cleared."""


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


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record, and the trees that proofs for single traders are taken from."""

    record: Record
    offers: Tree
    orders: Tree


def round_of(
    snapshot: Snapshot, *, network: str, shard: str, epoch: int, number: int, inputs: bytes
) -> Round:
    """Return what a record says of its round; `inputs` are those of the snapshot, by id."""
    periods = snapshot.periods
    return Round(
        network=network,
        shard=shard,
        epoch=epoch,
        number=number,
        rule_version=RULE_VERSION,
        salt=snapshot.salt,
        network_map=snapshot.network_map.id,
        first_period_us=periods.start,
        period_us=periods.step if periods else 0,
        periods=len(periods),
        inputs=inputs,
    )


def publish_round(number: Round, outcome: Outcome) -> Recorded:
    """Return the record of a round that was cleared. Leaves are those of `trader`, by id."""
    cleared, orders = outcome.cleared, outcome.orders
    of_offers = Tree([offer_leaf(each.id, each.lots_out) for each in outcome.snapshot.offers])
    of_orders = tree_of_orders(orders, cleared.order_segment)
    record = publish(
        round_=number,
        offers=of_offers.head,
        orders=of_orders.head,
        problem=cleared.problem,
        arc_charge=cleared.arc_charge,
        solution=cleared.solution,
        whole=_whole(outcome),
    )
    return Recorded(record, of_offers, of_orders)


def tree_of_orders(orders: OrderColumns, segments: Ints) -> Tree:
    """Return the tree of a round's orders, which are by id; `segments` (n,) has theirs."""
    columns = (segments.tolist(), orders.totals(orders.lots).tolist())
    return Tree(
        [
            order_leaf(entry.id, lots, segment if segment >= 0 else None)
            for entry, segment, lots in zip(orders.entries, *columns, strict=True)
        ]
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


def _whole(outcome: Outcome) -> WholeOrders | None:
    """Return the all-or-none orders that were filled, and those that were taken out."""
    orders, cleared = outcome.orders, outcome.cleared
    whole = np.array([entry.terms.all_or_none for entry in orders.entries], np.bool_)
    filled = orders.totals(outcome.filled)
    listed = np.flatnonzero(whole & (cleared.order_segment >= 0) & ((filled > 0) | ~cleared.taken))
    if not len(listed):
        return None
    row = orders.start[listed]  # an all-or-none order has one
    relaxed = cleared.relaxed
    return WholeOrders(
        order=listed,
        segment=cleared.order_segment[listed],
        price=orders.price[row],
        lots=orders.lots[row],
        filled=filled[listed],
        relaxed_price=middle(relaxed.price_least, relaxed.price_greatest),
        relaxed_welfare=relaxed.welfare,
    )


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
