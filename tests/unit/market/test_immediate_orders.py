"""Immediate orders on a market without a network: what they get at once, and what they leave."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from swatow_market.exchange.admission import ACCEPTED
from swatow_market.exchange.choice import Decision, decide
from swatow_market.ledger.database import sqlite_url
from swatow_market.service import immediate, rounds
from swatow_protocol.messages import Limits, ModelLimit, RoundNumber, Subject
from swatow_protocol.messages.answers import (
    AdmissionReason,
    LimitName,
    OrderState,
    PostedPrice,
)
from swatow_protocol.messages.answers import Decision as Taken
from tests.support.market_ledger import STUCK_S, LateDatabase
from tests.support.market_world import UNIT, Placed, World, lots_of, open_world, settle_down
from tests.support.samples import BUYER, NODE, STRANGER, digest

WAITING_S = 0.5
"""Whoever is not done by then is taken to wait for the one that is under way, and may."""


async def at_once(world: World, lots: int, price: int, **changes: object) -> Placed:
    """Place an immediate order; see that its news ends at once."""
    placed = await world.place(lots, price, immediate=True, **changes)
    assert await placed.rest() == []
    return placed


class TestBuying:
    async def test_an_order_is_filled_without_a_round_and_draws_no_more_than_its_cost(
        self, world: World
    ) -> None:
        await world.deposit(UNIT)
        offer = await world.supply((80_000, 60))
        placed = await at_once(world, 5, 100_000)
        (event,), (award,) = placed.events, placed.awards
        assert (event.verdict, event.state, event.lots_open) == (ACCEPTED, OrderState.FILLED, 0)
        message = award.message
        assert (message.lots, message.price, message.node_price) == (5, 80_000, 80_000)
        assert (message.offer, message.node, message.buyer) == (offer.id, NODE.key, BUYER.key)
        assert message.round == RoundNumber(shard="main", epoch=1, number=0)
        assert await world.money(BUYER) == (UNIT - 400_000, 400_000)
        assert world.rows("SELECT state, lots_open FROM orders") == [("filled", 0)]
        assert world.rows("SELECT id FROM awards") == [(award.id,)]
        assert world.market.state.book.orders_count() == 0
        assert (await world.redeem(award, 5_000)) == ACCEPTED
        assert await world.money(BUYER) == (UNIT - 400_000, 0)

    async def test_its_award_names_the_round_from_which_its_price_comes(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.bought(5, 80_000)
        (award,) = (await at_once(world, 5, 100_000)).awards
        assert award.message.round == RoundNumber(shard="main", epoch=1, number=1)

    async def test_what_is_not_filled_at_once_is_over(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 3), (120_000, 9))
        placed = await at_once(world, 5, 100_000)
        (event,) = placed.events
        assert (event.verdict, event.state, event.lots_open) == (ACCEPTED, OrderState.EXPIRED, 2)
        assert event.unmet == (LimitName.PRICE,)
        assert lots_of(placed.awards) == 3
        assert world.rows("SELECT state, lots_open FROM orders") == [("expired", 2)]
        assert await world.money(BUYER) == (UNIT - 240_000, 240_000)
        await world.round()
        assert world.rows("SELECT number FROM rounds") == [], "nothing stays in the book"

    async def test_all_or_none_is_all_or_none(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 3))
        reason, _ = await world.refused(world.order(5, 100_000, immediate=True, all_or_none=True))
        assert reason is AdmissionReason.NOT_AT_ONCE
        await world.supply((80_000, 2), node=STRANGER)
        placed = await at_once(world, 5, 100_000, all_or_none=True)
        assert sorted(award.message.lots for award in placed.awards) == [2, 3]

    async def test_an_order_that_can_have_nothing_leaves_no_trace_and_is_told_why(
        self, world: World
    ) -> None:
        await world.deposit(UNIT)
        before = world.contents()
        model = (ModelLimit(model=world.model, price=100_000),)
        for steps, limits, unmet, detail in (
            ([], Limits(), LimitName.MODEL, "no offer meets model"),
            (
                [(110_000, 5)],
                Limits(),
                LimitName.PRICE,
                "the cheapest lots are posted at 0.11 USD a million, delivered",
            ),
            ([(80_000, 5)], Limits(zones=("us",)), LimitName.ZONES, "no offer meets zones"),
        ):
            if steps:
                await world.supply(*steps)
            placed = await at_once(world, 5, 0, models=model, limits=limits)
            (event,) = placed.events
            assert (event.state, event.unmet) == (None, (unmet,))
            assert placed.verdict.reason is AdmissionReason.NOT_AT_ONCE
            assert placed.verdict.detail == detail
        assert world.contents() == before
        await at_once(world, 5, 100_000)
        placed = await at_once(world, 1, 100_000)
        assert (placed.events[0].unmet, placed.verdict.detail) == (
            (LimitName.CAPACITY,),
            "nothing is left",
        )

    async def test_an_order_that_the_account_cannot_cover_is_rejected(self, world: World) -> None:
        await world.deposit(499_999)
        await world.supply((80_000, 60))
        before = world.contents()
        reason, detail = await world.refused(world.order(5, 100_000, immediate=True))
        assert reason is AdmissionReason.INSUFFICIENT_FUNDS
        assert detail == "needed 0.0005, free 0.000499999 USD"
        assert world.contents() == before

    async def test_in_a_batch_it_is_refused(self, world: World) -> None:
        await world.deposit(UNIT)
        terms = (world.terms(immediate=True),)
        reason, detail = await world.refused(world.batch([(0, 1, 100_000)], terms=terms))
        assert (reason, detail) == (AdmissionReason.NOT_SUPPORTED, "immediate in a batch")

    async def test_sent_again_it_says_what_it_got_and_buys_nothing_more(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        signed = world.order(5, 100_000, immediate=True)
        first, again = await asyncio.gather(world.send(signed), world.send(signed))
        third = await world.send(signed)
        decisions = sorted(each.verdict.decision for each in (first, again, third))
        assert decisions == [Taken.ACCEPT, Taken.IGNORE, Taken.IGNORE]
        for placed in (first, again, third):
            assert await placed.rest() == []
            assert placed.events[0].state is OrderState.FILLED
            assert lots_of(placed.awards) == 5
        assert world.rows("SELECT COUNT(*) FROM awards") == [(1,)]

    async def test_lots_that_come_back_may_be_bought_again(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 5))
        (award,) = (await at_once(world, 5, 100_000)).awards
        assert (await world.redeem(award, 1_000, final=True)) == ACCEPTED
        assert lots_of((await at_once(world, 5, 100_000)).awards) == 5

    async def test_an_offer_that_has_expired_sells_nothing(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 5), life_s=60)
        world.clock.advance(60)
        placed = await at_once(world, 5, 100_000)
        assert placed.events[0].unmet == (LimitName.MODEL,)


class TestPrices:
    async def test_are_told_by_model_and_zone(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 5), (95_000, 5))
        await world.supply((70_000, 2), node=STRANGER, zone="sg")
        await at_once(world, 8, 100_000)
        near = PostedPrice(
            model=world.model, zone="cn-gd-shantou", cleared=None, posted=95_000, lots=4
        )
        far = PostedPrice(model=world.model, zone="sg", cleared=None, posted=None, lots=0)
        assert (await world.ask(Subject.PRICES)).prices == (near, far)
        assert (await world.ask(Subject.PRICES, world.model)).prices == (near, far)
        assert (await world.ask(Subject.PRICES, digest("other"))).prices == ()

    async def test_move_after_each_interval_whether_or_not_the_book_has_orders(
        self, world: World
    ) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 8))
        await at_once(world, 6, 100_000)
        seen = []
        for _ in range(3):
            await world.round()
            (price,) = (await world.ask(Subject.PRICES)).prices
            seen.append(price.posted)
        assert seen == [85_000, 80_000, 80_000]

    async def test_start_from_the_last_round(self, world: World) -> None:
        """Two orders want the same ten lots, so the round's price is above what the node asks."""
        await world.deposit(UNIT)
        await world.supply((80_000, 10))
        first = await world.place(10, 100_000)
        await world.place(10, 96_000)
        await world.round()
        await first.rest()
        (award,) = first.awards
        assert award.message.price > 90_000
        await world.redeem(award, 1_000, final=True)
        (price,) = (await world.ask(Subject.PRICES)).prices
        assert (price.cleared, price.posted, price.lots) == (
            award.message.price,
            award.message.price,
            10,
        )
        (bought,) = (await at_once(world, 1, 100_000)).awards
        assert bought.message.price == award.message.price


