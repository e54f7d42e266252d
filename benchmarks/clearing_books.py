"""Books to clear: many orders over one network of zones and nodes, made by a seed.

31 zones x 4 latency tiers x 3 compliance classes x 5 models are 1,860 signatures of orders; 200
sellers with nodes for about three models each are about 600 supply nodes. Popular zones, tiers,
classes and models are drawn more often. A node may serve an order of its model if it is near enough
for the tier and certified for the class or a stricter one; a path charges by its length. Of each
model, nodes have 0.7 of the lots that are ordered.

Rich books have 27 times as many signatures: an order also caps the carbon of its node, names the
vendors that it accepts, and says for how long at most a prompt may be kept.

Instead of random lots, those of real requests can be taken: the hour of requests to two services
that Azure published (Patel et al., Splitwise, ISCA 2024; CC-BY 4.0). They come in the order of
their arrival, as often as it takes; those of the code service want the tighter two latency tiers.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swatow_market.exchange.clearing.curves import demand_curves
from swatow_market.exchange.clearing.problem import Ints, Problem, Start

ZONES, CLASSES, MODELS, SELLERS = 31, 3, 5, 200
TIER_REACH = (0.25, 0.45, 0.75, 9.0)
"""The longest path of each latency tier; zones lie in a square of side 1."""
SIGNATURES = ZONES * len(TIER_REACH) * CLASSES * MODELS
CHOICES = 3
"""Carbon caps, sets of vendors and retentions of rich books, from any to the strictest."""
RICH = CHOICES**3
"""Signatures of rich books for each one of usual books."""
RICH_CHANCES = (0.5, 0.3, 0.2)
TRACES = (("azure-llm-2023-code.csv", 0), ("azure-llm-2023-conv.csv", 2))
"""Files of requests, and the tighter of the two latency tiers of each."""
TOKENS_A_LOT = 1_000
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
    """(n,) ((zone * tiers + tier) * CLASSES + class) * MODELS + model, 0 to SIGNATURES.

    In rich books this times RICH, and the choices."""
    price: Ints
    """(n,) Limit price in nanos a lot."""
    lots: Ints
    """(n,)"""
    rich: bool = False

    def __len__(self) -> int:
        """Return n."""
        return len(self.lots)


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
    """Of all signatures."""
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
    node_zone: Ints
    """(N,)"""
    node_class: Ints
    """(N,) The strictest class that it is certified for."""
    length: NDArray[np.float64]
    """(ZONES, ZONES) Of the path from a buyer's zone to a node's."""
    rich: bool = False


def make_orders(count: int, seed: int, *, rich: bool = False) -> Orders:
    """Return random orders: lots and prices are log-normal."""
    random = np.random.default_rng([seed, count])
    zone = _draw(random, 1 / np.arange(3, ZONES + 3), count)
    tier = _draw(random, np.array([1.0, 2.0, 3.0, 3.0]), count)
    strictness = _draw(random, np.array([5.0, 3.0, 2.0]), count)
    model = _draw(random, 1 / np.arange(2, MODELS + 2), count)
    worth = MODEL_PRICE[model] * random.lognormal(0.1, 0.25, count)
    signature = ((zone * len(TIER_REACH) + tier) * CLASSES + strictness) * MODELS + model
    lots = 1 + random.lognormal(2.5, 1.0, count).astype(np.int64)
    if rich:
        for _ in range(3):
            choice = _draw(random, np.array(RICH_CHANCES), count)
            signature = signature * CHOICES + choice
    return Orders(
        signature=signature,
        price=np.rint(worth / PRICE_TICK).astype(np.int64) * PRICE_TICK,
        lots=lots,
        rich=rich,
    )


def trace_orders(folder: Path, count: int, seed: int) -> Orders:
    """Return orders of the lots of real requests; OSError if the files are not in the folder."""
    requests: list[tuple[str, int, int]] = []
    for name, tightest in TRACES:
        with (folder / name).open(newline="") as file:
            requests += [
                (
                    row["TIMESTAMP"],
                    int(row["ContextTokens"]) + int(row["GeneratedTokens"]),
                    tightest,
                )
                for row in csv.DictReader(file)
            ]
    requests.sort()
    tokens = np.array([request[1] for request in requests])
    tiers = np.array([request[2] for request in requests])
    drawn = make_orders(count, seed)
    lots = -(-np.resize(tokens, count) // TOKENS_A_LOT)
    tier = np.resize(tiers, count) + np.random.default_rng(seed).integers(2, size=count)
    below = CLASSES * MODELS
    zone = drawn.signature // (below * len(TIER_REACH))
    signature = (zone * len(TIER_REACH) + tier) * below + drawn.signature % below
    return Orders(signature, drawn.price, lots)


def renewed(orders: Orders, others: Orders, share: float, seed: int) -> Orders:
    """Return the orders with a share of them replaced by others, of as many and as rich ones."""
    replaced = np.random.default_rng(seed).random(len(orders)) < share
    return Orders(
        signature=np.where(replaced, others.signature, orders.signature),
        price=np.where(replaced, others.price, orders.price),
        lots=np.where(replaced, others.lots, orders.lots),
        rich=orders.rich,
    )


def make_network(seed: int, *, rich: bool = False) -> Network:
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
    between = np.linalg.norm(place[:, None] - place[None], axis=2)
    length = between[:, zone[seller]]
    reach = np.array(TIER_REACH)
    may = (
        (length[:, None, None, None] <= reach[:, None, None, None])
        & (certified[seller] >= np.arange(CLASSES)[:, None, None])
        & (model == np.arange(MODELS)[:, None])
    ).reshape(SIGNATURES, len(seller))
    if rich:
        for _ in range(3):
            strictest = random.choice(CHOICES, SELLERS)[seller]
            kept = strictest >= np.arange(CHOICES)[:, None]
            may = (may[:, None, :] & kept).reshape(-1, len(seller))
    signature, node = np.nonzero(may)
    charge = np.rint(PATH_PRICE * length).astype(np.int64)
    signatures_a_zone = len(may) // ZONES
    return Network(
        arc_start=_starts(may.sum(axis=1)),
        arc_node=node,
        arc_cost=charge[signature // signatures_a_zone, node],
        node_model=model,
        node_price=np.rint(price).astype(np.int64),
        node_share=share / np.bincount(model, share)[model],
        node_zone=zone[seller],
        node_class=certified[seller],
        length=between,
        rich=rich,
    )


def curves_of(orders: Orders, threads: int = 1) -> tuple[Curves, Ints]:
    """Add up the orders of each signature and price; return each order's step too (n,).

    Signatures without orders drop out.
    """
    signatures = SIGNATURES * (RICH if orders.rich else 1)
    found = demand_curves(orders.signature, orders.price, orders.lots, signatures, threads)
    (present,) = np.nonzero(np.diff(found.start))
    start = np.append(found.start[present], len(found.price))
    return Curves(present, start, found.price, found.lots), found.step


def make_problem(network: Network, curves: Curves) -> Problem:
    """Return the round: these curves, and offers of CAPACITY of their lots."""
    arcs = arcs_of(network, curves)
    model = curves.signature // (RICH if network.rich else 1) % MODELS
    wanted = np.zeros(MODELS, dtype=np.int64)
    lots = np.add.reduceat(curves.lots, curves.start[:-1])
    np.add.at(wanted, model, lots)
    offered = CAPACITY * wanted[network.node_model] * network.node_share / len(STEP_FACTORS)
    steps = len(network.node_price) * len(STEP_FACTORS)
    return Problem(
        arc_start=_starts(np.diff(network.arc_start)[curves.signature]),
        arc_node=network.arc_node[arcs],
        arc_cost=network.arc_cost[arcs],
        demand_start=curves.start,
        demand_price=curves.price,
        demand_lots=curves.lots,
        supply_start=np.arange(0, steps + 1, len(STEP_FACTORS)),
        supply_price=np.rint(np.outer(network.node_price, STEP_FACTORS).ravel()).astype(np.int64),
        supply_lots=np.repeat(np.maximum(1, np.rint(offered).astype(np.int64)), len(STEP_FACTORS)),
    )


def arcs_of(network: Network, curves: Curves) -> Ints:
    """Return which arcs of the network are those of the round."""
    widths = np.diff(network.arc_start)[curves.signature]
    own = _starts(widths)
    return np.arange(own[-1]) + np.repeat(network.arc_start[curves.signature] - own[:-1], widths)


def start_from(network: Network, before: Curves, start: Start, after: Curves) -> Start:
    """Return the start of one round's solution in the order of another round of the network."""
    arcs = np.zeros(len(network.arc_node), dtype=np.int64)
    arcs[arcs_of(network, before)] = start.arc_inside
    segments = np.zeros(len(network.arc_start) - 1, dtype=np.int64)
    segments[before.signature] = start.segment_inside
    return Start(
        node_price=start.node_price,
        arc_inside=arcs[arcs_of(network, after)],
        segment_inside=segments[after.signature],
        node_inside=start.node_inside,
    )


def _draw(random: np.random.Generator, weights: NDArray[np.float64], count: int) -> Ints:
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], random.random(count))


def _starts(widths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(widths)])
