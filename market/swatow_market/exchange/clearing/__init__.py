"""Clearing: one round, from a snapshot of the book to who gets what from whom at which price.

    clear(snapshot) -> Outcome

maximises welfare over the whole book, exactly, in integers. Every supply node has one price;
a buyer pays the cheapest eligible delivered price, node price plus path charge. The mathematics
is a min-cost flow and its dual (docs/market.md); `flow` finds the optimum, `prices` the middle of
the prices that support it, `fills` shares a marginal price level among its orders.

This solver is written to be read: successive shortest paths in plain integers, right for a book of
hundreds of segments. What calls it depends on `clear` alone.
"""

from swatow_market.exchange.clearing.outcome import Fill, Outcome
from swatow_market.exchange.clearing.solve import clear

__all__ = ["Fill", "Outcome", "clear"]
