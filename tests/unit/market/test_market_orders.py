"""Orders on a market without a network: taken in once, told of, cancelled, expired."""

from pathlib import Path

import pytest

from swatow_market.exchange.admission import ACCEPTED
from swatow_market.service import rounds
from swatow_protocol import limits
from swatow_protocol.envelope import sign
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages import Limits
from swatow_protocol.messages.answers import AdmissionReason, Decision, LimitName, OrderState
from tests.support import samples
from tests.support.market_world import UNIT, World, open_world
from tests.support.samples import BUYER, NODE, NOW_US, STRANGER, digest


class TestFunds:
    async def test_an_order_that_the_account_cannot_cover_is_rejected(self, world: World) -> None:
        await world.deposit(499_999)
        reason, detail = await world.refused(world.order(5, 100_000))
        assert reason is AdmissionReason.INSUFFICIENT_FUNDS
        assert detail == "needed 0.0005, free 0.000499999 USD"
        assert await world.money(BUYER) == (499_999, 0)
        assert world.market.state.book.orders_count() == 0

    async def test_a_buyer_without_an_account_has_nothing(self, world: World) -> None:
        reason, detail = await world.refused(world.order(5, 100_000, buyer=STRANGER))
        assert reason is AdmissionReason.INSUFFICIENT_FUNDS
        assert detail == "needed 0.0005, free 0.00 USD"

    async def test_what_is_held_is_not_free(self, world: World) -> None:
        await world.deposit(800_000)
        await world.place(5, 100_000)
        reason, _ = await world.refused(world.order(5, 100_000))
        assert reason is AdmissionReason.INSUFFICIENT_FUNDS
        await world.place(3, 100_000)
        assert await world.money(BUYER) == (0, 800_000)

    async def test_a_rejected_order_may_be_sent_again_after_a_deposit(self, world: World) -> None:
        """Nothing of a rejected order is kept, so the very same envelope is not "known"."""
        signed = world.order(5, 100_000)
        await world.refused(signed)
        assert world.rows("SELECT * FROM messages WHERE kind <> 'network_map'") == []
        await world.deposit(500_000)
        placed = await world.send(signed)
        assert placed.verdict == ACCEPTED

    async def test_amounts_beyond_all_money_are_insufficient_funds_too(self, world: World) -> None:
        """Ten orders at the bounds of lots and price need more than 63 bits of nanos."""
        await world.deposit(UNIT)
        rows = [(number, limits.LOTS_MAX, limits.PRICE_MAX) for number in range(10)]
        reason, _ = await world.refused(world.batch(rows, terms=(world.terms(),) * 10))
        assert reason is AdmissionReason.INSUFFICIENT_FUNDS


