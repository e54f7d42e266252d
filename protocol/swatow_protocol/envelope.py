"""The signed envelope: the same bytes on every carrier.

An envelope is the MessagePack array `[payload, signature]` of two byte strings. The payload is the
encoding of one message; the signature covers `swatow/1/<kind>\\0` + payload, so that one made for
a voucher is none for an order. The id of anything is the BLAKE2b-256 of its payload.

`verify` makes every check that needs no state, cheapest first; only what it returns may change
state. It does not know which senders are welcome or what was seen before.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct, structs

from swatow_protocol import codec, limits
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.identity import Identity, is_signed_by
from swatow_protocol.messages import SIGNED_KINDS, Message, Receipt
from swatow_protocol.messages.fields import Signature

M = TypeVar("M", bound=Message)

COUNTERSIGN_DOMAIN = b"swatow/1/receipt-countersignature\0"
"""The buyer's signature over a receipt's payload carries this tag instead of the receipt's own."""


class Envelope(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Payload and signature, before anything is known of either."""

    payload: Annotated[bytes, Meta(max_length=limits.NETWORK_MAP_BYTES_MAX)]
    signature: Signature


@dataclass(frozen=True, slots=True)
class Signed(Generic[M]):
    """A message together with the bytes that prove it."""

    message: M
    id: bytes
    """BLAKE2b-256 of the payload."""
    payload: bytes
    envelope: bytes
    """The signed envelope, as sent or received."""


def content_id(payload: bytes) -> bytes:
    """Return the id of a payload: its BLAKE2b-256."""
    return blake2b(payload, digest_size=32).digest()


def order_in_batch(batch: bytes, term: int) -> bytes:
    """Return the id of the order that the rows of a batch's terms number `term` are."""
    return content_id(batch + term.to_bytes(4, "little"))


@cache
def domain(kind: type[Message]) -> bytes:
    """Return the tag that is signed in front of payloads of `kind`."""
    defaults = _defaults(kind)
    return f"swatow/{defaults['version']}/{defaults['kind']}\0".encode()


def sign(message: M, identity: Identity) -> Signed[M]:
    """Sign `message`, whose sender must be `identity`, and return it with its envelope."""
    assert message.sender == identity.key, "a message is signed by its sender"
    payload = codec.encode(message)
    signature = identity.sign(domain(type(message)), payload)
    envelope = codec.encode(Envelope(payload, signature))
    return Signed(message, content_id(payload), payload, envelope)


def verify(
    envelope: bytes,
    kind: type[M],
    *,
    network: str,
    now_us: int | None,
    sender: bytes | None = None,
) -> Signed[M]:
    """Check a received envelope and return its message.

    Args:
        envelope: bytes as received.
        kind: the message type that is acceptable here.
        network: the network of this process.
        now_us: the receiver's clock; None takes it as evidence, whose time is not judged.
        sender: the only acceptable signer, where there is one.

    Raises:
        MessageRefused: with the first Refusal that applies, in the order of that enum.
    """
    signed, signature = _read(envelope, kind)
    message = signed.message
    if message.network != network:
        raise MessageRefused(Refusal.WRONG_NETWORK, f"{message.network!r}, here is {network!r}")
    if sender is not None and message.sender != sender:
        raise MessageRefused(
            Refusal.WRONG_SENDER, f"{message.sender.hex()}, expected {sender.hex()}"
        )
    if now_us is not None:
        check_time(message, now_us)
    if not is_signed_by(message.sender, domain(kind), signed.payload, signature):
        raise MessageRefused(Refusal.BAD_SIGNATURE, f"not signed by {message.sender.hex()}")
    return signed


def check_time(message: Message, now_us: int) -> None:
    """Check when a message was issued, and whether its own time is over.

    Raises:
        MessageRefused: FROM_THE_FUTURE, STALE or EXPIRED.
    """
    ahead_us = message.issued_us - now_us
    if ahead_us > limits.CLOCK_SKEW_US:
        raise MessageRefused(
            Refusal.FROM_THE_FUTURE, f"issued {ahead_us} us ahead, skew is {limits.CLOCK_SKEW_US}"
        )
    age_max_us = type(message).AGE_MAX_US
    if age_max_us is not None and -ahead_us > age_max_us:
        raise MessageRefused(Refusal.STALE, f"issued {-ahead_us} us ago, limit is {age_max_us}")
    expires_us = getattr(message, "expires_us", None)
    if expires_us is not None and now_us >= expires_us:
        raise MessageRefused(Refusal.EXPIRED, f"expired {now_us - expires_us} us ago")


def peek_kind(envelope: bytes) -> type[Message] | None:
    """Return the kind that an unverified envelope claims to be, or None if it names none."""
    try:
        head = codec.decoder(_Head).decode(codec.decoder(Envelope).decode(envelope).payload)
    except (ValueError, RecursionError):
        return None
    return _KINDS.get(head.kind)


def countersign(receipt: Signed[Receipt], identity: Identity) -> bytes:
    """Return the buyer's signature over a receipt; `identity` must be its buyer."""
    assert receipt.message.buyer == identity.key, "a receipt is countersigned by its buyer"
    return identity.sign(COUNTERSIGN_DOMAIN, receipt.payload)


def is_countersigned(receipt: Signed[Receipt], countersignature: bytes) -> bool:
    """Tell whether the buyer named in a receipt made this countersignature."""
    key = receipt.message.buyer
    return is_signed_by(key, COUNTERSIGN_DOMAIN, receipt.payload, countersignature)


def _read(envelope: bytes, kind: type[M]) -> tuple[Signed[M], bytes]:
    if len(envelope) > kind.BYTES_MAX:
        raise MessageRefused(
            Refusal.OVERSIZED, f"{len(envelope)} bytes, a {kind.__name__} has {kind.BYTES_MAX}"
        )
    outer = codec.decode(Envelope, envelope)
    message = codec.decode(kind, outer.payload)
    signed = Signed(message, content_id(outer.payload), outer.payload, envelope)
    return signed, outer.signature


class _Head(Struct, frozen=True, array_like=True):
    version: int
    kind: str


def _defaults(kind: type[Message]) -> dict[str, object]:
    return {field.name: field.default for field in structs.fields(kind)}


_KINDS = {_defaults(kind)["kind"]: kind for kind in SIGNED_KINDS}
