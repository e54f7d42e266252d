"""Whole trades on a market without a network: every balance, to the nano, after every step."""

from pathlib import Path

from swatow_market.exchange.admission import ACCEPTED
from swatow_market.exchange.book import OFFERS_MAX
from swatow_market.exchange.offers import BookOffer
from swatow_market.ledger.accounts import CARRIER, CASH, FEE, buyer_account, node_account
from swatow_protocol import codec, limits
from swatow_protocol.envelope import sign, verify
from swatow_protocol.messages import Attributes, Limits, MarketTerms, Model, Offer, PaymentTerms
from swatow_protocol.messages.answers import (
    AdmissionReason,
    Decision,
    LimitName,
    OfferList,
    OrderState,
)
from tests.support import samples
from tests.support.market_world import UNIT, World, lots_of, open_world
from tests.support.samples import BUYER, MARKET, NETWORK, NODE, NOW_US, SECOND, STRANGER

WIDE = PaymentTerms(voucher_interval=8, credit_window=64)


async def test_a_whole_trade_with_every_balance(world: World) -> None:
    """Order of 10 lots at up to 100,000; bought at 80,000; 7,500 tokens used; the rest returns."""
    await world.deposit(2_000_000)
    buyer, node = buyer_account(BUYER.key), node_account(NODE.key)
    assert await world.balances() == {
        buyer: (2_000_000, 0),
        CARRIER: (0, 0),
        CASH: (2_000_000, 0),
        FEE: (0, 0),
    }

    placed = await world.place(10, 100_000)
    assert placed.verdict == ACCEPTED
    (event,) = placed.events
    assert (event.order, event.state, event.lots_open) == (placed.id, OrderState.OPEN, 10)
    assert await world.money(BUYER) == (1_000_000, 1_000_000)

    await world.round()
    (event,) = await placed.next()
    assert (event.state, event.lots_open, event.unmet) == (OrderState.OPEN, 10, (LimitName.MODEL,))
    assert event.verdict is None, "the verdict is given once"
    assert await world.money(BUYER) == (1_000_000, 1_000_000)

    offer = await world.supply((80_000, 60), (90_000, 40))
    await world.round()
    (event,) = await placed.rest()
    assert (event.state, event.lots_open, event.unmet) == (OrderState.FILLED, 0, ())
    (award,) = placed.awards
    assert (award.message.lots, award.message.price) == (10, 80_000)
    assert event.granted[0].offer == offer.envelope
    assert await world.money(BUYER) == (1_200_000, 800_000)

    assert await world.redeem(award, 2_500) == ACCEPTED
    assert await world.balances() == {
        buyer: (1_800_000, 600_000),
        CARRIER: (0, 0),
        CASH: (2_000_000, 0),
        FEE: (2_000, 0),
        node: (198_000, 0),
    }

    assert await world.redeem(award, 7_500, final=True) == ACCEPTED
    assert await world.balances() == {
        buyer: (1_400_000, 0),
        CARRIER: (0, 0),
        CASH: (2_000_000, 0),
        FEE: (6_000, 0),
        node: (594_000, 0),
    }


async def test_an_award_says_everything_that_the_deal_rests_on(world: World) -> None:
    await world.deposit(UNIT)
    offer = await world.supply((70_000, 3), payment=WIDE, life_s=50)
    await world.supply((90_000, 60), node=STRANGER)
    placed = await world.place(5, 100_000, rate=50)
    await world.round()
    await placed.rest()
    message = next(each.message for each in placed.awards if each.message.node == NODE.key)
    assert message.order == placed.id
    assert message.offer == offer.id
    assert message.model == world.model
    assert message.buyer == BUYER.key
    assert message.round.shard == "main"
    assert (message.round.epoch, message.round.number) == (1, 1)
    assert message.currency == "USD"
    assert (message.lots, message.price, message.node_price, message.path_charge) == (
        3,
        90_000,
        90_000,
        0,
    )
    assert message.fee_ppm == world.market.state.terms.message.fee_ppm
    assert message.rate == 50
    assert message.zone == "cn-gd-shantou"
    assert message.expires_us == NOW_US + 600 * SECOND
    assert message.settle_by_us == NOW_US + 900 * SECOND
    assert message.payment == PaymentTerms(voucher_interval=16, credit_window=64)
    assert message.certificate_sha256 == offer.message.certificate_sha256
    assert message.sealing_key == offer.message.sealing_key


