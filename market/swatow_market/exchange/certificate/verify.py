"""The verifier: whether the outcome of a round is optimal and its prices are right, from the bytes
of its record alone.

It shares no code with what solved the round, and does not ask how it was solved. The conditions
are those of linear programming duality on a network (docs/market.md). With p(n) the price of node
n, c(g, n) the cost of an arc, and q(g) = min over arcs of p(n) + c(g, n) the cheapest delivered
price of segment g (a hub that an arc leads to stands for a node, with the q of its own row):

    FEASIBLE    0 <= used <= lots; what a segment is served, and a node sells, is on its arcs,
                and what enters a hub leaves it                                               (C1)
    PRICED      every node that offers anything has a price                                   (C2)
    ARC         an arc that carries lots is one of the cheapest of its row                    (C3)
    DEMAND      a demand step above q(g) is served whole, one below it not at all             (C4)
    SUPPLY      a supply step below p(n) is used whole, one above it not at all               (C5)
    WELFARE     the outcome is worth its dual, which no outcome can pass, and what is stated  (C6)
    MONEY       buyers pay what nodes and carriers get, and what is stated                    (C7)
    VOLUME      no lot more could be traded at no loss (of the tie rule, C8)
    CANONICAL   prices are the middle, rounded down, of all that support the outcome          (C9)
    WHOLE       all-or-none orders that are accepted pay no more than their limit, in full
    RELAXED     no outcome is worth more than is stated, whichever all-or-none orders it takes: not
                even one that may take them in part, for that is the dual of the relaxed prices

An all-or-none order that is left out though its limit lies above q(g) is nothing wrong: it is
counted, and the bound of RELAXED says what that may have cost the round at most (Shortfall).

All in int64: the bounds of a record keep every sum below 2**63. That its curves and arcs are those
of the orders and offers that its Merkle roots stand for is not seen here, nor is who shares a step
that is used in part: each trader checks that for its own (`trader`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.certificate import record as form
from swatow_market.exchange.certificate import whole
from swatow_market.exchange.certificate.arrays import (
    FAR,
    Arrays,
    money,
    row_least,
    row_sums,
    spread,
)
from swatow_market.exchange.certificate.findings import (
    Check,
    Finding,
    flag,
    out_of_order,
    outside,
)
from swatow_market.exchange.certificate.record import Ints
from swatow_protocol import limits
from swatow_protocol.errors import MessageRefused

SWEEPS_MAX = 4_096
"""Steps of a search along arcs: the longest chain of nodes and hubs whose prices hang together. A
record that needs more is refused as not shown to be right, by the condition searched for."""

_ENDLESS = f"prices hang together over more than {SWEEPS_MAX} nodes or hubs"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of checking a record."""

    findings: tuple[Finding, ...]
    """What is wrong with it: of the first of STAGES that has found anything."""
    shortfall: whole.Shortfall | None
    """None if anything is wrong."""


def verify(data: bytes) -> tuple[Finding, ...]:
    """Return what is wrong with the record that these bytes hold; nothing if it is right.

    Bad data raises nothing. The findings are those of the first of STAGES that has any.
    """
    try:
        record = form.decode(data)
    except MessageRefused as error:
        return (Finding(Check.FORMAT, str(error)),)
    return judge(record).findings


def judge(record: form.Record) -> Judgement:
    """Check a record that is decoded; as `verify` does."""
    of = Arrays(record)
    findings = next((found for stage in STAGES if (found := tuple(stage(of)))), ())
    return Judgement(findings, None if findings else whole.shortfall(of))


def _shape(of: Arrays) -> list[Finding]:
    arcs, demand, supply = len(of.arc_node), len(of.demand_price), len(of.supply_price)
    found = [
        Finding(Check.SHAPE, f"{name}: {len(getattr(of, name))} numbers, not {length}")
        for name, length in (
            ("arc_cost", arcs),
            ("arc_charge", arcs),
            ("arc_lots", arcs),
            ("demand_lots", demand),
            ("demand_used", demand),
            ("supply_lots", supply),
            ("supply_used", supply),
            ("supply_start", of.nodes + 1),
            *whole.in_shape(of),
        )
        if len(getattr(of, name)) != length
    ]
    if of.hubs < 0:
        found.append(Finding(Check.SHAPE, "arc_start: fewer rows than demand_start"))
    for name, items in (("arc_start", arcs), ("demand_start", demand), ("supply_start", supply)):
        start: Ints = getattr(of, name)
        if not len(start) or start[0] != 0 or start[-1] != items or (start[1:] < start[:-1]).any():
            found.append(Finding(Check.SHAPE, f"{name}: not a rise from 0 to {items}"))
    return found


