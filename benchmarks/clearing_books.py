"""Books to clear: many orders over one network of zones and nodes, made by a seed.

31 zones x 4 latency tiers x 3 compliance classes x 5 models are 1,860 signatures of orders; 200
sellers with nodes for about three models each are about 600 supply nodes. Popular zones, tiers,
classes and models are drawn more often. A node may serve an order of its model if it is near enough
for the tier and certified for the class or a stricter one; a path charges by its length. Of each
model, nodes have 0.7 of the lots that are ordered.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swatow_market.exchange.clearing.curves import demand_curves
from swatow_market.exchange.clearing.problem import Ints, Problem

ZONES, CLASSES, MODELS, SELLERS = 31, 3, 5, 200
TIER_REACH = (0.25, 0.45, 0.75, 9.0)
"""The longest path of each latency tier; zones lie in a square of side 1."""
SIGNATURES = ZONES * len(TIER_REACH) * CLASSES * MODELS
SERVED_CHANCE = 0.6
"""Chance that a seller has a node for a model."""
CERTIFIED = (0.4, 0.3, 0.3)
"""Shares of sellers by the strictest class that they are certified for."""
CAPACITY = 0.7
"""Lots on offer for each lot that is ordered, model by model."""
MODEL_PRICE = np.array([150_000, 200_000, 260_000, 340_000, 450_000])
"""Usual price of each model in nanos a lot, which is micros per million tokens."""
PRICE_TICK = 1_000
"""Orders state their limit price in such nanos."""
PATH_PRICE = 40_000
"""Charge in nanos a lot of a path as long as the side of the square."""
STEP_FACTORS = np.array([1.0, 1.08, 1.2, 1.4])
"""Prices of the steps of an offer, in terms of the first."""


@dataclass(frozen=True, slots=True)
class Orders:
    """n orders."""

    signature: Ints
    """(n,) 0 to SIGNATURES: ((zone * tiers + tier) * CLASSES + class) * MODELS + model."""
    price: Ints
    """(n,) Limit price in nanos a lot."""
    lots: Ints
    """(n,)"""


@dataclass(frozen=True, slots=True)
class Curves:
    """What is wanted: the arrays of a Problem's demand side, and whose they are."""

    signature: Ints
    """(S,) Of each segment."""
    start: Ints
    """(S + 1,)"""
    price: Ints
    """(D,)"""
    lots: Ints
    """(D,)"""


@dataclass(frozen=True, slots=True)
class Network:
    """Who may serve whom: the arrays of a Problem's arcs, over all signatures, and its nodes."""

    arc_start: Ints
    """(SIGNATURES + 1,)"""
    arc_node: Ints
    """(E,)"""
    arc_cost: Ints
    """(E,) Nanos a lot."""
    node_model: Ints
    """(N,)"""
    node_price: Ints
    """(N,) Of its first step, nanos a lot."""
    node_share: NDArray[np.float64]
    """(N,) Share of its model's lots."""


def make_orders(count: int, seed: int) -> Orders:
    """Return random orders: lots and prices are log-normal."""
    random = np.random.default_rng([seed, count])
    zone = _draw(random, 1 / np.arange(3, ZONES + 3), count)
    tier = _draw(random, np.array([1.0, 2.0, 3.0, 3.0]), count)
    strictness = _draw(random, np.array([5.0, 3.0, 2.0]), count)
    model = _draw(random, 1 / np.arange(2, MODELS + 2), count)
    worth = MODEL_PRICE[model] * random.lognormal(0.1, 0.25, count)
    return Orders(
        signature=((zone * len(TIER_REACH) + tier) * CLASSES + strictness) * MODELS + model,
        price=np.rint(worth / PRICE_TICK).astype(np.int64) * PRICE_TICK,
        lots=1 + random.lognormal(2.5, 1.0, count).astype(np.int64),
    )


def make_network(seed: int) -> Network:
    """Return the nodes of all sellers and the arcs of all signatures; the same for any orders."""
    random = np.random.default_rng(seed)
    place = random.random((ZONES, 2))
    zone = random.integers(ZONES, size=SELLERS)
    certified = random.choice(CLASSES, SELLERS, p=CERTIFIED)
    power = random.lognormal(0, 0.12, ZONES)
    skill = random.lognormal(0, 0.15, SELLERS)
    seller, model = np.nonzero(random.random((SELLERS, MODELS)) < SERVED_CHANCE)
    share = random.lognormal(0, 0.8, len(seller))
    price = 0.8 * MODEL_PRICE[model] * power[zone[seller]] * skill[seller]
    length = np.linalg.norm(place[:, None] - place[None], axis=2)[:, zone[seller]]
    reach = np.array(TIER_REACH)
    may = (
        (length[:, None, None, None] <= reach[:, None, None, None])
        & (certified[seller] >= np.arange(CLASSES)[:, None, None])
        & (model == np.arange(MODELS)[:, None])
    ).reshape(SIGNATURES, len(seller))
    signature, node = np.nonzero(may)
    charge = np.rint(PATH_PRICE * length).astype(np.int64)
    signatures_a_zone = SIGNATURES // ZONES
    return Network(
        arc_start=_starts(may.sum(axis=1)),
        arc_node=node,
        arc_cost=charge[signature // signatures_a_zone, node],
        node_model=model,
        node_price=np.rint(price).astype(np.int64),
        node_share=share / np.bincount(model, share)[model],
    )


def curves_of(orders: Orders, threads: int = 1) -> tuple[Curves, Ints]:
    """Add up the orders of each signature and price; return each order's step too (n,).

    Signatures without orders drop out.
    """
    found = demand_curves(orders.signature, orders.price, orders.lots, SIGNATURES, threads)
    (present,) = np.nonzero(np.diff(found.start))
    start = np.append(found.start[present], len(found.price))
    return Curves(present, start, found.price, found.lots), found.step


def make_problem(network: Network, curves: Curves) -> Problem:
    """Return the round: these curves, and offers of CAPACITY of their lots."""
    widths = np.diff(network.arc_start)[curves.signature]
    arc_start = _starts(widths)
    first = network.arc_start[curves.signature]
    arcs = np.arange(arc_start[-1]) + np.repeat(first - arc_start[:-1], widths)
    wanted = np.zeros(MODELS, dtype=np.int64)
    lots = np.add.reduceat(curves.lots, curves.start[:-1])
    np.add.at(wanted, curves.signature % MODELS, lots)
    offered = CAPACITY * wanted[network.node_model] * network.node_share / len(STEP_FACTORS)
    steps = len(network.node_price) * len(STEP_FACTORS)
    return Problem(
        arc_start=arc_start,
        arc_node=network.arc_node[arcs],
        arc_cost=network.arc_cost[arcs],
        demand_start=curves.start,
        demand_price=curves.price,
        demand_lots=curves.lots,
        supply_start=np.arange(0, steps + 1, len(STEP_FACTORS)),
        supply_price=np.rint(np.outer(network.node_price, STEP_FACTORS).ravel()).astype(np.int64),
        supply_lots=np.repeat(np.maximum(1, np.rint(offered).astype(np.int64)), len(STEP_FACTORS)),
    )


def _draw(random: np.random.Generator, weights: NDArray[np.float64], count: int) -> Ints:
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], random.random(count))


def _starts(widths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(widths)])
