"""Signed envelopes: whatever was changed, moved, padded or borrowed is refused, with a reason."""

import itertools
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import codec, limits
from swatow_protocol.envelope import (
    Envelope,
    content_id,
    countersign,
    domain,
    is_countersigned,
    peek_kind,
    sign,
    verify,
)
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.identity import Identity
from swatow_protocol.messages import SIGNED_KINDS, Message, Query, Voucher
from tests.support import samples
from tests.support.samples import NETWORK, NOW_US

EACH = samples.one_of_each()
NAMES = [type(message).__name__ for message, _ in EACH]


def refusal_of(envelope: bytes, kind: type[Message], **changes: Any) -> Refusal:
    arguments: dict[str, Any] = {"network": NETWORK, "now_us": NOW_US, **changes}
    with pytest.raises(MessageRefused) as refused:
        verify(envelope, kind, **arguments)
    assert refused.value.detail, "a refusal says what is wrong"
    return refused.value.refusal


def packed(envelope: bytes) -> tuple[list[Any], bytes]:
    """Return the payload as plain values, and the signature."""
    payload, signature = msgpack.unpackb(envelope)
    return msgpack.unpackb(payload), signature


def repacked(payload: bytes, signer: Identity, kind: type[Message]) -> bytes:
    """Sign any payload as `kind`, as a hostile but valid signer would."""
    signature = signer.sign(domain(kind), payload)
    return bytes(msgpack.packb([payload, signature]))


def test_there_is_a_sample_of_every_kind() -> None:
    assert tuple(type(message) for message, _ in EACH) == SIGNED_KINDS


@pytest.mark.parametrize(("message", "signer"), EACH, ids=NAMES)
class TestEveryKind:
    def test_comes_back_as_it_was(self, message: Message, signer: Identity) -> None:
        signed = sign(message, signer)
        received = verify(
            signed.envelope, type(message), network=NETWORK, now_us=NOW_US, sender=signer.key
        )
        assert received == signed
        assert received.message == message
        assert received.id == content_id(received.payload)
        assert peek_kind(signed.envelope) is type(message)

    def test_payload_starts_with_the_same_head(self, message: Message, signer: Identity) -> None:
        payload, _ = packed(sign(message, signer).envelope)
        assert payload[:5] == [1, message.kind, NETWORK, signer.key, NOW_US]

    def test_any_flipped_bit_is_refused(self, message: Message, signer: Identity) -> None:
        envelope = sign(message, signer).envelope
        step = max(1, len(envelope) // 150)
        for position in range(0, len(envelope), step):
            for bit in range(8):
                altered = bytearray(envelope)
                altered[position] ^= 1 << bit
                refusal_of(bytes(altered), type(message))

    def test_two_exchanged_fields_are_refused(self, message: Message, signer: Identity) -> None:
        fields, _ = packed(sign(message, signer).envelope)
        for left, right in itertools.combinations(range(len(fields)), 2):
            if fields[left] == fields[right]:
                continue
            exchanged = list(fields)
            exchanged[left], exchanged[right] = exchanged[right], exchanged[left]
            payload, signature = msgpack.packb(exchanged), packed(sign(message, signer).envelope)[1]
            refusal_of(msgpack.packb([payload, signature]), type(message))

    def test_a_missing_a_doubled_and_an_extra_field_are_refused(
        self, message: Message, signer: Identity
    ) -> None:
        fields, _ = packed(sign(message, signer).envelope)
        for wrong in (fields[:-1], [*fields, fields[-1]], [*fields, None], []):
            forged = repacked(msgpack.packb(wrong), signer, type(message))
            assert refusal_of(forged, type(message)) is Refusal.MALFORMED

    def test_padded_integers_are_refused_although_they_decode(
        self, message: Message, signer: Identity
    ) -> None:
        payload = sign(message, signer).payload
        version = 1 if payload[0] >> 4 == 9 else 3  # behind the head of a short or long array
        assert payload[version] == 1
        padded = payload[:version] + b"\xcd\x00\x01" + payload[version + 1 :]
        assert msgpack.unpackb(padded) == msgpack.unpackb(payload)
        forged = repacked(padded, signer, type(message))
        assert refusal_of(forged, type(message)) is Refusal.NOT_CANONICAL

    def test_trailing_bytes_are_refused(self, message: Message, signer: Identity) -> None:
        signed = sign(message, signer)
        assert refusal_of(signed.envelope + b"\xc0", type(message)) is Refusal.MALFORMED
        forged = repacked(signed.payload + b"\xc0", signer, type(message))
        assert refusal_of(forged, type(message)) is Refusal.MALFORMED

    def test_oversized_is_refused_before_it_is_decoded(
        self, message: Message, signer: Identity
    ) -> None:
        kind = type(message)
        assert refusal_of(bytes(kind.BYTES_MAX + 1), kind) is Refusal.OVERSIZED

    def test_another_network_is_refused(self, message: Message, signer: Identity) -> None:
        envelope = sign(message, signer).envelope
        assert refusal_of(envelope, type(message), network="other") is Refusal.WRONG_NETWORK

    def test_another_sender_than_expected_is_refused(
        self, message: Message, signer: Identity
    ) -> None:
        envelope = sign(message, signer).envelope
        other = samples.STRANGER.key
        assert refusal_of(envelope, type(message), sender=other) is Refusal.WRONG_SENDER

    def test_a_signature_of_somebody_else_is_refused(
        self, message: Message, signer: Identity
    ) -> None:
        payload = sign(message, signer).payload
        forged = repacked(payload, samples.STRANGER, type(message))
        assert refusal_of(forged, type(message)) is Refusal.BAD_SIGNATURE

    def test_from_the_future_is_refused(self, message: Message, signer: Identity) -> None:
        envelope = sign(message, signer).envelope
        early = NOW_US - limits.CLOCK_SKEW_US - 1
        assert refusal_of(envelope, type(message), now_us=early) is Refusal.FROM_THE_FUTURE
        verify(envelope, type(message), network=NETWORK, now_us=NOW_US - limits.CLOCK_SKEW_US)

    def test_stale_and_expired_are_refused(self, message: Message, signer: Identity) -> None:
        kind, envelope = type(message), sign(message, signer).envelope
        much_later = NOW_US + 10**15
        if kind.AGE_MAX_US is not None:
            assert refusal_of(envelope, kind, now_us=much_later) is Refusal.STALE
            verify(envelope, kind, network=NETWORK, now_us=NOW_US + kind.AGE_MAX_US)
        elif hasattr(message, "expires_us"):
            assert refusal_of(envelope, kind, now_us=much_later) is Refusal.EXPIRED
            assert refusal_of(envelope, kind, now_us=message.expires_us) is Refusal.EXPIRED
        else:  # evidence: it has no age
            verify(envelope, kind, network=NETWORK, now_us=much_later)

    def test_time_is_not_judged_on_evidence(self, message: Message, signer: Identity) -> None:
        envelope = sign(message, signer).envelope
        assert verify(envelope, type(message), network=NETWORK, now_us=None).message == message


def test_no_signature_passes_for_another_kind() -> None:
    """Every kind's payload and signature against every other kind's verifier."""
    for (message, signer), other in itertools.product(EACH, SIGNED_KINDS):
        if type(message) is not other:
            refusal_of(sign(message, signer).envelope, other)


def test_a_signature_made_under_another_tag_is_refused() -> None:
    message = samples.voucher()
    payload = codec.encode(message)
    signature = samples.BUYER.sign(domain(Query), payload)
    envelope = codec.encode(Envelope(payload, signature))
    assert refusal_of(envelope, Voucher) is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xc1",
        b"\x91" * 60_000,  # nesting
        b"\xdd\xff\xff\xff\xff",  # an array of 2^32 items
        b"\xc6\xff\xff\xff\xff",  # a byte string of 2^32 bytes
        b"\x92\xc4\x00\xc4\x00",
        msgpack.packb({"payload": b"", "signature": b""}),
        msgpack.packb(["text", b"s" * 64]),
        msgpack.packb([b"payload", b"s" * 63]),
    ],
)
def test_hostile_bytes_are_refused(hostile: bytes) -> None:
    for kind in SIGNED_KINDS:
        assert refusal_of(hostile, kind) is Refusal.MALFORMED
    assert peek_kind(hostile) is None


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    for kind in SIGNED_KINDS:
        refusal_of(data, kind)


