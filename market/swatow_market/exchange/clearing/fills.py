"""Sharing a marginal price level: carried-over orders first, then in proportion to quantity.

By quantity and not by order, so that splitting an order gains nothing; never by time within a
round. What proportion leaves over goes by largest remainder, and equal remainders by a salted hash
of the order's id, which nobody can aim at.
"""

from hashlib import blake2b

from swatow_market.exchange.book import BookOrder


def share(orders: list[BookOrder], lots: int, salt: bytes) -> dict[bytes, int]:
    """Share `lots` among orders of one price level; returns order id -> lots."""
    carried = [order for order in orders if order.carried]
    fresh = [order for order in orders if not order.carried]
    first = min(lots, sum(order.lots for order in carried))
    return _pro_rata(carried, first, salt) | _pro_rata(fresh, lots - first, salt)


def lot_hash(order: bytes, salt: bytes) -> bytes:
    """Return the hash that breaks ties between orders in one round."""
    return blake2b(order, key=salt, digest_size=16).digest()


def _pro_rata(orders: list[BookOrder], lots: int, salt: bytes) -> dict[bytes, int]:
    wanted = sum(order.lots for order in orders)
    assert lots <= wanted, (lots, wanted)
    if not wanted:
        return {}
    shares = {order.id: order.lots * lots // wanted for order in orders}
    by_remainder = sorted(
        orders, key=lambda order: (-(order.lots * lots % wanted), lot_hash(order.id, salt))
    )
    for order in by_remainder[: lots - sum(shares.values())]:
        shares[order.id] += 1
    return shares
