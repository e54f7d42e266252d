"""Where orders and awards of a buyer stand in the market, in plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from swatow._placed import PlacedOrder
from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Award
from swatow_protocol.messages.answers import AwardStatement, OrderEvent, OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """Where an order stands."""

    id: str
    """The order's id, in hexadecimal."""
    state: str
    """open, filled, expired or cancelled; `unknown` where the market never took the order in."""
    lots: int
    """Lots ordered."""
    lots_open: int
    """Lots that were not awarded: still in the book, or returned when the order ended."""
    models: Mapping[str, int]
    """Name of each model -> its limit price, in nanos a lot; of many rows, the highest."""
    currency: str
    all_or_none: bool
    take_or_pay_ppm: int
    """Share of its awards that is paid for even if it is not used, in millionths."""
    placed_us: int
    expires_us: int
    """Until then it waits in the book."""
    unmet: tuple[str, ...]
    """Limits without which it would have been filled in the last round."""
    awards: tuple[str, ...]
    """Ids of awards, in hexadecimal: all of them, or where news is told, those that are new."""

    @property
    def is_open(self) -> bool:
        """Whether it may still be awarded something."""
        return self.state == OrderState.OPEN.value

    def as_dict(self) -> dict[str, Any]:
        """Return the status as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwardStatus:
    """How far an award with a take-or-pay share is settled."""

    id: str
    """The award's id, in hexadecimal."""
    node: str
    lots: int
    take_or_pay_ppm: int
    """Share that is paid for even if it is not used, in millionths."""
    standard_tokens: int
    """Standard tokens that were used and redeemed so far."""
    paid: int
    """Nanos paid so far."""
    paid_unused: int
    """Part of that which is for standard tokens that were not used."""
    currency: str
    closed: bool
    """It is settled for good."""
    contested: bool
    """This buyer has let go of it."""

    def as_dict(self) -> dict[str, Any]:
        """Return the status as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """What lots of a model cost in a zone, and how many there are. Prices are those of nodes, in
    nanos a lot, which is millionths of a unit for a million standard tokens; paths may charge
    more."""

    model: str
    zone: str
    cleared: int | None
    """What they cost in the last round in which any was sold; None if there was none."""
    posted: int | None
    """What a lot costs at once; None where none is left."""
    lots: int
    """Lots that are left, at whatever price."""
    currency: str

    def as_dict(self) -> dict[str, Any]:
        """Return the price as plain values."""
        return asdict(self)


def order_status(
    order: PlacedOrder,
    event: OrderEvent | None,
    names: Mapping[bytes, str],
    awards: tuple[str, ...],
) -> OrderStatus:
    """Return where an order stands by the market's word; None is that it knows of none.

    Args:
        order: the order, as it was placed.
        event: the market's word on it.
        names: names of the models that the market lists, by id.
        awards: ids of the awards that it tells of, which were checked.
    """
    terms = order.terms
    state = event.state if event is not None else None
    return OrderStatus(
        id=order.id.hex(),
        state=state.value if state is not None else "unknown",
        lots=order.lots,
        lots_open=event.lots_open if event is not None else order.lots,
        models={
            names.get(limit.model, limit.model.hex()[:16]): limit.price for limit in terms.models
        },
        currency=terms.currency,
        all_or_none=terms.all_or_none,
        take_or_pay_ppm=terms.take_or_pay_ppm,
        placed_us=order.issued_us,
        expires_us=terms.expires_us,
        unmet=tuple(limit.value for limit in event.unmet) if event is not None else (),
        awards=awards,
    )


def award_status(award: Signed[Award], statement: AwardStatement) -> AwardStatus:
    """Return how far an award is settled by the market's word."""
    message = award.message
    return AwardStatus(
        id=award.id.hex(),
        node=message.node.hex(),
        lots=message.lots,
        take_or_pay_ppm=message.take_or_pay_ppm,
        standard_tokens=statement.standard_tokens,
        paid=statement.paid,
        paid_unused=statement.paid_unused,
        currency=message.currency,
        closed=statement.closed,
        contested=statement.contested_us is not None,
    )
