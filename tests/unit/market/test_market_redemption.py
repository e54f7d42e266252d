"""Redemptions: a node is paid on what the buyer signed, once, and never beyond the award."""

import asyncio

from swatow_market.exchange.admission import ACCEPTED
from swatow_protocol import limits
from swatow_protocol.envelope import sign
from swatow_protocol.messages import Subject
from swatow_protocol.messages.answers import AdmissionReason, Decision
from tests.support import samples
from tests.support.market_world import UNIT, World
from tests.support.samples import BUYER, MARKET, NODE, NOW_US, STRANGER, digest

IGNORED, REJECTED = Decision.IGNORE, Decision.REJECT


async def test_partial_redemptions_add_up_to_one(world: World) -> None:
    """5 lots at 80,001: three steps with awkward counts, the rounding of one."""
    await world.deposit(UNIT)
    award = await world.bought(5, 80_001)
    for tokens in (1, 333, 4_999):
        assert await world.redeem(award, tokens) == ACCEPTED
        balance, held = (await world.balances())[f"buyer:{BUYER.key.hex()}"]
        assert UNIT - balance == -(-tokens * 80_001 // 1_000)
        assert held == 5 * 80_001 - (UNIT - balance)
        await world.check_books()
    fee = (await world.balances())["fee"][0]
    assert fee == 399_925 * 10_000 // 1_000_000
    assert await world.earned() == 399_925 - fee


async def test_the_same_redemption_twice_pays_once(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    signed = world.redemption(award, 1_000)
    assert await world.market.redeem(signed.envelope) == ACCEPTED
    before = world.contents()
    verdict = await world.market.redeem(signed.envelope)
    assert (verdict.decision, verdict.reason) == (IGNORED, AdmissionReason.KNOWN)
    assert world.contents() == before


async def test_the_same_redemption_many_times_at_once_pays_once(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    signed = world.redemption(award, 1_000)
    verdicts = await asyncio.gather(*[world.market.redeem(signed.envelope) for _ in range(5)])
    reasons = sorted(str(verdict.reason) for verdict in verdicts)
    assert reasons == ["None", *["known"] * 4]
    assert await world.money(BUYER) == (UNIT - 400_000, 320_000)


async def test_a_lower_claim_than_before_is_older_and_pays_nothing(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    await world.redeem(award, 2_000)
    before = world.contents()
    verdict = await world.redeem(award, 1_999)
    assert (verdict.decision, verdict.reason) == (IGNORED, AdmissionReason.OLDER)
    assert world.contents() == before
    await world.redeem(award, 3_000)
    assert world.rows("SELECT standard_tokens FROM awards") == [(3_000,)]
    assert await world.money(BUYER) == (UNIT - 400_000, 160_000)


async def test_an_equal_claim_pays_nothing_more(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    await world.redeem(award, 2_000)
    world.clock.advance(1)
    assert await world.redeem(award, 2_000) == ACCEPTED
    assert await world.money(BUYER) == (UNIT - 400_000, 240_000)


async def test_a_final_lower_claim_closes_at_what_was_redeemed_before(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    await world.redeem(award, 2_000)
    assert await world.redeem(award, 0, voucher=None, final=True) == ACCEPTED
    assert world.rows("SELECT standard_tokens, closed FROM awards") == [(2_000, 1)]
    assert await world.money(BUYER) == (UNIT - 160_000, 0)


async def test_final_without_a_voucher_gives_everything_back(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    assert await world.redeem(award, 0, voucher=None, final=True) == ACCEPTED
    assert await world.money(BUYER) == (UNIT, 0)
    assert await world.earned() == 0


async def test_nothing_is_redeemed_after_the_end(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    await world.redeem(award, 2_000, final=True)
    before = world.contents()
    for tokens, voucher in ((3_000, world.voucher(award, 3_000)), (0, None)):
        verdict = await world.redeem(award, tokens, voucher=voucher)
        assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.AWARD_CLOSED)
    assert world.contents() == before


async def test_a_claim_may_be_lower_than_its_voucher_but_not_higher(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    voucher = world.voucher(award, 2_000)
    verdict = await world.redeem(award, 2_001, voucher=voucher)
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.CLAIM_TOO_HIGH)
    assert verdict.detail == "claimed 2001, promised 2000 standard tokens"
    assert await world.redeem(award, 1_500, voucher=voucher) == ACCEPTED
    assert await world.money(BUYER) == (UNIT - 400_000, 280_000)


async def test_without_a_voucher_nothing_can_be_claimed(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    verdict = await world.redeem(award, 1, voucher=None)
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.CLAIM_TOO_HIGH)


async def test_no_voucher_is_worth_more_than_the_award(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    voucher = world.voucher(award, limits.STANDARD_TOKENS_MAX)
    verdict = await world.redeem(award, 5_001, voucher=voucher)
    assert verdict.reason is AdmissionReason.CLAIM_TOO_HIGH
    assert await world.redeem(award, 5_000, voucher=voucher) == ACCEPTED
    assert await world.money(BUYER) == (UNIT - 400_000, 0)


async def test_by_a_stranger_is_refused(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    before = world.contents()
    for who in (STRANGER, BUYER, MARKET):
        verdict = await world.redeem(award, 1_000, node=who, final=True)
        assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.NOT_YOURS)
    assert world.contents() == before


async def test_with_a_voucher_that_is_not_the_buyers_is_refused(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    before = world.contents()
    forged = bytearray(world.voucher(award, 1_000))
    forged[-1] ^= 1
    for voucher, detail in (
        (world.voucher(award, 1_000, buyer=STRANGER), "wrong_sender"),
        (world.voucher(award, 1_000, buyer=NODE), "wrong_sender"),
        (bytes(forged), "bad_signature"),
        (world.voucher(award, 1_000, network="other"), "wrong_network"),
        (b"no envelope", "malformed"),
        (b"", "malformed"),
        (sign(samples.receipt(), NODE).envelope, "malformed"),
    ):
        verdict = await world.redeem(award, 1_000, voucher=voucher)
        assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.BAD_VOUCHER)
        assert detail in verdict.detail
    assert world.contents() == before


async def test_with_a_voucher_for_another_award_or_node_is_refused(world: World) -> None:
    await world.deposit(UNIT)
    award, other = await world.bought(5, 80_000), await world.bought(5, 81_000)
    for voucher in (
        world.voucher(other, 1_000),
        world.voucher(award, 1_000, node=STRANGER.key),
        world.voucher(award, 1_000, award=digest("no award")),
    ):
        verdict = await world.redeem(award, 1_000, voucher=voucher)
        assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.BAD_VOUCHER)
        assert verdict.detail == "for another award or node"
    assert await world.earned() == 0


async def test_for_an_award_that_was_never_made_is_refused(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    verdict = await world.redeem(award, 1_000, award=digest("no award"))
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.UNKNOWN_AWARD)


async def test_a_message_that_fails_a_check_is_refused(world: World) -> None:
    verdict = await world.market.redeem(b"")
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.REFUSED_MESSAGE)


async def test_of_several_faults_the_first_reason_is_named(world: World) -> None:
    """In the order in which AdmissionReason lists them, as it says of itself."""
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    bad = world.voucher(award, 9_000, buyer=STRANGER)
    verdict = await world.redeem(award, 9_000, voucher=bad)
    assert verdict.reason is AdmissionReason.BAD_VOUCHER, "before CLAIM_TOO_HIGH"
    await world.redeem(award, 0, voucher=None, final=True)
    verdict = await world.redeem(award, 9_000, voucher=bad)
    assert verdict.reason is AdmissionReason.AWARD_CLOSED, "before BAD_VOUCHER"
    verdict = await world.redeem(award, 9_000, voucher=bad, node=STRANGER)
    assert verdict.reason is AdmissionReason.NOT_YOURS, "before AWARD_CLOSED"


async def test_until_it_is_settled_an_award_outlives_its_expiry(world: World) -> None:
    """No job may open any more, but what was promised is paid until settle_by_us."""
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    voucher = world.voucher(award, 1_000)
    world.clock.now_us = award.message.expires_us + 1
    await world.round()
    assert await world.redeem(award, 1_000, voucher=voucher) == ACCEPTED
    world.clock.now_us = award.message.settle_by_us - 1
    await world.round()
    assert await world.money(BUYER) == (UNIT - 400_000, 320_000)
    world.clock.now_us = award.message.settle_by_us
    await world.round()
    assert await world.money(BUYER) == (UNIT - 80_000, 0)
    verdict = await world.redeem(award, 2_000)
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.AWARD_CLOSED)


async def test_the_time_for_vouchers_ends_by_the_clock_and_not_by_the_next_round(
    world: World,
) -> None:
    """AWARD_CLOSED covers both: settled for good, or past settle_by_us."""
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    world.clock.now_us = award.message.settle_by_us
    verdict = await world.redeem(award, 1_000)
    assert (verdict.decision, verdict.reason) == (REJECTED, AdmissionReason.AWARD_CLOSED)


async def test_an_award_past_its_expiry_holds_no_lots_of_the_node(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    world.clock.now_us = award.message.expires_us
    await world.supply((80_000, 5))
    placed = await world.place(5, 80_000)
    await world.round()
    await placed.rest()
    assert len(placed.awards) == 1


async def test_what_paid_an_award_is_kept_as_evidence(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    low, high = world.voucher(award, 1_000), world.voucher(award, 2_000)
    await world.redeem(award, 1_000, voucher=low)
    await world.redeem(award, 2_000, voucher=high)
    assert world.rows("SELECT voucher FROM awards") == [(high,)]
    kinds = [kind for (kind,) in world.rows("SELECT kind FROM messages ORDER BY kind")]
    assert kinds == ["network_map", "order", "redemption", "redemption"]


async def test_both_sides_see_how_far_an_award_is_settled(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    await world.redeem(award, 1_000)
    for who in (BUYER, NODE):
        (found,) = (await world.ask(Subject.AWARDS, award.id, who=who)).awards
        assert (found.award, found.lots, found.standard_tokens) == (award.id, 5, 1_000)
        assert (found.held, found.paid, found.released) == (400_000, 80_000, 0)
        assert (found.closed, found.settle_by_us) == (False, NOW_US + 900_000_000)
    assert (await world.ask(Subject.AWARDS, award.id, who=STRANGER)).awards == ()
    await world.redeem(award, 2_000, final=True)
    (found,) = (await world.ask(Subject.AWARDS, award.id)).awards
    assert (found.paid, found.released, found.closed) == (160_000, 240_000, True)
