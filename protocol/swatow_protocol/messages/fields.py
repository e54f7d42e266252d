"""The bounded types that fields of messages are made of.

Each alias is a type and its bound; a value outside it is refused by the decoder, with the path of
the field. `None` in an optional field means "not stated", and not stated is never "allowed".
"""

import enum
from typing import Annotated

from msgspec import Meta

from swatow_protocol import limits

# Names and places.
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._/:-]{0,95}\Z", max_length=96)]
"""Lower-case ASCII name of a model, network, vendor, engine or feature, up to 96 characters."""
Zone = Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z0-9]{1,24}){0,3}\Z", max_length=80)]
"""A place: ISO country first, then finer parts, as in `cn-gd-shantou` or `sg`."""
Country = Annotated[str, Meta(pattern=r"^[a-z]{2}\Z")]
"""ISO 3166-1 alpha-2 code in lower case: the jurisdiction of a zone is its first part."""
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
"""ISO 4217 code, as in `USD` or `CNY`."""
Address = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:\[\]-]{1,255}:[0-9]{1,5}\Z", max_length=261)]
"""`host:port` of a gRPC server."""
Text = Annotated[str, Meta(max_length=1024)]
"""A sentence for a person, up to 1,024 characters. Never parsed."""

# Keys, hashes and signatures.
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""32 bytes: an Ed25519 or X25519 public key."""
Id = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""32 bytes: BLAKE2b-256 of a payload."""
Sha256 = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""32 bytes: SHA-256 of a file or of a certificate in DER form."""
Nonce = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""16 random bytes that make two otherwise equal messages distinct."""
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
"""64 bytes: an Ed25519 signature."""
Embedded = Annotated[bytes, Meta(max_length=limits.ENVELOPE_BYTES_MAX)]
"""A whole signed envelope carried inside another message."""

# Quantities.
Price = Annotated[int, Meta(ge=0, le=limits.PRICE_MAX)]
"""Nanos of the currency for a lot, which is millionths for a million standard tokens."""
Lots = Annotated[int, Meta(ge=1, le=limits.LOTS_MAX)]
"""Whole lots of 1,000 standard tokens."""
Nanos = Annotated[int, Meta(ge=0, le=limits.MONEY_MAX)]
"""Money: billionths of one unit of the currency."""
StandardTokens = Annotated[int, Meta(ge=0, le=limits.STANDARD_TOKENS_MAX)]
"""Whole standard tokens."""
Tokens = Annotated[int, Meta(ge=0, le=limits.STANDARD_TOKENS_MAX)]
"""A count of the model's own tokens."""
TokenId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""Number of a token in the model's vocabulary."""
Weight = Annotated[int, Meta(ge=0, le=limits.WEIGHT_MAX)]
"""Thousandths of a standard token."""
Rate = Annotated[int, Meta(ge=1, le=limits.STANDARD_TOKENS_MAX)]
"""Standard tokens a second."""
Count = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""A plain count, or a number in a sequence."""
Serial = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A number that only grows, such as an offer's sequence or a round."""
PartsPerMillion = Annotated[int, Meta(ge=0, le=1_000_000)]
"""A share, in millionths."""
CreditTokens = Annotated[int, Meta(ge=1, le=limits.CREDIT_WINDOW_MAX)]
"""Output tokens of credit between buyer and node."""

# Time.
TimeUs = Annotated[int, Meta(ge=0, le=2**53)]
"""Microseconds since 1970-01-01 UTC."""
DurationUs = Annotated[int, Meta(ge=0, le=limits.ORDER_LIFE_US)]
"""A length of time in microseconds."""
Milliseconds = Annotated[int, Meta(ge=0, le=limits.MILLISECONDS_MAX)]
"""A length of time in milliseconds, up to an hour."""

# Position.
Latitude = Annotated[int, Meta(ge=-90_000_000, le=90_000_000)]
"""Millionths of a degree; north is positive."""
Longitude = Annotated[int, Meta(ge=-180_000_000, le=180_000_000)]
"""Millionths of a degree; east is positive."""

# Attributes.
CarbonMilligrams = Annotated[int, Meta(ge=0, le=10**9)]
"""Milligrams of CO2 equivalent a lot, which is grams for a million standard tokens."""
EnergyMillijoules = Annotated[int, Meta(ge=0, le=2**53)]
"""Energy at the socket, in thousandths of a joule."""
Reputation = Annotated[int, Meta(ge=0, le=1_000)]
"""The market's estimate of a node, 0 to 1,000."""


class Retention(enum.IntEnum):
    """How long a node keeps prompt or answer after the job; a larger value keeps longer."""

    NOTHING = 0
    """Nothing beyond the life of the job."""
    DAY = 1
    """Up to 24 hours."""
    MONTH = 2
    """Up to 31 days."""
    UNBOUNDED = 3
    """Longer, or used for training."""


class DataClass(enum.IntEnum):
    """What kind of data an order brings; a larger value needs more care."""

    PUBLIC = 0
    """Neither personal nor otherwise restricted."""
    PERSONAL = 1
    """Personal information."""
    IMPORTANT = 2
    """Data that its country of origin restricts as important."""


class Service(enum.StrEnum):
    """What an engine can be asked for: one value for each OpenAI endpoint it serves."""

    CHAT = "chat"
    """/v1/chat/completions"""
    COMPLETIONS = "completions"
    """/v1/completions"""
    EMBEDDINGS = "embeddings"
    """/v1/embeddings"""