class TestIntake:
    async def test_a_message_that_fails_a_check_is_refused(self, world: World) -> None:
        good = world.order(5, 100_000).envelope
        stale = samples.order(issued_us=NOW_US - limits.MESSAGE_AGE_US - 1)
        for envelope, refusal in (
            (b"", Refusal.MALFORMED),
            (good[:-1] + bytes([good[-1] ^ 1]), Refusal.BAD_SIGNATURE),
            (sign(stale, BUYER).envelope, Refusal.STALE),
            (sign(samples.voucher(), BUYER).envelope, Refusal.MALFORMED),
        ):
            with pytest.raises(MessageRefused) as refused:
                await anext(world.market.place_orders(envelope))
            assert refused.value.refusal is refusal
        assert world.rows("SELECT * FROM messages WHERE kind <> 'network_map'") == []

    async def test_terms_that_are_not_acceptable_are_rejected_with_the_reason(
        self, world: World
    ) -> None:
        await world.deposit(UNIT)
        for changes, expected in (
            ({"life_s": 0}, AdmissionReason.REFUSED_MESSAGE),
            ({"currency": "CNY"}, AdmissionReason.WRONG_CURRENCY),
            ({"package": digest("package")}, AdmissionReason.NOT_SUPPORTED),
        ):
            reason, _ = await world.refused(world.order(5, 100_000, **changes))
            assert reason is expected
        assert world.rows("SELECT * FROM messages WHERE kind <> 'network_map'") == []

    async def test_an_order_counts_from_its_commit_and_is_in_the_round(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        placed = await world.place(5, 100_000)
        assert world.rows("SELECT id, lots_open, state FROM orders") == [(placed.id, 5, "open")]
        assert world.rows("SELECT id, kind FROM messages WHERE kind <> 'network_map'") == [
            (placed.id, "order")
        ]

    async def test_the_bound_on_open_orders_is_a_buyers_own(self, empty_home: Path) -> None:
        world = await open_world(empty_home, orders_open_max=2)
        try:
            await world.deposit(UNIT)
            await world.deposit(UNIT, STRANGER)
            first = await world.place(1, 100_000)
            await world.place(1, 100_000)
            reason, detail = await world.refused(world.order(1, 100_000))
            assert (reason, detail) == (AdmissionReason.TOO_MANY, "2 open orders")
            assert (await world.place(1, 1, buyer=STRANGER)).verdict == ACCEPTED
            await world.cancel(first.id)
            assert (await world.place(1, 100_000)).verdict == ACCEPTED
        finally:
            await world.close()


class TestKnown:
    async def test_sent_twice_it_is_placed_once_and_both_are_told(self, world: World) -> None:
        await world.deposit(UNIT)
        first = await world.place(5, 100_000)
        again = await world.send(first.signed)
        (event,) = again.events
        assert event.verdict is not None
        assert event.verdict.decision is Decision.IGNORE
        assert event.verdict.reason is AdmissionReason.KNOWN
        assert (event.state, event.lots_open) == (OrderState.OPEN, 5)
        assert await world.money(BUYER) == (UNIT - 500_000, 500_000)
        assert len(world.rows("SELECT * FROM orders")) == 1

        await world.supply((80_000, 60))
        await world.round()
        told = [(await placed.rest())[0] for placed in (first, again)]
        assert [event.state for event in told] == [OrderState.FILLED] * 2
        assert [award.id for award in first.awards] == [award.id for award in again.awards]

    async def test_sent_again_when_it_has_ended_it_tells_where_it_stands(
        self, world: World
    ) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        first = await world.place(5, 100_000)
        await world.round()
        await first.rest()
        again = await world.send(first.signed)
        (event,) = again.events
        assert (event.state, event.lots_open) == (OrderState.FILLED, 0)
        assert [award.id for award in again.awards] == [award.id for award in first.awards]
        assert await again.rest() == []
        assert world.rows("SELECT COUNT(*) FROM awards") == [(1,)]

    async def test_a_repeat_is_known_even_where_there_is_no_room_for_more(
        self, empty_home: Path
    ) -> None:
        """A retry after a lost answer must not be told that the order was not placed."""
        world = await open_world(empty_home, orders_open_max=1)
        try:
            await world.deposit(UNIT)
            first = await world.place(5, 100_000)
            again = await world.send(first.signed)
            assert again.verdict.reason is AdmissionReason.KNOWN
            assert again.events[0].state is OrderState.OPEN
        finally:
            await world.close()

    async def test_a_repeat_is_known_even_where_the_order_has_expired(self, world: World) -> None:
        await world.deposit(UNIT)
        first = await world.place(5, 100_000, life_s=1)
        world.clock.advance(1)
        await world.round()
        again = await world.send(first.signed)
        assert again.verdict.reason is AdmissionReason.KNOWN
        assert again.events[0].state is OrderState.EXPIRED

    async def test_a_repeat_is_known_at_any_age_and_a_new_order_only_while_it_is_fresh(
        self, world: World
    ) -> None:
        await world.deposit(UNIT)
        first = await world.place(5, 100_000, life_s=3_600)
        unsent = world.order(5, 100_000, life_s=3_600)
        world.clock.now_us += limits.MESSAGE_AGE_US + 1
        again = await world.send(first.signed)
        assert again.verdict.reason is AdmissionReason.KNOWN
        assert again.events[0].state is OrderState.OPEN
        with pytest.raises(MessageRefused) as refused:
            await world.send(unsent)
        assert refused.value.refusal is Refusal.STALE

    async def test_nobody_waits_for_an_order_that_has_ended(self, world: World) -> None:
        """Whatever way its streams ended, the feed keeps nothing of them."""
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        first = await world.place(5, 100_000)
        left = await world.send(first.signed)
        await left.leave()
        await world.round()
        await first.rest()
        again = await world.send(first.signed)
        await again.rest()
        await world.refused(world.order(5, 100_000, buyer=STRANGER))
        assert world.market.state.feed._subscriptions == {}


class TestCancel:
    async def test_releases_what_is_held_and_ends_the_stream(self, world: World) -> None:
        await world.deposit(UNIT)
        placed = await world.place(5, 100_000)
        assert await world.cancel(placed.id) == ACCEPTED
        (event,) = await placed.rest()
        assert (event.state, event.lots_open) == (OrderState.CANCELLED, 5)
        assert await world.money(BUYER) == (UNIT, 0)
        await world.supply((80_000, 60))
        await world.round()
        assert world.rows("SELECT * FROM awards") == []

    async def test_leaves_what_was_awarded(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 2))
        placed = await world.place(5, 100_000)
        await world.round()
        await placed.next()
        await world.cancel(placed.id)
        (event,) = await placed.rest()
        assert (event.state, event.lots_open) == (OrderState.CANCELLED, 3)
        assert await world.money(BUYER) == (UNIT - 200_000, 200_000)

    async def test_by_a_stranger_is_refused(self, world: World) -> None:
        await world.deposit(UNIT)
        placed = await world.place(5, 100_000)
        verdict = await world.cancel(placed.id, buyer=STRANGER)
        assert (verdict.decision, verdict.reason) == (Decision.REJECT, AdmissionReason.NOT_YOURS)
        assert await world.money(BUYER) == (UNIT - 500_000, 500_000)

    async def test_of_several_where_one_is_not_the_senders_cancels_none(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.deposit(UNIT, STRANGER)
        mine = await world.place(5, 100_000)
        other = await world.place(5, 100_000, buyer=STRANGER)
        for foreign in (other.id, digest("no such order")):
            verdict = await world.cancel(mine.id, foreign)
            assert verdict.reason is AdmissionReason.NOT_YOURS
        assert world.rows("SELECT DISTINCT state FROM orders") == [("open",)]
        assert world.rows("SELECT * FROM messages WHERE kind = 'order_cancel'") == []

    async def test_twice_or_naming_an_order_twice_changes_nothing_more(self, world: World) -> None:
        await world.deposit(UNIT)
        placed = await world.place(5, 100_000)
        assert await world.cancel(placed.id, placed.id) == ACCEPTED
        assert await world.cancel(placed.id) == ACCEPTED
        assert await world.money(BUYER) == (UNIT, 0)

    async def test_of_a_filled_order_changes_nothing(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        placed = await world.place(5, 100_000)
        await world.round()
        await world.cancel(placed.id)
        assert (await placed.rest())[-1].state is OrderState.FILLED
        assert world.rows("SELECT state FROM orders") == [("filled",)]

    async def test_a_message_that_fails_a_check_is_refused(self, world: World) -> None:
        verdict = await world.market.cancel_orders(b"")
        assert verdict.reason is AdmissionReason.REFUSED_MESSAGE


class TestExpiry:
    async def test_releases_what_is_held_and_ends_the_stream(self, world: World) -> None:
        await world.deposit(UNIT)
        placed = await world.place(5, 100_000, life_s=10)
        world.clock.advance(9.999999)
        await world.round()
        (event,) = await placed.next()
        assert event.state is OrderState.OPEN
        world.clock.advance(0.000001)
        await world.supply((80_000, 60))
        await world.round()
        (event,) = await placed.rest()
        assert (event.state, event.lots_open) == (OrderState.EXPIRED, 5)
        assert await world.money(BUYER) == (UNIT, 0)
        assert world.rows("SELECT * FROM awards") == []

    async def test_leaves_what_was_awarded(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 2))
        placed = await world.place(5, 100_000)
        await world.round()
        world.clock.advance(10)
        await world.round()
        assert (await placed.rest())[-1].lots_open == 3
        assert await world.money(BUYER) == (UNIT - 200_000, 200_000)

    async def test_offers_expire_too(self, world: World) -> None:
        await world.deposit(UNIT)
        await world.supply((80_000, 60), life_s=5)
        placed = await world.place(5, 100_000)
        world.clock.advance(5)
        await world.round()
        (event,) = await placed.next()
        assert event.unmet == (LimitName.MODEL,)


class TestRounds:
    """A round makes a bounded number of awards: what that must not mean for orders."""

    @pytest.mark.parametrize(
        ("price", "limits"),
        [
            pytest.param(0, Limits(), id="that pay nothing"),
            pytest.param(100_001, Limits(vendors=("nobody",)), id="that no offer can serve"),
        ],
    )
    async def test_orders_that_are_never_filled_keep_no_others_out(
        self, world: World, monkeypatch: pytest.MonkeyPatch, price: int, limits: Limits
    ) -> None:
        """They cost their buyer nothing, or next to nothing, for as long as they wait."""
        monkeypatch.setattr(rounds, "ROUND_AWARDS_MAX", 3)
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        for _ in range(3):
            await world.place(1, price, limits=limits)
        await world.round()
        placed = await world.place(5, 100_000)
        for _ in range(4):
            await world.round()
        assert world.rows("SELECT state FROM orders WHERE id = ?", placed.id) == [("filled",)]

    async def test_of_orders_beyond_the_bound_those_that_waited_go_first(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rounds, "ROUND_AWARDS_MAX", 2)
        await world.deposit(UNIT)
        waited = [await world.place(1, 100_000) for _ in range(2)]
        await world.round()
        for _ in range(6):
            await world.place(1, 100_000)
        await world.supply((80_000, 60))
        await world.round()
        filled = world.rows("SELECT id FROM orders WHERE state = 'filled'")
        assert {order for (order,) in filled} == {placed.id for placed in waited}

    async def test_orders_beyond_the_bound_wait_for_the_next_round(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rounds, "ROUND_AWARDS_MAX", 2)
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        for _ in range(5):
            await world.place(1, 100_000)
        filled = []
        for _ in range(3):
            await world.round()
            query = "SELECT COUNT(*) FROM orders WHERE state = 'filled'"
            filled.append(world.rows(query)[0][0])
        assert filled == [2, 4, 5]
        await world.check_books()

    async def test_one_order_with_more_awards_than_the_bound_is_filled_all_the_same(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rounds, "ROUND_AWARDS_MAX", 2)
        await world.deposit(UNIT)
        for node in (NODE, STRANGER, BUYER):
            await world.supply((80_000, 1), node=node)
        await world.place(3, 100_000)
        await world.round()
        assert world.rows("SELECT COUNT(*) FROM awards") == [(3,)]


async def test_an_order_is_kept_as_signed_evidence(world: World) -> None:
    await world.deposit(UNIT)
    placed = await world.place(5, 100_000)
    await world.cancel(placed.id)
    kinds = dict(world.rows("SELECT kind, envelope FROM messages"))
    assert set(kinds) == {"order", "order_cancel", "network_map"}
    assert kinds["order"] == placed.signed.envelope
