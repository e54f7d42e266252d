"""Replaying a round: from its inputs to the snapshot, through the same clearing, to a record."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.inputs import UNKNOWN, Inputs, Kind, ids
from swatow_market.exchange.certificate.record import Record, Round, unpack
from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder, OrderColumns
from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Model, ModelLimit, Offer, OrderTerms

_NOBODY = bytes(32)
_NO_CURRENCY = "ANY"


def snapshot_of(
    number: Round,
    inputs: Inputs,
    *,
    offers: Mapping[bytes, Signed[Offer]],
    models: Mapping[bytes, Model],
    network_map: NetworkMap,
) -> Snapshot:
    """Return the snapshot that a round has cleared.

    Buyers, prices by model and times in the book are not in it: no round depends on them.

    Args:
        number: as the record states it, with salt and periods.
        inputs: of this round.
        offers: by id, at least those of the inputs.
        models: by id.
        network_map: the one that the round names.

    Raises:
        KeyError: an offer is not among `offers`.
        ValueError: the inputs do not fit together.
    """
    step_us = max(number.period_us, 1)
    return Snapshot(
        offers=tuple(_offers(inputs, offers)),
        orders=_orders(inputs),
        models=models,
        network_map=network_map,
        salt=number.salt,
        periods=range(
            number.first_period_us, number.first_period_us + number.periods * step_us, step_us
        ),
    )


def differences(one: Record, other: Record) -> tuple[str, ...]:
    """Return the names of the fields in which two records differ, in the order of a record."""
    return tuple(_differences(one, other, ""))


def _offers(inputs: Inputs, offers: Mapping[bytes, Signed[Offer]]) -> Iterator[BookOffer]:
    starts_us, promised = unpack(inputs.promised_us), unpack(inputs.promised_lots)
    spans = pairwise(unpack(inputs.promised_start).tolist())
    columns = (unpack(inputs.lots_out).tolist(), unpack(inputs.reputation).tolist())
    for name, lots_out, reputation, (begin, end) in zip(
        ids(inputs.offer_id), *columns, spans, strict=True
    ):
        signed = offers[name]
        yield BookOffer(
            id=name,
            offer=signed.message,
            envelope=signed.envelope,
            lots_out=lots_out,
            lots_promised=dict(
                zip(starts_us[begin:end].tolist(), promised[begin:end].tolist(), strict=True)
            ),
            reputation=None if reputation == UNKNOWN else reputation,
        )


def _orders(inputs: Inputs) -> OrderColumns:
    terms = tuple(_terms(kind) for kind in inputs.kinds)
    whole = tuple(msgspec.structs.replace(each, all_or_none=True) for each in terms)
    kind, carried = unpack(inputs.kind), unpack(inputs.carried) != 0
    price, lots, start = unpack(inputs.price), unpack(inputs.lots), unpack(inputs.row_start)
    entries = tuple(
        BookOrder(name, _NOBODY, (whole if all_or_none else terms)[number], 0, was_there)
        for name, number, all_or_none, was_there in zip(
            ids(inputs.order_id),
            kind.tolist(),
            unpack(inputs.whole).tolist(),
            carried.tolist(),
            strict=True,
        )
    )
    columns = OrderColumns(
        entries=entries,
        terms=terms,
        signature=kind,
        carried=carried,
        told=np.zeros(len(entries), np.int64),
        expires_us=np.zeros(len(entries), np.int64),
        deadline_us=unpack(inputs.deadline_us),
        start=start,
        price=price,
        lots=lots,
        row=unpack(inputs.row),
    )
    if len(start) != len(entries) + 1 or not start[-1] == len(price) == len(lots):
        raise ValueError("row_start: does not fit the orders and their rows")
    return columns


def _terms(kind: Kind) -> OrderTerms:
    """Return terms of the signature; the highest limit price is the highest handicap."""
    most = max(each.handicap for each in kind.models)
    return OrderTerms(
        currency=_NO_CURRENCY,
        models=tuple(
            ModelLimit(model=each.model, price=most - each.handicap) for each in kind.models
        ),
        rate=kind.rate,
        limits=kind.limits,
        expires_us=0,
        award_life_us=0,
        payment=kind.payment,
    )


def _differences(one: Any, other: Any, prefix: str) -> Iterator[str]:
    for name in one.__struct_fields__:
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, msgspec.Struct):
            yield from _differences(left, right, f"{prefix}{name}.")
        elif left != right:
            yield prefix + name
