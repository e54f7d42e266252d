"""A flow through hubs as whole paths: which node serves which segment, at what charge."""

# pyright: reportArgumentType=false
# (numba compiles this; to pyright an item of an array may be an array)
from typing import NamedTuple

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import Ints, Problem

_NONE = -1


class Pieces(NamedTuple):
    """Lots that one node serves one segment on one way; P of them, those of a segment together."""

    segment: Ints
    """(P,) Rising."""
    node: Ints
    """(P,)"""
    lots: Ints
    """(P,) Above zero."""
    charge: Ints
    """(P,) Charges of the arcs on the way, added up."""


def unfold(problem: Problem, arc_lots: Ints, arc_charge: Ints) -> Pieces:
    """Split lots (E,) on arcs with charges (E,) into ways from nodes to segments.

    What a hub takes lines up in the order of its arcs and leaves in that order, to hubs by number
    and then to segments. There are at most as many pieces as arcs with lots.
    """
    return Pieces(
        *_unfold(
            problem.arc_start,
            problem.arc_node,
            arc_lots,
            arc_charge,
            problem.segments,
            problem.nodes,
        )
    )


@njit(cache=True, nogil=True)
def _unfold(
    arc_start: Ints, arc_node: Ints, arc_lots: Ints, arc_charge: Ints, segments: int, nodes: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Move pieces from row to row: each row is a queue, linked by the number of the next piece."""
    rows, most = len(arc_start) - 1, np.count_nonzero(arc_lots)
    node, charge, lots = (
        np.zeros(most, np.int64),
        np.zeros(most, np.int64),
        np.zeros(most, np.int64),
    )
    after = np.full(most, _NONE)
    first, last = np.full(rows, _NONE), np.full(rows, _NONE)
    pieces = 0
    for number in range(rows):  # hubs first, upwards: what a hub passes on has arrived
        row = number + segments if number + segments < rows else number + segments - rows
        for arc in range(arc_start[row], arc_start[row + 1]):
            left = arc_lots[arc]
            hub = segments + arc_node[arc] - nodes
            while left:
                if hub < segments or lots[first[hub]] > left:  # a new piece: of a node, or cut off
                    piece, pieces = pieces, pieces + 1
                    lots[piece] = left
                    if hub < segments:
                        node[piece] = arc_node[arc]
                    else:
                        lots[first[hub]] -= left
                        node[piece], charge[piece] = node[first[hub]], charge[first[hub]]
                else:
                    piece = first[hub]
                    first[hub] = after[piece]
                    after[piece] = _NONE
                left -= lots[piece]
                charge[piece] += arc_charge[arc]
                if first[row] == _NONE:
                    first[row] = piece
                else:
                    after[last[row]] = piece
                last[row] = piece
    order, segment = np.zeros(pieces, np.int64), np.zeros(pieces, np.int64)
    count = 0
    for row in range(segments):
        piece = first[row]
        while piece != _NONE:
            order[count], segment[count] = piece, row
            piece, count = after[piece], count + 1
    return segment, node[order], lots[order], charge[order]
