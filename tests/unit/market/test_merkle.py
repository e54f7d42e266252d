"""The hash tree: every leaf proves its place, and nothing else does."""

from collections.abc import Iterator
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swatow_market.exchange.certificate.merkle import Head, Proof, Tree, proves
from swatow_protocol import codec
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages.answers import PROOF_HASHES_MAX

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=40, unique=True)


def blake(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


def rfc_root(leaves: list[bytes]) -> bytes:
    """MTH(D[n]), word by word as in RFC 6962, section 2.1."""
    if not leaves:
        return blake(b"")
    if len(leaves) == 1:
        return blake(b"\x00" + leaves[0])
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    return blake(b"\x01" + rfc_root(leaves[:left]) + rfc_root(leaves[left:]))


def rfc_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]), word by word as in RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    if index < left:
        return [*rfc_path(index, leaves[:left]), rfc_root(leaves[left:])]
    return [*rfc_path(index - left, leaves[left:]), rfc_root(leaves[:left])]


def flips(data: bytes) -> Iterator[bytes]:
    """Yield the data with each one of its bits flipped."""
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


@pytest.mark.parametrize("count", range(20))
def test_root_and_proofs_are_those_of_the_rfc(count: int) -> None:
    leaves = [b"leaf %d" % number for number in range(count)]
    tree = Tree(leaves)
    assert tree.head == Head(root=rfc_root(leaves), leaves=count)
    for index in range(count):
        assert list(tree.proof(index).hashes) == rfc_path(index, leaves)


@given(LEAVES)
def test_every_leaf_proves_its_place(leaves: list[bytes]) -> None:
    tree = Tree(leaves)
    for index, leaf in enumerate(leaves):
        assert proves(tree.proof(index), leaf, tree.head)


@given(LEAVES, st.data())
def test_no_other_leaf_index_or_count_is_proven(leaves: list[bytes], data: st.DataObject) -> None:
    tree = Tree(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, head, leaf = tree.proof(index), tree.head, leaves[index]
    for other in range(len(leaves) + 2):
        if other != index:
            assert not proves(msgspec.structs.replace(proof, index=other), leaf, head)
            assert other >= len(leaves) or not proves(proof, leaves[other], head)
    for count in {*range(len(leaves) + 9), 2**63 - 1} - {len(leaves)}:
        assert not proves(msgspec.structs.replace(proof, leaves=count), leaf, head)
        assert not proves(proof, leaf, msgspec.structs.replace(head, leaves=count))


@given(LEAVES, st.data())
@settings(max_examples=20)
def test_any_flipped_bit_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    tree = Tree(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, leaf = tree.proof(index), leaves[index]
    for root in flips(tree.head.root):
        assert not proves(proof, leaf, msgspec.structs.replace(tree.head, root=root))
    for flipped in flips(leaf):
        assert not proves(proof, flipped, tree.head)
    for at, one in enumerate(proof.hashes):
        for flipped in flips(one):
            hashes = (*proof.hashes[:at], flipped, *proof.hashes[at + 1 :])
            assert not proves(msgspec.structs.replace(proof, hashes=hashes), leaf, tree.head)


@given(LEAVES, st.data())
def test_a_proof_of_another_length_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    tree = Tree(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, leaf = tree.proof(index), leaves[index]
    longer = (*proof.hashes, tree.head.root)
    assert not proves(msgspec.structs.replace(proof, hashes=longer), leaf, tree.head)
    if proof.hashes:
        shorter = proof.hashes[:-1]
        assert not proves(msgspec.structs.replace(proof, hashes=shorter), leaf, tree.head)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    tree = Tree([b"a", b"b"])
    pair = blake(b"\x00a") + blake(b"\x00b")
    assert Tree([pair]).head.root != tree.head.root
    fake = Proof(index=0, leaves=1, hashes=())
    assert not proves(fake, pair, Head(root=tree.head.root, leaves=1))


def test_nothing_is_proven_of_an_empty_tree() -> None:
    head = Tree([]).head
    assert head == Head(root=blake(b""), leaves=0)
    assert not proves(Proof(index=0, leaves=0, hashes=()), b"", head)


def test_a_proof_has_a_bounded_number_of_hashes() -> None:
    long = Proof(index=0, leaves=1, hashes=(bytes(32),) * (PROOF_HASHES_MAX + 1))
    with pytest.raises(MessageRefused, match="length <= 64"):
        codec.decode(Proof, codec.encode(long))
    most = Proof(index=2**63 - 1, leaves=2**63 - 1, hashes=(bytes(32),) * PROOF_HASHES_MAX)
    assert codec.decode(Proof, codec.encode(most)) == most


@pytest.mark.parametrize("index", [-1, 3, 2**70])
def test_a_leaf_that_is_not_there_has_no_proof(index: int) -> None:
    with pytest.raises(IndexError, match="of 3"):
        Tree([b"a", b"b", b"c"]).proof(index)
