"""The running hash: as the docstring's formula says, and different for anything different."""

from hashlib import blake2b
from typing import Any, NamedTuple

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import codec
from swatow_protocol.messages import Chunk
from swatow_protocol.transcript import Transcript

JOB = bytes(range(32))


class Piece(NamedTuple):
    position: int
    tokens: int
    token_ids: tuple[int, ...]
    events: tuple[bytes, ...]


pieces = st.builds(
    Piece,
    position=st.integers(0, 300),
    tokens=st.integers(0, 300),
    token_ids=st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
    events=st.lists(st.binary(max_size=4), max_size=3).map(tuple),
)


def transcript_of(chunks: list[Piece], job: bytes = JOB) -> Transcript:
    transcript = Transcript(job)
    for chunk in chunks:
        transcript.extend(**chunk._asdict())
    return transcript


def plain_hash(chunks: list[Piece], job: bytes = JOB) -> bytes:
    """Compute the hash from the formula, with another MessagePack library."""
    running = blake2b(b"swatow/1/transcript\0" + job, digest_size=32).digest()
    for chunk in chunks:
        running = blake2b(running + msgpack.packb(list(chunk)), digest_size=32).digest()
    return running


@given(st.lists(pieces, max_size=5))
def test_the_hash_is_the_formula(chunks: list[Piece]) -> None:
    transcript = transcript_of(chunks)
    assert transcript.hash == plain_hash(chunks)
    assert transcript.chunks == len(chunks)


@given(pieces)
def test_what_is_hashed_of_a_chunk_is_its_encoding_without_the_hash(piece: Piece) -> None:
    """Both ends hash what travels, so neither has to encode anything in a second way."""
    chunk = Chunk(**piece._asdict(), transcript=JOB)
    fields: list[Any] = msgpack.unpackb(codec.encode(chunk))
    assert fields[:-1] == [piece.position, piece.tokens, [*piece.token_ids], [*piece.events]]
    assert fields[-1] == JOB


@given(pieces)
def test_extending_returns_the_new_hash(piece: Piece) -> None:
    transcript = Transcript(JOB)
    before = transcript.hash
    assert transcript.extend(**piece._asdict()) == transcript.hash != before


@given(st.lists(pieces, max_size=4), st.lists(pieces, max_size=4))
def test_only_equal_answers_have_equal_hashes(left: list[Piece], right: list[Piece]) -> None:
    assert (transcript_of(left).hash == transcript_of(right).hash) == (left == right)


def test_the_same_words_cut_or_ordered_differently_hash_differently() -> None:
    whole = [Piece(0, 2, (1, 2), (b"a", b"b"))]
    cut = [Piece(0, 1, (1,), (b"a",)), Piece(1, 1, (2,), (b"b",))]
    joined = [Piece(0, 2, (1, 2), (b"ab",))]
    variants: list[list[Piece]] = [whole, cut, cut[::-1], joined, [], whole * 2]
    hashes = {transcript_of(chunks).hash for chunks in variants}
    assert len(hashes) == len(variants)


def test_two_jobs_with_one_answer_hash_differently() -> None:
    chunks = [Piece(0, 1, (1,), (b"a",))]
    assert transcript_of(chunks).hash != transcript_of(chunks, bytes(32)).hash