@pytest.fixture
def held_round(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let rounds say when they have their snapshot, and wait with it: (reached, go_on)."""
    reached, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Decision:
        reached.set()
        assert go_on.wait(STUCK_S)
        return decide(*arguments)

    monkeypatch.setattr(rounds, "decide", slow)
    return reached, go_on


@pytest.fixture
async def late(world: World) -> AsyncIterator[LateDatabase]:
    """Let the market's next commit be answered late."""
    await world.deposit(UNIT)
    late, usual = (
        LateDatabase(sqlite_url(world.home / "market.sqlite")),
        world.market.state.database,
    )
    world.market.state.database = late
    try:
        yield late
    finally:
        world.market.state.database = usual
        await late.close()


def lots_awarded(world: World) -> int:
    """Return the lots of all awards."""
    ((lots,),) = world.rows("SELECT COALESCE(SUM(lots), 0) FROM awards")
    return int(lots)


class TestRaces:
    async def test_a_round_under_way_and_an_immediate_order_never_sell_the_same_lots(
        self, world: World, held_round: tuple[threading.Event, threading.Event]
    ) -> None:
        """The round has its snapshot, in which all ten lots are free, and takes six of them."""
        reached, go_on = held_round
        await world.deposit(UNIT)
        await world.supply((80_000, 10))
        waiting = await world.place(6, 100_000)
        running = asyncio.create_task(world.round())
        assert await asyncio.to_thread(reached.wait, STUCK_S)
        buying = asyncio.create_task(at_once(world, 10, 100_000))
        done, _ = await asyncio.wait({buying}, timeout=WAITING_S)
        assert not done, "it waits for the round"
        assert lots_awarded(world) == 0
        later = await world.place(1, 100_000)
        assert later.verdict == ACCEPTED, "the book takes orders in meanwhile"
        go_on.set()
        placed = await buying
        await running
        await waiting.rest()
        assert lots_of(waiting.awards) == 6
        assert (lots_of(placed.awards), placed.events[0].unmet) == (4, (LimitName.CAPACITY,))
        assert lots_awarded(world) == 10

    async def test_a_round_waits_for_an_immediate_order_that_is_being_written(
        self, world: World, late: LateDatabase
    ) -> None:
        """Its transaction is done, but whoever wrote it does not know that yet."""
        await world.supply((80_000, 10))
        buying = asyncio.create_task(at_once(world, 7, 100_000))
        await late.committed.wait()
        waiting = await world.place(6, 100_000)
        running = asyncio.create_task(world.round())
        await asyncio.wait({running}, timeout=WAITING_S)
        late.answer.set()
        await asyncio.gather(buying, running)
        await waiting.next()
        assert lots_of(waiting.awards) == 3
        assert lots_awarded(world) == 10

    async def test_many_at_once_sell_no_lot_twice(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 20), (90_000, 10))
        orders = [world.order(4, 100_000, immediate=True) for _ in range(12)]
        book = [await world.place(3, 100_000) for _ in range(3)]
        await asyncio.gather(
            *[world.send(each) for each in orders], *[world.round() for _ in range(3)]
        )
        assert lots_awarded(world) == 30
        assert all(placed.verdict == ACCEPTED for placed in book)
        await world.check_books()

    async def test_a_client_that_goes_away_while_it_buys_owes_what_it_bought(
        self, world: World, late: LateDatabase
    ) -> None:
        await world.supply((80_000, 10))
        signed = world.order(7, 100_000, immediate=True)
        buying = asyncio.create_task(world.send(signed))
        await late.committed.wait()
        buying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await buying
        late.answer.set()
        await settle_down()
        again = await world.send(signed)
        assert again.verdict.reason is AdmissionReason.KNOWN
        assert lots_of(again.awards) == 7

    async def test_only_so_many_wait_for_a_round(
        self,
        world: World,
        held_round: tuple[threading.Event, threading.Event],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        reached, go_on = held_round
        monkeypatch.setattr(immediate, "WAITING_MAX", 2)
        await world.deposit(UNIT)
        await world.supply((80_000, 10))
        await world.place(6, 100_000)
        running = asyncio.create_task(world.round())
        assert await asyncio.to_thread(reached.wait, STUCK_S)
        buying = [
            asyncio.create_task(world.send(world.order(1, 100_000, immediate=True)))
            for _ in range(3)
        ]
        (refused,), _ = await asyncio.wait(buying, return_when=asyncio.FIRST_COMPLETED)
        assert refused.result().verdict.reason is AdmissionReason.TOO_MANY
        go_on.set()
        await running
        placed = [await each for each in buying]
        assert sum(lots_of(each.awards) for each in placed) == 2

    async def test_an_order_whose_time_is_over_when_its_turn_comes_buys_nothing(
        self, world: World, held_round: tuple[threading.Event, threading.Event]
    ) -> None:
        reached, go_on = held_round
        await world.deposit(UNIT)
        await world.supply((80_000, 10))
        await world.place(6, 100_000)
        running = asyncio.create_task(world.round())
        assert await asyncio.to_thread(reached.wait, STUCK_S)
        buying = asyncio.create_task(at_once(world, 1, 100_000, life_s=1))
        await asyncio.wait({buying}, timeout=WAITING_S)
        world.clock.advance(1)
        go_on.set()
        placed, _ = await asyncio.gather(buying, running)
        assert placed.verdict.detail == "expires_us is past"
        assert lots_awarded(world) == 6

    async def test_a_stale_leader_sells_nothing(self, empty_home: Path) -> None:
        stale = await open_world(empty_home)
        leader = await open_world(empty_home, stale.clock)
        try:
            await stale.deposit(UNIT)
            await stale.supply((80_000, 60))
            before = leader.contents()
            reason, detail = await stale.refused(stale.order(5, 100_000, immediate=True))
            assert reason is AdmissionReason.NOT_LEADING
            assert "another process leads" in detail
            assert leader.contents() == before
        finally:
            await leader.close()
            await stale.close()
