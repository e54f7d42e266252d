"""The frames of a job stream: opening, acceptance, chunks, vouchers, closing.

One stream carries all jobs of one buyer at one node. A frame names its job by number; job 0 is the
stream itself. Bodies that hold words of prompt or answer are sealed (sealing.py) and travel as the
body of their frame; what must outlive the stream (opening, voucher, receipt) is a signed envelope.
"""

import enum
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Body, Message
from swatow_protocol.messages.fields import (
    Count,
    Embedded,
    Id,
    Key,
    Milliseconds,
    Service,
    Sha256,
    Text,
    TokenId,
    Tokens,
)


class FrameKind(enum.IntEnum):
    """What the body of a frame is, and who may send it."""

    OPEN = 1
    """Buyer: `OpenBody`."""
    ACCEPTED = 2
    """Node: `Accepted`, sealed."""
    REFUSED = 3
    """Node: `Refused`. Final; on job 0, the whole stream ends."""
    CHUNK = 4
    """Node: `Chunk`, sealed."""
    VOUCHER = 5
    """Buyer: a `Voucher` envelope."""
    CLOSE = 6
    """Node: `Close`, sealed."""
    COUNTERSIGN = 7
    """Buyer: its signature over the receipt, 64 bytes. Final."""
    CANCEL = 8
    """Buyer: stop the engine and close. Empty."""
    CREDIT = 9
    """Buyer: `Credit`, so many more bytes of chunks may follow."""
    RELEASE = 10
    """Buyer, on job 0: `Release`, no more jobs will be drawn on this award."""


class Frame(Body, frozen=True, kw_only=True):
    """One frame of a job stream."""

    job: Count
    """Number of the job, chosen by the buyer, growing; 0 is the stream itself."""
    kind: FrameKind
    """What the body is."""
    body: Annotated[bytes, Meta(max_length=limits.FRAME_BYTES_MAX)]
    """As the kind says."""


class JobOpen(Message, frozen=True, kw_only=True):
    """Ask for a job on an award. Sent by the buyer. Its id is the job's id.

    The signature over award and certificate is how the buyer authenticates, and why an opening
    cannot be relayed to another node.
    """

    BYTES_MAX: ClassVar[int] = limits.JOB_OPEN_BYTES_MAX
    AGE_MAX_US: ClassVar[int | None] = limits.MESSAGE_AGE_US

    kind: Literal["job_open"] = "job_open"
    award: Id
    """The award to draw on."""
    job: Count
    """Number of the job on its stream."""
    certificate_sha256: Sha256
    """Certificate of the connection on which it is sent."""
    sealing_key: Key
    """The node's sealing key to which the request is sealed."""
    stream_key: Key
    """The buyer's X25519 key, fresh for each stream."""
    service: Service
    """What the engine is asked for."""
    output_tokens_max: Tokens
    """The node stops after this many output tokens."""
    sealed_request: Annotated[bytes, Meta(max_length=limits.REQUEST_BYTES_MAX)]
    """OpenAI request body (JSON), sealed."""


class OpenBody(Body, frozen=True, kw_only=True):
    """Body of an OPEN frame: the ticket and the signed opening."""

    award: Embedded
    """Envelope of the award, signed by the market."""
    offer: Embedded
    """Envelope of the node's own offer that the award draws on."""
    open: Annotated[bytes, Meta(max_length=limits.JOB_OPEN_BYTES_MAX)]
    """Envelope of the JobOpen."""


class Accepted(Body, frozen=True, kw_only=True):
    """The node runs the job."""

    prompt_tokens: Tokens | None
    """Prompt in the model's tokens; None where the engine tells only at the end."""
    cached_tokens: Tokens
    """Part of the prompt that the node had in its cache."""
    prompt_due: bool
    """The node starts only when a voucher covers the prompt."""
    voucher: Embedded | None
    """Envelope of the highest voucher that the node holds for this award, so that a buyer who has
    forgotten what it signed can go on from there."""


