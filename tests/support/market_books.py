"""Books to clear: short to write by hand, and drawn at random for property tests."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from swatow_market.exchange.book import Book, Snapshot
from swatow_market.exchange.clearing import Outcome, limits_unmet
from swatow_market.exchange.network_map import NetworkMap, Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder, Curve
from swatow_protocol.messages import Limits, ModelLimit, PriceStep
from swatow_protocol.messages.answers import LimitName
from tests.support import samples
from tests.support.samples import digest

MODEL, OTHER = digest("model"), digest("other model")
MODELS = {MODEL: samples.model(), OTHER: samples.model(name="other-model")}
SALT = digest("salt")

ZONES = ("cn-gd-shantou", "cn-gz-guian", "sg")
ORIGINS = (None, "sg", "cn-gd-shantou")
SMALL_PRICE_MAX = 8

Drawn = tuple[list[BookOffer], list[BookOrder], dict[tuple[str, str], Path]]


def supply(
    name: str, *steps: tuple[int, int], model: bytes = MODEL, out: int = 0, **changes: Any
) -> BookOffer:
    """Return an offer of the node `name`; steps are (price, lots), `out` of them awarded."""
    offer = samples.offer(
        sender=digest(name),
        model=model,
        steps=tuple(PriceStep(price=price, lots=lots) for price, lots in steps),
        **changes,
    )
    return BookOffer(digest(f"offer of {name}"), offer, name.encode(), lots_out=out)


def demand(
    name: str,
    lots: int,
    price: int = 0,
    *,
    models: Mapping[bytes, int] | None = None,
    carried: bool = False,
    limits: Limits | None = None,
    **changes: Any,
) -> BookOrder:
    """Return an order; `models` maps models to limit prices where there are several."""
    accepted = models or {MODEL: price}
    terms = samples.terms(
        models=tuple(ModelLimit(model=model, price=each) for model, each in accepted.items()),
        limits=limits or Limits(),
        **changes,
    )
    return BookOrder(digest(f"order {name}"), digest(f"buyer {name}"), terms, lots, carried)


def curved(name: str, *rows: tuple[int, int], carried: bool = False, **changes: Any) -> BookOrder:
    """Return an order with several limit prices; rows are (lots, price)."""
    lots, price = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    order = demand(name, int(lots.sum()), carried=carried, **changes)
    return replace(order, curve=Curve(price, lots))


def snapshot(
    offers: Iterable[BookOffer] = (),
    orders: Iterable[BookOrder] = (),
    *,
    paths: Mapping[tuple[str, str], Path] | None = None,
    salt: bytes = SALT,
    periods: range = range(0),
) -> Snapshot:
    """Freeze a book of these, in the way a round does."""
    book = Book()
    lots_out, promised = {}, {}
    for entry in offers:
        book.put_offer(entry)
        lots_out[entry.offer.sender, entry.offer.model] = entry.lots_out
        for start_us, lots in entry.lots_promised.items():
            promised[entry.offer.sender, entry.offer.model, start_us] = lots
    for order in orders:
        book.put_order(order)
    frozen = book.snapshot(
        models=MODELS,
        network_map=NetworkMap(paths or {}),
        salt=salt,
        lots_out=lots_out,
        lots_promised=promised,
        periods=periods,
    )
    return replace(frozen, orders=frozen.orders.by_id())


def now_prices(outcome: Outcome) -> dict[bytes, int]:
    """Return offer id -> the price of its lots of now."""
    return {offer: price for (offer, start), price in outcome.node_prices.items() if not start}


def unmet_of(outcome: Outcome) -> dict[bytes, tuple[LimitName, ...]]:
    """Return, for each order that is not filled whole, what it is told."""
    return {
        entry.id: limits_unmet(outcome, number)
        for number, entry in enumerate(outcome.orders.entries)
        if outcome.unmet[number]
    }


@st.composite
def step_lists(draw: st.DrawFn, price_max: int, lots_max: int) -> list[tuple[int, int]]:
    """Draw one to three rising steps, in the lower two thirds, so that most books trade."""
    prices = sorted(draw(st.sets(st.integers(0, 2 * price_max // 3), min_size=1, max_size=3)))
    return [(price, draw(st.integers(1, lots_max))) for price in prices]


@st.composite
def books(
    draw: st.DrawFn,
    *,
    offers_max: int = 6,
    orders_max: int = 10,
    price_max: int = 200,
    lots_max: int = 20,
    all_or_none: bool = False,
) -> Drawn:
    """Draw offers, orders and paths: two models, three zones, charges, awards still out.

    What keeps an order from an offer here is its models and its zones alone, so that an oracle
    can tell eligibility without the code under test.
    """
    charges = st.integers(0, max(1, price_max // 4))
    paths = {
        (origin, zone): Path(round_trip_ms=10, charge=draw(charges))
        for origin in ORIGINS
        if origin is not None
        for zone in ZONES
    }
    offers = [
        supply(
            f"node {number}",
            *draw(step_lists(price_max, lots_max)),
            model=draw(st.sampled_from((MODEL, MODEL, OTHER))),
            zone=draw(st.sampled_from(ZONES)),
            out=draw(st.sampled_from((0, 0, 0, 1, lots_max))),
        )
        for number in range(draw(st.integers(1, offers_max)))
    ]
    prices = st.integers(0, price_max) | st.integers(price_max // 3, price_max)
    accepted = st.one_of(
        st.fixed_dictionaries({MODEL: prices}),
        st.fixed_dictionaries({MODEL: prices, OTHER: prices}),
        st.fixed_dictionaries({OTHER: prices}),
    )
    zones = (
        st.none() | st.none() | st.sets(st.sampled_from(ZONES), min_size=1).map(sorted).map(tuple)
    )
    orders = [
        demand(
            f"{number}",
            draw(st.integers(1, lots_max)),
            models=draw(accepted),
            carried=draw(st.booleans()),
            all_or_none=all_or_none and draw(st.booleans()),
            limits=Limits(origin=draw(st.sampled_from(ORIGINS)), zones=draw(zones)),
        )
        for number in range(draw(st.integers(1, orders_max)))
    ]
    return offers, orders, paths


def small_books(*, all_or_none: bool = False) -> st.SearchStrategy[Drawn]:
    """Draw books that are small enough to try every price and every allocation."""
    return books(
        offers_max=3,
        orders_max=4,
        price_max=SMALL_PRICE_MAX,
        lots_max=3,
        all_or_none=all_or_none,
    )
