"""Signatures: one for each message, by the owner of the key, and no second one that passes too."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.identity import Identity, is_signed_by

SEED = bytes(range(32))
DOMAIN = b"swatow/1/voucher\0"
ORDER_OF_THE_GROUP = 2**252 + 27742317777372353535851937790883648493

IDENTITY_POINT = bytes([1]) + bytes(31)
CONSTANT_SIGNATURE = IDENTITY_POINT + bytes(32)
"""R is the neutral element and S is 0: it fits every message under a key of order 1."""

SMALL_ORDER = {
    "order 1": IDENTITY_POINT.hex(),
    "order 2": "ec" + "ff" * 30 + "7f",
    "order 4, all zeros": "00" * 32,
    "order 4, negative": "00" * 31 + "80",
    "order 8, a": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "order 8, -a": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "order 8, b": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "order 8, -b": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "order 1, other sign": "01" + "00" * 30 + "80",
    "order 1, not reduced": "ee" + "ff" * 30 + "7f",
    "order 4, not reduced": "ed" + "ff" * 30 + "7f",
}


def test_signs_as_rfc_8032_says() -> None:
    """Test 2 of section 7.1: one byte of message."""
    seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    identity = Identity(bytes.fromhex(seed))
    assert identity.key.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert identity.sign(b"", b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@given(st.binary(max_size=200))
def test_a_signature_is_for_one_key_one_domain_and_one_payload(payload: bytes) -> None:
    identity = Identity(SEED)
    signature = identity.sign(DOMAIN, payload)
    assert is_signed_by(identity.key, DOMAIN, payload, signature)
    assert not is_signed_by(identity.key, DOMAIN, payload + b"\0", signature)
    assert not is_signed_by(identity.key, b"swatow/1/order\0", payload, signature)
    assert not is_signed_by(Identity(bytes(32)).key, DOMAIN, payload, signature)


@pytest.mark.parametrize("key", SMALL_ORDER.values(), ids=list(SMALL_ORDER))
@pytest.mark.parametrize("r", SMALL_ORDER.values(), ids=list(SMALL_ORDER))
def test_a_key_of_small_order_signs_nothing(key: str, r: str) -> None:
    """Under such a key a signature that nobody made fits one message in eight, or every one."""
    signature = bytes.fromhex(r) + bytes(32)
    for message in range(16):
        assert not is_signed_by(bytes.fromhex(key), DOMAIN, bytes([message]), signature)


def test_openssl_takes_the_constant_signature_that_is_refused_here() -> None:
    """Why PyNaCl: if this fails, the reason in identity.py's docstring is gone."""
    openssl = Ed25519PublicKey.from_public_bytes(IDENTITY_POINT)
    for payload in (b"a", b"b", b"c"):
        openssl.verify(CONSTANT_SIGNATURE, DOMAIN + payload)
        assert not is_signed_by(IDENTITY_POINT, DOMAIN, payload, CONSTANT_SIGNATURE)


@given(st.binary(max_size=64), st.integers(1, 15))
def test_the_same_signature_written_differently_is_refused(payload: bytes, times: int) -> None:
    """S and S + L are the same scalar; taking both would give one message two signatures."""
    identity = Identity(SEED)
    signature = identity.sign(DOMAIN, payload)
    scalar = int.from_bytes(signature[32:], "little") + times * ORDER_OF_THE_GROUP
    if scalar < 2**256:
        malleated = signature[:32] + scalar.to_bytes(32, "little")
        assert not is_signed_by(identity.key, DOMAIN, payload, malleated)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    identity = Identity(SEED)
    signature = identity.sign(DOMAIN, b"payload")
    key = (identity.key * 2)[:length]
    assert not is_signed_by(key, DOMAIN, b"payload", signature)


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    identity = Identity(SEED)
    signature = (identity.sign(DOMAIN, b"payload") * 2)[:length]
    assert not is_signed_by(identity.key, DOMAIN, b"payload", signature)


@given(key=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_random_bytes_are_refused_and_never_raise(key: bytes, signature: bytes) -> None:
    assert not is_signed_by(key, DOMAIN, b"payload", signature)


@given(key=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64))
def test_random_bytes_of_the_right_length_are_refused_too(key: bytes, signature: bytes) -> None:
    assert not is_signed_by(key, DOMAIN, b"payload", signature)


def test_what_is_shown_of_an_identity_is_its_public_key() -> None:
    identity = Identity(SEED)
    assert repr(identity) == f"Identity({identity.key.hex()})"
    assert SEED.hex() not in repr(identity)
    assert not hasattr(identity, "__dict__"), "vars() and debuggers show nothing more"
