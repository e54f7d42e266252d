"""Live offers, as clearing sees them."""

from dataclasses import dataclass

from swatow_protocol.messages import Offer


@dataclass(frozen=True, slots=True)
class BookOffer:
    """A live offer, as clearing sees it."""

    id: bytes
    offer: Offer
    envelope: bytes
    lots_out: int = 0
    """Lots of this node and model that open awards still hold."""
    reputation: int | None = None
    """This market's estimate of the node, 0 to 1,000; None is unknown."""

    def steps_left(self) -> list[tuple[int, int]]:
        """Return (price, lots) steps that are still free: open awards use the cheapest first."""
        used, left = self.lots_out, []
        for step in self.offer.steps:
            taken = min(used, step.lots)
            used -= taken
            if step.lots > taken:
                left.append((step.price, step.lots - taken))
        return left