async def test_carriers_are_paid_for_the_path(empty_home: Path) -> None:
    """5 lots at 80,000 + 2,000 for the path, a fee of 5 % of the node's part alone."""
    path = {"origin": "sg", "zone": "cn-gd-shantou", "round_trip_ms": 40, "charge": "0.002"}
    world = await open_world(empty_home, paths=(path,), fee_ppm=50_000)
    try:
        await world.deposit(UNIT)
        await world.supply((80_000, 60))
        placed = await world.place(5, 100_000, limits=Limits(origin="sg", round_trip_ms=40))
        await world.round()
        await placed.rest()
        (award,) = placed.awards
        assert (award.message.price, award.message.path_charge) == (82_000, 2_000)
        await world.redeem(award, 5_000, final=True)
        balances = await world.balances()
        assert balances[CARRIER] == (10_000, 0)
        assert balances[FEE] == (20_000, 0)
        assert await world.earned() == 380_000
        assert await world.money(BUYER) == (UNIT - 410_000, 0)
        await world.check_books()
    finally:
        await world.close()


async def test_an_order_is_filled_over_rounds_and_nodes(world: World) -> None:
    await world.deposit(UNIT)
    await world.supply((80_000, 3))
    placed = await world.place(10, 100_000)
    await world.round()
    (event,) = await placed.next()
    assert (event.state, event.lots_open) == (OrderState.OPEN, 7)
    assert event.unmet == (LimitName.CAPACITY,)
    assert [award.message.price for award in placed.awards] == [100_000], "scarce: at the limit"
    assert await world.money(BUYER) == (UNIT - 1_000_000, 1_000_000)

    await world.supply((85_000, 7), node=STRANGER)
    await world.round()
    (event,) = await placed.rest()
    assert event.state is OrderState.FILLED
    assert lots_of(placed.awards) == 10
    assert {award.message.node for award in placed.awards} == {NODE.key, STRANGER.key}
    assert await world.money(BUYER) == (UNIT - 300_000 - 7 * 92_500, 300_000 + 7 * 92_500)


async def test_lots_in_open_awards_are_not_sold_twice_and_come_back_as_they_are_used(
    world: World,
) -> None:
    await world.deposit(UNIT)
    await world.supply((80_000, 10))
    first, second = await world.place(8, 80_000), await world.place(5, 80_000)
    await world.round()
    sold = [event for placed in (first, second) for event in await placed.next()]
    assert sum(event.lots_open for event in sold) == 3
    assert {event.unmet for event in sold if event.lots_open} == {(LimitName.CAPACITY,)}
    waiting = first if first.events[-1].lots_open else second
    served = second if waiting is first else first
    await world.round()
    assert world.rows("SELECT SUM(lots_open) FROM orders") == [(3,)]

    (award,) = served.awards
    await world.redeem(award, 2_999)  # two whole lots are used up, the third has begun
    await world.round()
    (event,) = await waiting.next()
    assert event.lots_open == 1
    await world.redeem(award, 3_000, final=True)
    await world.round()
    (event,) = await waiting.rest()
    assert event.state is OrderState.FILLED


async def test_free_tokens_are_traded_and_move_no_money(world: World) -> None:
    await world.deposit(5)
    await world.supply((0, 10))
    placed = await world.place(10, 0)
    await world.round()
    await placed.rest()
    (award,) = placed.awards
    assert award.message.price == 0
    assert await world.redeem(award, 10_000, final=True) == ACCEPTED
    assert await world.money(BUYER) == (5, 0)
    assert world.rows("SELECT closed, paid FROM holds") == [(1, 0), (1, 0)]


