"""Who signs: Ed25519 keys, and the one place where a signature is made or checked.

An identity is an Ed25519 key pair; its public key, 32 bytes, is its name everywhere. What is
signed is always a domain tag followed by the payload, so that a signature for one kind of message
never passes as another. PyNaCl is used throughout because it refuses small-order public keys,
which OpenSSL accepts with one constant signature for every message.

Pure: keys come from a seed that the caller supplies. Key files live in shell/keyfile.py.
"""

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

SEED_BYTES = 32
KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Identity:
    """A key pair that signs. Its repr shows the public key only."""

    __slots__ = ("_signing_key", "key")

    key: bytes
    """The public key: 32 bytes, the identity's name."""

    def __init__(self, seed: bytes) -> None:
        """Derive the pair from 32 secret bytes."""
        self._signing_key = SigningKey(seed)
        self.key = bytes(self._signing_key.verify_key)

    def sign(self, domain: bytes, payload: bytes) -> bytes:
        """Sign domain + payload; return the 64-byte signature."""
        return self._signing_key.sign(domain + payload).signature

    def __repr__(self) -> str:
        return f"Identity({self.key.hex()})"


def is_signed_by(key: bytes, domain: bytes, payload: bytes, signature: bytes) -> bool:
    """Tell whether `signature` over domain + payload was made by the owner of `key`.

    Never raises: a key that is no point of the curve has signed nothing.
    """
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        VerifyKey(key).verify(domain + payload, signature)
    except (BadSignatureError, ValueError):
        return False
    return True
