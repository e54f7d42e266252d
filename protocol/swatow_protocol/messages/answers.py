"""Answers of a market to the calls of its gRPC service: unsigned, for the asker alone.

They travel inside the pinned TLS connection and prove nothing to anyone else; what must be proven
(awards, offers, models) is carried in them as signed envelopes. Each "no" is a closed list, so
that a caller can act on it.
"""

import enum
from typing import Annotated

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Body
from swatow_protocol.messages.fields import (
    Count,
    Currency,
    Embedded,
    Id,
    Key,
    Lots,
    Name,
    Nanos,
    Price,
    Serial,
    StandardTokens,
    Text,
    TimeUs,
    Zone,
)

MODELS_LISTED_MAX = 512
OFFERS_LISTED_MAX = 4_096
AWARDS_PER_ORDER_MAX = 1_024
STANDBY_MAX = 256
PRICES_MAX = 1_024
PROOFS_MAX = 16
"""Orders that one query gets proofs of."""
PROOF_HASHES_MAX = 64
"""Hashes of one proof; more are not decoded. A tree of a million leaves needs twenty."""


class Decision(enum.StrEnum):
    """What a market does with something that it was sent."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    """Neither wrong nor needed: known already, or an older one of its kind."""
    REJECT = "reject"


class AdmissionReason(enum.StrEnum):
    """Why an offer, an order, a redemption or a contest was not accepted, in the order of the
    checks."""

    REFUSED_MESSAGE = "refused_message"
    """The envelope failed a check; the detail names it."""
    KNOWN = "known"
    """Seen before: this answer changes nothing."""
    OLDER = "older"
    """A newer offer of this node for this model is in the book."""
    NOT_YET_VALID = "not_yet_valid"
    """The offer's validity starts later."""
    LIFE_TOO_LONG = "life_too_long"
    """It would be valid for longer than the market allows; the detail gives the limit."""
    WRONG_CURRENCY = "wrong_currency"
    """The market trades in another currency."""
    UNKNOWN_MODEL = "unknown_model"
    """The market does not list this model."""
    STEPS_NOT_RISING = "steps_not_rising"
    """The prices of an offer's steps must rise; the detail names the steps of a later period."""
    NO_SUPPLY = "no_supply"
    """The offer states no lots, neither now nor later."""
    BAD_PERIODS = "bad_periods"
    """Later supply must be stated for periods of this market, in their order, each starting after
    the offer was issued and among the next ones; the detail names the first that is not."""
    BAD_PAYMENT_TERMS = "bad_payment_terms"
    """The credit window is smaller than the voucher interval."""
    SHARE_TOO_LOW = "share_too_low"
    """The order's take-or-pay share is below the market's minimum; the detail gives both."""
    BAD_COLUMNS = "bad_columns"
    """A column of the batch has the wrong length or a value outside its limits."""
    NOT_SUPPORTED = "not_supported"
    """The order asks for something that this market does not do yet; the detail names it."""
    NOT_LEADING = "not_leading"
    """Another process leads this part of the market by now; here nothing changed. Ask that one."""
    NOT_YOURS = "not_yours"
    """The sender may not do this to that order, award or account."""
    TOO_MANY = "too_many"
    """The sender has as many open orders, or the book as many offers, as the market allows."""
    NOT_AT_ONCE = "not_at_once"
    """An immediate order could have nothing at once, or not all of it, as it asked; the news of the
    order says in `unmet` why, and the detail what the cheapest lots are posted at."""
    INSUFFICIENT_FUNDS = "insufficient_funds"
    """The account cannot cover the order at its limit price."""
    UNKNOWN_AWARD = "unknown_award"
    """The market made no such award."""
    AWARD_CLOSED = "award_closed"
    """The award is settled for good, or its time for vouchers is over."""
    BAD_VOUCHER = "bad_voucher"
    """The voucher is not the buyer's, or not for this award; the detail says which."""
    CLAIM_TOO_HIGH = "claim_too_high"
    """More is claimed than the voucher promises or the award holds."""
    SHARE_NOT_DUE = "share_not_due"
    """The take-or-pay share is claimed in a claim that is not final, or while the award may still
    be drawn upon."""
    NOTHING_TO_CONTEST = "nothing_to_contest"
    """The award has no take-or-pay share, or can be drawn upon no more."""


