"""Clearing: one round, from a snapshot of the book to who gets what from whom at which price.

    clear(snapshot) -> Outcome

maximises welfare over the whole book, exactly, in integers. Every supply node has one price;
a buyer pays the cheapest eligible delivered price, node price plus path charge. The mathematics
is a min-cost flow and its dual (docs/market.md). A snapshot is `compiled` to arrays, a `problem`;
`components` that nothing joins are solved apart; `simplex` finds the optimal flow, `price_ranges`
the prices that support it, `optimum` is the three together; `fills` shares a marginal price level
among its orders, `reasons` tells the others why, and `solve` is the whole round.
"""

from swatow_market.exchange.clearing.machine_code import drop_stale
from swatow_market.exchange.clearing.outcome import Fill, Outcome, Unmet
from swatow_market.exchange.clearing.reasons import limits_unmet
from swatow_market.exchange.clearing.solve import clear
from swatow_market.exchange.clearing.warm_up import prepare

__all__ = ["Fill", "Outcome", "Unmet", "clear", "limits_unmet", "prepare"]

drop_stale(__file__)  # before any of it is called
