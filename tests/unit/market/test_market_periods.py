"""Periods at the market: what it tells of them, and what a round makes of later supply."""

from pathlib import Path
from typing import Any

import pytest

from swatow_market.config import MarketSettings
from swatow_market.exchange.admission import ACCEPTED
from swatow_market.service import store
from swatow_protocol.envelope import verify
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import LaterSupply, MarketTerms, PriceStep, Subject
from swatow_protocol.messages.answers import LimitName, OrderState
from swatow_protocol.periods import is_later, later_starts
from swatow_protocol.shell.settings import load
from tests.support.market_world import UNIT, World, open_world
from tests.support.samples import MARKET, NETWORK, NODE, NOW_US, PERIOD_US, SECOND

CHEAP = (PriceStep(price=10_000, lots=50),)


def next_periods(world: World) -> tuple[LaterSupply, ...]:
    starts = later_starts(world.clock(), PERIOD_US)
    return tuple(LaterSupply(start_us=start_us, steps=CHEAP) for start_us in starts)


async def told_period(home: Path, **settings: Any) -> int:
    world = await open_world(home, **settings)
    told = await world.market.catalogue()
    await world.close()
    terms = verify(told.terms, MarketTerms, network=NETWORK, now_us=None, sender=MARKET.key)
    return terms.message.period_us


async def test_everybody_is_told_how_long_a_period_is(empty_home: Path) -> None:
    assert await told_period(empty_home) == PERIOD_US
    assert await told_period(empty_home, period_s=900) == 900 * SECOND


@pytest.mark.parametrize(("period_s", "allowed"), [(59, 0), (60, 1), (86_400, 1), (86_401, 0)])
def test_a_period_is_a_minute_to_a_day(tmp_path: Path, period_s: int, allowed: bool) -> None:
    if allowed:
        assert load(MarketSettings, tmp_path, {"period_s": period_s}).settings.period_s == period_s
    else:
        with pytest.raises(ConfigError, match=r"^period_s "):
            load(MarketSettings, tmp_path, {"period_s": period_s})


async def test_an_order_that_cannot_wait_gets_what_is_offered_now(world: World) -> None:
    await world.deposit(UNIT)
    await world.supply((80_000, 60), later=next_periods(world))
    placed = await world.place(5, 100_000)
    await world.round()
    await placed.rest()
    (award,) = placed.awards
    assert (award.message.price, award.message.from_us) == (80_000, NOW_US)
    assert not is_later(award.message)
    (told,) = (await world.ask(Subject.AWARDS, award.id)).awards
    assert (told.from_us, told.expires_us) == (NOW_US, award.message.expires_us)


async def test_a_node_that_serves_only_later_serves_nobody_now(world: World) -> None:
    await world.deposit(UNIT)
    await world.supply(later=next_periods(world))
    placed = await world.place(5, 100_000)
    assert placed.verdict == ACCEPTED
    await world.round()
    (event,) = await placed.next()
    assert (event.state, event.lots_open) == (OrderState.OPEN, 5)
    assert event.unmet == (LimitName.CAPACITY,)
    await world.supply((80_000, 5))
    await world.round()
    (event,) = await placed.next()
    assert event.state is OrderState.FILLED


async def test_lots_that_a_node_has_promised_for_later_are_out_when_they_begin(
    world: World,
) -> None:
    await world.deposit(UNIT)
    bought = await world.bought(5, 80_000)
    begins_us = later_starts(world.clock(), PERIOD_US)[0]
    lots = {(NODE.key, world.model): 5}
    promised = {(NODE.key, world.model, begins_us): 5}
    async with world.market.state.database.writing() as connection:
        row = await store.read_award(connection, bought.id)
        assert row is not None
        times = {"from_us": begins_us, "expires_us": begins_us + PERIOD_US}
        await store.add_awards(connection, [{**row, "id": bytes(32), **times}])
        await store.close_awards(connection, [bought.id])
        for now_us, out, later in (
            (begins_us - 1, {}, promised),
            (begins_us, lots, {}),
            (begins_us + PERIOD_US - 1, lots, {}),
            (begins_us + PERIOD_US, {}, {}),
        ):
            assert await store.lots_out(connection, now_us) == out
            assert await store.lots_promised(connection, now_us) == later
