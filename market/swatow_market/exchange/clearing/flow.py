"""Exact min-cost flow from supply steps through arcs to demand steps, by successive shortest paths.

Each augmentation sends as much as fits along the cheapest path of the residual graph, so the flow
is optimal for its volume at every moment; it stops when one more lot would cost more than it is
worth. Zero-surplus lots are traded, so of all optima it is one of largest volume. Ahuja, Magnanti,
Orlin, Network Flows (1993), section 9.7.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Curve:
    """Price steps in the order in which they are used, and how much of them is used."""

    steps: list[tuple[int, int]]
    """(price, lots), lots above zero: demand falls, supply rises."""
    used: list[int] = field(default_factory=list)
    _at: int = 0
    """The step that is used next."""

    def __post_init__(self) -> None:
        self.used = [0] * len(self.steps)

    def next(self) -> tuple[int, int] | None:
        """Return (price, lots) of what would be used next, or None if all is used."""
        if self._at == len(self.steps):
            return None
        price, lots = self.steps[self._at]
        return price, lots - self.used[self._at]

    def last_price(self) -> int | None:
        """Return the price of the last step that is used at all."""
        last = self._at if self._at < len(self.steps) and self.used[self._at] else self._at - 1
        return self.steps[last][0] if last >= 0 else None

    def use(self, lots: int) -> None:
        """Use more, from the next step on; it must fit into that step."""
        self.used[self._at] += lots
        assert self.used[self._at] <= self.steps[self._at][1]
        self._at += self.used[self._at] == self.steps[self._at][1]


@dataclass(slots=True)
class Flow:
    """A transport problem and, once solved, its optimal flow."""

    demand: list[Curve]
    """One for each segment; prices fall."""
    supply: list[Curve]
    """One for each supply node; prices rise."""
    cost: list[dict[int, int]]
    """For each segment, its arcs: supply node -> cost of a lot."""
    lots: list[dict[int, int]] = field(default_factory=list)
    """For each segment, lots on each arc that carries any."""

    def __post_init__(self) -> None:
        self.lots = [{} for _ in self.demand]

    def solve(self) -> None:
        """Send lots while one more is worth its cost."""
        while (path := self._cheapest_path()) is not None:
            self._send(path)

    def _cheapest_path(self) -> list[tuple[int, int]] | None:
        """Return arcs (segment, node), alternately forward and backward, or None at the optimum."""
        distance, parent = self._distances()
        best: tuple[int, int] | None = None
        for node, curve in enumerate(self.supply):
            step = curve.next()
            if step is not None and (reached := distance.get(("n", node))) is not None:
                total = reached + step[0]
                if total <= 0 and (best is None or total < best[0]):
                    best = (total, node)
        if best is None:
            return None
        path: list[tuple[int, int]] = []
        at = ("n", best[1])
        while True:
            kind, index = at
            previous = parent[at]
            if previous is None:
                return path[::-1]
            path.append((index, previous[1]) if kind == "g" else (previous[1], index))
            at = previous

    def _distances(
        self,
    ) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], tuple[str, int] | None]]:
        """Bellman-Ford from the demand side over residual arcs."""
        distance: dict[tuple[str, int], int] = {}
        parent: dict[tuple[str, int], tuple[str, int] | None] = {}
        for segment, curve in enumerate(self.demand):
            step = curve.next()
            if step is not None:
                distance["g", segment], parent["g", segment] = -step[0], None
        changed = True
        while changed:
            changed = False
            for segment, arcs in enumerate(self.cost):
                here = distance.get(("g", segment))
                for node, cost in arcs.items():
                    there = distance.get(("n", node))
                    if here is not None and (there is None or here + cost < there):
                        distance["n", node] = there = here + cost
                        parent["n", node] = ("g", segment)
                        changed = True
                    if there is None or not self.lots[segment].get(node):
                        continue
                    if here is None or there - cost < here:
                        distance["g", segment] = here = there - cost
                        parent["g", segment] = ("n", node)
                        changed = True
        return distance, parent

    def _send(self, path: list[tuple[int, int]]) -> None:
        first, last = path[0][0], path[-1][1]
        wanted, offered = self.demand[first].next(), self.supply[last].next()
        assert wanted is not None
        assert offered is not None
        backward = [self.lots[segment][node] for segment, node in path[1::2]]
        lots = min(wanted[1], offered[1], *backward)
        for index, (segment, node) in enumerate(path):
            sign = -1 if index % 2 else 1
            carried = self.lots[segment].get(node, 0) + sign * lots
            self.lots[segment].pop(node, None)
            if carried:
                self.lots[segment][node] = carried
        self.demand[first].use(lots)
        self.supply[last].use(lots)

    def welfare(self) -> int:
        """Return value of demand served - cost of supply used - cost of arcs."""
        value = sum(
            price * used
            for curve in self.demand
            for (price, _), used in zip(curve.steps, curve.used, strict=True)
        )
        asked = sum(
            price * used
            for curve in self.supply
            for (price, _), used in zip(curve.steps, curve.used, strict=True)
        )
        carried = sum(
            lots * self.cost[segment][node]
            for segment, arcs in enumerate(self.lots)
            for node, lots in arcs.items()
        )
        return value - asked - carried
