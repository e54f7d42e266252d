"""Orders added up to demand curves: one step for all orders of one segment at one price.

Prices are counted in ticks, their greatest common divisor. Each segment has a bin for every tick
between its greatest and its least price; where there are not many more bins than orders, lots are
added up in a table of them, and otherwise the orders are sorted by bin.
"""

# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
# (numba compiles this; to pyright an item of an array may be an array)
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from swatow_market.exchange.clearing.problem import Ints

NOWHERE = -1
"""The segment of an order that takes no part, and its step."""

_BINS_AN_ORDER = 4
_BINS_MIN = 1 << 12
"""With more bins than both this and _BINS_AN_ORDER, orders are sorted."""
_DIGIT_BITS = 11
"""Of one pass of the sort."""
_ORDERS_A_THREAD = 1 << 21
"""Fewer are not worth a thread, and a table of bins for it."""
_FAR = np.int64(1) << np.int64(62)


class DemandCurves(NamedTuple):
    """The demand side of a problem, and where the n orders are in it."""

    start: Ints
    """(S + 1,) Steps of segment s are start[s] to start[s + 1]."""
    price: Ints
    """(D,) Falling within a segment."""
    lots: Ints
    """(D,)"""
    step: Ints
    """(n,) Step of each order; NOWHERE where its segment is."""


def demand_curves(
    segment: Ints, price: Ints, lots: Ints, segments: int, threads: int = 1
) -> DemandCurves:
    """Add up orders. The curves do not depend on how orders are arranged, nor on threads.

    Args:
        segment: (n,) 0 to `segments`, or NOWHERE.
        price: (n,) limit prices in nanos a lot, zero or more.
        lots: (n,) above zero.
        segments: S.
        threads: how many may work at once.
    """
    workers = max(1, min(threads, len(segment) // _ORDERS_A_THREAD))
    greatest, least = np.full((workers, segments), -1), np.full((workers, segments), _FAR)
    ticks = np.zeros(workers, np.int64)

    def span(worker: int, begin: int, end: int) -> None:
        ticks[worker] = _span(segment, price, begin, end, greatest[worker], least[worker])

    _share_out(span, len(segment), workers)
    tick = max(1, int(np.gcd.reduce(ticks)))
    top = greatest.max(axis=0)
    widths = np.where(top < 0, 0, (top - least.min(axis=0)) // tick + 1)
    base: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)])
    bins = int(base[-1])
    step = np.empty(len(segment), np.int64)
    if bins > max(_BINS_MIN, _BINS_AN_ORDER * len(segment)):
        _bins(segment, price, 0, len(segment), base, top, tick, step)
        at, added = _add_sorted(*_by_bin(step, bins), lots, step)
    else:
        tables = np.zeros((workers, bins), np.int64)

        def add(worker: int, begin: int, end: int) -> None:
            _bins(segment, price, begin, end, base, top, tick, step)
            _add(step, lots, begin, end, tables[worker])

        _share_out(add, len(segment), workers)
        at, added = _gather(tables)
        _share_out(lambda _, begin, end: _number(step, begin, end, tables[0]), len(step), workers)
    start = np.searchsorted(at, base)
    curve = np.repeat(np.arange(segments), np.diff(start))
    return DemandCurves(start, top[curve] - (at - base[curve]) * tick, added, step)


def _share_out(work: Callable[[int, int, int], None], count: int, workers: int) -> None:
    """Call work(worker, begin, end) for parts of 0 to `count`, each in a thread."""
    ends = [count * worker // workers for worker in range(workers + 1)]
    if workers == 1:
        work(0, 0, count)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers), ends[:-1], ends[1:]))


@njit(cache=True, nogil=True)
def _span(segment: Ints, price: Ints, begin: int, end: int, greatest: Ints, least: Ints) -> int:
    """Note the greatest and least price of each segment; return what divides all prices."""
    tick = 0
    for order in range(begin, end):
        here = segment[order]
        if here < 0:
            continue
        paid = price[order]
        greatest[here] = max(greatest[here], paid)
        least[here] = min(least[here], paid)
        if tick != 1:
            if tick == 0:
                tick = paid
            while paid % tick if tick else 0:
                tick, paid = paid % tick, tick
    return tick


@njit(cache=True, nogil=True)
def _bins(
    segment: Ints,
    price: Ints,
    begin: int,
    end: int,
    base: Ints,
    top: Ints,
    tick: int,
    bins: Ints,
) -> None:
    """Set the bin of each order: those of a segment together, by falling price."""
    for order in range(begin, end):
        here = segment[order]
        bins[order] = base[here] + (top[here] - price[order]) // tick if here >= 0 else NOWHERE


@njit(cache=True, nogil=True)
def _add(bins: Ints, lots: Ints, begin: int, end: int, table: Ints) -> None:
    """Add up the lots of each bin."""
    for order in range(begin, end):
        if bins[order] >= 0:
            table[bins[order]] += lots[order]


@njit(cache=True, nogil=True)
def _gather(tables: Ints) -> tuple[Ints, Ints]:
    """Return (bin, lots) of each bin that holds lots; leave their numbers in the first table."""
    first = tables[0]
    for worker in range(1, len(tables)):
        first += tables[worker]
    taken = np.count_nonzero(first)
    at, added = np.empty(taken, np.int64), np.empty(taken, np.int64)
    count = 0
    for place in range(len(first)):
        if first[place]:
            at[count], added[count], first[place] = place, first[place], count
            count += 1
    return at, added


@njit(cache=True, nogil=True)
def _number(bins: Ints, begin: int, end: int, numbers: Ints) -> None:
    """Replace the bin of each order by its number."""
    for order in range(begin, end):
        if bins[order] >= 0:
            bins[order] = numbers[bins[order]]


@njit(cache=True, nogil=True)
def _by_bin(bins: Ints, count: int) -> tuple[Ints, Ints]:
    """Return (order, bin) by bin, digit by digit from the lowest; without orders that have none."""
    order = np.flatnonzero(bins >= 0)
    key = bins[order]
    orders, keys = np.empty_like(order), np.empty_like(key)
    mask = (1 << _DIGIT_BITS) - 1
    shift = 0
    while count >> shift:
        places = np.zeros(mask + 2, np.int64)
        for number in range(len(key)):
            places[(key[number] >> shift & mask) + 1] += 1
        for digit in range(mask):
            places[digit + 1] += places[digit]
        for number in range(len(key)):
            digit = key[number] >> shift & mask
            place = places[digit]
            keys[place], orders[place] = key[number], order[number]
            places[digit] = place + 1
        order, orders, key, keys = orders, order, keys, key
        shift += _DIGIT_BITS
    return order, key


@njit(cache=True, nogil=True)
def _add_sorted(order: Ints, key: Ints, lots: Ints, step: Ints) -> tuple[Ints, Ints]:
    """Return (bin, lots) of each bin that holds lots; set the steps of the orders."""
    at, added = np.empty(len(key), np.int64), np.empty(len(key), np.int64)
    count, last = 0, NOWHERE
    for number in range(len(key)):
        if key[number] != last:
            last = key[number]
            at[count], added[count] = last, 0
            count += 1
        added[count - 1] += lots[order[number]]
        step[order[number]] = count - 1
    return at[:count].copy(), added[:count].copy()
