"""The bounds fit together: what may be made can be sent, and what is multiplied does not overflow.

The largest message of each kind is built from the bounds of its fields, so a bound that is widened
without the one around it fails here and not in the field.
"""

from typing import Any

import pytest
from msgspec import inspect

from swatow_protocol import codec, limits
from swatow_protocol.carriers.grpc._generated.exchange_pb2 import Frames, Packet
from swatow_protocol.envelope import Envelope, sign, verify
from swatow_protocol.identity import Identity
from swatow_protocol.messages import (
    SIGNED_KINDS,
    Accepted,
    Chunk,
    Close,
    FinishReason,
    Frame,
    FrameKind,
    JobOpen,
    MarketTerms,
    Message,
    Model,
    NetworkMap,
    Offer,
    OpenBody,
    OrderBatch,
    Voucher,
)
from swatow_protocol.messages.answers import (
    MODELS_LISTED_MAX,
    OFFERS_LISTED_MAX,
    Catalogue,
    OfferList,
)
from swatow_protocol.messages.order import pack_columns
from swatow_protocol.multiplex import OUTBOX_BYTES_MAX, Outbox
from swatow_protocol.sealing import OVERHEAD_BYTES
from swatow_protocol.units import STANDARD_TOKENS_PER_LOT, THOUSANDTHS
from tests.support import samples

INT64_MAX = 2**63 - 1

LONGEST_NAME = "a" * 96
LONGEST_BY_PATTERN = {
    r"^[a-z0-9][a-z0-9._/:-]{0,95}\Z": LONGEST_NAME,
    r"^[a-z]{2}(-[a-z0-9]{1,24}){0,3}\Z": "cn" + 3 * ("-" + "a" * 24),
    r"^[a-z]{2}\Z": "cn",
    r"^[A-Z]{3}\Z": "USD",
    r"^[A-Za-z0-9.:\[\]-]{1,255}:[0-9]{1,5}\Z": "a" * 255 + ":65535",
}


def largest_value(found: inspect.Type) -> Any:
    """Return the value of a field's type that takes the most bytes."""
    match found:
        case inspect.StrType(pattern=None, max_length=int(longest)):
            return "\N{GRINNING FACE}" * longest  # four bytes a character
        case inspect.StrType(pattern=str(pattern)):
            return LONGEST_BY_PATTERN[pattern]
        case inspect.BytesType(max_length=int(longest)):
            return b"\xff" * longest
        case inspect.IntType(le=int(most)):
            return most
        case inspect.VarTupleType(item_type=item, max_length=int(longest)):
            return (largest_value(item),) * longest
        case inspect.UnionType(types=types):
            return next(largest_value(each) for each in types if each != inspect.NoneType())
        case inspect.EnumType(cls=members):
            return max(members, key=lambda member: len(str(member.value)))
        case inspect.StructType(cls=kind):
            return largest(kind)
        case inspect.BoolType():
            return True
    raise AssertionError(found)


def largest(kind: type[Any], **fields: Any) -> Any:
    """Return the message of a kind with every field at its bound, except those given."""
    for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        if not isinstance(field.type, inspect.LiteralType):
            fields.setdefault(field.name, largest_value(field.type))
    return kind(**fields)


def largest_signed(kind: type[Message], signer: Identity = samples.NODE) -> bytes:
    """Return the envelope of the largest message of a kind."""
    return sign(largest(kind, sender=signer.key), signer).envelope


IN_PARTS = (OrderBatch, NetworkMap)
"""What travels in parts; of a batch, columns and terms are bounded together, by BATCH_BYTES_MAX."""


@pytest.mark.parametrize(
    "kind",
    [kind for kind in SIGNED_KINDS if kind not in IN_PARTS],
    ids=lambda kind: kind.__name__,
)
def test_the_largest_message_of_a_kind_fits_its_envelope(kind: type[Message]) -> None:
    envelope = largest_signed(kind)
    assert len(envelope) <= kind.BYTES_MAX
    assert len(Packet(body=envelope).SerializeToString()) <= limits.FRAME_BYTES_MAX
    verify(envelope, kind, network=LONGEST_NAME, now_us=None)


def test_the_largest_network_map_fits_its_envelope() -> None:
    envelope = largest_signed(NetworkMap, samples.MARKET)
    assert len(envelope) <= limits.NETWORK_MAP_BYTES_MAX
    verify(envelope, NetworkMap, network=LONGEST_NAME, now_us=None)


def test_every_envelope_may_be_as_large_as_its_kind() -> None:
    """The bound on any payload stands before it is known of which kind it is."""
    (payload, _) = inspect.type_info(Envelope).fields  # type: ignore[attr-defined]
    assert payload.type.max_length >= max(kind.BYTES_MAX for kind in SIGNED_KINDS)


def test_a_batch_of_the_most_orders_fits_its_envelope() -> None:
    rows = [(0, limits.LOTS_MAX, limits.PRICE_MAX)] * limits.BATCH_ORDERS_MAX
    terms_column, lots_column, price_column = pack_columns(rows)
    batch = samples.order_batch(
        terms=(samples.terms(),) * limits.BATCH_TERMS_MAX,
        term_column=terms_column,
        lots_column=lots_column,
        price_column=price_column,
    )
    envelope = sign(batch, samples.BUYER).envelope
    assert len(envelope) <= limits.BATCH_BYTES_MAX
    verify(envelope, OrderBatch, network=samples.NETWORK, now_us=samples.NOW_US)


