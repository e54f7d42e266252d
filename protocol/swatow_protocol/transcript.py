"""The running hash of a job's answer, which both sides keep and sign.

    h(0) = BLAKE2b-256("swatow/1/transcript\\0" || job id)
    h(i) = BLAKE2b-256(h(i-1) || chunk i without its hash)

Whoever signs h(i) has signed every chunk up to i, in order. The chain over what was delivered, and
not over what was generated, follows the chunk hash of unidirectional payment channels.
"""

from hashlib import blake2b

from swatow_protocol import codec
from swatow_protocol.messages import Body
from swatow_protocol.messages.fields import Tokens

_START = b"swatow/1/transcript\0"


class _Hashed(Body, frozen=True, kw_only=True):
    position: Tokens
    tokens: Tokens
    token_ids: tuple[int, ...]
    events: tuple[bytes, ...]


class Transcript:
    """The running hash of one job, as one side has seen it."""

    __slots__ = ("chunks", "hash")

    hash: bytes
    """Hash over every chunk so far: 32 bytes."""
    chunks: int
    """Chunks so far."""

    def __init__(self, job: bytes) -> None:
        """Start the transcript of the job with this id."""
        self.hash = blake2b(_START + job, digest_size=32).digest()
        self.chunks = 0

    def extend(
        self, *, position: int, tokens: int, token_ids: tuple[int, ...], events: tuple[bytes, ...]
    ) -> bytes:
        """Add a chunk and return the new hash."""
        hashed = _Hashed(position=position, tokens=tokens, token_ids=token_ids, events=events)
        self.hash = blake2b(self.hash + codec.encode(hashed), digest_size=32).digest()
        self.chunks += 1
        return self.hash
