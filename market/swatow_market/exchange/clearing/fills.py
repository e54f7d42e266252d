"""Who gets what of a round: sharing a marginal price level, and handing lots to orders.

Carried-over orders first, then in proportion to quantity: by quantity and not by order, so that
splitting an order gains nothing; never by time within a round. What proportion leaves over goes by
largest remainder, and equal remainders by a salted hash of the order's id, which nobody can aim at.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from swatow_market.exchange.clearing.compiled import NOWHERE, Compiled
from swatow_market.exchange.clearing.problem import Ints
from swatow_market.exchange.orders import Bools, OrderColumns


@dataclass(frozen=True, slots=True)
class Pieces:
    """What orders get from nodes, by order and then by node: arrays of the same length."""

    order: Ints
    node: Ints
    lots: Ints
    charge: Ints
    """Path charge, in nanos a lot."""
    worth: Ints
    """What the lots would cost if each cost its limit price, in nanos."""


def filled_rows(orders: OrderColumns, step: Ints, wanted: Ints, used: Ints, salt: bytes) -> Ints:
    """(r,) Return the lots of each row: all of it, nothing, or its share of a marginal step.

    Args:
        orders: n orders of r rows.
        step: (r,) demand step of each row, NOWHERE for none.
        wanted: (D,) lots of each step.
        used: (D,) lots served of each step.
        salt: decides what quantity cannot.
    """
    served = np.flatnonzero(step != NOWHERE)
    whole = used == wanted
    filled = np.zeros(len(step), np.int64)
    full = served[whole[step[served]]]
    filled[full] = orders.lots[full]
    marginal = ~whole & (used > 0)
    members = served[marginal[step[served]]]
    members = members[np.argsort(step[members], kind="stable")]
    of_order = orders.order
    for rows in np.split(members, np.flatnonzero(np.diff(step[members])) + 1):
        if len(rows):
            hashes = [
                row_hash(orders.entries[order].id, row, salt)
                for order, row in zip(
                    of_order[rows].tolist(), orders.row[rows].tolist(), strict=True
                )
            ]
            carried = orders.carried[of_order[rows]]
            filled[rows] = share(orders.lots[rows], carried, hashes, int(used[step[rows[0]]]))
    return filled


def share(wanted: Ints, carried: Bools, hashes: list[bytes], lots: int) -> Ints:
    """(m,) Share `lots` among the rows of one price level.

    Args:
        wanted: (m,) lots of each row; in all no fewer than `lots`.
        carried: (m,) which were in the book in an earlier round.
        hashes: (m) break ties.
        lots: how many there are.
    """
    shares = np.zeros(len(wanted), np.int64)
    for group in (np.flatnonzero(carried), np.flatnonzero(~carried)):
        here = min(lots, int(wanted[group].sum()))
        shares[group] = _pro_rata(wanted[group], [hashes[each] for each in group], here)
        lots -= here
    assert not lots, "no more is shared than is wanted"
    return shares


def row_hash(order: bytes, row: int, salt: bytes) -> bytes:
    """Return the hash that breaks ties between rows of orders in one round."""
    return blake2b(order + row.to_bytes(4, "big"), key=salt, digest_size=16).digest()


def hand_out(
    orders: OrderColumns, compiled: Compiled, filled: Ints, arc_lots: Ints, salt: bytes
) -> Pieces:
    """Hand the lots on each segment's arcs to its rows, in an order that nobody can aim at.

    Lined up by segment, arcs and rows come to the same sums, so both are cut where either ends.
    """
    rows = np.flatnonzero(filled)
    numbers = np.unique(compiled.order[rows])
    hashes = b"".join(row_hash(orders.entries[each].id, 0, salt) for each in numbers.tolist())
    chance = np.zeros(len(orders), np.uint64)
    chance[numbers] = np.frombuffer(hashes, ">u8")[::2]
    order = compiled.order[rows]
    rows = rows[np.lexsort((rows, chance[order], compiled.segment[rows]))]
    arcs = np.flatnonzero(arc_lots)
    row_ends, arc_ends = np.cumsum(filled[rows]), np.cumsum(arc_lots[arcs])
    ends = np.union1d(row_ends, arc_ends)
    row = rows[np.searchsorted(row_ends, ends)]
    arc = arcs[np.searchsorted(arc_ends, ends)]
    lots = np.diff(ends, prepend=0)
    return _added_up(
        Pieces(
            order=compiled.order[row],
            node=compiled.arc_node[arc],
            lots=lots,
            charge=compiled.arc_charge[arc],
            worth=lots * compiled.price[row],
        )
    )


def _added_up(pieces: Pieces) -> Pieces:
    """Join what an order gets of one node at one charge."""
    by_order = np.lexsort((pieces.charge, pieces.node, pieces.order))
    order, node, charge = (each[by_order] for each in (pieces.order, pieces.node, pieces.charge))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(order) != 0) | (np.diff(node) != 0) | (np.diff(charge) != 0)
    first = np.flatnonzero(new)
    if not len(first):
        return pieces
    return Pieces(
        order=order[first],
        node=node[first],
        lots=np.add.reduceat(pieces.lots[by_order], first),
        charge=charge[first],
        worth=np.add.reduceat(pieces.worth[by_order], first),
    )


def _pro_rata(wanted: Ints, hashes: list[bytes], lots: int) -> Ints:
    total = int(wanted.sum())
    if not lots:
        return np.zeros(len(wanted), np.int64)
    shares = wanted * lots // total
    remainder = wanted * lots % total
    left = lots - int(shares.sum())
    by_remainder = sorted(range(len(wanted)), key=lambda each: (-remainder[each], hashes[each]))
    shares[by_remainder[:left]] += 1
    return shares
