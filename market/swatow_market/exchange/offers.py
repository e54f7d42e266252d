"""Live offers, as clearing sees them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from swatow_protocol.messages import Offer, PriceStep

Steps = list[tuple[int, int]]
"""(price, lots), price rising."""


@dataclass(frozen=True, slots=True)
class BookOffer:
    """A live offer, as clearing sees it."""

    id: bytes
    offer: Offer
    envelope: bytes
    lots_out: int = 0
    """Lots of this node and model that open awards still hold."""
    lots_promised: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Start of a later period -> lots of this node and model that awards hold in it."""
    reputation: int | None = None
    """This market's estimate of the node, 0 to 1,000; None is unknown."""

    def steps_left(self) -> Steps:
        """Return the steps of now that are still free."""
        return _left(self.offer.steps, self.lots_out)

    def later_left(self) -> Iterator[tuple[int, Steps]]:
        """Yield the start of each later period of the offer, and the steps still free in it."""
        for supply in self.offer.later:
            start_us = supply.start_us
            yield start_us, _left(supply.steps, self.lots_promised.get(start_us, 0))


def _left(steps: tuple[PriceStep, ...], used: int) -> Steps:
    """Return what is free of these steps: what is used are the cheapest."""
    left = []
    for step in steps:
        taken = min(used, step.lots)
        used -= taken
        if step.lots > taken:
            left.append((step.price, step.lots - taken))
    return left
