"""Which orders a round takes where more are open than it can clear. Pure."""

from swatow_market.exchange.book import BookOrder, Snapshot
from swatow_market.exchange.eligibility import failed_limits


def by_price(order: BookOrder) -> tuple[int, bool, bytes]:
    """Return the key by which those that pay most go first, and among equals who has waited."""
    return -order.limit_price, not order.carried, order.id


def choose_orders(snapshot: Snapshot, most: int) -> tuple[BookOrder, ...]:
    """Return the orders of the round, by id: all of them, or the `most` that pay most.

    Orders that nobody fills must not keep others out. By price, since one that pays little waits
    long; and those that some live offer can serve first, since the others wait whatever they pay.
    """
    if len(snapshot.orders) <= most:
        return snapshot.orders
    chosen: list[BookOrder] = []
    unserved: list[BookOrder] = []
    known: dict[tuple[object, ...], bool] = {}
    for order in sorted(snapshot.orders, key=by_price):
        if len(chosen) == most:
            break
        signature = _signature(order)
        if signature not in known:
            known[signature] = _can_be_served(order, snapshot)
        (chosen if known[signature] else unserved).append(order)
    chosen += unserved[: most - len(chosen)]
    return tuple(sorted(chosen, key=lambda order: order.id))


def _signature(order: BookOrder) -> tuple[object, ...]:
    """Return what eligibility depends on: orders of one signature can be served by the same."""
    terms = order.terms
    models = frozenset(limit.model for limit in terms.models)
    return models, terms.limits, terms.rate, terms.payment


def _can_be_served(order: BookOrder, snapshot: Snapshot) -> bool:
    return any(
        not failed_limits(order, entry, snapshot.models[entry.offer.model], snapshot.network_map)
        for entry in snapshot.offers
    )
