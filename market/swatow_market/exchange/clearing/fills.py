"""Who gets what of a round: sharing a marginal price level, and handing lots to orders.

Carried-over orders first, then in proportion to quantity: by quantity and not by order, so that
splitting an order gains nothing; never by time within a round. What proportion leaves over goes by
largest remainder, and equal remainders by a salted hash of the order's id, which nobody can aim at.

All-or-none rows cannot share so. Together they have the part that their quantity has, and of that
as many are served whole as fit, the largest first, so that little is left over; the rest is for
the others. So to state all-or-none takes nothing from anybody, and gains nothing at equal price.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from swatow_market.exchange.clearing.compiled import Compiled
from swatow_market.exchange.clearing.curves import NOWHERE
from swatow_market.exchange.clearing.problem import Ints
from swatow_market.exchange.clearing.unfold import Pieces
from swatow_market.exchange.orders import Bools, OrderColumns


@dataclass(frozen=True, slots=True)
class Handed:
    """What orders get from nodes, by order and then by node: arrays of the same length."""

    order: Ints
    node: Ints
    lots: Ints
    charge: Ints
    """Path charge, in nanos a lot."""
    worth: Ints
    """What the lots would cost if each cost its limit price, in nanos."""


def filled_rows(
    orders: OrderColumns, whole: Bools, step: Ints, wanted: Ints, used: Ints, salt: bytes
) -> Ints:
    """(r,) Return the lots of each row: all of it, nothing, or its share of a marginal step.

    Args:
        orders: n orders of r rows.
        whole: (r,) which rows are all-or-none; in part they are filled only where they must be.
        step: (r,) demand step of each row, NOWHERE for none.
        wanted: (D,) lots of each step.
        used: (D,) lots served of each step.
        salt: decides what quantity cannot.
    """
    served = np.flatnonzero(step != NOWHERE)
    served = served[used[step[served]] > 0]
    filled = np.zeros(len(step), np.int64)
    filled[served] = np.minimum(orders.lots[served], used[step[served]])
    members = served[(used < wanted)[step[served]]]
    together = np.bincount(step[members], minlength=len(used)) > 1
    members = members[together[step[members]]]
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
            lots = int(used[step[rows[0]]])
            filled[rows] = share(orders.lots[rows], carried, whole[rows], hashes, lots)
    return filled


def share(wanted: Ints, carried: Bools, whole: Bools, hashes: list[bytes], lots: int) -> Ints:
    """(m,) Share `lots` among the rows of one price level.

    Args:
        wanted: (m,) lots of each row; in all no fewer than `lots`.
        carried: (m,) which were in the book in an earlier round.
        whole: (m,) which are all-or-none. At most one of them is filled in part, and only if all
            others of its kind, carried or not, are filled whole.
        hashes: (m) break ties.
        lots: how many there are.
    """
    shares = np.zeros(len(wanted), np.int64)
    for group in (np.flatnonzero(carried), np.flatnonzero(~carried)):
        here = min(lots, int(wanted[group].sum()))
        shares[group] = _share_alike(
            wanted[group], whole[group], [hashes[each] for each in group], here
        )
        lots -= here
    assert not lots, "no more is shared than is wanted"
    return shares


def row_hash(order: bytes, row: int, salt: bytes) -> bytes:
    """Return the hash that breaks ties between rows of orders in one round."""
    return blake2b(order + row.to_bytes(4, "big"), key=salt, digest_size=16).digest()


def hand_out(
    orders: OrderColumns, compiled: Compiled, filled: Ints, pieces: Pieces, salt: bytes
) -> Handed:
    """Hand the lots that come to each segment to its rows, in an order that nobody can aim at.

    Lined up by segment, lots and rows come to the same sums, so both are cut where either ends.
    """
    rows = np.flatnonzero(filled)
    numbers = np.unique(compiled.order[rows])
    hashes = b"".join(row_hash(orders.entries[each].id, 0, salt) for each in numbers.tolist())
    chance = np.zeros(len(orders), np.uint64)
    chance[numbers] = np.frombuffer(hashes, ">u8")[::2]
    order = compiled.order[rows]
    rows = rows[np.lexsort((rows, chance[order], compiled.segment[rows]))]
    row_ends, piece_ends = np.cumsum(filled[rows]), np.cumsum(pieces.lots)
    ends = np.union1d(row_ends, piece_ends)
    row = rows[np.searchsorted(row_ends, ends)]
    piece = np.searchsorted(piece_ends, ends)
    lots = np.diff(ends, prepend=0)
    return _added_up(
        Handed(
            order=compiled.order[row],
            node=pieces.node[piece],
            lots=lots,
            charge=pieces.charge[piece],
            worth=lots * compiled.price[row],
        )
    )


def _added_up(handed: Handed) -> Handed:
    """Join what an order gets of one node at one charge."""
    by_order = np.lexsort((handed.charge, handed.node, handed.order))
    order, node, charge = (each[by_order] for each in (handed.order, handed.node, handed.charge))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(order) != 0) | (np.diff(node) != 0) | (np.diff(charge) != 0)
    first = np.flatnonzero(new)
    if not len(first):
        return handed
    return Handed(
        order=order[first],
        node=node[first],
        lots=np.add.reduceat(handed.lots[by_order], first),
        charge=charge[first],
        worth=np.add.reduceat(handed.worth[by_order], first),
    )


def _share_alike(wanted: Ints, whole: Bools, hashes: list[bytes], lots: int) -> Ints:
    """Share among rows that only quantity tells apart."""
    blocks, others = np.flatnonzero(whole).tolist(), np.flatnonzero(~whole)
    if not blocks:
        return _pro_rata(wanted, hashes, lots)
    shares = np.zeros(len(wanted), np.int64)
    part = int(wanted[blocks].sum()) * lots // int(wanted.sum())
    blocks.sort(key=lambda each: (-wanted[each], hashes[each]))
    for each in blocks:
        if wanted[each] <= part:
            shares[each] = wanted[each]
            part -= int(wanted[each])
    left = lots - int(shares.sum())
    here = min(left, int(wanted[others].sum()))
    shares[others] = _pro_rata(wanted[others], [hashes[each] for each in others], here)
    if left > here:  # less than any block that is not served
        shares[next(each for each in blocks if not shares[each])] = left - here
    return shares


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