@given(st.data())
def test_random_edits_of_a_valid_envelope_are_refused(data: st.DataObject) -> None:
    """Delete, insert or replace any run of bytes: nothing but the original passes."""
    message, signer = data.draw(st.sampled_from(EACH))
    original = sign(message, signer).envelope
    start = data.draw(st.integers(0, len(original)))
    stop = data.draw(st.integers(start, min(len(original), start + 40)))
    altered = original[:start] + data.draw(st.binary(max_size=40)) + original[stop:]
    if altered != original:
        refusal_of(altered, type(message))


@given(position=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_countersignature_is_the_buyers_on_this_receipt(position: int, bit: int) -> None:
    signed = sign(samples.receipt(), samples.NODE)
    genuine = countersign(signed, samples.BUYER)
    assert is_countersigned(signed, genuine)
    altered = bytearray(genuine)
    altered[position] ^= 1 << bit
    assert not is_countersigned(signed, bytes(altered))
    other = sign(samples.receipt(cost=5_761), samples.NODE)
    assert not is_countersigned(other, genuine)
    node_signature = packed(signed.envelope)[1]
    assert not is_countersigned(signed, node_signature)


def test_fields_outside_their_bounds_are_refused_with_their_path() -> None:
    for change, path in (
        ({"lots": 0}, "$[6]"),
        ({"nonce": b"short"}, "$[5]"),
        ({"network": "Upper"}, "$[2]"),
        ({"network": "newline\n"}, "$[2]"),
        ({"sender": b"k" * 31}, "$[3]"),
    ):
        message = samples.order(**{"sender": samples.BUYER.key, **change})
        forged = repacked(codec.encode(message), samples.BUYER, type(message))
        with pytest.raises(MessageRefused, match=r"malformed") as refused:
            verify(forged, type(message), network=NETWORK, now_us=NOW_US)
        assert path in refused.value.detail
