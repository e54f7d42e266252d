"""Sealed bodies open once, in turn, for the one side they were made for, or not at all."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.errors import SealBroken
from swatow_protocol.messages import FrameKind
from swatow_protocol.sealing import OVERHEAD_BYTES, SealingKey, Seals, Side

BUYER_SECRET = bytes([5]) * 32
NODE_SECRET = bytes([6]) * 32
STRANGER_SECRET = bytes([7]) * 32
JOB = 7
KIND = FrameKind.CHUNK

jobs = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(FrameKind)

FIELD = 2**255 - 19
SMALL_ORDER = {
    "order 4": bytes(32),
    "order 1": bytes([1]) + bytes(31),
    "order 8, a": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order 8, b": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "order 2, p - 1": (FIELD - 1).to_bytes(32, "little"),
    "order 4, p": FIELD.to_bytes(32, "little"),
    "order 1, p + 1": (FIELD + 1).to_bytes(32, "little"),
}


class Ends(NamedTuple):
    buyer: Seals
    node: Seals


def ends() -> Ends:
    """Return both ends of a stream, as they are after they agreed."""
    buyer, node = SealingKey(BUYER_SECRET), SealingKey(NODE_SECRET)
    return Ends(Seals(Side.BUYER, buyer, node.public), Seals(Side.NODE, node, buyer.public))


def assert_closed(seals: Seals, job: int, kind: int, sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        seals.open(job, kind, sealed)


@given(st.lists(st.tuples(st.booleans(), jobs, kinds, st.binary(max_size=100)), max_size=20))
def test_bodies_of_many_jobs_open_in_order_at_the_other_end(
    sent: list[tuple[bool, int, FrameKind, bytes]],
) -> None:
    """Both directions and all jobs at once: each pair has its own numbers."""
    here = ends()
    for to_node, job, kind, body in sent:
        sender, receiver = here if to_node else reversed(here)
        sealed = sender.seal(job, kind, body)
        assert len(sealed) == len(body) + OVERHEAD_BYTES
        assert receiver.open(job, kind, sealed) == body


def test_any_flipped_bit_keeps_a_body_closed() -> None:
    body = "一句话 of a prompt".encode()
    sealed = ends().buyer.seal(JOB, KIND, body)
    for position in range(len(sealed)):
        for bit in range(8):
            altered = bytearray(sealed)
            altered[position] ^= 1 << bit
            assert_closed(ends().node, JOB, KIND, bytes(altered))
    assert ends().node.open(JOB, KIND, sealed) == body


@pytest.mark.parametrize("length", [0, 1, OVERHEAD_BYTES - 1, OVERHEAD_BYTES])
def test_a_truncated_body_stays_closed(length: int) -> None:
    sealed = ends().buyer.seal(JOB, KIND, b"body")
    assert_closed(ends().node, JOB, KIND, sealed[:length])


@given(st.binary(max_size=100))
def test_random_bytes_stay_closed(data: bytes) -> None:
    assert_closed(ends().node, JOB, KIND, data)


def test_a_repeated_body_stays_closed() -> None:
    here = ends()
    sealed = here.buyer.seal(JOB, KIND, b"pay 1")
    here.node.open(JOB, KIND, sealed)
    assert_closed(here.node, JOB, KIND, sealed)


def test_bodies_in_another_order_stay_closed() -> None:
    here = ends()
    first, second = (here.buyer.seal(JOB, KIND, body) for body in (b"one", b"two"))
    assert_closed(here.node, JOB, KIND, second)
    assert here.node.open(JOB, KIND, first) == b"one", "the first is still in turn"


@given(job=jobs, other=jobs, kind=kinds)
def test_a_body_of_another_job_or_kind_stays_closed(job: int, other: int, kind: FrameKind) -> None:
    sealed = ends().buyer.seal(job, kind, b"body")
    if other != job:
        assert_closed(ends().node, other, kind, sealed)
    for other_kind in FrameKind:
        if other_kind is not kind:
            assert_closed(ends().node, job, other_kind, sealed)


def test_a_body_does_not_open_at_its_own_sender() -> None:
    """A relay that sends a body back gets nothing for it: each direction has its own key."""
    here = ends()
    assert_closed(here.buyer, JOB, KIND, here.buyer.seal(JOB, KIND, b"body"))
    assert_closed(here.node, JOB, KIND, here.node.seal(JOB, KIND, b"body"))


def test_a_body_is_closed_to_every_other_key() -> None:
    buyer, node, stranger = map(SealingKey, (BUYER_SECRET, NODE_SECRET, STRANGER_SECRET))
    sealed = Seals(Side.BUYER, buyer, node.public).seal(JOB, KIND, b"body")
    for side in Side:
        for own, theirs in (
            (stranger, buyer.public),
            (stranger, node.public),
            (node, stranger.public),
            (buyer, stranger.public),
        ):
            assert_closed(Seals(side, own, theirs), JOB, KIND, sealed)


def test_two_spellings_of_a_key_do_not_agree() -> None:
    """X25519 ignores the top bit of a key, so both spellings share the same secret; the keys as
    they were signed go into the derivation, and keep them apart."""
    buyer, node = SealingKey(BUYER_SECRET), SealingKey(NODE_SECRET)
    twin = node.public[:-1] + bytes([node.public[-1] ^ 0x80])
    assert buyer.shared_with(twin) == buyer.shared_with(node.public)
    sealed = Seals(Side.BUYER, buyer, twin).seal(JOB, KIND, b"body")
    assert_closed(ends().node, JOB, KIND, sealed)


@pytest.mark.parametrize("point", SMALL_ORDER.values(), ids=list(SMALL_ORDER))
@pytest.mark.parametrize("side", Side)
def test_a_key_of_small_order_shares_no_secret(side: Side, point: bytes) -> None:
    own = SealingKey(BUYER_SECRET)
    with pytest.raises(SealBroken):
        own.shared_with(point)
    with pytest.raises(SealBroken):
        Seals(side, own, point)


@pytest.mark.parametrize("length", [31, 33])
def test_a_peer_key_of_another_length_never_reaches_the_curve(length: int) -> None:
    """libsodium reads 32 bytes wherever it is pointed, and PyNaCl does not look at the length."""
    with pytest.raises((SealBroken, AssertionError)):
        SealingKey(BUYER_SECRET).shared_with(bytes([9]) * length)


def test_forgetting_a_job_drops_its_numbers_and_no_others() -> None:
    here = ends()
    first = here.buyer.seal(JOB, KIND, b"body")
    other = here.buyer.seal(JOB + 1, KIND, b"other")
    here.node.open(JOB, KIND, first)
    here.node.open(JOB + 1, KIND, other)
    for end in here:
        end.forget(JOB)
        end.forget(JOB)  # a second time, and of a job that never was, is nothing
        end.forget(12_345)
    assert here.buyer.seal(JOB, KIND, b"body") == first, "its count starts again"
    assert here.node.open(JOB, KIND, first) == b"body"
    assert_closed(here.node, JOB + 1, KIND, other)


def test_what_is_shown_of_a_key_is_its_public_half() -> None:
    key = SealingKey(BUYER_SECRET)
    seals = Seals(Side.BUYER, key, SealingKey(NODE_SECRET).public)
    assert repr(key) == f"SealingKey({key.public.hex()})"
    for shown in (repr(key), str(key), f"{key!s}", repr(seals), str(seals)):
        assert BUYER_SECRET.hex() not in shown
        assert repr(BUYER_SECRET) not in shown
    assert not hasattr(key, "__dict__"), "vars() and debuggers show nothing more"
    assert not hasattr(seals, "__dict__")
