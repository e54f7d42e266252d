"""Sealing between buyer and node: what a relay, a broker and the market cannot read.

Each side brings an X25519 key: the node's is signed into its offer and rotates with it, the
buyer's is fresh for each stream. Their shared secret gives one key for each direction,

    k(direction) = BLAKE2b-256(key = X25519(own, theirs), "swatow/1/seal\\0" || direction ||
                               buyer key || node key)

and bodies are sealed with XChaCha20-Poly1305 under the nonce `job (8 bytes) || number (16 bytes)`,
with the frame's kind as additional data. A number is used once for each job and direction, and
numbers are not sent: a body that was dropped, repeated, moved or altered does not open.

Keys come from the caller; nothing here reads a random source.
"""

import enum
from hashlib import blake2b

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_ABYTES,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from swatow_protocol.errors import SealBroken

SECRET_BYTES = 32
PUBLIC_BYTES = 32
OVERHEAD_BYTES: int = crypto_aead_xchacha20poly1305_ietf_ABYTES
"""A sealed body is this much longer than what it holds."""

_CONTEXT = b"swatow/1/seal\0"


class Side(enum.Enum):
    """Which end of the stream this process is."""

    BUYER = b"buyer"
    NODE = b"node"


class SealingKey:
    """An X25519 key pair from 32 secret bytes. Its repr shows the public key only."""

    __slots__ = ("_secret", "public")

    public: bytes
    """The public key: 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == SECRET_BYTES, len(secret)
        self._secret = secret
        self.public = crypto_scalarmult_base(secret)

    def shared_with(self, theirs: bytes) -> bytes:
        """Return the X25519 shared secret.

        Raises:
            SealBroken: `theirs` is a point of small order, with which no secret can be shared.
        """
        assert len(theirs) == PUBLIC_BYTES, len(theirs)  # libsodium does not look
        try:
            return crypto_scalarmult(self._secret, theirs)
        except (CryptoError, RuntimeError):
            raise SealBroken("sealing key: a point of small order shares no secret") from None

    def __repr__(self) -> str:
        return f"SealingKey({self.public.hex()})"


class Seals:
    """Seals and opens the bodies of one stream, counting them for each job and direction."""

    __slots__ = ("_open_key", "_opened", "_seal_key", "_sealed")

    def __init__(self, side: Side, own: SealingKey, theirs: bytes) -> None:
        """Agree on the keys of one stream with the holder of `theirs`.

        Raises:
            SealBroken: `theirs` is no usable key.
        """
        secret = own.shared_with(theirs)
        buyer, node = (own.public, theirs) if side is Side.BUYER else (theirs, own.public)
        other = Side.NODE if side is Side.BUYER else Side.BUYER
        self._seal_key = _direction_key(secret, side, buyer, node)
        self._open_key = _direction_key(secret, other, buyer, node)
        self._sealed: dict[int, int] = {}
        self._opened: dict[int, int] = {}

    def seal(self, job: int, kind: int, body: bytes) -> bytes:
        """Seal the next body that this side sends for `job`."""
        number = self._sealed.get(job, 0)
        self._sealed[job] = number + 1
        nonce, context = _nonce(job, number), bytes([kind])
        return crypto_aead_xchacha20poly1305_ietf_encrypt(body, context, nonce, self._seal_key)

    def open(self, job: int, kind: int, sealed: bytes) -> bytes:
        """Open the next body that the other side sent for `job`.

        Raises:
            SealBroken: altered, repeated, out of turn, or sealed to another key. The job cannot
                go on.
        """
        number = self._opened.get(job, 0)
        nonce, context = _nonce(job, number), bytes([kind])
        try:
            body = crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed, context, nonce, self._open_key
            )
        except (CryptoError, ValueError):
            raise SealBroken(f"job {job}: sealed body {number} does not open") from None
        self._opened[job] = number + 1
        return body

    def forget(self, job: int) -> None:
        """Drop the counters of a finished job. Its number must never be used again."""
        self._sealed.pop(job, None)
        self._opened.pop(job, None)


def _direction_key(secret: bytes, sender: Side, buyer: bytes, node: bytes) -> bytes:
    context = _CONTEXT + sender.value + b"\0" + buyer + node
    return blake2b(context, key=secret, digest_size=32).digest()


def _nonce(job: int, number: int) -> bytes:
    return job.to_bytes(8, "little") + number.to_bytes(16, "little")
