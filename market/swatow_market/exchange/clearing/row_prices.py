"""Delivered prices: the cheapest way to each row of a problem, through hubs too."""

# pyright: reportArgumentType=false
# (numba compiles this; to pyright an item of an array may be an array)
import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import NO_PRICE, Ints


def row_prices(
    arc_start: Ints, arc_node: Ints, arc_cost: Ints, node_prices: Ints, segments: int
) -> Ints:
    """(S,) Return the cheapest delivered price of each segment; NO_PRICE where no node has one.

    Args:
        arc_start: (S + H + 1,) arcs of segments and hubs, as in a Problem.
        arc_node: (E,)
        arc_cost: (E,) nanos a lot.
        node_prices: (N,) nanos a lot, NO_PRICE for none.
        segments: S.
    """
    prices = np.full(len(arc_start) - 1, NO_PRICE)
    _cheapest(arc_start, arc_node, arc_cost, node_prices, segments, prices)
    return prices[:segments]


@njit(cache=True, nogil=True)
def _cheapest(
    arc_start: Ints, arc_node: Ints, arc_cost: Ints, node: Ints, segments: int, row: Ints
) -> None:
    """Price the hubs, which lead to lower hubs alone, and then the segments."""
    rows = len(row)
    for turn in range(rows):
        here = segments + turn if turn < rows - segments else turn - (rows - segments)
        best = NO_PRICE
        for arc in range(arc_start[here], arc_start[here + 1]):
            target = arc_node[arc]
            price = node[target] if target < len(node) else row[segments + target - len(node)]
            if price != NO_PRICE and (best == NO_PRICE or price + arc_cost[arc] < best):
                best = price + arc_cost[arc]
        row[here] = best
