"""The inputs of a round: all that its outcome depends on, but what its record or others state.

A record states salt, periods and network map of its round, and the id of these inputs, so whoever
has signed the record is bound to them. Offers are named by id; their envelopes are kept apart, once
each. Orders are in columns, by id, as in OrderColumns; terms are those of their signatures.

The same snapshot has the same bytes, in whatever order its orders came.
"""

from hashlib import blake2b
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from swatow_market.exchange.book import OFFERS_MAX, ROWS_MAX, Snapshot
from swatow_market.exchange.certificate.record import Ints, pack
from swatow_market.exchange.orders import OrderColumns, starts
from swatow_market.exchange.signature import signature
from swatow_protocol import codec, limits
from swatow_protocol.messages import Body, Limits, PaymentTerms
from swatow_protocol.messages.fields import Id, Price, Rate

VERSION: Literal[1] = 1
INPUTS_BYTES_MAX = 256 << 20
"""Bytes of the inputs of one round."""
UNKNOWN = -1
"""In place of a reputation that is not known."""
ID_BYTES = 32

_INT_BYTES = 8
_OfOffers = Annotated[memoryview, Meta(max_length=_INT_BYTES * (OFFERS_MAX + 1))]
_OfPromises = Annotated[memoryview, Meta(max_length=_INT_BYTES * OFFERS_MAX * limits.PERIODS_MAX)]
_OfRows = Annotated[memoryview, Meta(max_length=_INT_BYTES * (ROWS_MAX + 1))]


class Accepted(Body, frozen=True, kw_only=True):
    """A model that orders of a signature accept."""

    model: Id
    handicap: Price
    """How far its limit price lies below the highest of the order."""


class Kind(Body, frozen=True, kw_only=True):
    """A signature: what the eligible offers of an order depend on."""

    models: Annotated[
        tuple[Accepted, ...], Meta(min_length=1, max_length=limits.MODELS_PER_ORDER_MAX)
    ]
    """By model."""
    rate: Rate | None
    payment: PaymentTerms
    limits: Limits


class Inputs(Body, frozen=True, kw_only=True):
    """N offers with P promises; n orders with r rows, of g kinds."""

    version: Literal[1] = VERSION
    offer_id: Annotated[memoryview, Meta(max_length=ID_BYTES * OFFERS_MAX)]
    """N ids, rising."""
    lots_out: _OfOffers
    """(N,) Lots that awards of now held."""
    reputation: _OfOffers
    """(N,) UNKNOWN where it was."""
    promised_start: _OfOffers
    """(N + 1,) Promises of each offer."""
    promised_us: _OfPromises
    """(P,) Start of the later period."""
    promised_lots: _OfPromises
    """(P,) Lots that awards held in it."""
    kinds: Annotated[tuple[Kind, ...], Meta(max_length=ROWS_MAX)]
    """(g) In the order in which the orders name them first."""
    order_id: Annotated[memoryview, Meta(max_length=ID_BYTES * ROWS_MAX)]
    """n ids, rising."""
    kind: _OfRows
    """(n,) Place in `kinds`."""
    deadline_us: _OfRows
    """(n,) 0 for none."""
    carried: _OfRows
    """(n,) 1 for an order that was in an earlier round."""
    whole: _OfRows
    """(n,) 1 for all or none."""
    row_start: _OfRows
    """(n + 1,) Rows of each order."""
    row: _OfRows
    """(r,) Place in the order's curve."""
    price: _OfRows
    """(r,) Most for a lot, in nanos."""
    lots: _OfRows
    """(r,) Open lots."""


def inputs_of(snapshot: Snapshot) -> bytes:
    """Return the inputs of a round, from the snapshot that it cleared."""
    offers, orders = snapshot.offers, snapshot.orders.by_id()
    promised = [sorted(entry.lots_promised.items()) for entry in offers]
    kinds, kind = _kinds(orders)
    return codec.encode(
        Inputs(
            offer_id=memoryview(b"".join(entry.id for entry in offers)),
            lots_out=_packed([entry.lots_out for entry in offers]),
            reputation=_packed(
                [UNKNOWN if entry.reputation is None else entry.reputation for entry in offers]
            ),
            promised_start=pack(starts([len(each) for each in promised])),
            promised_us=_packed([start_us for each in promised for start_us, _ in each]),
            promised_lots=_packed([lots for each in promised for _, lots in each]),
            kinds=kinds,
            order_id=memoryview(b"".join(entry.id for entry in orders.entries)),
            kind=pack(kind),
            deadline_us=pack(orders.deadline_us),
            carried=pack(orders.carried.astype(np.int64)),
            whole=_packed([entry.terms.all_or_none for entry in orders.entries]),
            row_start=pack(orders.start),
            row=pack(orders.row),
            price=pack(orders.price),
            lots=pack(orders.lots),
        )
    )


def id_of(inputs: bytes) -> bytes:
    """Return the id of the inputs of a round, which its record states."""
    return blake2b(inputs, digest_size=ID_BYTES).digest()


def ids(field: memoryview) -> list[bytes]:
    """Return the ids of a field, one by one."""
    joined = bytes(field)
    return [joined[start : start + ID_BYTES] for start in range(0, len(joined), ID_BYTES)]


def _kinds(orders: OrderColumns) -> tuple[tuple[Kind, ...], Ints]:
    """Return the signatures in use, by first use, and (n,) each order's place among them."""
    used, first, kind = np.unique(orders.signature, return_index=True, return_inverse=True)
    by_use = np.argsort(first)
    place = np.empty(len(used), np.int64)
    place[by_use] = np.arange(len(used))
    kinds = tuple(_kind(orders, number) for number in used[by_use].tolist())
    return kinds, place[kind]


def _kind(orders: OrderColumns, number: int) -> Kind:
    models, rate, payment, all_limits = signature(orders.terms[number])
    return Kind(
        models=tuple(Accepted(model=model, handicap=handicap) for model, handicap in models),
        rate=rate,
        payment=payment,
        limits=all_limits,
    )


def _packed(values: list[int]) -> memoryview:
    return pack(np.array(values, np.int64))
