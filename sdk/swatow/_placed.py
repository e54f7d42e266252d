"""Orders as their buyer placed them: what a single order and one of a batch have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from swatow._wallet import KeptOrder
from swatow.errors import MarketError
from swatow_protocol.envelope import Signed, order_in_batch, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Order, OrderBatch, OrderTerms
from swatow_protocol.messages.order import unpack_columns


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order that its buyer signed, alone or in a batch."""

    id: bytes
    buyer: bytes
    issued_us: int
    lots: int
    """In all its rows."""
    terms: OrderTerms
    """Their limit prices are the highest of all rows."""


def placed_order(signed: Signed[Order]) -> PlacedOrder:
    """Return an order that was signed alone."""
    order = signed.message
    return PlacedOrder(signed.id, order.sender, order.issued_us, order.lots, order.terms)


def placed_batch(signed: Signed[OrderBatch]) -> tuple[PlacedOrder, ...]:
    """Return the orders of a batch, one for each of its terms."""
    batch = signed.message
    lots, highest = [0] * len(batch.terms), [0] * len(batch.terms)
    for term, count, price in zip(*unpack_columns(batch), strict=True):
        lots[term] += count
        highest[term] = max(highest[term], price)
    return tuple(
        PlacedOrder(
            id=order_in_batch(signed.id, number),
            buyer=batch.sender,
            issued_us=batch.issued_us,
            lots=lots[number],
            terms=_raised(terms, highest[number]),
        )
        for number, terms in enumerate(batch.terms)
    )


def placed_of(kept: Sequence[KeptOrder], network: str, buyer: bytes) -> list[PlacedOrder]:
    """Return orders of a wallet, each as its buyer signed it; a batch is read once.

    Raises:
        MarketError: one was not signed by this buyer for this network.
    """
    batches: dict[bytes, tuple[PlacedOrder, ...]] = {}
    found = []
    try:
        for each in kept:
            envelope, number = each.envelope, each.number
            if number is None:
                signed = verify(envelope, Order, network=network, now_us=None, sender=buyer)
                found.append(placed_order(signed))
                continue
            if envelope not in batches:
                batch = verify(envelope, OrderBatch, network=network, now_us=None, sender=buyer)
                batches[envelope] = placed_batch(batch)
            found.append(batches[envelope][number])
    except MessageRefused as error:
        raise MarketError(f"order in the wallet: {error}") from None
    return found


def _raised(terms: OrderTerms, first: int) -> OrderTerms:
    """Return terms with all limit prices shifted so that the first model's becomes `first`."""
    by = first - terms.models[0].price
    return replace(
        terms, models=tuple(replace(limit, price=limit.price + by) for limit in terms.models)
    )
