"""What a buyer can hold against a round, and what the market says of an order, in plain values."""

from dataclasses import asdict, dataclass
from typing import Any

from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Award, Order, RoundNumber
from swatow_protocol.messages.answers import Explanation, OrderProof


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEvidence:
    """All that shows how a round has treated one order. What the market says is not checked yet."""

    order: Signed[Order]
    """As this buyer has signed it."""
    awards: tuple[Signed[Award], ...]
    """All awards of the order, each signed by the market."""
    round: RoundNumber
    """By the market's signed word."""
    proof: OrderProof
    file: bytes
    """The round's file: its record and the market's word on it."""

    @property
    def awards_of_round(self) -> tuple[Signed[Award], ...]:
        """Those of the awards that were made in the round."""
        return tuple(award for award in self.awards if award.message.round == self.round)

    @property
    def lots_before(self) -> int:
        """Lots that were open before the round, by the awards of earlier ones."""
        here = self.round.epoch, self.round.number
        rounds = ((award.message.round, award.message.lots) for award in self.awards)
        earlier = sum(lots for each, lots in rounds if (each.epoch, each.number) < here)
        return self.order.message.lots - earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOff:
    """What one limit of an order does to the offers for its models."""

    limit: str
    offers: int
    """Offers that fail it."""
    alone: int
    """Offers that fail it and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExplanation:
    """What keeps an order from being filled, by the market's word. Prices are nanos a lot."""

    id: str
    """The order's id, in hexadecimal."""
    state: str
    """As in OrderStatus."""
    currency: str
    lots_open: int
    offers: int
    """Live offers for its models."""
    eligible: int
    """Those of them that may serve it."""
    limits: tuple[KeptOff, ...]
    nearest: tuple[str, ...]
    """Where no offer may serve it: the limits that the nearest ones fail."""
    limit_price: int
    """The most that it pays for any of its models."""
    last_price: int | None
    """What the cheapest eligible offer cost in the last round, delivered."""
    least_ask: int | None
    """What the cheapest free lot would cost, delivered."""
    lots_within: int
    """Free lots that cost no more than it pays."""
    missing: str | None
    """price or capacity, if that is what is missing."""
    price_short: int
    """By how much its limit price is too low."""
    lots_short: int
    """How many lots are too few."""

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as plain values."""
        return asdict(self)


def order_explanation(order: Signed[Order], told: Explanation) -> OrderExplanation:
    """Return a market's explanation in plain values."""
    return OrderExplanation(
        id=order.id.hex(),
        state=told.state.value if told.state is not None else "unknown",
        currency=order.message.terms.currency,
        lots_open=told.lots_open,
        offers=told.offers,
        eligible=told.eligible,
        limits=tuple(
            KeptOff(limit=each.limit.value, offers=each.offers, alone=each.alone)
            for each in told.limits
        ),
        nearest=tuple(limit.value for limit in told.nearest),
        limit_price=told.limit_price,
        last_price=told.last_price,
        least_ask=told.least_ask,
        lots_within=told.lots_within,
        missing=told.missing.value if told.missing is not None else None,
        price_short=told.price_short,
        lots_short=told.lots_short,
    )
