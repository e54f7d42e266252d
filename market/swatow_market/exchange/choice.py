"""Which orders a round takes where more are open than it can clear. Pure."""

from swatow_market.exchange.book import BookOrder, Snapshot
from swatow_market.exchange.offer_table import OfferTable, Signature, signature


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
    table = OfferTable(snapshot.offers, snapshot.models, snapshot.network_map)
    known: dict[Signature, bool] = {}
    for order in sorted(snapshot.orders, key=by_price):
        if len(chosen) == most:
            break
        key = signature(order.terms)
        if key not in known:
            known[key] = len(table.row(order.terms).numbers) > 0
        (chosen if known[key] else unserved).append(order)
    chosen += unserved[: most - len(chosen)]
    return tuple(sorted(chosen, key=lambda order: order.id))
