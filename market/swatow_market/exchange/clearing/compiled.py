"""A snapshot in arrays: orders by segment, segments by the rows of offers that may serve them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.curves import NOWHERE, demand_curves
from swatow_market.exchange.clearing.pools import Chain, Place, Rows, later_supply, rows_of
from swatow_market.exchange.clearing.price_ranges import row_prices
from swatow_market.exchange.clearing.problem import Ints, Problem
from swatow_market.exchange.clearing.supply import NOW, Supply, supply_of
from swatow_market.exchange.offer_table import Bools, OfferTable, Row
from swatow_market.exchange.orders import OrderColumns


@dataclass(frozen=True, slots=True)
class Compiled:
    """n orders of r rows in S segments, with arcs to N nodes of supply and H pools."""

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
    rows: Rows
    """Arcs. Costs are path charge + handicap: what an order pays less for that model."""
    supply: Supply
    keys: Mapping[int, bytes]
    """Signature -> the key of its row of offers."""

    @property
    def segments(self) -> int:
        """Return S."""
        return len(self.rows.places)

    def problem(self, taken: Bools, threads: int = 1) -> tuple[Problem, Ints]:
        """Return the problem of the rows that are `taken` (r,), and each row's demand step."""
        segment = np.where(taken, self.segment, NOWHERE)
        curves = demand_curves(segment, self.price, self.lots, self.segments, threads)
        problem = Problem(
            arc_start=self.rows.arc_start,
            arc_node=self.rows.arc_node,
            arc_cost=self.rows.arc_cost,
            demand_start=curves.start,
            demand_price=curves.price,
            demand_lots=curves.lots,
            supply_start=self.supply.start,
            supply_price=self.supply.price,
            supply_lots=self.supply.lots,
        )
        return problem, curves.step

    def segment_prices(self, node_prices: Ints) -> Ints:
        """(S,) Return the cheapest delivered price of each segment; -1 where no node has one."""
        rows = self.rows
        arcs = (rows.arc_start, rows.arc_node, rows.arc_cost)
        _, prices = row_prices(*arcs, node_prices, self.segments)
        return prices


def compile_round(snapshot: Snapshot) -> Compiled:
    """Put the orders of a snapshot into segments: equal rows are one, whatever their limits say."""
    orders, supply = snapshot.orders, supply_of(snapshot)
    later = later_supply(supply, snapshot.periods)
    chains, keys = _chains(snapshot, later)
    kinds, kind = _kinds(orders, snapshot.periods)
    places: list[Place | None] = []
    for number, last_us in kinds:
        key = keys[number]
        places.append((key, chains[key].until(last_us)) if key else None)
    rows = rows_of(chains, (place for place in places if place), len(supply.offer))
    numbers = [NOWHERE if place is None else rows.places[place] for place in places]
    order, order_segment = orders.order, np.array(numbers, np.int64)[kind]
    return Compiled(
        order_segment=order_segment,
        order=order,
        segment=order_segment[order],
        price=orders.price,
        lots=orders.lots,
        rows=rows,
        supply=supply,
        keys=keys,
    )


def _chains(
    snapshot: Snapshot, later: dict[int, tuple[Ints, Ints]]
) -> tuple[dict[bytes, Chain], dict[int, bytes]]:
    """Return the eligible offers and pools by key, and the key of each signature in use."""
    table = OfferTable(snapshot.offers, snapshot.models, snapshot.network_map)
    chains: dict[bytes, Chain] = {}
    keys: dict[int, bytes] = {}
    for number in np.unique(snapshot.orders.signature).tolist():
        row = table.row(snapshot.orders.terms[number])
        key = keys[number] = _key(row)
        if key not in chains:
            chains[key] = Chain.of(row, later)
    return chains, keys


def _kinds(orders: OrderColumns, periods: range) -> tuple[list[tuple[int, int]], Ints]:
    """Return the distinct (signature, start of the last period that will do) and each order's."""
    ended = (orders.deadline_us - periods.start) // periods.step  # later periods, by the deadline
    count = np.clip(ended, 0, len(periods))
    found, kind = np.unique(orders.signature * (len(periods) + 1) + count, return_inverse=True)
    lasts_us = [NOW, *periods]
    split = (divmod(each, len(lasts_us)) for each in found.tolist())
    return [(signature, lasts_us[last]) for signature, last in split], kind


def _key(row: Row) -> bytes:
    """Return bytes by which rows are equal, and which sort alike anywhere; none for no offers."""
    return b"".join(each.astype("<i8").tobytes() for each in (row.numbers, row.costs, row.charges))
