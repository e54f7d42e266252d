"""Orders become curves: each order in one step, at its price, with all its lots."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swatow_market.exchange.clearing import curves
from swatow_market.exchange.clearing.curves import NOWHERE, DemandCurves, demand_curves
from swatow_market.exchange.clearing.problem import Ints
from swatow_protocol.limits import LOTS_MAX, PRICE_MAX

SEGMENTS = 4

orders = st.tuples(
    st.integers(NOWHERE, SEGMENTS - 1),
    st.sampled_from([0, 3_000, 9_000, 12_000]) | st.integers(0, 40) | st.integers(0, PRICE_MAX),
    st.integers(1, LOTS_MAX),
)


def columns(rows: list[tuple[int, int, int]]) -> tuple[Ints, Ints, Ints]:
    """Return segments, prices and lots."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


def check(segment: Ints, price: Ints, lots: Ints, segments: int, threads: int) -> DemandCurves:
    """Add up, and compare with adding up one by one."""
    found = demand_curves(segment, price, lots, segments, threads)
    expected: Counter[tuple[int, int]] = Counter()
    rows = zip(segment.tolist(), price.tolist(), lots.tolist(), strict=True)
    for where, paid, wanted in rows:
        if where != NOWHERE:
            expected[where, -paid] += wanted
    assert len(found.start) == segments + 1
    ends = list(pairwise(found.start.tolist()))
    owners = [number for number, (begin, end) in enumerate(ends) for _ in range(begin, end)]
    steps = list(zip(owners, (-found.price).tolist(), strict=True))
    assert steps == sorted(expected)
    assert found.lots.tolist() == [expected[step] for step in steps]
    (out,) = np.nonzero(segment == NOWHERE)
    assert (found.step[out] == NOWHERE).all()
    (taken,) = np.nonzero(segment != NOWHERE)
    assert (found.price[found.step[taken]] == price[taken]).all()
    assert (np.array(owners, dtype=np.int64)[found.step[taken]] == segment[taken]).all()
    return found


@settings(deadline=None)
@given(st.lists(orders, max_size=30))
@example([])
@example([(NOWHERE, 5, 1)])
@example([(0, 0, 2), (0, 0, 3)])
@example([(0, 6_000, 2), (0, 9_000, 3), (0, 9_001, 3)])
@example([(0, 0, 1), (SEGMENTS - 1, PRICE_MAX, 1), (SEGMENTS - 1, 0, 1)])
def test_every_order_is_in_the_step_of_its_segment_and_price(
    rows: list[tuple[int, int, int]],
) -> None:
    check(*columns(rows), SEGMENTS, 1)


@pytest.mark.parametrize(
    ("bins_min", "spread"),
    [(0, 30), (0, 30_000), (0, PRICE_MAX), (1 << 40, 30), (1 << 40, 30_000)],
)
def test_sorting_and_counting_add_up_alike(
    bins_min: int, spread: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(spread)
    segment = random.integers(-1, 9, 5_000)
    price, lots = random.integers(0, spread, 5_000), random.integers(1, 50, 5_000)
    monkeypatch.setattr(curves, "_BINS_MIN", bins_min)
    monkeypatch.setattr(curves, "_BINS_AN_ORDER", 0)
    check(segment, price, lots, 9, 1)


@pytest.mark.parametrize("tick", [1, 1_000])
def test_neither_threads_nor_the_order_of_orders_change_a_curve(
    tick: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 20_000
    monkeypatch.setattr(curves, "_ORDERS_A_THREAD", 1_000)
    random = np.random.default_rng(tick)
    segment = random.integers(-1, 50, count)
    price, lots = tick * random.integers(100, 900, count), random.integers(1, 50, count)
    one = check(segment, price, lots, 50, 1)
    other = random.permutation(count)
    for threads in (2, 3):
        found = demand_curves(segment, price, lots, 50, threads)
        assert all((a == b).all() for a, b in zip(one, found, strict=True))
        found = demand_curves(segment[other], price[other], lots[other], 50, threads)
        assert all((a == b).all() for a, b in zip(one[:3], found[:3], strict=True))
        assert (found.step == one.step[other]).all()


def test_segments_that_nobody_is_in_have_empty_curves() -> None:
    found = demand_curves(*columns([(1, 7, 2), (1, 9, 4)]), 3)
    assert found.start.tolist() == [0, 0, 2, 2]
    assert (found.price.tolist(), found.lots.tolist()) == ([9, 7], [4, 2])
    assert found.step.tolist() == [1, 0]