def _range(of: Arrays) -> list[Finding]:
    most = form.LOTS_TOTAL_MAX
    # A segment may use every hub, a hub those of lower number.
    hubs = np.concatenate((np.full(of.segments, of.hubs), np.arange(of.hubs)))
    targets = spread(of.nodes + hubs, of.arc_start)
    found = [
        *flag(Check.RANGE, "arc_node", outside(of.arc_node, 0, targets - 1)),
        *flag(Check.RANGE, "arc_node", out_of_order(of.arc_node, of.arc_start)),
        *flag(Check.RANGE, "arc_cost", outside(of.arc_cost, 0, form.COST_MAX)),
        *flag(Check.RANGE, "arc_charge", outside(of.arc_charge, 0, of.arc_cost)),
        *flag(Check.RANGE, "arc_lots", outside(of.arc_lots, 0, most)),
        *flag(Check.RANGE, "demand_price", outside(of.demand_price, 0, limits.PRICE_MAX)),
        *flag(Check.RANGE, "demand_price", out_of_order(-of.demand_price, of.demand_start)),
        *flag(Check.RANGE, "demand_lots", outside(of.demand_lots, 1, most)),
        *flag(Check.RANGE, "supply_price", outside(of.supply_price, 0, limits.PRICE_MAX)),
        *flag(Check.RANGE, "supply_price", out_of_order(of.supply_price, of.supply_start)),
        *flag(Check.RANGE, "supply_lots", outside(of.supply_lots, 1, most)),
        *flag(Check.RANGE, "node_price", outside(of.node_price, form.NO_PRICE, limits.PRICE_MAX)),
        *whole.in_range(of),
    ]
    if (
        not found
        and max(each.sum() for each in (of.demand_lots, of.supply_lots, of.whole_lots)) > most
    ):
        found.append(Finding(Check.RANGE, f"more than {most} lots in total"))
    if not found and of.arc_lots.sum() > form.CARRIED_TOTAL_MAX:
        found.append(Finding(Check.RANGE, f"more than {form.CARRIED_TOTAL_MAX} lots on all arcs"))
    return found


def _feasible(of: Arrays) -> list[Finding]:
    """C1. Lots are within their steps; those of arcs add up to both sides and pass through hubs."""
    taken = np.zeros(of.nodes + of.hubs, np.int64)
    np.add.at(taken, of.arc_node[of.flowing], of.arc_lots[of.flowing])
    passed = row_sums(of.arc_lots, of.arc_start)
    served, sold = (
        row_sums(of.demand_used, of.demand_start),
        row_sums(of.supply_used, of.supply_start),
    )
    segments, nodes = passed[: of.segments] != served, taken[: of.nodes] != sold
    hubs = taken[of.nodes :] != passed[of.segments :]
    return [
        *flag(Check.FEASIBLE, "demand_used", outside(of.demand_used, 0, of.demand_lots)),
        *flag(Check.FEASIBLE, "supply_used", outside(of.supply_used, 0, of.supply_lots)),
        *flag(Check.FEASIBLE, "balance of segments", segments),
        *flag(Check.FEASIBLE, "balance of hubs", hubs),
        *flag(Check.FEASIBLE, "balance of nodes", nodes),
    ]


def _supported(of: Arrays) -> list[Finding]:
    """C2 to C5. The prices support the outcome: nobody would rather have had something else."""
    unpriced = (of.node_price == form.NO_PRICE) & (np.diff(of.supply_start) > 0)
    dearer = of.arc_price != of.price[of.arc_from]
    pays, gets = spread(of.segment_price, of.demand_start), spread(of.node_prices, of.supply_start)
    demand = np.where(of.demand_price > pays, of.demand_lots, 0)
    supply = np.where(of.supply_price < gets, of.supply_lots, 0)
    return [
        *flag(Check.PRICED, "node_price", unpriced),
        *flag(Check.ARC, "arc_lots", dearer & (of.arc_lots > 0)),
        *flag(Check.DEMAND, "demand_used", (of.demand_used != demand) & (of.demand_price != pays)),
        *flag(Check.SUPPLY, "supply_used", (of.supply_used != supply) & (of.supply_price != gets)),
    ]


