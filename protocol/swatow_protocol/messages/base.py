"""The head that every signed message starts with, and the struct options that all of them share.

On the wire a message is the array `[version, kind, network, sender, issued_us, body...]`. Fields
are positional and every one is present; a new version of a kind gets a new version number, never
an optional tail.
"""

from typing import ClassVar, Literal

from msgspec import Struct

from swatow_protocol import limits
from swatow_protocol.messages.fields import Key, Name, TimeUs

VERSION: Literal[1] = 1


class Body(Struct, frozen=True, array_like=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message: positional, immutable, all fields present."""


class Message(Body, frozen=True, kw_only=True):
    """The head of every signed message; each kind adds its body."""

    BYTES_MAX: ClassVar[int] = limits.ENVELOPE_BYTES_MAX
    """Largest envelope of this kind."""
    AGE_MAX_US: ClassVar[int | None] = None
    """How long after issued_us it may still arrive; None where it is evidence or has an expiry."""

    version: Literal[1] = VERSION
    """Version of the wire format."""
    kind: str = ""
    """Which message this is; also part of the domain tag that is signed."""
    network: Name
    """The network it was made for; a message for another network is refused."""
    sender: Key
    """Public key of the signer."""
    issued_us: TimeUs
    """The signer's clock when it signed."""
