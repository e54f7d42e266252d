"""The codec: a value has one encoding, and whatever else arrives is refused, never an accident."""

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import codec
from swatow_protocol.envelope import Envelope, peek_kind
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages import Body, Chunk, Credit, Frame, Refused, Release, Usage

KINDS: tuple[type[Body], ...] = (Frame, Chunk, Credit, Refused, Release, Usage)

USAGE = Usage(prompt_tokens=5, output_tokens=300)

plain_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


def refusal_of(kind: type[msgspec.Struct], data: bytes) -> Refusal:
    with pytest.raises(MessageRefused) as refused:
        codec.decode(kind, data)
    return refused.value.refusal


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_what_is_encoded_comes_back(prompt: int, output: int) -> None:
    usage = Usage(prompt_tokens=prompt, output_tokens=output)
    assert codec.decode(Usage, codec.encode(usage)) == usage


@given(plain_values | st.lists(st.integers(0, 300) | st.binary(max_size=40), max_size=5))
def test_whatever_is_accepted_was_the_one_encoding(value: Any) -> None:
    data = msgpack.packb(value)
    for kind in KINDS:
        try:
            decoded = codec.decode(kind, data)
        except MessageRefused:
            continue
        assert codec.encode(decoded) == data


@given(st.binary(max_size=60))
def test_random_bytes_are_accepted_only_as_the_one_encoding(data: bytes) -> None:
    for kind in KINDS:
        try:
            decoded = codec.decode(kind, data)
        except MessageRefused:
            continue
        assert codec.encode(decoded) == data


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("94 cc05 00 cd012c 00", "an integer of one byte too many"),
        ("94 cd0005 00 cd012c 00", "an integer of two bytes too many"),
        ("94 ce00000005 00 cd012c 00", "an integer of four bytes too many"),
        ("94 cf0000000000000005 00 cd012c 00", "an integer of eight bytes too many"),
        ("94 d005 00 cd012c 00", "a signed spelling"),
        ("94 05 00 d1012c 00", "a signed spelling of two bytes"),
        ("94 ca40a00000 00 cd012c 00", "a float that is whole"),
        ("94 cb4014000000000000 00 cd012c 00", "a double that is whole"),
        ("dc0004 05 00 cd012c 00", "a longer head of the array"),
        ("dd00000004 05 00 cd012c 00", "the longest head of the array"),
    ],
)
def test_second_spellings_of_a_value_are_refused(spelling: str, name: str) -> None:
    data = bytes.fromhex(spelling)
    assert msgpack.unpackb(data) == msgpack.unpackb(codec.encode(USAGE)), name
    assert refusal_of(Usage, data) in {Refusal.NOT_CANONICAL, Refusal.MALFORMED}


def test_longer_heads_of_byte_strings_are_refused() -> None:
    award = b"a" * 32
    assert codec.decode(Release, b"\x91\xc4\x20" + award) == Release(award=award)
    for head in (b"\xc5\x00\x20", b"\xc6\x00\x00\x00\x20", b"\xd9\x20", b"\xda\x00\x20"):
        assert refusal_of(Release, b"\x91" + head + award) in {
            Refusal.NOT_CANONICAL,
            Refusal.MALFORMED,
        }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        msgpack.packb({"prompt_tokens": 1}),
        codec.encode(USAGE) + b"\xc0",
        codec.encode(USAGE)[:-1],
    ],
    ids=[
        "empty",
        "reserved",
        "nesting",
        "array of 2^32",
        "map of 2^32",
        "bytes of 2^32",
        "extension of 2^32",
        "a map",
        "trailing",
        "truncated",
    ],
)
def test_hostile_bytes_are_malformed(data: bytes) -> None:
    for kind in KINDS:
        assert refusal_of(kind, data) is Refusal.MALFORMED


def test_text_that_is_no_utf_8_is_malformed() -> None:
    assert refusal_of(Refused, b"\x93\xa4busy\xa3\xed\xa0\x80\xc0") is Refusal.MALFORMED
    assert refusal_of(Refused, b"\x93\xa4busy\xa1\xff\xc0") is Refusal.MALFORMED


def test_a_refusal_names_the_kind_and_the_path_of_the_field() -> None:
    with pytest.raises(MessageRefused) as refused:
        codec.decode(Usage, msgpack.packb([0, 0, -1, 0]))
    assert refused.value.refusal is Refusal.MALFORMED
    assert "Usage" in refused.value.detail
    assert "$[2]" in refused.value.detail


def test_a_decoder_is_built_once_for_each_kind() -> None:
    assert codec.decoder(Usage) is codec.decoder(Usage)
    assert codec.decoder(Usage).type is Usage


def test_nesting_behind_the_head_of_a_payload_names_no_kind() -> None:
    """peek_kind skips the fields behind the head, and must survive what it skips."""
    payload = b"\x93\x01\xa5award" + b"\x91" * 200_000 + b"\xc0"
    envelope = codec.encode(Envelope(payload, bytes(64)))
    assert peek_kind(envelope) is None
