"""Every bound of the wire, in one place: sizes in bytes, counts, and durations in microseconds.

A bound here is part of the protocol: both sides refuse what passes it. What happens at a bound is
said where it is enforced. Bounds of one process (its queues, caches and retries) stand beside the
code that owns them.
"""

from typing import Final

from swatow_protocol.units import MICROS_PER_SECOND

# Sizes.
FRAME_BYTES_MAX: Final = 1 << 20
"""One gRPC message, whatever it carries. A larger one ends its call with RESOURCE_EXHAUSTED."""
ENVELOPE_BYTES_MAX: Final = 64 << 10
"""One signed envelope of any kind, unless a larger bound is given for the kind below."""
BATCH_BYTES_MAX: Final = 4 << 20
"""One signed batch of orders; it travels in parts, each within FRAME_BYTES_MAX."""
QUERY_BYTES_MAX: Final = 80 << 10
"""One signed query, which may carry an envelope."""
OFFER_LIST_BYTES_MAX: Final = 96 << 20
"""The list of a market's live offers; it travels in parts."""
NETWORK_MAP_BYTES_MAX: Final = 16 << 20
"""One signed network map; it travels in parts."""
ROUND_BYTES_MAX: Final = 257 << 20
"""One published round: its record and the market's word on it; it travels in parts."""
PART_BYTES: Final = 512 << 10
"""How much of a long body goes into one part."""
REQUEST_BYTES_MAX: Final = 768 << 10
"""One sealed inference request: about 190,000 tokens of English text."""
JOB_OPEN_BYTES_MAX: Final = REQUEST_BYTES_MAX + (4 << 10)
"""One signed opening of a job: the sealed request and what stands around it."""
TOKENIZER_BYTES_MAX: Final = 64 << 20
"""One tokenizer file, as served by a node in parts."""
FRAMES_BYTES: Final = 256 << 10
"""A writer puts at most about this much into one message of a job stream."""

# Counts.
MODELS_PER_ORDER_MAX: Final = 16
PRICE_STEPS_MAX: Final = 16
PERIODS_MAX: Final = 24
"""Later periods for which an offer may state supply."""
ADDRESSES_MAX: Final = 4
LIST_ITEMS_MAX: Final = 64
"""Zones, vendors, precisions and the like in one limit of an order."""
BATCH_ORDERS_MAX: Final = 100_000
BATCH_TERMS_MAX: Final = 1_024
"""Distinct sets of terms that the orders of one batch may share."""
ZONES_MAX: Final = 4_096
"""Zones of one network map."""
PATHS_MAX: Final = 65_536
"""Paths of one network map: all of those between 256 zones."""
CORRIDORS_MAX: Final = 256
"""Corridors of one network map."""
JOBS_PER_STREAM_MAX: Final = 256
"""Unfinished jobs of one buyer at one node."""
FRAMES_PER_MESSAGE_MAX: Final = 4_096
TOKENS_PER_CHUNK_MAX: Final = 4_096
QUERY_IDS_MAX: Final = 256

# Amounts. Every product of two of them fits 63 bits where the protocol multiplies.
PRICE_MAX: Final = 10**12
"""Nanos a lot: one million units of the currency for a million tokens."""
LOTS_MAX: Final = 10**6
"""Lots of one order or one price step: a thousand million standard tokens."""
MONEY_MAX: Final = 2**63 - 1
STANDARD_TOKENS_MAX: Final = LOTS_MAX * 1_000
WEIGHT_MAX: Final = 10_000
"""Thousandths of a standard token: a prompt token may weigh up to ten output tokens."""
CONTEXT_TOKENS_MAX: Final = 10**8

# Credit between buyer and node.
VOUCHER_INTERVAL: Final = 16
"""Output tokens between two vouchers, unless offer and order agree otherwise."""
CREDIT_WINDOW: Final = 32
"""Output tokens that a node lets a buyer owe for, unless offer and order agree otherwise."""
CREDIT_WINDOW_MAX: Final = 4_096
JOB_CREDIT_BYTES: Final = 256 << 10
"""Bytes of chunks that a node may have under way for one job before the buyer grants more."""

# Time.
CLOCK_SKEW_US: Final = 60 * MICROS_PER_SECOND
"""How far ahead of the receiver's clock a message may be issued."""
MESSAGE_AGE_US: Final = 60 * MICROS_PER_SECOND
"""How old a message that asks for something (an order, a query) may be when it arrives."""
OFFER_LIFE_US: Final = 600 * MICROS_PER_SECOND
"""The longest validity of one offer; a node renews it well before."""
AWARD_LIFE_US: Final = 86_400 * MICROS_PER_SECOND
"""The longest time in which an award may be drawn upon."""
PERIOD_MIN_US: Final = 60 * MICROS_PER_SECOND
PERIOD_MAX_US: Final = 86_400 * MICROS_PER_SECOND
"""The shortest and the longest period of a market."""
ORDER_LIFE_US: Final = 30 * 86_400 * MICROS_PER_SECOND
"""The longest time for which an order may wait in the book."""
MILLISECONDS_MAX: Final = 3_600_000
"""The longest time that is told in milliseconds: an hour."""
CERTIFICATE_LIFE_US: Final = 7 * 86_400 * MICROS_PER_SECOND
"""Validity of a server's TLS certificate."""
