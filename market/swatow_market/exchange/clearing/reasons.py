"""Why an order, or the open part of it, was not filled."""

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.compiled import Compiled
from swatow_market.exchange.clearing.curves import NOWHERE
from swatow_market.exchange.clearing.outcome import Outcome, Unmet
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints
from swatow_market.exchange.eligibility import failed_limits
from swatow_market.exchange.orders import BookOrder, OrderColumns
from swatow_protocol.messages.answers import LimitName


def why_unmet(orders: OrderColumns, compiled: Compiled, filled: Ints, prices_up: Ints) -> Ints:
    """(n,) Return what kept each order from being filled: Unmet.

    Args:
        orders: n orders of r rows.
        compiled: the same, by segment.
        filled: (r,) lots of each row.
        prices_up: (N,) node prices, of which the middle was rounded up: then a segment's price is
            above a limit exactly where no lot of it can be had.
    """
    if not len(orders):
        return np.zeros(0, np.int64)
    is_open = filled < compiled.lots
    dearest = np.maximum.reduceat(np.where(is_open, compiled.price, -1), orders.start[:-1])
    segment_prices = np.append(compiled.segment_prices(prices_up), NO_PRICE)  # NOWHERE is last
    above = segment_prices[compiled.order_segment] > dearest
    unmet = np.where(above, np.int64(Unmet.PRICE), np.int64(Unmet.CAPACITY))
    unmet[compiled.order_segment == NOWHERE] = Unmet.ELIGIBILITY
    unmet[dearest < 0] = Unmet.NOTHING
    return unmet


def limits_unmet(outcome: Outcome, number: int) -> tuple[LimitName, ...]:
    """Name the limits without which the open part of an order would have been filled."""
    unmet = Unmet(int(outcome.unmet[number]))
    if unmet is Unmet.ELIGIBILITY:
        return nearest_limits(outcome.orders.entries[number], outcome.snapshot)
    return _NAMES[unmet]


def nearest_limits(order: BookOrder, snapshot: Snapshot) -> tuple[LimitName, ...]:
    """Return the limits that keep away the offers that come nearest to serving an order."""
    failures = [
        failed_limits(order, entry, snapshot.models[entry.offer.model], snapshot.network_map)
        for entry in snapshot.offers
    ]
    if not failures:
        return (LimitName.MODEL,)
    # Offers of a model that was asked for say most, and of those the ones that came nearest.
    failures = [failed for failed in failures if failed != [LimitName.MODEL]] or failures
    fewest = min(len(failed) for failed in failures)
    nearest = {name for failed in failures if len(failed) == fewest for name in failed}
    return tuple(name for name in LimitName if name in nearest)


_NAMES: dict[Unmet, tuple[LimitName, ...]] = {
    Unmet.NOTHING: (),
    Unmet.PRICE: (LimitName.PRICE,),
    Unmet.CAPACITY: (LimitName.CAPACITY,),
}
