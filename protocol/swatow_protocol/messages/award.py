"""Award: the market's answer to an order, and the buyer's ticket to the node.

Nothing but the market's signature on it is needed at the node: the market is never in the path of
the tokens. One award covers many jobs.
"""

from typing import Annotated, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Body, Message
from swatow_protocol.messages.fields import (
    Currency,
    DurationUs,
    Id,
    Key,
    Lots,
    Name,
    Nanos,
    PartsPerMillion,
    Price,
    Rate,
    Serial,
    Sha256,
    TimeUs,
    Zone,
)
from swatow_protocol.messages.offer import PaymentTerms


class RoundNumber(Body, frozen=True, kw_only=True):
    """Which clearing: the shard, the leader's epoch and the round within it."""

    shard: Name
    """Part of the market that was cleared."""
    epoch: Serial
    """Counts the leaders of the shard."""
    number: Serial
    """Counts the rounds of the epoch, from 1."""


class RoundHead(Message, frozen=True, kw_only=True):
    """The market's word on one clearing: which record of it is the true one. Sent by the market."""

    kind: Literal["round_head"] = "round_head"
    round: RoundNumber
    """The clearing."""
    record: Id
    """BLAKE2b-256 of the published record's payload."""


class Award(Message, frozen=True, kw_only=True):
    """So many lots of a model at a node for a buyer. Sent by the market."""

    kind: Literal["award"] = "award"
    order: Id
    """The order that it answers."""
    offer: Id
    """The node's offer that it draws on; the buyer gets it along with the award."""
    model: Id
    """The model, as the market lists it."""
    buyer: Key
    """Who may draw on it."""
    node: Key
    """Who must serve it."""
    round: RoundNumber
    """The clearing in which it was made."""
    currency: Currency
    """Currency of its prices."""
    lots: Lots
    """How much may be drawn."""
    price: Price
    """What the buyer pays, delivered: node price plus path charge."""
    node_price: Price
    """What the node earns, before the market's fee."""
    path_charge: Price
    """What the carriers of the path earn."""
    fee_ppm: PartsPerMillion
    """The market's fee, as a share of what the node earns."""
    rate: Rate | None
    """Standard tokens a second that the node must sustain; None is no promise."""
    zone: Zone
    """Where the tokens are made."""
    from_us: TimeUs
    """No job may be opened before this time. For an award of now it is `issued_us`; a later one is
    the start of a period for which the offer states supply."""
    expires_us: TimeUs
    """No job may be opened after this time. For an award of a later period it is its end."""
    settle_by_us: TimeUs
    """Vouchers are redeemed until this time; then the rest of the hold is released."""
    take_or_pay_ppm: PartsPerMillion
    """Share that is paid for even if it is not used."""
    payment: PaymentTerms
    """Voucher interval and credit window on which both have agreed."""
    package: Id | None
    """Prepaid package that pays; None is the money account."""
    certificate_sha256: Sha256
    """TLS certificate of the node, as in its offer."""
    sealing_key: Key
    """Sealing key of the node, as in its offer."""


class MarketTerms(Message, frozen=True, kw_only=True):
    """What holds for every trade of a market. Sent by the market."""

    kind: Literal["market_terms"] = "market_terms"
    currency: Currency
    """Currency of all its prices."""
    fee_ppm: PartsPerMillion
    """The market's part of what nodes earn."""
    round_us: DurationUs
    """Time between two rounds."""
    period_us: Annotated[int, Meta(ge=limits.PERIOD_MIN_US, le=limits.PERIOD_MAX_US)]
    """Length of a period; periods start at whole multiples of it since 1970 UTC."""
    award_life_max_us: DurationUs
    """Longest award_life_us of an order."""
    dispute_us: DurationUs
    """Time between the expiry of an award and the release of its hold."""
    take_or_pay_min_ppm: PartsPerMillion
    """Least take-or-pay share of an order."""
    orders_open_max: Annotated[int, Meta(ge=1, le=limits.BATCH_ORDERS_MAX)]
    """Most open orders of one buyer."""
    deposit_min: Nanos
    """Smallest deposit."""
