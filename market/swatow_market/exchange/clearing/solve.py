"""The steps of a round: segments, optimum, prices, fills, and all-or-none orders around them."""

from dataclasses import dataclass, replace

import numpy as np

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing.compiled import Compiled, compile_round
from swatow_market.exchange.clearing.fills import Handed, filled_rows, hand_out
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.outcome import Cleared, Fill, Outcome
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Solution
from swatow_market.exchange.clearing.reasons import why_unmet
from swatow_market.exchange.clearing.supply import Supply
from swatow_market.exchange.clearing.unfold import unfold
from swatow_market.exchange.offer_table import Bools


@dataclass(frozen=True, slots=True)
class _Solved:
    problem: Problem
    solution: Solution
    prices: Ints
    """(N,) The middle of each node's range, rounded down."""
    prices_up: Ints
    """(N,) The same, rounded up: above a limit exactly where the middle is."""
    filled: Ints
    """(r,) Lots of each row."""


def clear(snapshot: Snapshot, threads: int = 1) -> Outcome:
    """Clear one round. Deterministic: the same book gives the same outcome on any machine,
    in whatever order its orders came.

    A row of an all-or-none order that the optimum would fill in part is taken out, the least
    valuable first, and the round is solved again, so none is ever filled in part or at a loss.
    Orders that have rows taken out whose limit lies above the final price are listed as passed
    over.

    Args:
        snapshot: the book, as it is.
        threads: how many may solve parts of the book that nothing joins.
    """
    snapshot = replace(snapshot, orders=snapshot.orders.by_id())
    orders, compiled = snapshot.orders, compile_round(snapshot)
    whole_only = np.array([entry.terms.all_or_none for entry in orders.entries], np.bool_)
    whole_only = whole_only[compiled.order]
    taken = np.ones(len(compiled.order), np.bool_)
    relaxed = None
    while True:
        solved = _solve(snapshot, compiled, taken, threads)
        relaxed = relaxed or solved.solution
        partial = whole_only & (solved.filled > 0) & (solved.filled < compiled.lots)
        if not partial.any():
            break
        rows = np.flatnonzero(partial)  # by id, so equals go by id
        worst = np.lexsort((rows, -compiled.lots[rows], compiled.price[rows]))[0]
        taken[rows[worst]] = False
    segment_prices = np.append(compiled.segment_prices(solved.prices), NO_PRICE)  # NOWHERE is last
    row_prices = segment_prices[compiled.segment]
    passed_over = ~taken & (row_prices != NO_PRICE) & (row_prices <= compiled.price)
    pieces = unfold(solved.problem, solved.solution.arc_lots, compiled.rows.arc_charge)
    handed = hand_out(orders, compiled, solved.filled, pieces, snapshot.salt)
    return Outcome(
        snapshot=snapshot,
        filled=solved.filled,
        unmet=why_unmet(orders, compiled, solved.filled, solved.prices_up),
        fills=_fills(snapshot, compiled.supply, handed, solved.prices),
        node_prices={
            (snapshot.offers[offer].id, from_us): price
            for offer, from_us, price in zip(
                compiled.supply.offer.tolist(),
                compiled.supply.from_us.tolist(),
                solved.prices.tolist(),
                strict=True,
            )
            if price != NO_PRICE
        },
        passed_over=tuple(
            orders.entries[number].id for number in np.unique(compiled.order[passed_over]).tolist()
        ),
        welfare=solved.solution.welfare,
        cleared=Cleared(
            problem=solved.problem,
            arc_charge=compiled.rows.arc_charge,
            solution=solved.solution,
            relaxed=relaxed,
            order_segment=compiled.order_segment,
            taken=orders.totals(~taken) == 0,
        ),
    )


def prepare() -> None:
    """Have the solver compiled, or taken from the cache of this machine: no round waits for it."""
    one, start = np.ones(1, np.int64), np.array([0, 1])
    solve(Problem(start, one - 1, one, start, one, one, start, one, one))


def _solve(snapshot: Snapshot, compiled: Compiled, taken: Bools, threads: int) -> _Solved:
    problem, step = compiled.problem(taken)
    solution = solve(problem, threads)
    least, greatest = solution.price_least, solution.price_greatest
    prices = middle(least, greatest)
    return _Solved(
        problem=problem,
        solution=solution,
        prices=prices,
        prices_up=np.where(prices == NO_PRICE, NO_PRICE, least + greatest - prices),
        filled=filled_rows(
            snapshot.orders, step, problem.demand_lots, solution.demand_used, snapshot.salt
        ),
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
