"""All-or-none orders: that none is served at a loss or in part, and what leaving some out may cost.

A part of the verifier (`verify`), which says what the conditions are.
"""

from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.certificate import record as form
from swatow_market.exchange.certificate.arrays import Arrays, money, spread
from swatow_market.exchange.certificate.findings import (
    Check,
    Finding,
    flag,
    out_of_order,
    outside,
)
from swatow_market.exchange.certificate.record import Ints
from swatow_protocol import limits


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What all-or-none orders may have cost a round that is right."""

    passed_over: int
    """How many were left out although their limit lies above the price of their segment."""
    welfare: int
    bound: int
    """What no outcome could pass, whichever of them it took, in nanos."""

    @property
    def gap_ppb(self) -> int:
        """Return the part of the bound that was not reached at most, in 10**-9, rounded up."""
        return -((self.welfare - self.bound) * 10**9 // self.bound) if self.bound else 0


def in_shape(of: Arrays) -> list[tuple[str, int]]:
    """Return (array, how long it must be)."""
    names = ("whole_segment", "whole_price", "whole_lots", "whole_filled")
    relaxed = of.nodes if of.left_out.any() else 0
    return [("relaxed_price", relaxed), *((name, len(of.whole_order)) for name in names)]


def in_range(of: Arrays) -> list[Finding]:
    """Their numbers are within bounds, each order stands once, and is filled whole or not."""
    orders, most = np.array([0, len(of.whole_order)]), limits.PRICE_MAX
    filled = (of.whole_filled != 0) & (of.whole_filled != of.whole_lots)
    leaves = of.record.orders.leaves
    return [
        *flag(Check.RANGE, "whole_order", outside(of.whole_order, 0, leaves - 1)),
        *flag(Check.RANGE, "whole_order", out_of_order(of.whole_order, orders)),
        *flag(Check.RANGE, "whole_segment", outside(of.whole_segment, 0, of.segments - 1)),
        *flag(Check.RANGE, "whole_price", outside(of.whole_price, 0, most)),
        *flag(Check.RANGE, "whole_lots", outside(of.whole_lots, 1, form.LOTS_TOTAL_MAX)),
        *flag(Check.RANGE, "whole_filled", filled),
        *flag(Check.RANGE, "relaxed_price", outside(of.relaxed_price, form.NO_PRICE, most)),
    ]


def accepted_whole(of: Arrays) -> list[Finding]:
    """None that is accepted pays more than its limit, or gets a part of its lots.

    The lots of those with one limit in one segment are within what its step is served.
    """
    loss = ~of.left_out & (of.whole_price < of.segment_price[of.whole_segment])
    accepted = np.flatnonzero(~of.left_out)
    if not len(accepted):
        return []
    by_step = spread(np.arange(of.segments), of.demand_start)
    steps = _place(by_step, of.demand_price)
    places = _place(of.whole_segment[accepted], of.whole_price[accepted])
    step = np.searchsorted(steps, places)
    here = np.append(steps, -1)[step] == places
    lots = np.zeros(len(steps) + 1, np.int64)
    np.add.at(lots, step, of.whole_lots[accepted])
    return [
        *flag(Check.WHOLE, "whole_price below the segment's price", loss),
        *flag(Check.WHOLE, "whole_price of no demand step", ~here),
        *flag(Check.WHOLE, "demand_used below whole_lots", lots[:-1] > of.demand_used),
    ]


def _place(segment: Ints, price: Ints) -> Ints:
    """Return numbers that rise as demand steps do: by segment, then falling price."""
    return segment * (limits.PRICE_MAX + 1) + limits.PRICE_MAX - price


def bounded(of: Arrays) -> list[Finding]:
    """No outcome is worth more than is stated: its dual at any prices whatsoever is a bound."""
    due = form.unpack_amount(of.record.totals.welfare)
    if of.left_out.any():
        unpriced = (of.relaxed_price == form.NO_PRICE) & (np.diff(of.supply_start) > 0)
        if unpriced.any():
            return flag(Check.RELAXED, "relaxed_price", unpriced)
        price = of.delivered(of.relaxed_price)
        gained = of.whole_price - of.of_segments(price)[of.whole_segment]
        due = of.dual(price) + money(np.maximum(gained, 0) * of.left_out, of.whole_lots)
    stated = form.unpack_amount(of.record.totals.relaxed_welfare)
    if due == stated:
        return []
    return [Finding(Check.RELAXED, f"relaxed dual {due}, stated {stated}")]


def shortfall(of: Arrays) -> Shortfall:
    """Return what they may have cost; the record is right."""
    over = of.left_out & (of.whole_price > of.segment_price[of.whole_segment])
    totals = of.record.totals
    return Shortfall(
        passed_over=int(np.count_nonzero(over)),
        welfare=form.unpack_amount(totals.welfare),
        bound=form.unpack_amount(totals.relaxed_welfare),
    )
