"""A snapshot in arrays: orders by segment, segments by the rows of offers that may serve them."""

from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.problem import Ints, Problem
from swatow_market.exchange.offer_table import Bools, OfferTable, Row
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import joined, starts

NOWHERE = -1
"""The segment of an order that no offer may serve, and the step of one that is left out."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """n orders of r rows in S segments, E arcs to N offers with K supply steps."""

    order_segment: Ints
    """(n,) Segment of each order; NOWHERE where no offer may serve it."""
    order: Ints
    """(r,) Order of each row."""
    segment: Ints
    """(r,) Segment of each row."""
    price: Ints
    """(r,) The most that a lot of it pays for any of its models."""
    lots: Ints
    """(r,)"""
    arc_start: Ints
    """(S + 1,)"""
    arc_node: Ints
    """(E,) Offer number."""
    arc_cost: Ints
    """(E,) Path charge + handicap: what an order of a segment pays less for that model."""
    arc_charge: Ints
    """(E,) Path charge alone, which is money."""
    supply_start: Ints
    """(N + 1,)"""
    supply_price: Ints
    """(K,)"""
    supply_lots: Ints
    """(K,)"""

    def problem(self, taken: Bools) -> tuple[Problem, Ints]:
        """Return the problem of the rows that are `taken` (r,), and each row's demand step."""
        numbers = np.flatnonzero(taken & (self.segment != NOWHERE))
        numbers = numbers[np.lexsort((-self.price[numbers], self.segment[numbers]))]
        segment, price = self.segment[numbers], self.price[numbers]
        first = np.ones(len(numbers), np.bool_)
        first[1:] = (np.diff(segment) != 0) | (np.diff(price) != 0)
        step = np.full(len(self.segment), NOWHERE)
        step[numbers] = np.cumsum(first) - 1
        steps = np.flatnonzero(first)
        problem = Problem(
            arc_start=self.arc_start,
            arc_node=self.arc_node,
            arc_cost=self.arc_cost,
            demand_start=np.searchsorted(segment[steps], np.arange(len(self.arc_start))),
            demand_price=price[steps],
            demand_lots=np.add.reduceat(self.lots[numbers], steps) if len(steps) else steps,
            supply_start=self.supply_start,
            supply_price=self.supply_price,
            supply_lots=self.supply_lots,
        )
        return problem, step

    def segment_prices(self, node_prices: Ints) -> Ints:
        """(S,) Return the cheapest delivered price of each segment; -1 where no node has one."""
        far = np.iinfo(np.int64).max
        priced = node_prices[self.arc_node] >= 0
        delivered = np.where(priced, node_prices[self.arc_node] + self.arc_cost, far)
        if not len(delivered):
            return np.full(len(self.arc_start) - 1, -1)
        cheapest = np.minimum.reduceat(delivered, self.arc_start[:-1])  # no segment is without arcs
        return np.where(cheapest == far, -1, cheapest)


def compile_round(snapshot: Snapshot) -> Compiled:
    """Put the orders of a snapshot into segments: equal rows are one, whatever their limits say."""
    table = OfferTable(snapshot.offers, snapshot.models, snapshot.network_map)
    orders = snapshot.orders
    of_signature = np.full(len(orders.terms), NOWHERE)
    rows: dict[bytes, Row] = {}
    keys: list[tuple[int, bytes]] = []
    for number in np.unique(orders.signature).tolist():
        row = table.row(orders.terms[number])
        if len(row.numbers):
            keys.append((number, key := _key(row)))
            rows[key] = row
    places = {key: place for place, key in enumerate(sorted(rows))}
    for number, key in keys:
        of_signature[number] = places[key]
    found = [rows[key] for key in places]
    supply_start, supply_price, supply_lots = _supply(snapshot.offers)
    order, order_segment = orders.order, of_signature[orders.signature]
    return Compiled(
        order_segment=order_segment,
        order=order,
        segment=order_segment[order],
        price=orders.price,
        lots=orders.lots,
        arc_start=starts([len(row.numbers) for row in found]),
        arc_node=joined(row.numbers for row in found),
        arc_cost=joined(row.costs for row in found),
        arc_charge=joined(row.charges for row in found),
        supply_start=supply_start,
        supply_price=supply_price,
        supply_lots=supply_lots,
    )


def _key(row: Row) -> bytes:
    """Return bytes by which rows are equal, and which sort alike on every machine."""
    return b"".join(each.astype("<i8").tobytes() for each in (row.numbers, row.costs, row.charges))


def _supply(offers: tuple[BookOffer, ...]) -> tuple[Ints, Ints, Ints]:
    curves = [entry.steps_left() for entry in offers]
    steps = np.array([step for curve in curves for step in curve], np.int64).reshape(-1, 2)
    return starts([len(curve) for curve in curves]), steps[:, 0].copy(), steps[:, 1].copy()