class LimitName(enum.StrEnum):
    """What can keep an order and an offer apart."""

    MODEL = "model"
    PRICE = "price"
    CAPACITY = "capacity"
    """The market has no lots left at a price within the limit."""
    RATE = "rate"
    PAYMENT = "payment"
    """Buyer and node do not agree on voucher interval and credit window."""
    ORIGIN = "origin"
    ROUND_TRIP_MS = "round_trip_ms"
    ZONES = "zones"
    ZONES_REFUSED = "zones_refused"
    JURISDICTIONS = "jurisdictions"
    PRECISIONS = "precisions"
    VENDORS = "vendors"
    VENDORS_REFUSED = "vendors_refused"
    FEATURES = "features"
    CORRIDOR = "corridor"
    RETENTION = "retention"
    CARBON_MG_PER_LOT = "carbon_mg_per_lot"
    TIME_TO_FIRST_TOKEN_MS = "time_to_first_token_ms"
    TOKENS_PER_SECOND = "tokens_per_second"
    REPUTATION = "reputation"
    ATTESTATIONS = "attestations"


class Verdict(Body, frozen=True, kw_only=True):
    """What became of something sent to the market."""

    decision: Decision
    """What becomes of it."""
    reason: AdmissionReason | None
    """None when accepted."""
    detail: Text
    """For a person: names the limit and the value."""


class OrderState(enum.StrEnum):
    """Where an order stands."""

    OPEN = "open"
    """In the book, waiting for a round."""
    FILLED = "filled"
    """Awarded in full. Final."""
    EXPIRED = "expired"
    """Its time in the book is over; part of it may have been awarded. Final."""
    CANCELLED = "cancelled"
    """Taken out by the buyer; part of it may have been awarded. Final."""


class Granted(Body, frozen=True, kw_only=True):
    """An award together with the offer that it draws on."""

    award: Embedded
    """Envelope of the award, signed by the market."""
    offer: Embedded
    """Envelope of the offer, signed by the node."""


class OrderEvent(Body, frozen=True, kw_only=True):
    """News of one order."""

    order: Id
    """Which one."""
    verdict: Verdict | None
    """Given once, when the order is taken in; None afterwards."""
    state: OrderState | None
    """None for an order that was not accepted."""
    granted: Annotated[tuple[Granted, ...], Meta(max_length=AWARDS_PER_ORDER_MAX)]
    """Awards since the last event. Where one message cannot hold them all, more events follow, and
    the order counts as open until the last of them."""
    lots_open: Annotated[int, Meta(ge=0, le=limits.LOTS_MAX)]
    """Lots still in the book."""
    unmet: Annotated[tuple[LimitName, ...], Meta(max_length=len(LimitName))]
    """Limits without which the open part would have been filled in the last round."""


class OrderEvents(Body, frozen=True, kw_only=True):
    """News of several orders, as one message of a stream."""

    events: Annotated[tuple[OrderEvent, ...], Meta(max_length=1_024)]
    """In the order in which they happened."""


class Catalogue(Body, frozen=True, kw_only=True):
    """What a market trades, and on which terms."""

    terms: Embedded
    """Envelope of the MarketTerms."""
    models: Annotated[tuple[Embedded, ...], Meta(max_length=MODELS_LISTED_MAX)]
    """Envelopes of the models, by name."""


class OfferList(Body, frozen=True, kw_only=True):
    """Live offers of a market's book."""

    offers: Annotated[tuple[Embedded, ...], Meta(max_length=OFFERS_LISTED_MAX)]
    """Envelopes of the offers, by id."""


class AccountStatement(Body, frozen=True, kw_only=True):
    """An account as the ledger has it."""

    owner: Key
    """Whose account it is."""
    kind: Name
    """`buyer` or `node`."""
    currency: Currency
    """Currency of its amounts."""
    balance: Nanos
    """Free to hold or to pay out."""
    held: Nanos
    """Reserved for open orders and awards."""
    paid_in: Nanos
    """Everything that was ever credited."""
    paid_out: Nanos
    """Everything that was ever debited."""


class AwardStatement(Body, frozen=True, kw_only=True):
    """How far an award is settled."""

    award: Id
    """Which one."""
    lots: Lots
    """Lots awarded."""
    held: Nanos
    """Reserved when it was awarded."""
    paid: Nanos
    """Posted so far."""
    released: Nanos
    """Given back to the buyer so far."""
    standard_tokens: StandardTokens
    """Redeemed so far."""
    closed: bool
    """It is settled for good."""
    from_us: TimeUs
    """From when it may be drawn upon."""
    expires_us: TimeUs
    """Until when it may be drawn upon."""
    settle_by_us: TimeUs
    """Until when vouchers are redeemed."""
    paid_unused: Nanos
    """Part of `paid` that is for standard tokens that were not used, under take-or-pay."""
    contested_us: TimeUs | None
    """When the buyer contested the take-or-pay share; None if it did not."""


