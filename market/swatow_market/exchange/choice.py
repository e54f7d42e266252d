"""Which orders take part in a round that would make more awards than can be written. Pure."""

from dataclasses import dataclass, replace

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing import Outcome, clear
from swatow_market.exchange.clearing.fills import row_hash
from swatow_market.exchange.clearing.warm import Kept
from swatow_market.exchange.orders import Ints, OrderColumns


@dataclass(frozen=True, slots=True)
class Decision:
    """A round, and what it means for all that is open."""

    outcome: Outcome
    """Of the orders that took part."""
    orders: OrderColumns
    """All n open orders with their r rows, by id."""
    filled: Ints
    """(r,) Lots of each row."""
    told: Ints
    """(n,) What kept each order from being filled: Unmet, as its buyer knows it."""
    kept: Kept
    """Of all open orders: what the next round may begin with."""


def decide(
    snapshot: Snapshot, awards_max: int, threads: int = 1, kept: Kept | None = None
) -> Decision:
    """Clear the whole book; if that makes too many awards, clear some of what it would fill.

    Who has waited takes part first, and among equals it is chance that nobody can aim at: neither
    time nor price would be fair to all models and places. The others are carried over, so they
    come before those that are new.

    Args:
        snapshot: the book, as it is.
        awards_max: how many awards there may be, unless a single order makes more.
        threads: how many may clear at once.
        kept: what the round before came to; it saves time and changes nothing.
    """
    orders = snapshot.orders.by_id()
    numbers = np.arange(len(orders))
    most, of_all = awards_max, None
    while True:
        part = orders if len(numbers) == len(orders) else orders.take(numbers)
        outcome = clear(replace(snapshot, orders=part), threads, kept)
        kept = outcome.kept
        of_all = of_all or kept
        if len(outcome.fills) <= awards_max or len(numbers) <= 1:
            break
        numbers = numbers[_fewer(outcome, most, snapshot.salt)]
        most -= most // 8
    filled, told = np.zeros(len(orders.lots), np.int64), orders.told.copy()
    filled[_rows(orders, numbers)] = outcome.filled
    told[numbers] = outcome.unmet
    return Decision(outcome, orders, filled, told, of_all)


def _fewer(outcome: Outcome, most: int, salt: bytes) -> Ints:
    """Return the orders that make up to `most` of the awards, at least one order; rising."""
    orders = outcome.orders
    made: dict[bytes, int] = {}
    for fill in outcome.fills:
        made[fill.order] = made.get(fill.order, 0) + 1
    filled = np.flatnonzero(orders.totals(outcome.filled))
    turn = sorted(
        filled.tolist(),
        key=lambda each: (not orders.carried[each], row_hash(orders.entries[each].id, 0, salt)),
    )
    awards = np.cumsum([made[orders.entries[each].id] for each in turn])
    count = max(1, int(np.searchsorted(awards, most, side="right")))
    return np.sort(np.array(turn[:count], np.int64))


def _rows(orders: OrderColumns, numbers: Ints) -> Ints:
    """Return the rows of these orders."""
    part = np.zeros(len(orders), np.bool_)
    part[numbers] = True
    return np.flatnonzero(part[orders.order])
