"""Endpoint and query: who a server is, and who asks it for what is private."""

import enum
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.award import RoundNumber
from swatow_protocol.messages.base import Message
from swatow_protocol.messages.fields import Address, Embedded, Id, Key, Nonce, Sha256, TimeUs


class Endpoint(Message, frozen=True, kw_only=True):
    """A server says which certificate and sealing key are its own. Sent by market or node.

    It binds the short-lived TLS certificate, which gRPC needs, to the Ed25519 identity, which gRPC
    cannot use. The identity signing the TLS key follows libp2p's TLS specification (libp2p/specs
    tls/tls.md).
    """

    kind: Literal["endpoint"] = "endpoint"
    certificate_sha256: Sha256
    """Certificate of the connection on which it is sent."""
    sealing_key: Key | None
    """Current X25519 key for requests; None for a server that takes none."""
    addresses: Annotated[tuple[Address, ...], Meta(max_length=limits.ADDRESSES_MAX)]
    """Where the server is reached."""
    expires_us: TimeUs
    """From here on it proves nothing."""


class Subject(enum.StrEnum):
    """What a query asks for."""

    ACCOUNT = "account"
    """Balances of the sender's own account."""
    ORDERS = "orders"
    """State and awards of the sender's own orders, by id."""
    AWARDS = "awards"
    """Settlement of awards that the sender bought or serves, by id."""
    STANDBY = "standby"
    """Open awards with a take-or-pay share that the sender must serve: those after the one id
    given, in the order of their ids; from the first where none is given."""
    PRICES = "prices"
    """Posted prices of these models, or of all where none is given."""
    PROOF = "proof"
    """How the sender's own orders, by id, stood in a round: the one given, or else the last in
    which each took part."""
    EXPLAIN = "explain"
    """What keeps the order that is given from being filled. The market need not have taken it."""


class Query(Message, frozen=True, kw_only=True):
    """Ask a market for what belongs to the sender. Changes nothing."""

    BYTES_MAX: ClassVar[int] = limits.QUERY_BYTES_MAX
    AGE_MAX_US: ClassVar[int | None] = limits.MESSAGE_AGE_US

    kind: Literal["query"] = "query"
    market: Key
    """The market that is asked, so that the query cannot be replayed at another."""
    subject: Subject
    """What is asked for."""
    ids: Annotated[tuple[Id, ...], Meta(max_length=limits.QUERY_IDS_MAX)]
    """About which orders, awards or models; after which award."""
    nonce: Nonce
    """Makes two otherwise equal queries distinct."""
    round: RoundNumber | None
    """Of a proof: the round that is asked about."""
    order: Embedded | None
    """Of an explanation: envelope of the sender's Order."""