class Standby(Body, frozen=True, kw_only=True):
    """An award for which a node must stand ready, and is paid a share of even if it is not used."""

    award: Embedded
    """Envelope of the award, signed by the market."""
    contested: bool
    """The buyer has let go of it: no more jobs are opened on it."""


class PostedPrice(Body, frozen=True, kw_only=True):
    """What lots of a model cost in a zone, and how many there are. Prices are those of nodes:
    without what the path to the buyer charges."""

    model: Id
    """Which model."""
    zone: Zone
    """Where the nodes are."""
    cleared: Price | None
    """The lowest price of a lot in the last round in which any was sold of a live offer; None if
    there was none."""
    posted: Price | None
    """The lowest price at which a lot may be had at once; None where none is left."""
    lots: Annotated[int, Meta(ge=0, le=limits.LOTS_MAX * OFFERS_LISTED_MAX)]
    """Lots that are left, at whatever price."""


class OrderProof(Body, frozen=True, kw_only=True):
    """Shows how an order stood in a round. It is checked with the round's record."""

    order: Id
    """Which one."""
    head: Embedded
    """Envelope of the RoundHead, signed by the market."""
    lots: Lots
    """Lots of the order that were open before the round."""
    segment: Serial | None
    """Number of its segment in the record; None if no offer might serve it."""
    index: Serial
    """Place of its leaf in the tree of orders, from zero."""
    leaves: Serial
    """How many leaves the tree has."""
    hashes: Annotated[tuple[Id, ...], Meta(max_length=PROOF_HASHES_MAX)]
    """The other side of each node on the way from the leaf to the root."""


class KeptAway(Body, frozen=True, kw_only=True):
    """What one limit of an order does: offers for models that it accepts which fail the limit."""

    limit: LimitName
    """Which limit."""
    offers: Count
    """Offers that fail it, whatever else they fail."""
    alone: Count
    """Offers that fail it and nothing else: without it they could serve the order."""


class Explanation(Body, frozen=True, kw_only=True):
    """What keeps an order from being filled, by the offers that are live now."""

    order: Id
    """Which one."""
    state: OrderState | None
    """None for an order that the market did not take in."""
    lots_open: Annotated[int, Meta(ge=0, le=limits.LOTS_MAX)]
    """Lots of it that are not awarded."""
    offers: Count
    """Live offers for the models that it accepts."""
    eligible: Count
    """Those of them that may serve it."""
    limits: Annotated[tuple[KeptAway, ...], Meta(max_length=len(LimitName))]
    """Its limits that keep offers away."""
    nearest: Annotated[tuple[LimitName, ...], Meta(max_length=len(LimitName))]
    """Where no offer may serve it: the limits that the nearest ones fail."""
    limit_price: Price
    """The most that it pays for a lot of any of its models, with which prices here compare: for
    another model they count what the order pays less for that one."""
    last_price: Serial | None
    """Cheapest delivered price, in the last round, of the offers that may serve it; None where
    there is none."""
    least_ask: Serial | None
    """Least that a free lot of them would cost, delivered; None where no lots are free."""
    lots_within: Serial
    """Free lots of them that cost no more than it pays."""
    missing: LimitName | None
    """`price` or `capacity`, if that is what is missing; None if the next round would fill it as
    things stand, or if no offer may serve it."""
    price_short: Serial
    """Nanos a lot by which its limit price is too low."""
    lots_short: Serial
    """Lots that are too few."""


class QueryAnswer(Body, frozen=True, kw_only=True):
    """Answer to a signed query."""

    accounts: Annotated[tuple[AccountStatement, ...], Meta(max_length=limits.QUERY_IDS_MAX)]
    """The sender's own accounts."""
    orders: Annotated[tuple[OrderEvent, ...], Meta(max_length=limits.QUERY_IDS_MAX)]
    """Those of the named orders that are the sender's."""
    awards: Annotated[tuple[AwardStatement, ...], Meta(max_length=limits.QUERY_IDS_MAX)]
    """Those of the named awards that the sender bought or serves."""
    standby: Annotated[tuple[Standby, ...], Meta(max_length=STANDBY_MAX)] = ()
    """Open awards with a take-or-pay share that the sender serves; ask again after the last of
    them until there are none."""
    prices: Annotated[tuple[PostedPrice, ...], Meta(max_length=PRICES_MAX)] = ()
    """By model and zone; ask for single models where there are more."""
    round: Serial
    """The last round that was cleared."""
    proofs: Annotated[tuple[OrderProof, ...], Meta(max_length=PROOFS_MAX)] = ()
    """Of those of the first PROOFS_MAX named orders that are the sender's, took part in the round,
    and of which enough is kept."""
    explanation: Explanation | None = None
    """Of the order that was given."""
