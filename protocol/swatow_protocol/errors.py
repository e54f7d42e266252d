"""The error tree: one root, one branch for each party that can be at fault.

    SwatowError
    ├── LocalError            we erred: a value, a file or a setting of this process
    │   ├── InvalidValue          a value outside its limits; names the field and the limit
    │   ├── KeyFileError          a key file that cannot be used safely
    │   └── ConfigError           a setting that cannot be used; names the setting
    ├── RemoteError           the other side erred: what it sent breaks the protocol
    │   ├── MessageRefused        an envelope that fails a check; carries the Refusal
    │   ├── SealBroken            a sealed body that was altered or sealed to someone else
    │   ├── FrameRefused          a frame of a job stream that breaks the stream's rules
    │   ├── WrongCertificate      a server whose certificate its identity did not sign
    │   └── CallRefused           a server that refused a whole call, or failed in it
    └── NetworkError          neither side erred: the way between them did
        ├── Unreachable           nothing was sent, so nothing happened
        └── OutcomeUnknown        the answer was lost: it may or may not have happened

Expected "no"s of the business (an order below the market, an award without lots) are closed enums
carried in messages, not exceptions of this tree. The SDK's public errors are swatow.errors.
"""

import enum


class Refusal(enum.StrEnum):
    """Why a received envelope was refused, in the order in which the checks are made."""

    OVERSIZED = "oversized"
    """More bytes than its kind allows; nothing was decoded."""
    MALFORMED = "malformed"
    """Not the typed, bounded MessagePack that its kind asks for."""
    NOT_CANONICAL = "not_canonical"
    """Decodes, but encodes back to other bytes: padded, reordered, duplicated or trailing."""
    WRONG_NETWORK = "wrong_network"
    """Made for another network."""
    WRONG_SENDER = "wrong_sender"
    """Signed by a key other than the one expected here."""
    FROM_THE_FUTURE = "from_the_future"
    """Issued later than now plus the allowed clock skew."""
    STALE = "stale"
    """Issued longer ago than its kind may live."""
    EXPIRED = "expired"
    """Past the expiry that it states."""
    BAD_SIGNATURE = "bad_signature"
    """Not signed by its sender, or signed as another kind of message."""


class SwatowError(Exception):
    """Root of every error that Swatow raises on purpose."""


class LocalError(SwatowError):
    """We erred: a value, a file or a setting of this process."""


class InvalidValue(LocalError):
    """A value outside its limits."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class KeyFileError(LocalError):
    """A key file that cannot be used safely."""


class ConfigError(LocalError):
    """A setting that cannot be used; the message names the setting and where it came from."""


class RemoteError(SwatowError):
    """The other side erred: what it sent breaks the protocol."""


class MessageRefused(RemoteError):
    """An envelope that fails a check; no state was changed by it."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal.value}: {detail}")
        self.refusal = refusal
        self.detail = detail


class SealBroken(RemoteError):
    """A sealed body that was altered on its way, or sealed to someone else."""


class FrameRefused(RemoteError):
    """A frame of a job stream that breaks the stream's rules."""


class WrongCertificate(RemoteError):
    """A server whose certificate the expected identity did not sign."""


class CallRefused(RemoteError):
    """A server that refused a whole call, or failed in it; the message is the server's."""


class NetworkError(SwatowError):
    """Neither side erred: the way between them did."""


class Unreachable(NetworkError):
    """The other side could not be reached; nothing was sent, so nothing happened."""


class OutcomeUnknown(NetworkError):
    """The answer was lost: what was asked for may or may not have happened."""
