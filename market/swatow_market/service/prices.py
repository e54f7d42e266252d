"""What lots cost between rounds, and how many are left: for whoever asks."""

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.offers import BookOffer
from swatow_market.service import store
from swatow_market.service.state import MarketState
from swatow_protocol.messages.answers import PRICES_MAX, PostedPrice


async def posted_prices(
    connection: AsyncConnection, state: MarketState, models: Iterable[bytes]
) -> tuple[PostedPrice, ...]:
    """Return the prices of these models, or of all if none is named, by model and zone.

    There are PRICES_MAX at most.
    """
    wanted, now_us = set(models), state.now_us()
    lots_out = await store.lots_out(connection, now_us, wanted or None)
    places: dict[tuple[bytes, str], list[BookOffer]] = {}
    for entry in state.book.live:
        offer = entry.offer
        if offer.expires_us > now_us and (not wanted or offer.model in wanted):
            here = places.setdefault((offer.model, offer.zone), [])
            out = lots_out.get((offer.sender, offer.model), 0)
            here.append(replace(entry, lots_out=out) if out else entry)
    return tuple(_price(state, *key, places[key]) for key in sorted(places)[:PRICES_MAX])


def _price(state: MarketState, model: bytes, zone: str, offers: list[BookOffer]) -> PostedPrice:
    posted = [price for each in offers if (price := state.posted.price(each)) is not None]
    cleared = [price for each in offers if (price := state.posted.cleared(each)) is not None]
    return PostedPrice(
        model=model,
        zone=zone,
        cleared=min(cleared, default=None),
        posted=min(posted, default=None),
        lots=sum(lots for each in offers for _, lots in each.steps_left()),
    )
