"""What one trader can check of a record: its own order, from what it knows of it and a short proof.

    leaf of an order    id || its lots that were open || number of its segment
    leaf of an offer    id || lots of it that awards held before the round

with 32 bytes for an id and 8, big-endian, for a number; NOWHERE is the segment of an order that no
offer might serve. Both trees are in the order of the ids. The rest is arithmetic: the price of a
segment follows from the record, and whoever pays more is served whole.

The record is one that the verifier has found right.
"""

import enum
from dataclasses import dataclass

from swatow_market.exchange.certificate.arrays import FAR, Arrays
from swatow_market.exchange.certificate.merkle import Proof, proves
from swatow_market.exchange.certificate.record import Record

NOWHERE = 2**64 - 1


def order_leaf(name: bytes, lots: int, segment: int | None) -> bytes:
    """Return the leaf of an order; None for a segment is NOWHERE."""
    number = NOWHERE if segment is None else segment
    return name + lots.to_bytes(8, "big") + number.to_bytes(8, "big")


def offer_leaf(name: bytes, lots_out: int) -> bytes:
    """Return the leaf of an offer."""
    return name + lots_out.to_bytes(8, "big")


class Doubt(enum.StrEnum):
    """What a trader can find wrong with what a round did to its order."""

    NOT_IN_TREE = "not_in_tree"
    """The tree of orders does not hold it with these lots and this segment."""
    OTHER_PRICE = "other_price"
    """An award is not at the price of its segment."""
    ABOVE_LIMIT = "above_limit"
    """It got more lots than it wants at that price."""
    LEFT_OUT = "left_out"
    """It pays more than the price for lots that it did not get, nor is it listed as passed over."""
    IN_PART = "in_part"
    """It is all-or-none and got a part."""
    MISSTATED = "misstated"
    """The list of all-or-none orders says something else of it."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What an award says of its price."""

    lots: int
    price: int
    """Nanos a lot that the buyer pays."""
    handicap: int = 0
    """What the order pays at most for this model is so much less than for its dearest, nanos."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a trader knows of its order, and what the market has told it."""

    order: bytes
    """Its id."""
    rows: tuple[tuple[int, int], ...]
    """(most that it pays for a lot of any of its models in nanos, lots at that open when the round
    began): one, or of an order out of a batch several."""
    all_or_none: bool
    awards: tuple[Paid, ...]
    """Of this round."""
    segment: int | None
    """Told by the market; None if no offer might serve it."""
    proof: Proof
    """Told by the market."""

    @property
    def lots(self) -> int:
        """Return the lots that were open."""
        return sum(lots for _, lots in self.rows)

    def lots_above(self, price: int) -> int:
        """Return the lots that pay more."""
        return sum(lots for limit, lots in self.rows if limit > price)

    @property
    def filled(self) -> int:
        """Return the lots that it got."""
        return sum(award.lots for award in self.awards)


def segment_price(record: Record, segment: int) -> int | None:
    """Return the cheapest delivered price of a segment; None if it has none or does not exist."""
    prices = Arrays(record).segment_price
    if segment >= len(prices) or prices[segment] == FAR:
        return None
    return int(prices[segment])


def doubts(record: Record, own: Own) -> frozenset[Doubt]:
    """Return what is wrong with what the round did to an order; nothing if it is right."""
    price = None if own.segment is None else segment_price(record, own.segment)
    leaf = order_leaf(own.order, own.lots, own.segment)
    pay_more = 0 if price is None else own.lots_above(price)
    dearest = max((each.price + each.handicap for each in own.awards), default=0)
    listed = _listed(record, own.proof.index)
    as_it_is = (own.segment, own.rows[0][0], own.lots, own.filled)
    found = {
        Doubt.NOT_IN_TREE: not proves(own.proof, leaf, record.orders),
        Doubt.OTHER_PRICE: any(each.price + each.handicap != price for each in own.awards),
        Doubt.ABOVE_LIMIT: own.filled > own.lots_above(dearest - 1),
        Doubt.IN_PART: own.all_or_none and own.filled not in (0, own.lots),
        Doubt.LEFT_OUT: own.filled < pay_more and listed is None,
        Doubt.MISSTATED: (
            own.all_or_none and own.filled > 0
            if listed is None
            else not own.all_or_none or listed != as_it_is
        ),
    }
    return frozenset(doubt for doubt, holds in found.items() if holds)


def _listed(record: Record, leaf: int) -> tuple[int, int, int, int] | None:
    """Return (segment, limit, lots, filled) of an all-or-none order, if it is listed."""
    of = Arrays(record)
    columns = (of.whole_segment, of.whole_price, of.whole_lots, of.whole_filled)
    for place in (of.whole_order == leaf).nonzero()[0].tolist():
        segment, limit, lots, filled = (int(column[place]) for column in columns)
        return segment, limit, lots, filled
    return None
