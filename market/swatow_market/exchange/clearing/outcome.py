"""What a round decides."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.problem import Ints, Problem, Solution
from swatow_market.exchange.clearing.warm import Kept
from swatow_market.exchange.orders import Bools, OrderColumns


@dataclass(frozen=True, slots=True)
class Fill:
    """So many lots of an offer for an order."""

    order: bytes
    offer: bytes
    from_us: int
    """Start of the later period in which it is served; 0 is now."""
    lots: int
    price: int
    """Nanos a lot that the buyer pays: node price + path charge."""
    node_price: int
    path_charge: int
    worth: int
    """What the lots would cost if each cost its limit price, in nanos."""


class Unmet(enum.IntEnum):
    """What kept the open part of an order from being filled."""

    NOTHING = 0
    """No part is open."""
    PRICE = 1
    """Its limit price."""
    CAPACITY = 2
    """There were no lots left at a price within its limit."""
    ELIGIBILITY = 3
    """Other limits: no offer may serve it (`reasons.nearest_limits` names them)."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was solved and how: what a certificate is made of."""

    problem: Problem
    arc_charge: Ints
    """(E,) The path charge in the cost of each arc."""
    solution: Solution
    relaxed: Solution
    """Of the problem with every order in it, all-or-none or not; the same if none was taken out."""
    order_segment: Ints
    """(n,) Segment of each order, below zero where no offer may serve it."""
    taken: Bools
    """(n,) Whether an order is in the problem, if it has a segment."""
    solves: int
    """How many optima were found until no all-or-none order was filled in part."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one round, in an order that depends on the snapshot alone."""

    snapshot: Snapshot = field(compare=False, repr=False)
    """What was cleared; its n orders with their r rows are by id."""
    filled: Ints = field(compare=False)
    """(r,) Lots of each row."""
    unmet: Ints = field(compare=False)
    """(n,) Unmet of each order."""
    fills: tuple[Fill, ...]
    """By order id, then offer id, then period."""
    node_prices: Mapping[tuple[bytes, int], int]
    """(offer id, start of a later period, or 0 for now) -> nanos a lot; where no lots are free
    there is none."""
    passed_over: tuple[bytes, ...]
    """All-or-none orders that were left out although their limit lies above the price, by id."""
    welfare: int
    """What buyers would have paid at most, less what nodes asked and paths charge, in nanos."""
    cleared: Cleared = field(compare=False, repr=False)
    kept: Kept = field(compare=False, repr=False)
    """What the next round may begin with."""

    @property
    def orders(self) -> OrderColumns:
        """The orders of the round, by id."""
        return self.snapshot.orders