def _welfare(of: Arrays) -> list[Finding]:
    """C6. Worth of the outcome = worth of the prices; either proves the other."""
    reached = (
        money(of.demand_price, of.demand_used)
        - money(of.supply_price, of.supply_used)
        - money(of.arc_cost, of.arc_lots)
    )
    dual = of.dual(of.price)
    stated = form.unpack_amount(of.record.totals.welfare)
    if reached == dual == stated:
        return []
    return [Finding(Check.WELFARE, f"reached {reached}, dual {dual}, stated {stated}")]


def _payments(of: Arrays) -> list[Finding]:
    """C7. Buyers pay the delivered price less the handicap, which is no money."""
    served = row_sums(of.demand_used, of.demand_start)
    buyers = money(of.segment_price, served) - money(of.arc_cost - of.arc_charge, of.arc_lots)
    nodes = money(of.node_prices, row_sums(of.supply_used, of.supply_start))
    carriers = money(of.arc_charge, of.arc_lots)
    totals = of.record.totals
    stated = tuple(map(form.unpack_amount, (totals.buyers, totals.nodes, totals.carriers)))
    if (buyers, nodes, carriers) == stated and buyers == nodes + carriers:
        return []
    due = f"buyers {buyers}, nodes {nodes}, carriers {carriers}"
    return [Finding(Check.MONEY, f"{due}, stated {stated}")]


def _volume(of: Arrays) -> list[Finding]:
    """C8. No path of cheapest arcs leads from demand left at its price to supply left at its."""
    reached = np.zeros(len(of.price), np.bool_)
    reached[of.nodes + of.hubs :] = of.demand_left == of.segment_price
    cheapest = np.flatnonzero(of.arc_price == of.price[of.arc_from])
    forth, to = of.arc_from[cheapest], of.arc_node[cheapest]
    back, against = of.arc_from[of.flowing], of.arc_node[of.flowing]
    for _ in range(SWEEPS_MAX):
        before = np.count_nonzero(reached)
        reached[to[reached[forth]]] = True
        reached[back[reached[against]]] = True
        if np.count_nonzero(reached) == before:
            left = reached[: of.nodes] & (of.supply_left == of.node_prices)
            return flag(Check.VOLUME, "lots left at node", left)
    return [Finding(Check.VOLUME, _ENDLESS)]


def _canonical(of: Arrays) -> list[Finding]:
    """C9. Relax the greatest prices down, and the least up, until every constraint holds."""
    greatest, least = _greatest(of), _least(of)
    if greatest is None or least is None:
        return [Finding(Check.CANONICAL, _ENDLESS)]
    middle = np.where(greatest < FAR, (least + greatest) >> 1, form.NO_PRICE)
    return flag(Check.CANONICAL, "node_price", of.node_price != middle)


def _greatest(of: Arrays) -> Ints | None:
    """Return (N,) the greatest price of each node; FAR for no bound, None if not found."""
    served = row_least(np.where(of.demand_used > 0, of.demand_price, FAR), of.demand_start)
    price = np.concatenate((of.supply_left, np.full(of.hubs, FAR), served))
    for _ in range(SWEEPS_MAX):
        of.lower(price)
        before = price.copy()
        # Lots come from a segment that is served: in the end, no price on their way is far.
        of.lower_to_flow(price)
        if np.array_equal(price, before):
            return price[: of.nodes]
    return None


def _least(of: Arrays) -> Ints | None:
    """Return (N,) the least price of each node, zero or more; None if not found."""
    sold = -row_least(np.where(of.supply_used > 0, -of.supply_price, 0), of.supply_start)
    sold = np.maximum(sold, 0)  # no steps, no bound: a price is never negative
    price = np.concatenate((sold, np.full(of.hubs, -FAR), of.demand_left))
    for _ in range(SWEEPS_MAX):
        of.lift(price)
        before = price.copy()
        of.lift_to_flow(price)
        if np.array_equal(price, before):
            return price[: of.nodes]
    return None


STAGES: tuple[Callable[[Arrays], list[Finding]], ...] = (
    _shape,
    _range,
    _feasible,
    _supported,
    _welfare,
    _payments,
    _volume,
    _canonical,
    whole.accepted_whole,
    whole.bounded,
)
"""The conditions in order; each may rely on those before it."""
