"""Explaining an order: what the live offers, one by one, lack to fill it. Pure; offers x 1."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.reasons import nearest_limits
from swatow_market.exchange.eligibility import failed_limits, price_limit
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages.answers import Explanation, KeptAway, LimitName, OrderState

NodePrices = Mapping[tuple[bytes, int], int]
"""(offer id, start of a later period, or 0 for now) -> nanos a lot, in the last round."""


@dataclass(frozen=True, slots=True)
class _Supply:
    """What the offers that may serve an order have for it."""

    last_price: int | None
    least_ask: int | None
    lots_within: int


def explain(
    order: BookOrder, state: OrderState | None, snapshot: Snapshot, node_prices: NodePrices
) -> Explanation:
    """Tell what keeps an order from being filled by the offers of a snapshot.

    Args:
        order: with the lots that are open of it.
        state: where it stands; None if it was not taken in.
        snapshot: live offers with what is out of them; its orders do not matter.
        node_prices: of the last round.
    """
    accepted = {limit.model for limit in order.terms.models}
    wanted = [entry for entry in snapshot.offers if entry.offer.model in accepted]
    failures = [
        failed_limits(order, entry, snapshot.models[entry.offer.model], snapshot.network_map)
        for entry in wanted
    ]
    eligible = [entry for entry, failed in zip(wanted, failures, strict=True) if not failed]
    supply = _supply(order, eligible, snapshot, node_prices)
    missing, price_short, lots_short = _missing(order, supply) if eligible else (None, 0, 0)
    return Explanation(
        order=order.id,
        state=state,
        lots_open=order.lots,
        offers=len(wanted),
        eligible=len(eligible),
        limits=tuple(_kept_away(failures)),
        nearest=() if eligible else nearest_limits(order, snapshot),
        limit_price=order.limit_price,
        last_price=supply.last_price,
        least_ask=supply.least_ask,
        lots_within=supply.lots_within,
        missing=missing,
        price_short=price_short,
        lots_short=lots_short,
    )


def _kept_away(failures: list[list[LimitName]]) -> Iterator[KeptAway]:
    """Yield each limit that any offer fails, with how many do, and how many fail it alone."""
    for name in LimitName:
        offers = sum(name in failed for failed in failures)
        if offers:
            yield KeptAway(
                limit=name, offers=offers, alone=sum(failed == [name] for failed in failures)
            )


def _supply(
    order: BookOrder, eligible: list[BookOffer], snapshot: Snapshot, node_prices: NodePrices
) -> _Supply:
    prices, asks, lots_within = list[int](), list[int](), 0
    for entry in eligible:
        more = _cost(order, entry, snapshot)
        for start_us, steps in _in_time(order, entry, snapshot):
            price = node_prices.get((entry.id, start_us))
            if price is not None:
                prices.append(price + more)
            asks += [ask + more for ask, _ in steps[:1]]
            lots_within += sum(lots for ask, lots in steps if ask + more <= order.limit_price)
    return _Supply(min(prices, default=None), min(asks, default=None), lots_within)


def _cost(order: BookOrder, entry: BookOffer, snapshot: Snapshot) -> int:
    """Return the path charge, and what the order pays less for this model: nanos a lot."""
    terms, offer = order.terms, entry.offer
    highest = max(limit.price for limit in terms.models)
    charge = snapshot.network_map.path(terms.limits.origin, offer.zone).charge
    return charge + highest - price_limit(terms, offer.model)


def _in_time(
    order: BookOrder, entry: BookOffer, snapshot: Snapshot
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield (start, free steps) of now, and of the later periods that end by the deadline."""
    yield 0, entry.steps_left()
    last_us = (order.terms.deadline_us or 0) - snapshot.periods.step
    for start_us, steps in entry.later_left():
        if start_us in snapshot.periods and start_us <= last_us:
            yield start_us, steps


def _missing(order: BookOrder, supply: _Supply) -> tuple[LimitName | None, int, int]:
    """Return what is missing, by how many nanos a lot, and by how many lots."""
    if not order.lots:
        return None, 0, 0
    short = max(0, order.lots - supply.lots_within)
    if supply.least_ask is None:
        return LimitName.CAPACITY, 0, short
    if not supply.lots_within:
        return LimitName.PRICE, supply.least_ask - order.limit_price, short
    if supply.last_price is not None and supply.last_price > order.limit_price:
        return LimitName.PRICE, supply.last_price - order.limit_price, short
    return (LimitName.CAPACITY, 0, short) if short else (None, 0, 0)
