"""A round in arrays: what is wanted, what is offered, and which of it may meet at which cost.

A transport problem. Segments want lots along falling price curves, supply nodes offer lots along
rising ones, and an arc lets a node serve a segment at a cost. Hubs stand between: a hub takes lots
from nodes and from hubs of lower number, by arcs of its own, and passes on what it takes. All
integers are int64: prices and costs in nanos a lot, quantities in lots.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]

NO_PRICE = -1
"""In place of a price that nothing bounds: a node without free lots, or that nobody could use."""


@dataclass(frozen=True, slots=True)
class Problem:
    """S segments, H hubs, N supply nodes, E arcs; curves of D demand steps and K supply steps."""

    arc_start: Ints
    """(S + H + 1,) Arcs of row r are arc_start[r] to arc_start[r + 1]; segments, then hubs."""
    arc_node: Ints
    """(E,) Where the lots of an arc come from, rising within a row: supply node n is n, hub h is
    N + h. A hub's arcs lead to nodes and hubs of lower number only."""
    arc_cost: Ints
    """(E,) Cost of a lot on an arc, zero or more."""
    demand_start: Ints
    """(S + 1,) Steps of segment s."""
    demand_price: Ints
    """(D,) Falling within a segment."""
    demand_lots: Ints
    """(D,) Above zero."""
    supply_start: Ints
    """(N + 1,) Steps of supply node n."""
    supply_price: Ints
    """(K,) Rising within a node, zero or more."""
    supply_lots: Ints
    """(K,) Above zero."""

    @property
    def segments(self) -> int:
        """Return S."""
        return len(self.demand_start) - 1

    @property
    def nodes(self) -> int:
        """Return N."""
        return len(self.supply_start) - 1

    @property
    def hubs(self) -> int:
        """Return H."""
        return len(self.arc_start) - len(self.demand_start)


@dataclass(frozen=True, slots=True)
class Start:
    """What to begin a solve from: prices and a tree, as a Solution has them, of a similar problem.

    Whoever takes it from another problem puts it in the order of the new one. A good start saves
    time; the solution is the same for any, even a wrong one.
    """

    node_price: Ints
    """(N,) NO_PRICE where nothing is known."""
    arc_inside: Ints
    """(E,) 1 for arcs of the tree, 0 for others."""
    segment_inside: Ints
    """(S,) 1 for segments whose demand curve is in the tree."""
    node_inside: Ints
    """(N,) 1 for nodes whose supply curve is in the tree."""


@dataclass(frozen=True, slots=True)
class Solution:
    """An optimal flow that trades most, and the prices that support it.

    All but `start` depends on the problem alone.
    """

    arc_lots: Ints
    """(E,) Lots on each arc."""
    demand_used: Ints
    """(D,) Lots served of each demand step: all of those that pay more than the last one served."""
    supply_used: Ints
    """(K,) Lots used of each supply step: all of those that cost less than the last one used."""
    price_least: Ints
    """(N,) The least price of each node that supports every optimum; NO_PRICE for none."""
    price_greatest: Ints
    """(N,) The greatest; NO_PRICE where there is no least."""
    welfare: int
    """Value of the demand served - cost of the supply used - cost of the arcs, in nanos."""
    start: Start | None = field(default=None, compare=False)
    """From which this solution, and ones like it, are found soon."""
