"""Offer: what a node can serve, at which price, with which promises, for how long."""

from typing import Annotated, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Body, Message
from swatow_protocol.messages.fields import (
    Address,
    CarbonMilligrams,
    Count,
    CreditTokens,
    Currency,
    Id,
    Key,
    Lots,
    Milliseconds,
    Name,
    Price,
    Rate,
    Retention,
    Serial,
    Sha256,
    TimeUs,
    Zone,
)

Names = Annotated[tuple[Name, ...], Meta(max_length=limits.LIST_ITEMS_MAX)]


class PriceStep(Body, frozen=True, kw_only=True):
    """So many lots at this price; the steps of an offer rise in price."""

    price: Price
    """What the node asks for each of them."""
    lots: Lots
    """How many."""


class LaterSupply(Body, frozen=True, kw_only=True):
    """What a node will serve in one later period of the market, and at which price."""

    start_us: TimeUs
    """When the period starts; it is as long as the market's terms say."""
    steps: Annotated[tuple[PriceStep, ...], Meta(min_length=1, max_length=limits.PRICE_STEPS_MAX)]
    """Lots it will have promised for that period, cheapest first."""


class PaymentTerms(Body, frozen=True, kw_only=True):
    """How often the buyer signs, and how much unpaid work the node allows."""

    voucher_interval: CreditTokens = limits.VOUCHER_INTERVAL
    """Output tokens after which the buyer signs the next voucher."""
    credit_window: CreditTokens = limits.CREDIT_WINDOW
    """Output tokens that may be unpaid before the node pauses; at least the interval."""


class Promises(Body, frozen=True, kw_only=True):
    """What the node commits to; None is "not promised"."""

    time_to_first_token_ms: Milliseconds | None = None
    """95 of 100 jobs get their first token within this time."""
    tokens_per_second: Rate | None = None
    """Median output rate of one job, in output tokens a second."""
    jobs_at_once: Count | None = None
    """Jobs that run side by side; further ones wait."""
    notice_ms: Milliseconds | None = None
    """Warning before the node takes capacity back from running jobs."""


class Attributes(Body, frozen=True, kw_only=True):
    """What the node says of itself; None is "not stated" and fails an order that asks."""

    vendor: Name | None = None
    """Maker of the accelerator: `nvidia`, `ascend`, `amd`, `cpu`."""
    accelerator: Name | None = None
    """The accelerator's model: `h200`, `910c`."""
    engine: Name | None = None
    """Inference engine and version: `llama.cpp/xllamacpp-2026.10.11549`."""
    engine_profile: Sha256 | None = None
    """Hash of the engine's settings that change its numbers, for verification by re-execution."""
    features: Names | None = None
    """What the engine can do beyond plain text: `logprobs`, `seed`, `tools`, `json-schema`."""
    retention: Retention | None = None
    """How long prompts and answers are kept after the job."""
    corridors: Names | None = None
    """Corridors under which it may process data that comes from elsewhere."""
    carbon_mg_per_lot: CarbonMilligrams | None = None
    """CO2 equivalent of a lot, which is grams for a million standard tokens."""
    energy_source: Name | None = None
    """Where the power comes from: `wind`, `solar`, `grid`."""
    attestation: Name | None = None
    """Kind of hardware attestation on offer: `sev-snp`, `tdx`, `nvidia-cc`."""


class Offer(Message, frozen=True, kw_only=True):
    """A node's statement of what it can serve. Sent by the node; the latest sequence wins."""

    kind: Literal["offer"] = "offer"
    model: Id
    """The model it serves, as the market lists it."""
    currency: Currency
    """Currency of its prices."""
    sequence: Serial
    """Grows with every offer of the node for the model; an older one is ignored."""
    valid_from_us: TimeUs
    """From here on it may be drawn upon."""
    expires_us: TimeUs
    """From here on the offer does not exist."""
    zone: Zone
    """Where the tokens are made."""
    steps: Annotated[tuple[PriceStep, ...], Meta(max_length=limits.PRICE_STEPS_MAX)]
    """Lots it will have promised in open awards at any one time, cheapest first; none where it
    serves only later."""
    later: Annotated[tuple[LaterSupply, ...], Meta(max_length=limits.PERIODS_MAX)] = ()
    """Supply in later periods, by their start; a period that is not listed has none."""
    rate: Rate | None
    """Standard tokens a second that it sustains in all; None is not stated."""
    promises: Promises
    """What the node commits to."""
    attributes: Attributes
    """What the node says of itself."""
    payment: PaymentTerms
    """The shortest interval and the widest window that the node accepts."""
    addresses: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=limits.ADDRESSES_MAX)]
    """Where buyers reach it; the first is tried first."""
    certificate_sha256: Sha256
    """The TLS certificate to pin when connecting."""
    sealing_key: Key
    """X25519 key to which requests are sealed; it rotates with the offer."""
