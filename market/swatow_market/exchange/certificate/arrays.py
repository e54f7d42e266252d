"""What a record says, as arrays to be checked, and the few sums that the conditions are made of.

Rows of an array are found by its starts: row r from start[r] to start[r + 1], and it may be empty.
A vertex is a place through which lots go: the N nodes come first, then the H hubs, as targets of
arcs are numbered, then the S segments.

Nothing here asks whether the record is right; what is derived from an array holds only once its
shape and its range are found to be in order (`verify`).
"""

from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from swatow_market.exchange.certificate.record import NO_PRICE, Ints, Record, unpack

Flags: TypeAlias = NDArray[np.bool_]

FAR = 1 << 62
"""A price beyond all others: that of nobody, for nothing."""

_PART = 15  # bits of a price that are summed apart: times CARRIED_TOTAL_MAX they fit int64
_MASK = (1 << _PART) - 1
_BITS = 3 * _PART


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
        self.whole_order = unpack(record.whole_order)
        self.whole_segment = unpack(record.whole_segment)
        self.whole_price = unpack(record.whole_price)
        self.whole_lots = unpack(record.whole_lots)
        self.whole_filled = unpack(record.whole_filled)
        self.relaxed_price = unpack(record.relaxed_price)
        self.nodes = len(self.node_price)
        self.segments = len(self.demand_start) - 1
        self.hubs = len(self.arc_start) - len(self.demand_start)

    @cached_property
    def flowing(self) -> Ints:
        """Return the arcs that carry lots."""
        return np.flatnonzero(self.arc_lots)

    @cached_property
    def left_out(self) -> Flags:
        """Return (W,) whether an all-or-none order is left out of the curves."""
        left_out: Flags = self.whole_filled == 0
        return left_out

    @cached_property
    def arc_from(self) -> Ints:
        """Return (E,) the vertex in whose row an arc is; arc_node is the one that it leads to."""
        hubs, targets = np.arange(self.hubs), self.nodes + self.hubs
        vertices = np.concatenate((np.arange(self.segments) + targets, hubs + self.nodes))
        return spread(vertices, self.arc_start)

    @cached_property
    def price(self) -> Ints:
        """Return (N + H + S,) the price of each vertex: that of a segment is q(g)."""
        return self.delivered(self.node_price)

    @cached_property
    def node_prices(self) -> Ints:
        """Return (N,) the price of each node, far beyond all others where it has none."""
        return self.price[: self.nodes]

    @cached_property
    def segment_price(self) -> Ints:
        """Return (S,) the cheapest delivered price of each segment, q(g)."""
        return self.of_segments(self.price)

    @cached_property
    def arc_price(self) -> Ints:
        """Return (E,) the delivered price of each arc."""
        return self.price[self.arc_node] + self.arc_cost

    def of_segments(self, price: Ints) -> Ints:
        """Return (S,) what belongs to segments of what belongs to vertices."""
        return price[self.nodes + self.hubs :]

    def delivered(self, node_price: Ints) -> Ints:
        """Return (N + H + S,) the price of each vertex that follows from those of the nodes."""
        price = np.full(self.nodes + self.hubs + self.segments, FAR)
        price[: self.nodes] = np.where(node_price == NO_PRICE, FAR, node_price)
        self.lower(price)
        return price

    def dual(self, price: Ints) -> int:
        """Return what all gain together who take what suits them at these prices of vertices."""
        gained = self.demand_price - spread(self.of_segments(price), self.demand_start)
        earned = spread(price[: self.nodes], self.supply_start) - self.supply_price
        worth = money(np.maximum(gained, 0), self.demand_lots)
        return worth + money(np.maximum(earned, 0), self.supply_lots)

    def lower(self, price: Ints) -> None:
        """Lower the price of each hub, and then of each segment, to the cheapest of its row."""
        for layer in self._layers:
            least = row_least(price[layer.arcs.to] + layer.arcs.cost, layer.start)
            price[layer.vertex] = np.minimum(price[layer.vertex], least)

    def lift(self, price: Ints) -> None:
        """Raise, from segments on through hubs, what the price of a row is too high for."""
        for layer in reversed(self._layers):
            arcs = layer.arcs
            np.maximum.at(price, arcs.to, price[arcs.from_] - arcs.cost)

    def lower_to_flow(self, price: Ints) -> None:
        """Lower, from segments on through hubs, what is too dear for a row that has lots of it."""
        for layer in reversed(self._layers):
            arcs = layer.flowing
            np.minimum.at(price, arcs.to, price[arcs.from_] - arcs.cost)

    def lift_to_flow(self, price: Ints) -> None:
        """Raise the price of each hub, and then of each segment, to the dearest that it takes."""
        for layer in self._layers:
            arcs = layer.flowing
            np.maximum.at(price, arcs.from_, price[arcs.to] + arcs.cost)

    @cached_property
    def _layers(self) -> list["_Layer"]:
        """Return hubs by how many others they may lead through, the fewest first; then segments."""
        targets, start = self.nodes + self.hubs, self.arc_start[self.segments :]
        leads = start[0] + np.flatnonzero(self.arc_node[start[0] :] >= self.nodes)
        depth = [0] * self.hubs
        pairs = zip(self.arc_from[leads].tolist(), self.arc_node[leads].tolist(), strict=True)
        for hub, lower in pairs:  # what a hub leads to comes before it
            below = depth[lower - self.nodes]
            depth[hub - self.nodes] = max(depth[hub - self.nodes], below + 1)
        depths = np.array(depth, np.int64)
        ends = np.cumsum(np.bincount(depths))[:-1]
        hubs = [each for each in np.split(np.argsort(depths, kind="stable"), ends) if len(each)]
        layers = [self._layer(self.segments + each, self.nodes + each) for each in hubs]
        segments = np.arange(self.segments)
        return [*layers, self._layer(segments, targets + segments)]

    def _layer(self, rows: Ints, vertex: Ints) -> "_Layer":
        width = np.diff(self.arc_start)[rows]
        start = np.concatenate((np.zeros(1, np.int64), np.cumsum(width)))
        arcs = np.arange(start[-1]) + spread(self.arc_start[rows] - start[:-1], start)
        flowing = arcs[self.arc_lots[arcs] > 0]
        return _Layer(vertex, start, self._arcs(arcs), self._arcs(flowing))

    def _arcs(self, arcs: Ints) -> "_Arcs":
        return _Arcs(self.arc_from[arcs], self.arc_node[arcs], self.arc_cost[arcs])

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


class _Arcs(NamedTuple):
    from_: Ints
    to: Ints
    cost: Ints


class _Layer(NamedTuple):
    """Rows that do not lead to each other."""

    vertex: Ints
    """Of each row."""
    start: Ints
    """Of each row in `arcs`."""
    arcs: _Arcs
    flowing: _Arcs
    """Those of them that carry lots."""


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
    """Return the exact sum of price x lots, though it may pass 64 bits.

    No price is below zero, that of any lots is below 2**_BITS, and lots are no more than
    CARRIED_TOTAL_MAX in all.
    """
    bits = min(_BITS, int(prices.max(initial=0)).bit_length())
    shifts = range(0, bits, _PART)
    return sum(int((prices >> shift & _MASK) @ lots) << shift for shift in shifts)
