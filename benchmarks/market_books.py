"""The books of clearing_books.py as a market holds them: offers, orders and a network map.

A zone of a buyer or a node, a latency tier and a compliance class become limits of an order and
attributes of an offer, so a round goes its whole way: eligibility, segments, optimum, fills.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from benchmarks.clearing_books import (
    CAPACITY,
    CLASSES,
    MODELS,
    PATH_PRICE,
    STEP_FACTORS,
    TIER_REACH,
    ZONES,
    Network,
    Orders,
)
from tests.support import samples

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.network_map import NetworkMap, Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder, OrderColumns
from swatow_protocol.messages import Limits, ModelLimit, PriceStep

ROUND_TRIP_MS = 1_000
"""Of a path as long as the side of the square."""
_ZONE_NAMES = [f"cn-{first}{second}" for first in "abcdef" for second in "abcdef"][:ZONES]
_CLASS_NAMES = [f"class-{number}" for number in range(CLASSES)]


def make_snapshot(network: Network, orders: Orders, whole_share: float, seed: int) -> Snapshot:
    """Return the book of these orders, of which this share is all-or-none, as a round takes it."""
    random = np.random.default_rng([seed, len(orders.price)])
    whole = random.random(len(orders.price)) < whole_share
    models = [_digest(f"model {number}") for number in range(MODELS)]
    return Snapshot(
        offers=tuple(_offers(network, orders, models)),
        orders=OrderColumns.of(_orders(orders, whole.tolist(), models)).by_id(),
        models={
            model: samples.model(name=f"model-{number}") for number, model in enumerate(models)
        },
        network_map=NetworkMap(
            {
                (origin, zone): Path(
                    round_trip_ms=round(ROUND_TRIP_MS * length), charge=round(PATH_PRICE * length)
                )
                for origin, row in zip(_ZONE_NAMES, network.length.tolist(), strict=True)
                for zone, length in zip(_ZONE_NAMES, row, strict=True)
            }
        ),
        salt=_digest("salt"),
    )


def _offers(network: Network, orders: Orders, models: Sequence[bytes]) -> list[BookOffer]:
    """Return an offer for each node: CAPACITY of its model's lots is on offer in all."""
    wanted = np.bincount(orders.signature % MODELS, orders.lots, MODELS)
    offered = CAPACITY * wanted[network.node_model] * network.node_share / len(STEP_FACTORS)
    price = np.rint(np.outer(network.node_price, STEP_FACTORS)).astype(np.int64)
    found = []
    for node, (model, zone, strictest, lots, prices) in enumerate(
        zip(
            network.node_model.tolist(),
            network.node_zone.tolist(),
            network.node_class.tolist(),
            np.maximum(1, np.rint(offered)).astype(np.int64).tolist(),
            price.tolist(),
            strict=True,
        )
    ):
        offer = samples.offer(
            sender=_digest(f"node {node}"),
            model=models[model],
            zone=_ZONE_NAMES[zone],
            steps=tuple(PriceStep(price=each, lots=lots) for each in prices),
            later=(),
            attributes=samples.offer().attributes.__class__(attestation=_CLASS_NAMES[strictest]),
        )
        found.append(BookOffer(_digest(f"offer {node}"), offer, b""))
    return sorted(found, key=lambda entry: entry.id)


def _orders(orders: Orders, whole: list[bool], models: Sequence[bytes]) -> list[BookOrder]:
    limits = {
        (zone, tier, strictness): Limits(
            origin=_ZONE_NAMES[zone],
            round_trip_ms=round(ROUND_TRIP_MS * reach),
            attestations=tuple(_CLASS_NAMES[strictness:]),
        )
        for zone in range(ZONES)
        for tier, reach in enumerate(TIER_REACH)
        for strictness in range(CLASSES)
    }
    buyer = _digest("buyer")
    return [
        BookOrder(
            id=_digest(f"order {number}"),
            buyer=buyer,
            terms=samples.terms(
                models=(ModelLimit(model=models[signature % MODELS], price=price),),
                limits=limits[_place(signature)],
                all_or_none=all_or_none,
            ),
            lots=lots,
        )
        for number, (signature, price, lots, all_or_none) in enumerate(
            zip(
                orders.signature.tolist(),
                orders.price.tolist(),
                orders.lots.tolist(),
                whole,
                strict=True,
            )
        )
    ]


def _place(signature: int) -> tuple[int, int, int]:
    """Return zone, tier and class of a signature."""
    rest, strictness = divmod(signature // MODELS, CLASSES)
    zone, tier = divmod(rest, len(TIER_REACH))
    return zone, tier, strictness


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=32).digest()
