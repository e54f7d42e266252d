"""What offers have left, as supply nodes: one of now for each, and one for each later period."""

from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.problem import Ints
from swatow_market.exchange.offers import Steps
from swatow_market.exchange.orders import starts

NOW = 0
"""In place of the start of a period: from the round on."""


@dataclass(frozen=True, slots=True)
class Supply:
    """N nodes with K steps; node n below the number of offers is offer n, now."""

    offer: Ints
    """(N,) Number of the node's offer."""
    from_us: Ints
    """(N,) When its period starts; NOW for none."""
    start: Ints
    """(N + 1,)"""
    price: Ints
    """(K,) Rising within a node."""
    lots: Ints
    """(K,) Above zero."""

    def later(self, from_us: int) -> tuple[Ints, Ints]:
        """Return the offers that have lots in a later period, rising, and their nodes there."""
        nodes = np.flatnonzero(self.from_us == from_us)
        return self.offer[nodes], nodes


def supply_of(snapshot: Snapshot) -> Supply:
    """Return the supply of a round. Periods for which nothing is left have no node."""
    nodes: list[tuple[int, int, Steps]] = [
        (NOW, number, entry.steps_left()) for number, entry in enumerate(snapshot.offers)
    ]
    nodes += sorted(
        (start_us, number, steps)
        for number, entry in enumerate(snapshot.offers)
        for start_us, steps in entry.later_left()
        if steps and start_us in snapshot.periods
    )
    steps = np.array([step for *_, curve in nodes for step in curve], np.int64).reshape(-1, 2)
    return Supply(
        offer=np.array([number for _, number, _ in nodes], np.int64),
        from_us=np.array([start_us for start_us, *_ in nodes], np.int64),
        start=starts([len(curve) for *_, curve in nodes]),
        price=steps[:, 0].copy(),
        lots=steps[:, 1].copy(),
    )
