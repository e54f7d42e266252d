"""What the eligible offers of an order depend on: orders of one signature compete alike."""

from typing import TypeAlias

from swatow_protocol.messages import Limits, OrderTerms, PaymentTerms

Signature: TypeAlias = tuple[tuple[tuple[bytes, int], ...], int | None, PaymentTerms, Limits]
"""(model, handicap) by model, rate, payment terms, limits."""


def handicaps(terms: OrderTerms) -> dict[bytes, int]:
    """Return, by model, how far its limit price lies below the highest: nanos a lot.

    Of a model that is named twice the first limit price counts, as in `price_limit`.
    """
    if len(terms.models) == 1:  # most orders, and there may be a million of them
        return {terms.models[0].model: 0}
    highest = max(limit.price for limit in terms.models)
    return {limit.model: highest - limit.price for limit in reversed(terms.models)}


def signature(terms: OrderTerms) -> Signature:
    """Return what the row of an order depends on: orders of one signature have one row.

    Prices are in it as handicaps alone, so orders that differ in what they pay share a row.
    """
    return tuple(sorted(handicaps(terms).items())), terms.rate, terms.payment, terms.limits
