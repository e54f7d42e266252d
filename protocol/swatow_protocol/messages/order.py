"""Order: what a buyer wants, the most it pays, and the limits that nothing may override.

A batch of orders is one signed message. It is columnar: rows that share their terms name them by
number, and only quantities and prices are listed for each, so that a hundred thousand rows fit one
envelope and reach the book without an object each.
"""

import struct
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Body, Message
from swatow_protocol.messages.fields import (
    CarbonMilligrams,
    Country,
    Currency,
    DataClass,
    DurationUs,
    Id,
    Key,
    Lots,
    Milliseconds,
    Name,
    Nonce,
    PartsPerMillion,
    Price,
    Rate,
    Reputation,
    Retention,
    TimeUs,
    Zone,
)
from swatow_protocol.messages.offer import Names, PaymentTerms

Zones = Annotated[tuple[Zone, ...], Meta(max_length=limits.LIST_ITEMS_MAX)]
Countries = Annotated[tuple[Country, ...], Meta(max_length=limits.LIST_ITEMS_MAX)]


class ModelLimit(Body, frozen=True, kw_only=True):
    """One acceptable model and the most that the buyer pays for it, delivered."""

    model: Id
    """The model, as the market lists it."""
    price: Price
    """Most for a lot."""


class Limits(Body, frozen=True, kw_only=True):
    """Hard limits of an order; None is no limit. An offer that does not state a limited
    attribute fails the limit."""

    origin: Zone | None = None
    """Where the buyer stands; paths and round-trip times are counted from here."""
    round_trip_ms: Milliseconds | None = None
    """Longest network round trip between origin and node."""
    zones: Zones | None = None
    """Only these zones, each with all zones inside it: `cn-gd` admits `cn-gd-shantou`."""
    zones_refused: Zones | None = None
    """None of these zones, nor any inside them."""
    jurisdictions: Countries | None = None
    """Only zones of these countries."""
    precisions: Names | None = None
    """Only models served in one of these numeric formats."""
    vendors: Names | None = None
    """Only accelerators of these makers."""
    vendors_refused: Names | None = None
    """No accelerator of these makers."""
    features: Names | None = None
    """All of these features of the engine."""
    data_origin: Country | None = None
    """The country whose rules the data brings along."""
    data_class: DataClass | None = None
    """What kind of data it is."""
    corridor: Name | None = None
    """The corridor under which the data may be processed: offer and network map must have it, the
    map for this origin and class of data, both of which must be stated."""
    retention: Retention | None = None
    """Longest retention that is acceptable."""
    carbon_mg_per_lot: CarbonMilligrams | None = None
    """Most CO2 equivalent for a lot."""
    time_to_first_token_ms: Milliseconds | None = None
    """Longest promised time to the first token."""
    tokens_per_second: Rate | None = None
    """Least promised output rate of one job."""
    reputation: Reputation | None = None
    """Least reputation of the node in this market."""
    attestations: Names | None = None
    """One of these kinds of hardware attestation."""


class OrderTerms(Body, frozen=True, kw_only=True):
    """Everything of an order but how much and how dear: orders with equal terms compete alike."""

    currency: Currency
    """Currency of its prices."""
    models: Annotated[
        tuple[ModelLimit, ...], Meta(min_length=1, max_length=limits.MODELS_PER_ORDER_MAX)
    ]
    """Any of these models, each with its own limit price."""
    rate: Rate | None = None
    """Standard tokens a second that the award must sustain."""
    limits: Limits = Limits()
    """Hard limits on who may serve it."""
    all_or_none: bool = False
    """Fill the whole quantity in one round, or nothing."""
    immediate: bool = False
    """Do not wait for a round: take unsold capacity at the posted price, or nothing."""
    take_or_pay_ppm: PartsPerMillion = 0
    """Share of the awarded quantity that is paid for even if it is not used."""
    expires_us: TimeUs
    """Until then it waits in the book and carries over from round to round."""
    deadline_us: TimeUs | None = None
    """Delivery now or in any later period that ends before this time will do; None asks for
    delivery now. The order waits in the book no longer than until then."""
    award_life_us: DurationUs
    """How long the award may be drawn upon."""
    payment: PaymentTerms = PaymentTerms()
    """The longest interval and the narrowest window that the buyer accepts."""
    payer: Key | None = None
    """Account that pays, where it is not the sender's own."""
    package: Id | None = None
    """Prepaid package to draw on, where it is not the money account."""


class Order(Message, frozen=True, kw_only=True):
    """A buyer's request for lots. Sent by the buyer; its id names it from then on."""

    AGE_MAX_US: ClassVar[int | None] = limits.MESSAGE_AGE_US

    kind: Literal["order"] = "order"
    nonce: Nonce
    """Makes two otherwise equal orders distinct."""
    lots: Lots
    """How much is wanted."""
    terms: OrderTerms
    """On which terms."""


class OrderBatch(Message, frozen=True, kw_only=True):
    """Many orders under one signature, in columns of equal length, little-endian.

    The rows of terms t are one order with many limit prices, whose id is `order_in_batch(id, t)`:
    row i asks for lots[i], with every limit price of terms[term[i]] shifted so that the first
    model's becomes price[i]. An award answers the order, whichever of its rows are filled. Every
    terms has a row, and terms that say all or none have one.
    """

    BYTES_MAX: ClassVar[int] = limits.BATCH_BYTES_MAX
    AGE_MAX_US: ClassVar[int | None] = limits.MESSAGE_AGE_US

    kind: Literal["order_batch"] = "order_batch"
    nonce: Nonce
    """Makes two otherwise equal batches distinct."""
    terms: Annotated[tuple[OrderTerms, ...], Meta(min_length=1, max_length=limits.BATCH_TERMS_MAX)]
    """Terms that the rows name by number."""
    term_column: Annotated[bytes, Meta(min_length=2, max_length=2 * limits.BATCH_ORDERS_MAX)]
    """Unsigned 16-bit numbers into `terms`."""
    lots_column: Annotated[bytes, Meta(min_length=4, max_length=4 * limits.BATCH_ORDERS_MAX)]
    """Unsigned 32-bit quantities in lots, each at least 1; of one order LOTS_MAX at most in all."""
    price_column: Annotated[bytes, Meta(min_length=8, max_length=8 * limits.BATCH_ORDERS_MAX)]
    """Signed 64-bit limit prices for the first model of the row's terms."""


class OrderCancel(Message, frozen=True, kw_only=True):
    """Take orders out of the book; what was awarded stays awarded. Sent by the buyer."""

    AGE_MAX_US: ClassVar[int | None] = limits.MESSAGE_AGE_US

    kind: Literal["order_cancel"] = "order_cancel"
    orders: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=limits.QUERY_IDS_MAX)]
    """Which ones, by id."""


def pack_columns(rows: list[tuple[int, int, int]]) -> tuple[bytes, bytes, bytes]:
    """Pack (term number, lots, price) rows into the three columns of an OrderBatch."""
    count = len(rows)
    terms, lots, prices = zip(*rows, strict=True)
    return (
        struct.pack(f"<{count}H", *terms),
        struct.pack(f"<{count}I", *lots),
        struct.pack(f"<{count}q", *prices),
    )


def unpack_columns(batch: OrderBatch) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the term numbers, lots and prices of a batch's rows.

    Raises:
        struct.error: the columns are not of equal length.
    """
    count = len(batch.term_column) // 2
    return (
        struct.unpack(f"<{count}H", batch.term_column),
        struct.unpack(f"<{count}I", batch.lots_column),
        struct.unpack(f"<{count}q", batch.price_column),
    )
