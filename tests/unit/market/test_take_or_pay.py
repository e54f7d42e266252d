"""Take-or-pay: a share is paid although it was not used, to a node that says it stood ready."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swatow_market.exchange.admission import ACCEPTED
from swatow_market.ledger.rules import NOTHING, settle
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.messages import Award, Limits, MarketTerms, Subject
from swatow_protocol.messages.answers import AdmissionReason, Decision
from swatow_protocol.units import cost_nanos
from tests.support.market_world import UNIT, World, open_world
from tests.support.samples import BUYER, MARKET, NETWORK, NODE, SECOND, STRANGER, digest

FIFTH = 200_000
IGNORED, REJECTED = Decision.IGNORE, Decision.REJECT


async def bought(world: World, lots: int = 5, price: int = 80_001, **changes: Any) -> Signed[Award]:
    """Return an award of 5 lots, of which a fifth is paid for in any case."""
    await world.deposit(UNIT)
    charge = changes.pop("charge", 0)
    await world.supply((price - charge, 1_000))
    placed = await world.place(lots, price, **{"take_or_pay_ppm": FIFTH, **changes})
    await world.round()
    await placed.rest()
    (award,) = placed.awards
    return award


async def spent(world: World) -> int:
    """Return what the buyer has paid; nothing may be held any more."""
    free, held = await world.money(BUYER)
    assert held == 0
    return UNIT - free


def to_the_end(world: World, award: Signed[Award]) -> None:
    world.clock.now_us = award.message.expires_us


async def ready(world: World, award: Signed[Award], tokens: int = 0, **changes: Any) -> Any:
    """Claim for good, saying that the node stood ready."""
    if not tokens:
        changes["voucher"] = None
    return await world.redeem(award, tokens, **{"final": True, "stood_ready": True, **changes})


async def test_the_award_states_the_share_that_was_ordered(world: World) -> None:
    award = await bought(world)
    assert award.message.take_or_pay_ppm == FIFTH


async def test_a_buyer_that_uses_nothing_pays_the_share(world: World) -> None:
    award = await bought(world)
    to_the_end(world, award)
    await world.round()
    assert await ready(world, award) == ACCEPTED
    await world.check_books()
    assert await spent(world) == 80_001
    fee = 80_001 * 10_000 // 1_000_000
    assert await world.earned() == 80_001 - fee
    assert world.rows("SELECT standard_tokens, closed FROM awards") == [(0, 1)]


async def test_what_vouchers_have_paid_counts_towards_it(world: World) -> None:
    award = await bought(world)
    assert await world.redeem(award, 333) == ACCEPTED
    to_the_end(world, award)
    assert await ready(world, award, 777) == ACCEPTED
    await world.check_books()
    assert await spent(world) == 80_001
    assert world.rows("SELECT standard_tokens FROM awards") == [(777,)]


async def test_who_uses_more_than_the_share_pays_what_it_used(world: World) -> None:
    award = await bought(world)
    to_the_end(world, award)
    assert await ready(world, award, 1_001) == ACCEPTED
    assert await spent(world) == cost_nanos(1_001, 80_001)


async def test_a_final_claim_without_a_voucher_still_has_what_was_redeemed(world: World) -> None:
    award = await bought(world)
    await world.redeem(award, 4_000)
    to_the_end(world, award)
    assert await ready(world, award) == ACCEPTED
    assert await spent(world) == cost_nanos(4_000, 80_001)


async def test_a_node_that_does_not_claim_the_share_gets_none(world: World) -> None:
    award = await bought(world)
    to_the_end(world, award)
    assert await ready(world, award, 10, stood_ready=False) == ACCEPTED
    assert await spent(world) == cost_nanos(10, 80_001)


async def test_a_node_that_never_claims_gets_nothing_and_the_hold_is_released(world: World) -> None:
    award = await bought(world)
    world.clock.now_us = award.message.settle_by_us
    verdict = await ready(world, award)
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.AWARD_CLOSED)
    await world.round()
    await world.check_books()
    assert await spent(world) == 0


@pytest.mark.parametrize(("early_us", "final"), [(1, True), (0, False)])
async def test_the_share_is_not_due_before_the_end_nor_without_it(
    world: World, early_us: int, final: bool
) -> None:
    """Else a node would have it at once, and serve nothing."""
    award = await bought(world)
    world.clock.now_us = award.message.expires_us - early_us
    before = world.contents()
    verdict = await ready(world, award, final=final)
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.SHARE_NOT_DUE)
    assert str(award.message.expires_us) in verdict.detail
    assert world.contents() == before
    to_the_end(world, award)
    assert await ready(world, award) == ACCEPTED


async def test_the_share_is_paid_once(world: World) -> None:
    award = await bought(world)
    to_the_end(world, award)
    signed = world.redemption(award, 0, voucher=None, final=True, stood_ready=True)
    assert await world.market.redeem(signed.envelope) == ACCEPTED
    verdict = await world.market.redeem(signed.envelope)
    assert (verdict.decision, verdict.reason) == (IGNORED, AdmissionReason.KNOWN)
    world.clock.advance(1)
    assert (await ready(world, award)).reason is AdmissionReason.AWARD_CLOSED
    assert await spent(world) == 80_001


async def test_an_award_without_a_share_pays_what_was_used_whoever_stood_ready(
    world: World,
) -> None:
    award = await bought(world, take_or_pay_ppm=0)
    to_the_end(world, award)
    assert await ready(world, award, 10) == ACCEPTED
    assert await spent(world) == cost_nanos(10, 80_001)


async def test_carriers_get_their_part_of_a_share_and_nobody_gains_by_idling(
    tmp_path: Path,
) -> None:
    paths = ({"origin": "sg", "zone": "cn-gd-shantou", "round_trip_ms": 40, "charge": "0.002"},)
    world = await open_world(tmp_path, paths=paths)
    try:
        award = await bought(world, price=82_000, charge=2_000, limits=Limits(origin="sg"))
        assert award.message.path_charge == 2_000
        to_the_end(world, award)
        assert await ready(world, award, 400) == ACCEPTED
        split = settle(award.message, 1_000, NOTHING)
        assert (await world.balances())["carrier"] == (2_000, 0)
        assert await world.earned() == split.node
        assert await spent(world) == split.total == award.message.price
        await world.check_books()
    finally:
        await world.close()


async def test_an_order_below_the_markets_minimum_is_refused_with_both_numbers(
    tmp_path: Path,
) -> None:
    world = await open_world(tmp_path, take_or_pay_min_ppm=FIFTH)
    try:
        await world.deposit(UNIT)
        catalogue = await world.market.catalogue()
        terms = verify(
            catalogue.terms, MarketTerms, network=NETWORK, now_us=None, sender=MARKET.key
        ).message
        assert terms.take_or_pay_min_ppm == FIFTH
        reason, detail = await world.refused(world.order(1, 80_000, take_or_pay_ppm=FIFTH - 1))
        assert reason is AdmissionReason.SHARE_TOO_LOW
        assert str(FIFTH) in detail
        assert str(FIFTH - 1) in detail
        placed = await world.place(1, 80_000, take_or_pay_ppm=FIFTH)
        assert placed.verdict == ACCEPTED
    finally:
        await world.close()


async def test_both_sides_see_what_was_paid_for_unused_tokens(world: World) -> None:
    award = await bought(world)
    await world.redeem(award, 333)
    (before,) = (await world.ask(Subject.AWARDS, award.id)).awards
    assert (before.paid, before.paid_unused) == (cost_nanos(333, 80_001), 0)
    to_the_end(world, award)
    await ready(world, award)
    for who in (BUYER, NODE):
        (after,) = (await world.ask(Subject.AWARDS, award.id, who=who)).awards
        assert after.standard_tokens == 333
        assert after.paid == 80_001
        assert after.paid_unused == 80_001 - cost_nanos(333, 80_001)
        assert after.contested_us is None


class TestContest:
    async def test_who_lets_go_owes_the_share_of_the_time_that_has_passed(
        self, world: World
    ) -> None:
        award = await bought(world)
        life_us = award.message.expires_us - award.message.issued_us
        world.clock.now_us = award.message.issued_us + life_us // 4
        assert await world.contest(award) == ACCEPTED
        assert await ready(world, award) == ACCEPTED, "at once: nothing is drawn on it any more"
        await world.check_books()
        assert await spent(world) == cost_nanos(250, 80_001)

    async def test_what_vouchers_promise_stays_owed(self, world: World) -> None:
        award = await bought(world)
        await world.contest(award)
        assert await ready(world, award, 700) == ACCEPTED
        assert await spent(world) == cost_nanos(700, 80_001)

    async def test_a_node_that_serves_nobody_gets_what_is_almost_nothing(
        self, world: World
    ) -> None:
        """Its buyer finds out with its first job, and lets go a second after the award."""
        award = await bought(world)
        world.clock.now_us = award.message.issued_us + SECOND
        await world.contest(award)
        to_the_end(world, award)
        assert await ready(world, award) == ACCEPTED
        life_s = (award.message.expires_us - award.message.issued_us) // SECOND
        assert await spent(world) == cost_nanos(-(-1_000 // life_s), 80_001)

    async def test_the_lots_are_free_for_others(self, world: World) -> None:
        award = await bought(world, lots=5)
        await world.supply((80_000, 5))
        placed = await world.place(5, 90_000)
        await world.round()
        assert placed.awards == []
        await world.contest(award)
        await world.round()
        await placed.rest()
        assert [each.message.lots for each in placed.awards] == [5]

    async def test_a_second_contest_changes_nothing(self, world: World) -> None:
        award = await bought(world)
        await world.contest(award)
        (first,) = (await world.ask(Subject.AWARDS, award.id)).awards
        world.clock.advance(5)
        before = world.contents()
        verdict = await world.contest(award)
        assert (verdict.decision, verdict.reason) == (IGNORED, AdmissionReason.KNOWN)
        assert world.contents() == before
        assert first.contested_us == award.message.issued_us

    async def test_only_the_buyer_may(self, world: World) -> None:
        award = await bought(world)
        for who in (STRANGER, NODE, MARKET):
            verdict = await world.contest(award, buyer=who)
            assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.NOT_YOURS)

    async def test_there_must_be_something_to_contest(self, world: World) -> None:
        award = await bought(world)
        other = await world.bought(1, 81_000)
        verdict = await world.contest(other)
        assert verdict.reason is AdmissionReason.NOTHING_TO_CONTEST, "it has no share"
        to_the_end(world, award)
        verdict = await world.contest(award)
        assert verdict.reason is AdmissionReason.NOTHING_TO_CONTEST, "it is over"
        await ready(world, award)
        assert (await world.contest(award)).reason is AdmissionReason.AWARD_CLOSED

    async def test_what_fails_a_check_or_names_no_award_is_refused(self, world: World) -> None:
        verdict = await world.market.contest(b"")
        assert verdict.reason is AdmissionReason.REFUSED_MESSAGE
        award = await bought(world)
        unknown = Signed(award.message, digest("no award"), award.payload, award.envelope)
        assert (await world.contest(unknown)).reason is AdmissionReason.UNKNOWN_AWARD


class TestStandby:
    async def test_a_node_is_told_of_its_open_awards_with_a_share(self, world: World) -> None:
        award = await bought(world)
        await world.bought(1, 81_000)
        (told,) = (await world.ask(Subject.STANDBY, who=NODE)).standby
        assert (told.award, told.contested) == (award.envelope, False)
        assert (await world.ask(Subject.STANDBY, award.id, who=NODE)).standby == (), "no more"
        await world.contest(award)
        (told,) = (await world.ask(Subject.STANDBY, who=NODE)).standby
        assert told.contested
        await ready(world, award)
        assert (await world.ask(Subject.STANDBY, who=NODE)).standby == ()

    async def test_nobody_else_is(self, world: World) -> None:
        await bought(world)
        for who in (BUYER, STRANGER):
            assert (await world.ask(Subject.STANDBY, who=who)).standby == ()


@settings(max_examples=12, deadline=None)
@given(
    share=st.integers(0, 1_000_000),
    counts=st.lists(st.integers(0, 5_000), max_size=4),
    contested_s=st.none() | st.integers(0, 600),
)
def test_whatever_was_claimed_before_the_books_balance(
    tmp_path_factory: pytest.TempPathFactory,
    share: int,
    counts: list[int],
    contested_s: int | None,
) -> None:
    async def trade() -> None:
        world = await open_world(tmp_path_factory.mktemp("market"))
        try:
            award = await bought(world, take_or_pay_ppm=share)
            for tokens in sorted(counts):
                await world.redeem(award, tokens)
                await world.check_books()
            if contested_s is not None:
                world.clock.advance(contested_s)
                await world.contest(award)
            to_the_end(world, award)
            assert await ready(world, award) == ACCEPTED
            await world.check_books()
            paid = await spent(world)
            drawn = max(counts, default=0)
            assert cost_nanos(drawn, 80_001) <= paid <= 5 * 80_001
            if contested_s is None:
                least = -(-share * 5_000 // 1_000_000)
                assert paid == cost_nanos(max(drawn, least), 80_001)
        finally:
            await world.close()

    asyncio.run(trade())