class Chunk(Body, frozen=True, kw_only=True):
    """A piece of the answer."""

    position: Tokens
    """Output tokens of the job before this chunk."""
    tokens: Annotated[int, Meta(ge=0, le=limits.TOKENS_PER_CHUNK_MAX)]
    """Output tokens in this chunk."""
    token_ids: Annotated[tuple[TokenId, ...], Meta(max_length=limits.TOKENS_PER_CHUNK_MAX)]
    """Their ids, one each; empty where the engine does not tell all of them."""
    events: Annotated[
        tuple[Annotated[bytes, Meta(max_length=limits.FRAMES_BYTES)], ...],
        Meta(max_length=limits.TOKENS_PER_CHUNK_MAX),
    ]
    """Stream events of the OpenAI API (JSON), as the engine gave them."""
    transcript: Id
    """Running hash over the job up to and with this chunk (transcript.py)."""


class FinishReason(enum.StrEnum):
    """Why a job ended."""

    STOP = "stop"
    """The model ended its answer, or a stop sequence of the request was met."""
    LENGTH = "length"
    """A limit of the request or of the model's context was met."""
    SPENT = "spent"
    """The award had no tokens left."""
    EXPIRED = "expired"
    """The award's time ran out, and the time in which its vouchers are redeemed is running."""
    CANCELLED = "cancelled"
    """The buyer asked to stop."""
    UNPAID = "unpaid"
    """No voucher came in time for work beyond the credit window."""
    BAD_REQUEST = "bad_request"
    """The engine does not take the request; nothing was made."""
    ENGINE_ERROR = "engine_error"
    """The engine failed after the job had started."""
    SHUTDOWN = "shutdown"
    """The node is going down."""


class Close(Body, frozen=True, kw_only=True):
    """The node's last word on a job."""

    finish_reason: FinishReason
    """Why the job ended."""
    detail: Text
    """For a person: what the engine said, where it failed; never words of prompt or answer."""
    receipt: Embedded
    """Envelope of the node's receipt."""


class JobRefusal(enum.StrEnum):
    """Why a job was not started. What needs no state is checked first, in this order."""

    MALFORMED = "malformed"
    """The opening could not be read; the detail names the field."""
    WRONG_MARKET = "wrong_market"
    """The award is not signed by a market that this node sells through."""
    EXPIRED = "expired"
    """The award's time is over."""
    NOT_YET = "not_yet"
    """The award's time has not begun: try again after retry_after_ms, or, where that is its
    largest value, still later."""
    WRONG_NODE = "wrong_node"
    """The award is for another node."""
    WRONG_BUYER = "wrong_buyer"
    """The opening is not signed by the buyer of the award."""
    WRONG_CONNECTION = "wrong_connection"
    """The opening was made for another connection or another award."""
    UNKNOWN_OFFER = "unknown_offer"
    """The award does not rest on the offer that came with it, or that is not this node's."""
    UNSUPPORTED = "unsupported"
    """The model does not offer this service."""
    REPEATED = "repeated"
    """This opening was seen before."""
    SPENT = "spent"
    """No tokens are left in the award, or too few for this prompt."""
    UNPAID = "unpaid"
    """Too much work on this award was delivered and never signed for."""
    SEALING_KEY_RETIRED = "sealing_key_retired"
    """The request is sealed to a key that has rotated out: ask the node for the new one."""
    UNSEALED = "unsealed"
    """The sealed request does not open."""
    BAD_REQUEST = "bad_request"
    """The engine does not take this request; the detail is the engine's."""
    BUSY = "busy"
    """All slots and waiting places are taken: try again after retry_after_ms."""
    ENGINE_UNAVAILABLE = "engine_unavailable"
    """The engine is not running."""
    SHUTDOWN = "shutdown"
    """The node is going down."""


class Refused(Body, frozen=True, kw_only=True):
    """The node does not run the job; nothing is owed for it."""

    refusal: JobRefusal
    """Why."""
    detail: Text
    """For a person; never words of the request."""
    retry_after_ms: Milliseconds | None
    """When it is worth trying again; None is never, as it stands."""


class Credit(Body, frozen=True, kw_only=True):
    """So many more bytes of chunks may follow for this job."""

    granted_bytes: Count
    """How many."""


class Release(Body, frozen=True, kw_only=True):
    """The buyer draws no more on this award, so the node may settle it for good."""

    award: Id
    """Which one."""