async def test_the_catalogue_is_signed_by_the_market(world: World) -> None:
    catalogue = await world.market.catalogue()
    terms = verify(
        catalogue.terms, MarketTerms, network=NETWORK, now_us=NOW_US, sender=MARKET.key
    ).message
    assert terms.currency == "USD"
    assert terms.round_us == SECOND
    models = [
        verify(each, Model, network=NETWORK, now_us=NOW_US, sender=MARKET.key)
        for each in catalogue.models
    ]
    assert [each.id for each in models] == [world.model]


async def test_live_offers_are_listed_as_their_nodes_signed_them(world: World) -> None:
    mine = await world.supply((80_000, 5))
    await world.supply((70_000, 5), node=STRANGER, life_s=5)
    assert len((await world.market.list_offers()).offers) == 2
    world.clock.advance(5)
    (envelope,) = (await world.market.list_offers()).offers
    assert verify(envelope, Offer, network=NETWORK, now_us=world.clock()).id == mine.id


async def test_the_list_of_a_full_book_can_be_told(world: World) -> None:
    """It travels in parts, as the largest thing that a client takes as a list of offers."""
    names = tuple(f"{number:02}{'x' * 94}" for number in range(limits.LIST_ITEMS_MAX))
    stated = Attributes(features=names, corridors=names)
    signed = await world.supply((80_000, 5), attributes=stated)
    for number in range(OFFERS_MAX - 1):
        offer = samples.offer(sender=samples.digest(f"node {number}"))
        entry = BookOffer(samples.digest(f"offer {number}"), offer, signed.envelope)
        world.market.state.book.put_offer(entry)
    answer = codec.encode(await world.market.list_offers())
    assert len(codec.decode(OfferList, answer).offers) == OFFERS_MAX
    assert limits.FRAME_BYTES_MAX < len(answer) <= limits.OFFER_LIST_BYTES_MAX


class TestOfferIntake:
    async def test_a_message_that_fails_a_check_is_refused_with_its_reason(
        self, world: World
    ) -> None:
        good = world.offer((80_000, 5))
        expired = world.offer((80_000, 5), expires_us=NOW_US)
        elsewhere = world.offer((80_000, 5), network="other")
        for envelope, detail in (
            (b"", "malformed"),
            (good.envelope[:-1] + bytes([good.envelope[-1] ^ 1]), "bad_signature"),
            (expired.envelope, "expired"),
            (elsewhere.envelope, "wrong_network"),
            (sign(samples.voucher(), BUYER).envelope, "malformed"),
        ):
            verdict = await world.market.submit_offer(envelope)
            assert verdict.decision is Decision.REJECT
            assert verdict.reason is AdmissionReason.REFUSED_MESSAGE
            assert detail in verdict.detail
        assert (await world.market.list_offers()).offers == ()

    async def test_a_node_that_comes_back_after_its_offer_expired_starts_anew(
        self, world: World
    ) -> None:
        await world.supply((80_000, 5), sequence=9, life_s=5)
        world.clock.advance(5)
        await world.supply((80_000, 5), sequence=1)

    async def test_an_offer_for_a_model_that_is_not_listed_is_rejected(self, world: World) -> None:
        signed = world.offer((80_000, 5), model=samples.digest("unlisted"))
        verdict = await world.market.submit_offer(signed.envelope)
        assert verdict.reason is AdmissionReason.UNKNOWN_MODEL


async def test_a_round_is_recorded_and_an_empty_one_leaves_no_trace(world: World) -> None:
    await world.round()
    assert world.rows("SELECT * FROM rounds") == []
    await world.deposit(UNIT)
    await world.supply((80_000, 60))
    placed = await world.place(10, 100_000)
    await world.round()
    await placed.rest()
    query = "SELECT shard, epoch, number, closed_us, orders, lots, welfare FROM rounds"
    assert world.rows(query) == [("main", 1, 1, NOW_US, 1, 10, 10 * 20_000)]
    await world.round()
    assert len(world.rows(query)) == 1


async def test_no_two_rounds_share_a_salt(world: World) -> None:
    await world.deposit(UNIT)
    await world.place(10, 100_000)
    for _ in range(3):
        await world.round()
    salts = [salt for (salt,) in world.rows("SELECT salt FROM rounds")]
    assert len(set(salts)) == 3
    assert all(len(salt) == 32 for salt in salts)
