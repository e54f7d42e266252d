"""What a record says, as arrays to be checked, and the few sums that the conditions are made of.

Rows of an array are found by its starts: row r from start[r] to start[r + 1], and it may be empty.
Nothing here asks whether the record is right; what is derived from an array holds only once its
shape and its range are found to be in order (`verify`).
"""

from functools import cached_property

import numpy as np

from swatow_market.exchange.certificate.record import NO_PRICE, Ints, Record, unpack

FAR = 1 << 62
"""A price beyond all others: that of nobody, for nothing."""

_PART = 20  # bits of a price that are summed apart: lots in total, times the rest, fit int64


class Arrays:
    """The arrays of a record (shapes: Record), and what several conditions derive from them."""

    def __init__(self, record: Record) -> None:
        """Take a decoded record; nothing in it is believed yet."""
        self.record = record
        self.arc_start = unpack(record.arc_start)
        self.arc_node = unpack(record.arc_node)
        self.arc_cost = unpack(record.arc_cost)
        self.arc_charge = unpack(record.arc_charge)
        self.arc_lots = unpack(record.arc_lots)
        self.demand_start = unpack(record.demand_start)
        self.demand_price = unpack(record.demand_price)
        self.demand_lots = unpack(record.demand_lots)
        self.demand_used = unpack(record.demand_used)
        self.supply_start = unpack(record.supply_start)
        self.supply_price = unpack(record.supply_price)
        self.supply_lots = unpack(record.supply_lots)
        self.supply_used = unpack(record.supply_used)
        self.node_price = unpack(record.node_price)

    @cached_property
    def flowing(self) -> Ints:
        """Return the arcs that carry lots."""
        return np.flatnonzero(self.arc_lots)

    @cached_property
    def arc_segment(self) -> Ints:
        """Return (E,) the segment of each arc."""
        return spread(np.arange(len(self.arc_start) - 1), self.arc_start)

    @cached_property
    def price(self) -> Ints:
        """Return (N,) the price of each node, far beyond all others where it has none."""
        return np.where(self.node_price == NO_PRICE, FAR, self.node_price)

    @cached_property
    def arc_price(self) -> Ints:
        """Return (E,) the delivered price of each arc."""
        return self.price[self.arc_node] + self.arc_cost

    @cached_property
    def segment_price(self) -> Ints:
        """Return (S,) the cheapest delivered price of each segment, q(g)."""
        return row_least(self.arc_price, self.arc_start)

    @cached_property
    def demand_left(self) -> Ints:
        """Return (S,) the highest price of a step that is not served whole; -FAR for none."""
        left = np.where(self.demand_used < self.demand_lots, -self.demand_price, FAR)
        return -row_least(left, self.demand_start)

    @cached_property
    def supply_left(self) -> Ints:
        """Return (N,) the lowest price of a step that is not used whole; FAR for none."""
        left = np.where(self.supply_used < self.supply_lots, self.supply_price, FAR)
        return row_least(left, self.supply_start)


def spread(values: Ints, start: Ints) -> Ints:
    """Return the value of its row for each item of each row."""
    return np.repeat(values, np.diff(start))


def row_sums(values: Ints, start: Ints) -> Ints:
    """Return the sum of each row."""
    running = np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))
    return running[start[1:]] - running[start[:-1]]


def row_least(values: Ints, start: Ints) -> Ints:
    """Return the least value of each row; FAR for an empty one, and never more."""
    least = np.full(len(start) - 1, FAR)
    filled = np.flatnonzero(start[1:] > start[:-1])
    least[filled] = np.minimum(FAR, np.minimum.reduceat(values, start[filled]))
    return least


def money(prices: Ints, lots: Ints) -> int:
    """Return the exact sum of price x lots, though it may pass 64 bits; no price below zero."""
    high, low = prices >> _PART, prices & ((1 << _PART) - 1)
    return (int(high @ lots) << _PART) + int(low @ lots)
