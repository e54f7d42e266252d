"""The steps of a round: segments, optimum, prices, fills, and all-or-none orders around them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.book import BookOrder, Snapshot
from swatow_market.exchange.clearing.compiled import NOWHERE, Compiled, compile_round
from swatow_market.exchange.clearing.fills import lot_hash, share
from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.outcome import Cleared, Fill, Outcome
from swatow_market.exchange.clearing.price_ranges import middle
from swatow_market.exchange.clearing.problem import NO_PRICE, Ints, Problem, Solution
from swatow_market.exchange.eligibility import failed_limits
from swatow_market.exchange.offer_table import Bools, Signature, signature
from swatow_protocol.messages.answers import LimitName


@dataclass(frozen=True, slots=True)
class _Solved:
    problem: Problem
    solution: Solution
    prices: Ints
    """(N,) The middle of each node's range, rounded down."""
    prices_up: Ints
    """(N,) The same, rounded up: above a limit exactly where the middle is."""
    filled: Ints
    """(n,) Lots of each order."""


def clear(snapshot: Snapshot, threads: int = 1) -> Outcome:
    """Clear one round. Deterministic: the same snapshot gives the same outcome on any machine.

    An all-or-none order that the optimum would fill in part is taken out, the least valuable
    first, and the round is solved again, so none is ever filled in part or at a loss. Those taken
    out although their limit lies above the final price are listed as passed over.

    Args:
        snapshot: the book, as it is.
        threads: how many may solve parts of the book that nothing joins.
    """
    compiled = compile_round(snapshot)
    whole_only = np.array([order.terms.all_or_none for order in snapshot.orders], np.bool_)
    taken = np.ones(len(snapshot.orders), np.bool_)
    while True:
        solved = _solve(snapshot, compiled, taken, threads)
        partial = whole_only & (solved.filled > 0) & (solved.filled < compiled.lots)
        if not partial.any():
            break
        numbers = np.flatnonzero(partial)  # by id, so equals go by id
        worst = np.lexsort((numbers, -compiled.lots[numbers], compiled.price[numbers]))[0]
        taken[numbers[worst]] = False
    segment_prices = _of_orders(compiled, compiled.segment_prices(solved.prices))
    passed_over = ~taken & (segment_prices != NO_PRICE) & (segment_prices <= compiled.price)
    return Outcome(
        fills=tuple(_fills(snapshot, compiled, solved)),
        node_prices={
            entry.id: price
            for entry, price in zip(snapshot.offers, solved.prices.tolist(), strict=True)
            if price != NO_PRICE
        },
        unmet=_unmet(snapshot, compiled, solved),
        passed_over=tuple(snapshot.orders[number].id for number in np.flatnonzero(passed_over)),
        welfare=solved.solution.welfare,
        cleared=Cleared(solved.problem, compiled.arc_charge, solved.solution),
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
        filled=_filled(snapshot, compiled, step, problem.demand_lots, solution.demand_used),
    )


def _filled(snapshot: Snapshot, compiled: Compiled, step: Ints, wanted: Ints, used: Ints) -> Ints:
    """(n,) Return the lots of each order: all of it, nothing, or its share of a marginal step."""
    served = np.flatnonzero(step != NOWHERE)
    whole = used == wanted
    filled = np.zeros(len(step), np.int64)
    full = served[whole[step[served]]]
    filled[full] = compiled.lots[full]
    marginal = np.flatnonzero(~whole & (used > 0))
    members = served[np.isin(step[served], marginal)]
    by_step: dict[int, list[int]] = {}
    for number in members.tolist():
        by_step.setdefault(int(step[number]), []).append(number)
    for at, numbers in by_step.items():
        orders = [snapshot.orders[number] for number in numbers]
        shares = share(orders, int(used[at]), snapshot.salt)
        filled[numbers] = [shares.get(order.id, 0) for order in orders]
    return filled


def _fills(snapshot: Snapshot, compiled: Compiled, solved: _Solved) -> Iterator[Fill]:
    """Hand the lots on each segment's arcs to its orders, in an order that nobody can aim at.

    Lined up by segment, arcs and orders come to the same sums, so both are cut where either ends.
    """
    orders = np.flatnonzero(solved.filled)
    hashes = b"".join(lot_hash(snapshot.orders[each].id, snapshot.salt) for each in orders)
    first_half = np.frombuffer(hashes, ">u8")[::2]
    orders = orders[np.lexsort((orders, first_half, compiled.segment[orders]))]
    arcs = np.flatnonzero(solved.solution.arc_lots)
    order_ends = np.cumsum(solved.filled[orders])
    arc_ends = np.cumsum(solved.solution.arc_lots[arcs])
    ends = np.union1d(order_ends, arc_ends)
    order = orders[np.searchsorted(order_ends, ends)]
    arc = arcs[np.searchsorted(arc_ends, ends)]
    lots = np.diff(ends, prepend=0)
    node, charge = compiled.arc_node[arc], compiled.arc_charge[arc]
    price = solved.prices[node]
    columns = [column.tolist() for column in (order, node, lots, price, charge)]
    by_id = np.lexsort((node, order)).tolist()
    rows = list(zip(*columns, strict=True))
    for row in by_id:
        number, offer, quantity, node_price, path_charge = rows[row]
        yield Fill(
            order=snapshot.orders[number].id,
            offer=snapshot.offers[offer].id,
            lots=quantity,
            price=node_price + path_charge,
            node_price=node_price,
            path_charge=path_charge,
        )


def _of_orders(compiled: Compiled, of_segments: Ints) -> Ints:
    """(n,) Return what belongs to the segment of each order; NO_PRICE for those without one."""
    padded = np.append(of_segments, NO_PRICE)  # NOWHERE is the last place
    return padded[compiled.segment]


def _unmet(
    snapshot: Snapshot, compiled: Compiled, solved: _Solved
) -> dict[bytes, tuple[LimitName, ...]]:
    """Tell why the open part of each order was not filled."""
    prices_up = _of_orders(compiled, compiled.segment_prices(solved.prices_up))
    above = prices_up > compiled.price
    unmet: dict[bytes, tuple[LimitName, ...]] = {}
    known: dict[Signature, tuple[LimitName, ...]] = {}
    for number in np.flatnonzero(solved.filled < compiled.lots).tolist():
        order = snapshot.orders[number]
        if compiled.segment[number] != NOWHERE:
            unmet[order.id] = (LimitName.PRICE if above[number] else LimitName.CAPACITY,)
            continue
        sign = signature(order.terms)
        if sign not in known:
            known[sign] = _nearest(order, snapshot)
        unmet[order.id] = known[sign]
    return unmet


def _nearest(order: BookOrder, snapshot: Snapshot) -> tuple[LimitName, ...]:
    """Return the limits that keep away the offers that come nearest to serving an order."""
    failures = [
        failed_limits(order, entry, snapshot.models[entry.offer.model], snapshot.network_map)
        for entry in snapshot.offers
    ]
    if not failures:
        return (LimitName.MODEL,)
    # Offers of a model that was asked for say most, and of those the ones that came nearest.
    failures = [failed for failed in failures if failed != [LimitName.MODEL]] or failures
    fewest = min(len(failed) for failed in failures)
    nearest = {name for failed in failures if len(failed) == fewest for name in failed}
    return tuple(name for name in LimitName if name in nearest)
