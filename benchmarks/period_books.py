"""Books of many periods: orders that can wait, and what nodes have for later.

To the orders of clearing_books.py come batch jobs. They have no origin, so a signature of theirs is
a model and a class, and each has a deadline in one of the PERIODS later periods, sooner ones more
often.
Nodes offer, for each period, CAPACITY of an even share of the lots that can wait, at prices that
rise and fall over the day of their zone; and now, CAPACITY of the lots that cannot.
"""

from dataclasses import dataclass, replace

import numpy as np
from benchmarks.clearing_books import (
    CAPACITY,
    CLASSES,
    MODELS,
    SIGNATURES,
    STEP_FACTORS,
    ZONES,
    Network,
    Orders,
)

from swatow_market.exchange.clearing.curves import demand_curves
from swatow_market.exchange.clearing.pools import Chain, Place, Rows, rows_of
from swatow_market.exchange.clearing.problem import Ints, Problem
from swatow_market.exchange.offer_table import Row

PERIODS = 24
BATCH_SIGNATURES = CLASSES * MODELS
"""Numbered behind the others: (SIGNATURES + class * MODELS + model)."""
SWING = 0.25
"""How far prices rise and fall over a day, as a part of themselves."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """n orders, and how long each can wait."""

    orders: Orders
    """Signatures of those that can wait are numbered from SIGNATURES on."""
    periods: Ints
    """(n,) Later periods that will do, from 1 to PERIODS; 0 for those that cannot wait."""


@dataclass(frozen=True, slots=True)
class Round:
    """A problem, and which segment is whose."""

    problem: Problem
    rows: Rows


def make_waiting(orders: Orders, share: float, seed: int) -> Waiting:
    """Let this share of the orders be batch jobs."""
    random = np.random.default_rng([seed, len(orders.price), PERIODS])
    waits = random.random(len(orders.price)) < share
    batch = SIGNATURES + orders.signature % BATCH_SIGNATURES
    likely = 1 / np.arange(2, PERIODS + 2)
    periods = random.choice(np.arange(1, PERIODS + 1), len(orders.price), p=likely / likely.sum())
    signature = np.where(waits, batch, orders.signature)
    return Waiting(replace(orders, signature=signature), np.where(waits, periods, 0))


def make_round(network: Network, waiting: Waiting) -> Round:
    """Return the round: node n in period p is supply node p * nodes + n, and now is period 0."""
    orders, nodes = waiting.orders, len(network.node_price)
    kinds, kind = np.unique(orders.signature * (PERIODS + 1) + waiting.periods, return_inverse=True)
    chains = {_key(number): _chain(network, number) for number in np.unique(kinds // (PERIODS + 1))}
    places: list[Place] = [(_key(each // (PERIODS + 1)), each % (PERIODS + 1)) for each in kinds]
    rows = rows_of(chains, places, nodes * (PERIODS + 1))
    segment = np.array([rows.places[place] for place in places], np.int64)[kind]
    curves = demand_curves(segment, orders.price, orders.lots, len(rows.places))
    price, lots = _supply(network, waiting)
    return Round(
        problem=Problem(
            arc_start=rows.arc_start,
            arc_node=rows.arc_node,
            arc_cost=rows.arc_cost,
            demand_start=curves.start,
            demand_price=curves.price,
            demand_lots=curves.lots,
            supply_start=np.arange(0, len(price) + 1, len(STEP_FACTORS)),
            supply_price=price,
            supply_lots=lots,
        ),
        rows=rows,
    )


def _key(signature: int) -> bytes:
    return int(signature).to_bytes(8, "big")


def _chain(network: Network, signature: int) -> Chain:
    """Return the nodes that may serve orders of a signature, and their pools if it can wait."""
    if signature < SIGNATURES:
        row = slice(*network.arc_start[signature : signature + 2])
        cost = network.arc_cost[row]
        return Chain(Row(network.arc_node[row], cost, cost))
    strictness, model = divmod(signature - SIGNATURES, MODELS)
    (found,) = np.nonzero((network.node_model == model) & (network.node_class >= strictness))
    nodes, free = len(network.node_price), np.zeros(len(found), np.int64)
    later = range(1, PERIODS + 1)
    return Chain(
        row=Row(found, free, free),
        periods=[*later],
        nodes=[(np.arange(len(found)), period * nodes + found) for period in later],
    )


def _supply(network: Network, waiting: Waiting) -> tuple[Ints, Ints]:
    """Return price and lots of the steps of all supply nodes, period by period."""
    orders, can_wait = waiting.orders, waiting.periods > 0
    # The model is the last digit of both kinds of signatures.
    model = np.where(can_wait, orders.signature - SIGNATURES, orders.signature) % MODELS
    hour = np.arange(PERIODS + 1)[:, None] + PERIODS * network.node_zone / ZONES
    factor = 1 + SWING * np.sin(2 * np.pi * hour / PERIODS)
    price = factor[:, :, None] * network.node_price[:, None] * STEP_FACTORS
    now, later = (
        CAPACITY * np.bincount(model[who], orders.lots[who], MODELS) / len(STEP_FACTORS)
        for who in (~can_wait, can_wait)
    )
    wanted = np.concatenate([now[None], np.repeat(later[None] / PERIODS, PERIODS, axis=0)])
    lots = wanted[:, network.node_model] * network.node_share
    each = np.maximum(1, np.rint(lots)).astype(np.int64)
    return np.rint(price).astype(np.int64).ravel(), np.repeat(each.ravel(), len(STEP_FACTORS))
