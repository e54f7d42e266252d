"""What a market publishes of a round: its signed word on the record, and the record itself.

One file a round, the same bytes as in the database but for compression. Whoever has the file and
the market's key needs nothing else to check the round: `check` reads these bytes alone.
"""

import zlib
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from swatow_market.exchange.certificate.record import RECORD_BYTES_MAX, Record, decode, id_of
from swatow_market.exchange.certificate.verify import Judgement, judge
from swatow_protocol import codec, limits
from swatow_protocol.envelope import Envelope, verify
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages import Body, RoundHead

FILE_BYTES_MAX = limits.ROUND_BYTES_MAX
_COMPRESSION = 1  # fast: a record is written within its round


class PublishedRound(Body, frozen=True, kw_only=True):
    """The content of a round's file."""

    head: Annotated[bytes, Meta(max_length=limits.ENVELOPE_BYTES_MAX)]
    """Signed RoundHead."""
    record: Annotated[bytes, Meta(max_length=RECORD_BYTES_MAX)]
    """Bytes of a Record, its id behind it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a round's file came to."""

    head: RoundHead
    record: Record
    judgement: Judgement


def check(data: bytes) -> Checked:
    """Check a round's file; the caller compares the sender of its head with the market's key.

    Raises:
        MessageRefused: it is no such file, the head is not signed by its sender, or it is the head
            of another record or round.
    """
    if len(data) > FILE_BYTES_MAX:
        raise MessageRefused(Refusal.OVERSIZED, f"{len(data)} bytes > {FILE_BYTES_MAX}")
    published = codec.decode(PublishedRound, data)
    head = _head(published.head)
    if head.record != id_of(published.record):
        raise MessageRefused(Refusal.BAD_SIGNATURE, "the market has signed another record")
    record = decode(published.record)
    stated = head.round
    if (record.round.network, record.round.shard, record.round.epoch, record.round.number) != (
        head.network,
        stated.shard,
        stated.epoch,
        stated.number,
    ):
        raise MessageRefused(Refusal.MALFORMED, "the record is of another round than its head")
    return Checked(head, record, judge(record))


def compress(data: bytes) -> bytes:
    """Return a record, or the inputs of a round, as the database keeps them."""
    return zlib.compress(data, _COMPRESSION)


def decompress(kept: bytes, bytes_max: int = RECORD_BYTES_MAX) -> bytes:
    """Return what the database has kept: a record, or up to `bytes_max` of something else."""
    return zlib.decompressobj().decompress(kept, bytes_max)


def _head(envelope: bytes) -> RoundHead:
    """Verify a head of whatever network it says that it is for."""
    claimed = codec.decode(RoundHead, codec.decode(Envelope, envelope).payload)
    return verify(envelope, RoundHead, network=claimed.network, now_us=None).message
