"""What keeps an order from being filled: which limits, or price, or capacity, and by how much."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.clearing import clear
from swatow_market.exchange.explain import explain
from swatow_market.exchange.network_map import Path
from swatow_protocol import codec
from swatow_protocol.envelope import sign
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Attributes, LaterSupply, Limits, PriceStep, Subject
from swatow_protocol.messages.answers import Explanation, KeptAway, LimitName, OrderState
from swatow_protocol.periods import later_starts
from tests.support import samples
from tests.support.market_books import MODEL, OTHER, Drawn, books, demand, snapshot, supply
from tests.support.market_world import UNIT, World
from tests.support.samples import BUYER, NOW_US, STRANGER

HOUR_US = 3_600_000_000


def told(order: Any, frozen: Snapshot, prices: Any = None) -> Explanation:
    return explain(order, OrderState.OPEN, frozen, prices or {})


def test_limits_are_counted_alone_and_together() -> None:
    vendors = Limits(vendors=("nvidia",), zones=("sg",))
    offers = [
        supply("a", (10, 5), zone="cn-gd-shantou", attributes=Attributes(vendor="nvidia")),
        supply("b", (10, 5), zone="sg", attributes=Attributes(vendor="ascend")),
        supply("c", (10, 5), zone="cn-gd-shantou", attributes=Attributes(vendor="ascend")),
        supply("d", (10, 5), zone="cn-gd-shantou", attributes=Attributes(vendor="ascend")),
        supply("e", (10, 5), model=OTHER, zone="sg"),
    ]
    found = told(demand("x", 3, 20, limits=vendors), snapshot(offers))
    assert (found.offers, found.eligible, found.missing) == (4, 0, None)
    assert found.limits == (
        KeptAway(limit=LimitName.ZONES, offers=3, alone=1),
        KeptAway(limit=LimitName.VENDORS, offers=3, alone=1),
    )
    assert found.nearest == (LimitName.ZONES, LimitName.VENDORS)
    assert (found.last_price, found.least_ask, found.lots_within) == (None, None, 0)


def test_without_an_offer_for_its_models_that_is_what_is_told() -> None:
    found = told(demand("x", 3, 20), snapshot([supply("a", (10, 5), model=OTHER)]))
    assert (found.offers, found.nearest) == (0, (LimitName.MODEL,))


def test_a_price_that_is_too_low_is_told_with_how_much_is_missing() -> None:
    paths = {("sg", "cn-gd-shantou"): Path(10, 4)}
    offers = [supply("a", (30, 5), zone="cn-gd-shantou")]
    order = demand("x", 3, 20, limits=Limits(origin="sg"))
    found = told(order, snapshot(offers, paths=paths))
    assert (found.missing, found.price_short, found.lots_short) == (LimitName.PRICE, 14, 3)
    assert (found.limit_price, found.least_ask, found.lots_within) == (20, 34, 0)


def test_others_that_pay_more_are_seen_in_the_last_price() -> None:
    offer = supply("a", (10, 5))
    found = told(demand("x", 3, 20), snapshot([offer]), {(offer.id, 0): 26})
    assert (found.missing, found.price_short) == (LimitName.PRICE, 6)
    assert (found.last_price, found.least_ask, found.lots_within) == (26, 10, 5)


def test_lots_that_are_missing_are_counted() -> None:
    offers = [supply("a", (10, 5), (90, 5), out=3), supply("b", (15, 1))]
    found = told(demand("x", 7, 20), snapshot(offers))
    assert (found.missing, found.lots_within, found.lots_short) == (LimitName.CAPACITY, 3, 4)
    sold_out = told(demand("x", 7, 20), snapshot([supply("a", (10, 5), out=5)]))
    assert (sold_out.missing, sold_out.least_ask) == (LimitName.CAPACITY, None)
    assert sold_out.lots_short == 7


def test_nothing_is_missing_where_the_next_round_would_fill_it() -> None:
    frozen = snapshot([supply("a", (10, 5))])
    assert told(demand("x", 5, 20), frozen).missing is None
    done = told(replace(demand("x", 5, 5), lots=0), frozen)
    assert (done.missing, done.price_short, done.lots_short) == (None, 0, 0)


def test_a_model_for_which_it_pays_less_counts_as_dearer() -> None:
    order = demand("x", 1, models={MODEL: 20, OTHER: 12})
    found = told(order, snapshot([supply("b", (15, 5), model=OTHER)]))
    assert (found.limit_price, found.least_ask) == (20, 23)
    assert (found.missing, found.price_short) == (LimitName.PRICE, 3)


def test_an_order_that_can_wait_sees_the_periods_that_end_in_time() -> None:
    starts = later_starts(NOW_US, HOUR_US)
    later = tuple(
        LaterSupply(start_us=starts[number], steps=(PriceStep(price=price, lots=2),))
        for number, price in ((0, 12), (1, 9))
    )
    frozen = snapshot([supply("a", (50, 5), later=later)], periods=starts)
    deadlines = {None: 0, starts[1] - 1: 0, starts[1]: 2, starts[2]: 4}
    for deadline_us, lots in deadlines.items():
        found = told(demand("x", 4, 20, deadline_us=deadline_us), frozen)
        assert found.lots_within == lots
    assert told(demand("x", 4, 20, deadline_us=starts[2]), frozen).least_ask == 9


@given(drawn=books(), lots=st.integers(1, 20), price=st.integers(0, 200))
def test_what_would_fill_an_order_by_itself_is_what_is_told(
    drawn: Drawn, lots: int, price: int
) -> None:
    offers, _, paths = drawn
    order = demand("alone", lots, price)
    frozen = snapshot(offers, [order], paths=paths)
    found = told(order, frozen)
    filled = int(clear(frozen).filled.sum())
    assert filled == min(lots, found.lots_within)
    assert (found.missing is None) == (filled == lots or not found.eligible)
    if found.missing is LimitName.PRICE:
        dearer = demand("alone", lots, price + found.price_short)
        assert clear(snapshot(offers, [dearer], paths=paths)).filled.sum()


async def explained(world: World, envelope: bytes, **changes: Any) -> Explanation:
    found = (await world.ask(Subject.EXPLAIN, order=envelope, **changes)).explanation
    assert found is not None
    return found


async def test_an_order_is_explained_by_what_is_live_and_open(world: World) -> None:
    await world.deposit(UNIT)
    await world.supply((80_000, 3))
    placed = await world.place(5, 100_000)
    await world.round()
    found = await explained(world, placed.signed.envelope)
    assert (found.state, found.lots_open) == (OrderState.OPEN, 2)
    assert (found.offers, found.eligible, found.last_price) == (1, 1, 100_000)
    assert (found.missing, found.lots_within, found.lots_short) == (LimitName.CAPACITY, 0, 2)
    await world.cancel(placed.id)
    assert (await explained(world, placed.signed.envelope)).state is OrderState.CANCELLED


async def test_an_order_that_was_rejected_is_explained_too(world: World) -> None:
    await world.supply((80_000, 3))
    poor = world.order(5, 70_000)
    await world.refused(poor)
    found = await explained(world, poor.envelope)
    assert (found.order, found.state, found.lots_open) == (poor.id, None, 5)
    assert (found.missing, found.price_short) == (LimitName.PRICE, 10_000)


async def test_offers_that_are_over_do_not_count(world: World) -> None:
    await world.supply((80_000, 3), life_s=5)
    world.clock.advance(6)
    assert (await explained(world, world.order(5, 70_000).envelope)).offers == 0


async def test_only_ones_own_order_is_explained(world: World) -> None:
    order = world.order(5, 70_000)
    with pytest.raises(MessageRefused):
        await world.ask(Subject.EXPLAIN, order=order.envelope, who=STRANGER)
    with pytest.raises(MessageRefused):
        await world.ask(Subject.EXPLAIN)
    offer = sign(samples.offer(sender=BUYER.key), BUYER)
    with pytest.raises(MessageRefused):
        await world.ask(Subject.EXPLAIN, order=offer.envelope)


async def test_asking_changes_nothing(world: World) -> None:
    await world.deposit(UNIT)
    await world.supply((80_000, 3))
    placed = await world.place(5, 100_000)
    before = world.contents()
    first = await explained(world, placed.signed.envelope)
    assert codec.encode(await explained(world, placed.signed.envelope)) == codec.encode(first)
    assert world.contents() == before
    await world.round()
    assert (await explained(world, placed.signed.envelope)).lots_open == 2
