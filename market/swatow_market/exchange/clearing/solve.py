"""The steps of a round: segments, optimum with its all-or-none orders, prices, fills."""

from dataclasses import replace

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.compiled import compile_round
from swatow_market.exchange.clearing.fills import Handed, hand_out
from swatow_market.exchange.clearing.outcome import Cleared, Fill, Outcome
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints
from swatow_market.exchange.clearing.reasons import why_unmet
from swatow_market.exchange.clearing.supply import Supply
from swatow_market.exchange.clearing.unfold import unfold
from swatow_market.exchange.clearing.warm import Kept, keep, start_from
from swatow_market.exchange.clearing.whole import settle


def clear(snapshot: Snapshot, threads: int = 1, kept: Kept | None = None) -> Outcome:
    """Clear one round. Deterministic: the same book gives the same outcome on any machine,
    in whatever order its orders came.

    No all-or-none order is ever filled in part or at a loss (`whole`). Those that are not filled
    although their limit lies above the final price are listed as passed over.

    Args:
        snapshot: the book, as it is.
        threads: how many may solve parts of the book that nothing joins.
        kept: what an earlier round came to. It saves time where the books are alike, and changes
            nothing.
    """
    snapshot = replace(snapshot, orders=snapshot.orders.by_id())
    orders, compiled = snapshot.orders, compile_round(snapshot)
    start = start_from(kept, snapshot, compiled) if kept else None
    settled = settle(orders, compiled, snapshot.salt, threads, start)
    found = settled.found
    solution, prices = found.solution, found.prices
    up = solution.price_least + solution.price_greatest - prices
    pieces = unfold(found.problem, solution.arc_lots, compiled.rows.arc_charge)
    handed = hand_out(orders, compiled, found.filled, pieces, snapshot.salt)
    return Outcome(
        snapshot=snapshot,
        filled=found.filled,
        unmet=why_unmet(orders, compiled, found.filled, np.where(prices == NO_PRICE, NO_PRICE, up)),
        fills=_fills(snapshot, compiled.supply, handed, prices),
        node_prices={
            (snapshot.offers[offer].id, from_us): price
            for offer, from_us, price in zip(
                compiled.supply.offer.tolist(),
                compiled.supply.from_us.tolist(),
                prices.tolist(),
                strict=True,
            )
            if price != NO_PRICE
        },
        passed_over=tuple(
            orders.entries[number].id
            for number in np.unique(compiled.order[settled.passed_over]).tolist()
        ),
        welfare=solution.welfare,
        cleared=Cleared(
            problem=found.problem,
            arc_charge=compiled.rows.arc_charge,
            solution=solution,
            relaxed=settled.relaxed,
            order_segment=compiled.order_segment,
            taken=orders.totals(~found.taken) == 0,
            solves=settled.solves,
        ),
        kept=keep(snapshot, compiled, settled.start),
    )


def _fills(snapshot: Snapshot, supply: Supply, handed: Handed, prices: Ints) -> tuple[Fill, ...]:
    offer, from_us = supply.offer[handed.node], supply.from_us[handed.node]
    by_offer = np.lexsort((handed.charge, from_us, offer, handed.order))
    columns = (
        handed.order,
        offer,
        from_us,
        handed.lots,
        prices[handed.node],
        handed.charge,
        handed.worth,
    )
    return tuple(
        Fill(
            order=snapshot.orders.entries[order].id,
            offer=snapshot.offers[offer].id,
            from_us=from_us,
            lots=lots,
            price=node_price + charge,
            node_price=node_price,
            path_charge=charge,
            worth=worth,
        )
        for order, offer, from_us, lots, node_price, charge, worth in zip(
            *(column[by_offer].tolist() for column in columns), strict=True
        )
    )
