"""The published record of one round: what it was given, what it decided, and nothing else.

    bytes of a record = payload || BLAKE2b-256(payload)

The payload is one positional MessagePack array, and the hash is the id of the record. Each list
of integers is a string of little-endian int64, so a reader takes it as an array without copying.
Prices and costs are nanos a lot, quantities are lots. Segments, hubs, supply nodes and arcs are
numbers: rows of a list are found by its starts, row r from start[r] to start[r + 1].

A hub passes on what it takes. It may stand wherever a node may: an arc that leads to N + h leads to
hub h. Its own row leads to nodes and to hubs of lower number, so no lot goes in a circle. It has no
price of its own but the cheapest that its row delivers.

An all-or-none order that is accepted is part of the curves. One that the round could only fill in
part is left out of them, and it is listed: what its loss may have cost the round at most is shown
by prices of a round that takes such orders in part (relaxed).

This module is the format and its bounds. It does not know whether what a record says is true:
that is `verify`.
"""

from hashlib import blake2b
from typing import Annotated, Literal, TypeAlias

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from swatow_market.exchange.certificate.merkle import Head
from swatow_protocol import codec, limits
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages.base import Body
from swatow_protocol.messages.fields import Count, DurationUs, Id, Name, Serial, TimeUs

Ints: TypeAlias = NDArray[np.int64]

VERSION: Literal[2] = 2
RECORD_BYTES_MAX = 256 << 20
"""Bytes of one record. A longer one is refused before it is decoded."""
ROWS_MAX = 1 << 20
"""Segments and hubs."""
NODES_MAX = 1 << 17
ARCS_MAX = 1 << 22
STEPS_MAX = 1 << 22
"""Steps of all demand curves, and of all supply curves."""
WHOLE_MAX = 1 << 20
"""All-or-none orders."""
LOTS_TOTAL_MAX = 10**12
"""Lots of all demand steps, and of all supply steps. Sums of ARCS_MAX or STEPS_MAX such numbers fit
int64."""
CARRIED_TOTAL_MAX = 1 << 47
"""Lots of all arcs: one that goes through hubs counts on each of its arcs. With 15 bits of a price
their product fits int64."""
COST_MAX = 2 * limits.PRICE_MAX
"""Of a lot on an arc: a path charge, and what an order pays less for this model than for another.
With a node price it stays below 2**42."""
NO_PRICE = -1
"""In place of the price of a supply node that nothing bounds."""

_ID_BYTES = 32
_INT_BYTES = 8
_AMOUNT_BYTES = 16

