"""Voucher, receipt, redemption and contest: what is owed, what was done, and what is claimed.

A node is paid on what the buyer signed. The voucher is a promise, cumulative over the award, so
that the highest one is the only one that counts. The receipt is evidence. What the buyer signed
also has the order's take-or-pay share: that much the node may claim unused, if it stood ready.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Body, Message
from swatow_protocol.messages.fields import (
    CarbonMilligrams,
    Count,
    Currency,
    Embedded,
    EnergyMillijoules,
    Id,
    Key,
    Nanos,
    Price,
    StandardTokens,
    TimeUs,
    Tokens,
)
from swatow_protocol.messages.job import FinishReason


class Usage(Body, frozen=True, kw_only=True):
    """Tokens in the model's own count."""

    prompt_tokens: Tokens = 0
    """Whole prompt, cached part included."""
    cached_tokens: Tokens = 0
    """Part of the prompt that came from the node's cache."""
    output_tokens: Tokens = 0
    """Whole answer, reasoning included."""
    reasoning_tokens: Tokens = 0
    """Part of the answer that the engine does not show."""


class Voucher(Message, frozen=True, kw_only=True):
    """ "I owe for N standard tokens of this award so far." Sent by the buyer."""

    kind: Literal["voucher"] = "voucher"
    award: Id
    """For which award."""
    node: Key
    """To whom it is owed."""
    standard_tokens: StandardTokens
    """Cumulative over all jobs of the award; a higher one replaces a lower one."""
    usage: Usage
    """Cumulative over all jobs of the award."""
    job: Id
    """The job whose progress this voucher answers."""
    transcript: Id
    """Running hash of that job, as far as the buyer has received it."""


class Receipt(Message, frozen=True, kw_only=True):
    """What one job was. Sent by the node, countersigned by the buyer."""

    kind: Literal["receipt"] = "receipt"
    job: Id
    """The job: the id of its opening."""
    award: Id
    """The award that it drew on."""
    model: Id
    """The model that made the answer."""
    buyer: Key
    """Who asked, and countersigns."""
    finish_reason: FinishReason
    """Why it ended."""
    usage: Usage
    """Of this job alone."""
    standard_tokens: StandardTokens
    """Of this job alone, rounded up to a whole one."""
    award_standard_tokens: StandardTokens
    """Cumulative over the award when this job closed."""
    currency: Currency
    """Currency of price and cost."""
    price: Price
    """Nanos a lot, as in the award."""
    cost: Nanos
    """Of this job alone, rounded up to a whole nano. An award is rounded once over all its jobs,
    so the costs of several may add up to a little more than is paid."""
    opened_us: TimeUs
    """When the opening arrived, by the node's clock."""
    first_token_us: TimeUs | None
    """When the first token was sent; None if none was."""
    closed_us: TimeUs
    """When the receipt was signed."""
    energy_mj: EnergyMillijoules | None
    """Energy of this job; None where it is not measured."""
    carbon_mg_per_lot: CarbonMilligrams | None
    """As stated in the offer; None where it is not."""
    chunks: Count
    """Chunks that the transcript covers."""
    transcript: Id
    """Running hash over the whole job."""


class Redemption(Message, frozen=True, kw_only=True):
    """Claim what a voucher promises. Sent by the node to the market."""

    kind: Literal["redemption"] = "redemption"
    award: Id
    """For which award."""
    voucher: Annotated[bytes, Meta(max_length=limits.ENVELOPE_BYTES_MAX // 2)] | None
    """Envelope of the highest voucher; None releases an award on which nothing was owed."""
    standard_tokens: StandardTokens
    """What is claimed: at most what the voucher promises, less where the node counted less."""
    final: bool
    """No more will be claimed: release the rest of the hold."""
    stood_ready: bool
    """The node would have served the award for as long as it could be drawn upon, and claims the
    take-or-pay share. Only in a final claim, and not before the award expires."""


class Contest(Message, frozen=True, kw_only=True):
    """ "This node does not serve me: I let go of its award." Sent by the buyer to the market.

    The award is drawn upon no more, and its take-or-pay share is owed only for the part of its
    life that has passed. What vouchers promise stays owed.
    """

    AGE_MAX_US: ClassVar[int | None] = limits.MESSAGE_AGE_US

    kind: Literal["contest"] = "contest"
    award: Id
    """Which award."""


class Countersigned(Body, frozen=True, kw_only=True):
    """A receipt with both signatures, as either side keeps it."""

    receipt: Embedded
    """Envelope of the node's receipt."""
    countersignature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    """The buyer's signature over the payload of the receipt."""