def test_the_largest_opening_of_a_job_fits_one_message() -> None:
    opening = largest_signed(JobOpen)
    assert len(opening) <= limits.JOB_OPEN_BYTES_MAX
    embedded = bytes(limits.ENVELOPE_BYTES_MAX)
    body = codec.encode(OpenBody(award=embedded, offer=embedded, open=opening))
    frame = Frame(job=2**32 - 1, kind=FrameKind.OPEN, body=body)
    assert codec.decode(Frame, codec.encode(frame)) == frame
    outbox = Outbox()
    outbox.push(frame)
    assert Frames(frame=outbox.take()).ByteSize() <= limits.FRAME_BYTES_MAX


def test_the_largest_frames_of_a_node_fit_one_message() -> None:
    """A chunk as a node makes it: events of FRAMES_BYTES in all, and an id for each token."""
    pieces = limits.TOKENS_PER_CHUNK_MAX
    chunk = Chunk(
        position=limits.STANDARD_TOKENS_MAX,
        tokens=pieces,
        token_ids=(2**32 - 1,) * pieces,
        events=(bytes(limits.FRAMES_BYTES // pieces),) * pieces,
        transcript=bytes(32),
    )
    envelope = bytes(limits.ENVELOPE_BYTES_MAX)
    close = Close(
        finish_reason=FinishReason.STOP, detail="\N{GRINNING FACE}" * 1024, receipt=envelope
    )
    for body in (chunk, close, largest(Accepted)):
        assert codec.decode(type(body), codec.encode(body)) == body
        sealed = codec.encode(body) + bytes(OVERHEAD_BYTES)
        frame = Frame(job=2**32 - 1, kind=FrameKind.CHUNK, body=sealed)
        assert Frames(frame=[codec.encode(frame)]).ByteSize() <= limits.FRAME_BYTES_MAX


def test_a_message_of_the_most_frames_fits_its_size() -> None:
    """A writer stops at FRAMES_BYTES; what protobuf adds to that many frames has room too."""
    frames = [bytes(limits.FRAMES_BYTES // limits.FRAMES_PER_MESSAGE_MAX)]
    assert Frames(frame=frames * limits.FRAMES_PER_MESSAGE_MAX).ByteSize() < limits.FRAME_BYTES_MAX


def test_a_part_fits_one_message() -> None:
    assert Packet(body=bytes(limits.PART_BYTES)).ByteSize() <= limits.FRAME_BYTES_MAX


def test_the_longest_catalogue_fits_one_message() -> None:
    model = largest_signed(Model, samples.MARKET)
    terms = largest_signed(MarketTerms, samples.MARKET)
    catalogue = Catalogue(terms=terms, models=(model,) * MODELS_LISTED_MAX)
    assert Packet(body=codec.encode(catalogue)).ByteSize() <= limits.FRAME_BYTES_MAX


def test_the_longest_list_of_the_largest_offers_fits_what_a_client_takes() -> None:
    """A market answers ListOffers in parts, so a full book must fit the bound on all of them."""
    offers = OfferList(offers=(largest_signed(Offer),) * OFFERS_LISTED_MAX)
    assert len(codec.encode(offers)) <= limits.OFFER_LIST_BYTES_MAX


def test_a_voucher_fits_a_redemption_and_an_acceptance() -> None:
    voucher = largest_signed(Voucher)
    assert len(voucher) <= limits.ENVELOPE_BYTES_MAX // 2


@pytest.mark.parametrize(
    "product",
    [
        limits.LOTS_MAX * limits.PRICE_MAX,
        limits.LOTS_MAX * STANDARD_TOKENS_PER_LOT * THOUSANDTHS,
        limits.STANDARD_TOKENS_MAX * limits.WEIGHT_MAX,
        limits.STANDARD_TOKENS_MAX * THOUSANDTHS,
        (STANDARD_TOKENS_PER_LOT - 1) * limits.PRICE_MAX,
    ],
    ids=[
        "lots x price",
        "award in thousandths",
        "prompt tokens x weight",
        "output in thousandths",
        "the rest of a lot x price (cost_nanos)",
    ],
)
def test_products_fit_63_bits_where_the_protocol_multiplies(product: int) -> None:
    """As limits.py says of amounts; an implementation in another language counts on it."""
    assert product <= INT64_MAX


def test_amounts_fit_their_fields() -> None:
    assert limits.LOTS_MAX * limits.PRICE_MAX <= limits.MONEY_MAX == INT64_MAX
    assert limits.STANDARD_TOKENS_MAX == limits.LOTS_MAX * STANDARD_TOKENS_PER_LOT


def test_credit_windows_hold_the_interval_and_fit_a_chunk() -> None:
    assert 1 <= limits.VOUCHER_INTERVAL <= limits.CREDIT_WINDOW <= limits.CREDIT_WINDOW_MAX
    assert limits.CREDIT_WINDOW_MAX <= limits.TOKENS_PER_CHUNK_MAX


def test_sizes_nest() -> None:
    assert limits.REQUEST_BYTES_MAX < limits.JOB_OPEN_BYTES_MAX < limits.FRAME_BYTES_MAX
    assert limits.ENVELOPE_BYTES_MAX < limits.FRAMES_BYTES <= limits.JOB_CREDIT_BYTES
    assert limits.FRAMES_BYTES < limits.FRAME_BYTES_MAX <= OUTBOX_BYTES_MAX
    assert limits.PART_BYTES < limits.FRAME_BYTES_MAX < limits.BATCH_BYTES_MAX


def test_times_nest() -> None:
    """An offer outlives no certificate that it names: a certificate is renewed at half its life."""
    assert limits.OFFER_LIFE_US < limits.CERTIFICATE_LIFE_US // 2
    assert limits.AWARD_LIFE_US < limits.CERTIFICATE_LIFE_US // 2
    assert limits.AWARD_LIFE_US <= limits.ORDER_LIFE_US
    assert limits.CLOCK_SKEW_US <= limits.MESSAGE_AGE_US < limits.OFFER_LIFE_US
