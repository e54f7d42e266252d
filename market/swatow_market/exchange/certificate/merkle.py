"""A hash tree over a list of leaves: its root stands for all of them, a short proof shows one.

    hash of no leaf    BLAKE2b-256("")
    hash of a leaf     BLAKE2b-256(0x00 || leaf)
    hash of a node     BLAKE2b-256(0x01 || left || right)

The shape is that of RFC 6962, section 2.1: the left side of n leaves is the greatest power of two
below n. The hash is BLAKE2b-256, as everywhere in Swatow. The prefixes keep a leaf from passing
for a node. The root alone does not tell how many leaves there are, so the count is published
beside it, and a proof is checked against both.

It does not know what a leaf says.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta

from swatow_protocol.messages.answers import PROOF_HASHES_MAX
from swatow_protocol.messages.base import Body
from swatow_protocol.messages.fields import Id, Serial

_LEAF = b"\x00"
_NODE = b"\x01"
_EMPTY_ROOT = blake2b(b"", digest_size=32).digest()


class Head(Body, frozen=True, kw_only=True):
    """What is published of a tree."""

    root: Id
    leaves: Serial
    """How many there are."""


class Proof(Body, frozen=True, kw_only=True):
    """Shows that a leaf stands at one place of one tree."""

    index: Serial
    """Place of the leaf, from zero."""
    leaves: Serial
    """How many leaves the tree has."""
    hashes: Annotated[tuple[Id, ...], Meta(max_length=PROOF_HASHES_MAX)]
    """The other side of each node on the way from the leaf to the root."""


class Tree:
    """The hash tree of a list of leaves, kept whole so that each proof is cheap."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Hash the leaves and all nodes above them: two hashes a leaf."""
        self._levels = [[_hash(_LEAF + leaf) for leaf in leaves]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_level_above(self._levels[-1]))

    @property
    def head(self) -> Head:
        """Return the root and the number of leaves."""
        top = self._levels[-1]
        return Head(root=top[0] if top else _EMPTY_ROOT, leaves=len(self._levels[0]))

    def proof(self, index: int) -> Proof:
        """Return the proof of the leaf at `index`.

        Raises:
            IndexError: there is no such leaf.
        """
        leaves = len(self._levels[0])
        if not 0 <= index < leaves:
            raise IndexError(f"leaf {index} of {leaves}")
        hashes, place = [], index
        for level in self._levels[:-1]:
            # The last of an odd level has no other side: it moves up as it is.
            if place ^ 1 < len(level):
                hashes.append(level[place ^ 1])
            place >>= 1
        return Proof(index=index, leaves=leaves, hashes=tuple(hashes))


def proves(proof: Proof, leaf: bytes, head: Head) -> bool:
    """Tell whether the proof shows that `leaf` is in the tree at the proof's index.

    The proof may come from anyone; the head must come from where it was published.
    """
    if proof.leaves != head.leaves or not 0 <= proof.index < proof.leaves:
        return False
    place, last, so_far = proof.index, proof.leaves - 1, _hash(_LEAF + leaf)
    others = iter(proof.hashes)
    while last:
        if place % 2 or place != last:
            other = next(others, None)
            if other is None:
                return False
            left, right = (other, so_far) if place % 2 else (so_far, other)
            so_far = _hash(_NODE + left + right)
        place, last = place >> 1, last >> 1
    return next(others, None) is None and so_far == head.root


def _level_above(level: list[bytes]) -> list[bytes]:
    above = [_hash(_NODE + level[at] + level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return above + level[len(above) * 2 :]


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()