Salt = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""32 bytes that decided the ties of the round."""
Amount = Annotated[bytes, Meta(min_length=_AMOUNT_BYTES, max_length=_AMOUNT_BYTES)]
"""Nanos in 16 bytes, big-endian: price x lots of a whole round can pass 64 bits."""
RowStarts = Annotated[memoryview, Meta(max_length=_INT_BYTES * (ROWS_MAX + 1))]
NodeStarts = Annotated[memoryview, Meta(max_length=_INT_BYTES * (NODES_MAX + 1))]
OfNodes = Annotated[memoryview, Meta(max_length=_INT_BYTES * NODES_MAX)]
OfArcs = Annotated[memoryview, Meta(max_length=_INT_BYTES * ARCS_MAX)]
OfSteps = Annotated[memoryview, Meta(max_length=_INT_BYTES * STEPS_MAX)]
OfWhole = Annotated[memoryview, Meta(max_length=_INT_BYTES * WHOLE_MAX)]


class Round(Body, frozen=True, kw_only=True):
    """Which round it is, and by which rules it was cleared."""

    network: Name
    shard: Name
    epoch: Serial
    number: Serial
    rule_version: Count
    salt: Salt
    network_map: Id
    """Id of the NetworkMap by which paths and corridors were looked up."""
    first_period_us: TimeUs
    """Start of the first later period for which there might be supply."""
    period_us: DurationUs
    """Length of each; zero where there are none."""
    periods: Count
    """How many there are."""
    inputs: Id
    """Id of the inputs that the market keeps: all else that the outcome depends on."""


class Totals(Body, frozen=True, kw_only=True):
    """What the round comes to, in nanos."""

    welfare: Amount
    """Value of the demand served - cost of the supply used - cost of the arcs."""
    buyers: Amount
    """What buyers pay: node price + path charge for each lot."""
    nodes: Amount
    """What nodes get: their price for each lot."""
    carriers: Amount
    """What carriers get: the path charge of each lot."""
    relaxed_welfare: Amount
    """What no outcome could pass, whichever all-or-none orders it takes: the dual of relaxed_price;
    the welfare itself if the curves leave no order out."""


class Record(Body, frozen=True, kw_only=True):
    """S segments, H hubs, N supply nodes, E arcs; curves of D demand steps and K supply steps; W
    all-or-none orders."""

    version: Literal[2] = VERSION
    round: Round
    offers: Head
    orders: Head
    totals: Totals
    arc_start: RowStarts
    """(S + H + 1,) Arcs of each segment, then of each hub."""
    arc_node: OfArcs
    """(E,) Where the arc leads: a supply node, or N + the number of a hub; rising within a row."""
    arc_cost: OfArcs
    """(E,) Cost of a lot to the round: the path charge, and a handicap that is no money."""
    arc_charge: OfArcs
    """(E,) The path charge in it."""
    arc_lots: OfArcs
    """(E,) Lots that the arc carries."""
    demand_start: RowStarts
    """(S + 1,) Demand steps of each segment."""
    demand_price: OfSteps
    """(D,) Falling within a segment."""
    demand_lots: OfSteps
    """(D,) Lots wanted."""
    demand_used: OfSteps
    """(D,) Lots served of them."""
    supply_start: NodeStarts
    """(N + 1,) Supply steps of each node."""
    supply_price: OfSteps
    """(K,) Rising within a node."""
    supply_lots: OfSteps
    """(K,) Lots offered."""
    supply_used: OfSteps
    """(K,) Lots used of them."""
    node_price: OfNodes
    """(N,) The one price of each node; NO_PRICE where nothing bounds it."""
    whole_order: OfWhole
    """(W,) Leaf of each all-or-none order that is accepted, or left out of the curves; rising."""
    whole_segment: OfWhole
    """(W,)"""
    whole_price: OfWhole
    """(W,) Its limit, which is the price of its demand step."""
    whole_lots: OfWhole
    """(W,)"""
    whole_filled: OfWhole
    """(W,) All of its lots, or 0: then it is in no curve."""
    relaxed_price: OfNodes
    """(N,) Prices that bound what orders left out could have added; (0,) if there are none."""


ARRAYS = tuple(name for name in Record.__struct_fields__ if "_" in name)
"""The fields that are lists of integers, in the order of the record."""


def encode(record: Record) -> bytes:
    """Return the bytes of a record: its payload and the id of it."""
    payload = codec.encode(record)
    return payload + _id_of(payload)


def decode(data: bytes) -> Record:
    """Return the record that these bytes are the one encoding of; its arrays are views of them.

    Raises:
        MessageRefused: OVERSIZED, MALFORMED (a type, a bound, or the id), or NOT_CANONICAL.
    """
    if len(data) > RECORD_BYTES_MAX:
        raise MessageRefused(Refusal.OVERSIZED, f"{len(data)} bytes > {RECORD_BYTES_MAX}")
    payload = data[:-_ID_BYTES]
    if data[-_ID_BYTES:] != _id_of(payload):
        raise MessageRefused(Refusal.MALFORMED, "does not end in the id of what stands before")
    record = codec.decode(Record, payload)
    for name in ARRAYS:
        if len(getattr(record, name)) % _INT_BYTES:
            raise MessageRefused(Refusal.MALFORMED, f"{name}: not whole integers")
    return record


def id_of(data: bytes) -> bytes:
    """Return the id that the bytes of a record end in, unchecked."""
    return data[-_ID_BYTES:]


def pack(values: Ints) -> memoryview:
    """Return integers as a field of a record."""
    return memoryview(np.ascontiguousarray(values, dtype="<i8").tobytes())


def unpack(field: memoryview) -> Ints:
    """Return a field of a record as a read-only array of int64, without copying."""
    return np.frombuffer(field, dtype="<i8")


def pack_amount(nanos: int) -> bytes:
    """Return an amount of money, zero or more, as a field of a record.

    Raises:
        OverflowError: it is negative, or passes 128 bits.
    """
    return nanos.to_bytes(_AMOUNT_BYTES, "big")


def unpack_amount(field: bytes) -> int:
    """Return the nanos of an amount."""
    return int.from_bytes(field, "big")


def _id_of(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_ID_BYTES).digest()
