"""What a round decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from swatow_market.exchange.clearing.problem import Ints, Problem, Solution
from swatow_protocol.messages.answers import LimitName


@dataclass(frozen=True, slots=True)
class Fill:
    """So many lots of an offer for an order."""

    order: bytes
    offer: bytes
    lots: int
    price: int
    """Nanos a lot that the buyer pays: node price + path charge."""
    node_price: int
    path_charge: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was solved and how: what a certificate is made of."""

    problem: Problem
    arc_charge: Ints
    """(E,) The path charge in the cost of each arc."""
    solution: Solution


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one round, in an order that depends on the snapshot alone."""

    fills: tuple[Fill, ...]
    """By order id, then offer id."""
    node_prices: Mapping[bytes, int]
    """Offer id -> nanos a lot; offers without free lots have none."""
    unmet: Mapping[bytes, tuple[LimitName, ...]]
    """Order id -> why its open part was not filled; filled orders are absent."""
    passed_over: tuple[bytes, ...]
    """All-or-none orders that were rejected although their limit would clear, by id."""
    welfare: int
    """What buyers would have paid at most, less what nodes asked and paths charge, in nanos."""
    cleared: Cleared = field(compare=False, repr=False)
