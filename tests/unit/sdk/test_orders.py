"""Orders and awards: what is asked for, what is set aside, and that many jobs order once.

The market at the other end is a fake; the line to it, the wallet and the checks are real.
"""

import asyncio
import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from swatow import _orders
from swatow._config import BuyerSettings
from swatow._market import MarketLine
from swatow._orders import JOB_TIME_US, Orders
from swatow._placed import placed_order
from swatow._status import OrderStatus
from swatow._wanted import Wanted
from swatow.errors import (
    InsufficientFunds,
    InvalidValue,
    LimitsUnmet,
    MarketError,
    OrderCancelled,
    OrderRejected,
    Unreachable,
)
from swatow_protocol import limits
from swatow_protocol.envelope import sign
from swatow_protocol.messages import Limits, ModelLimit, Usage
from swatow_protocol.messages.answers import (
    AdmissionReason,
    Decision,
    Granted,
    LimitName,
    OrderState,
    Verdict,
)
from swatow_protocol.shell.settings import load
from tests.support import samples
from tests.support.samples import (
    LATER_US,
    MARKET,
    NETWORK,
    NOW_US,
    PERIOD_US,
    SECOND,
    STRANGER,
)
from tests.unit.node import deal
from tests.unit.sdk.market import Counter, FakeMarket, Grant, line_to, reconnect, wallet_in

PRICE = 100_000
ANYWHERE = Limits()


@dataclass
class Shop:
    """A buyer's orders, and the fake market that they go to."""

    market: FakeMarket
    clock: Counter
    line: MarketLine
    orders: Orders

    async def reserve(self, tokens: int, price: int = PRICE, limits: Limits = ANYWHERE) -> Any:
        """Set tokens aside."""
        return await self.orders.reserve(deal.MODEL, tokens, price, limits)


def shop_in(directory: Path, **settings: Any) -> Shop:
    """Return a shop whose jobs buy in rounds, unless the settings say otherwise."""
    market, clock = FakeMarket(wallet_in(directory)), Counter()
    line = line_to(market, clock)
    orders = Orders(
        market=line,
        wallet=market.wallet,
        settings=load(
            BuyerSettings, directory, {"network": NETWORK, "order_now": False, **settings}
        ).settings,
        now_us=clock.read,
        random_bytes=clock.random,
    )
    return Shop(market, clock, line, orders)


def wanted(limits: Limits = ANYWHERE, **changes: Any) -> Wanted:
    """Return an order for the model at PRICE, but for the changes."""
    models = (ModelLimit(model=deal.MODEL.id, price=PRICE),)
    return Wanted(**{"models": models, "limits": limits, **changes})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return shop_in(tmp_path / "buyer")


async def test_an_order_says_what_is_wanted_and_for_how_long(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_wait_s=2.5, award_life_s=300)
    limits = Limits(zones=("cn-gd",))
    (held,) = await shop.orders.place(wanted(limits), 5)
    (order,) = shop.market.orders
    terms = order.message.terms
    assert (order.message.lots, order.message.issued_us) == (5, NOW_US)
    assert [(each.model, each.price) for each in terms.models] == [(deal.MODEL.id, PRICE)]
    assert (terms.currency, terms.limits) == ("USD", limits)
    assert terms.expires_us == NOW_US + 2_500_000
    assert terms.award_life_us == 300 * SECOND
    assert held.award.order == order.id


async def test_an_award_lives_no_longer_than_the_market_allows(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", award_life_s=86_400)
    await shop.orders.place(wanted(), 5)
    assert shop.market.orders[0].message.terms.award_life_us == 3_600 * SECOND


NEXT_PERIOD = {
    "from_us": LATER_US,
    "expires_us": LATER_US + PERIOD_US,
    "settle_by_us": LATER_US + 2 * PERIOD_US,
    "price": 62_000,
    "node_price": 60_000,
}
"""What an award has of its own that is of the next period."""


async def test_an_order_that_can_wait_says_until_when(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_wait_s=2.5)
    await shop.orders.place(wanted(within_us=3_600 * SECOND), 5)
    terms = shop.market.orders[0].message.terms
    assert terms.deadline_us == NOW_US + 3_600 * SECOND
    assert terms.expires_us == NOW_US + 2_500_000


async def test_an_order_waits_in_the_book_no_longer_than_until_its_deadline(
    tmp_path: Path,
) -> None:
    shop = shop_in(tmp_path / "buyer", order_wait_s=100)
    await shop.orders.place(wanted(within_us=60 * SECOND), 5)
    terms = shop.market.orders[0].message.terms
    assert terms.expires_us == terms.deadline_us == NOW_US + 60 * SECOND


@pytest.mark.parametrize("within_us", [0, -1, limits.ORDER_LIFE_US + 1])
async def test_a_deadline_that_no_market_takes_is_never_ordered(shop: Shop, within_us: int) -> None:
    with pytest.raises(InvalidValue, match=r"^deadline: .* is not within 30 days"):
        await shop.orders.place(wanted(within_us=within_us), 5)
    assert shop.market.orders == []


async def test_a_later_award_is_held_but_not_drawn_upon_before_it_begins(shop: Shop) -> None:
    lasting = {"expires_us": LATER_US, "settle_by_us": LATER_US}
    shop.market.grants = [Grant([NEXT_PERIOD]), Grant([lasting]), Grant([lasting])]
    within_us = LATER_US + PERIOD_US - NOW_US
    (held,) = await shop.orders.place(wanted(within_us=within_us), 5)
    assert held in shop.orders.held
    assert await shop.orders.recall(held.id.hex()) is held
    assert await shop.reserve(600) is not held
    shop.clock.now_us = LATER_US - 1
    assert await shop.reserve(601) is not held
    shop.clock.now_us = LATER_US
    assert await shop.reserve(600) is held


async def test_an_award_of_now_is_drawn_upon_although_the_markets_clock_is_ahead(
    shop: Shop,
) -> None:
    ahead_us = NOW_US + SECOND
    shop.market.grants = [Grant([{"issued_us": ahead_us, "from_us": ahead_us}])]
    first = await shop.reserve(600)
    assert await shop.reserve(400) is first


async def test_two_equal_orders_are_two_orders(shop: Shop) -> None:
    for _ in range(2):
        await shop.orders.place(wanted(), 5)
    first, second = shop.market.orders
    assert first.id != second.id


@pytest.mark.parametrize("lots", [0, -1, 10**6 + 1])
async def test_lots_outside_the_bounds_are_never_ordered(shop: Shop, lots: int) -> None:
    with pytest.raises(InvalidValue, match=r"^lots: "):
        await shop.orders.place(wanted(), lots)
    assert shop.market.orders == []


async def test_the_fewest_lots_are_ordered_that_hold_the_job(shop: Shop) -> None:
    held = await shop.reserve(1_001)
    assert shop.market.orders[0].message.lots == 2
    assert (held.left(), held.reserved, held.jobs) == (999, 1_001, 1)


async def test_as_many_lots_are_ordered_at_a_time_as_are_set(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_lots=20)
    await shop.reserve(1_001)
    assert shop.market.orders[0].message.lots == 20


async def test_a_second_job_draws_on_the_award_that_is_there(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_lots=5)
    first, second = await shop.reserve(2_000), await shop.reserve(3_000)
    assert first is second
    assert (first.left(), first.jobs) == (0, 2)
    third = await shop.reserve(1)
    assert third is not first, "nothing is left in the first"
    shop.orders.settle(first, 2_000)
    assert (first.left(), first.jobs) == (2_000, 1)
    assert await shop.reserve(2_000) is first


async def test_many_jobs_at_once_order_once(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_lots=50)
    shop.market.hold = asyncio.Event()
    waiting = [asyncio.create_task(shop.reserve(100)) for _ in range(20)]
    await asyncio.wait(waiting, timeout=0)
    shop.market.hold.set()
    held = await asyncio.gather(*waiting)
    assert len(shop.market.orders) == 1
    assert {award.id for award in held} == {held[0].id}
    assert held[0].reserved == 2_000


async def test_an_award_serves_only_what_it_was_ordered_for(tmp_path: Path) -> None:
    """A limit is never relaxed because an award happens to be there."""
    shop = shop_in(tmp_path / "buyer", order_lots=5)
    await shop.reserve(100)
    await shop.reserve(100, limits=Limits(zones=("cn",)))
    await shop.reserve(100, price=PRICE - 1)
    assert len(shop.market.orders) == 3
    await shop.reserve(100)
    assert len(shop.market.orders) == 3


async def test_an_award_that_is_about_to_end_or_released_is_not_drawn_upon(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_lots=5)
    first = await shop.reserve(100)
    shop.clock.now_us = first.award.expires_us - JOB_TIME_US
    second = await shop.reserve(100)
    assert second is not first
    shop.clock.now_us = NOW_US
    first.released = second.released = True
    assert shop.orders.held == []
    assert (await shop.reserve(100)).id not in {first.id, second.id}


async def test_of_several_awards_the_cheapest_is_drawn_upon_first(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_lots=5)
    shop.market.grants = [Grant([{"lots": 2, "price": 90_000}, {"lots": 3, "price": 85_000}])]
    held = await shop.reserve(1_500)
    assert held.award.lots == 3, "the largest of a fresh order"
    assert (await shop.reserve(500)).award.price == 85_000
    assert (await shop.reserve(1_200)).award.price == 90_000


async def test_awards_none_of_which_is_large_enough_do_not_run_the_job(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer")
    shop.market.grants = [Grant([{"lots": 1}, {"lots": 1, "price": 85_000}])]
    with pytest.raises(LimitsUnmet) as error:
        await shop.reserve(1_500)
    assert error.value.limits == (LimitName.CAPACITY,)
    assert len(shop.orders.held) == 2, "they are there for smaller jobs"


async def test_tokens_that_were_used_are_no_longer_left(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer", order_lots=2)
    held = await shop.reserve(1_500)
    held.meter.add(Usage(output_tokens=700))
    shop.orders.settle(held, 1_500)
    assert held.left() == 1_300


async def test_an_order_that_nothing_meets_names_the_limits(shop: Shop) -> None:
    unmet = (LimitName.ZONES, LimitName.PRICE)
    shop.market.grants = [Grant([], state=OrderState.EXPIRED, unmet=unmet)]
    with pytest.raises(LimitsUnmet, match=r"in 10 s; unmet: zones, price") as error:
        await shop.reserve(100)
    assert error.value.limits == unmet
    assert not error.value.may_pass


@pytest.mark.parametrize("missing", ["data_origin", "data_class"])
async def test_an_order_through_a_corridor_says_which_data_goes_through(
    shop: Shop, missing: str
) -> None:
    whole = samples.all_limits()
    with pytest.raises(InvalidValue, match=rf"^{missing}: .*shantou-2026"):
        await shop.reserve(100, limits=replace(whole, **{missing: None}))
    assert shop.market.orders == []
    await shop.reserve(100, limits=whole)
    await shop.reserve(100, limits=replace(whole, corridor=None, data_class=None))
    assert len(shop.market.orders) == 2


@pytest.mark.parametrize(
    ("limits", "may_pass"),
    [
        ((LimitName.PRICE,), True),
        ((LimitName.CAPACITY, LimitName.PRICE), True),
        ((LimitName.CAPACITY, LimitName.RETENTION), False),
    ],
)
def test_only_price_and_capacity_may_pass(limits: tuple[LimitName, ...], may_pass: bool) -> None:
    assert LimitsUnmet(limits, 1).may_pass is may_pass


async def test_part_of_an_order_is_taken_although_the_rest_expired(shop: Shop) -> None:
    shop.market.grants = [Grant([{"lots": 2}], state=OrderState.EXPIRED)]
    held = await shop.orders.place(wanted(), 5)
    assert [award.award.lots for award in held] == [2]


def rejected(reason: AdmissionReason | None) -> Verdict:
    return Verdict(decision=Decision.REJECT, reason=reason, detail="why")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (AdmissionReason.INSUFFICIENT_FUNDS, InsufficientFunds),
        (AdmissionReason.TOO_MANY, OrderRejected),
        (AdmissionReason.NOT_SUPPORTED, OrderRejected),
    ],
)
async def test_an_order_that_is_not_taken_tells_why(
    shop: Shop, reason: AdmissionReason, kind: type[OrderRejected]
) -> None:
    shop.market.grants = [Grant(state=None, verdict=rejected(reason))]
    with pytest.raises(OrderRejected) as error:
        await shop.reserve(100)
    assert type(error.value) is kind
    assert (error.value.reason, error.value.detail) == (reason, "why")
    assert str(error.value) == f"order rejected: {reason.value}: why"
    assert shop.orders.held == []


async def test_an_order_that_the_market_has_already_is_no_rejection(shop: Shop) -> None:
    known = Verdict(decision=Decision.IGNORE, reason=AdmissionReason.KNOWN, detail="")
    shop.market.grants = [Grant(verdict=known)]
    assert (await shop.reserve(100)).award.lots == 1


async def test_an_award_that_was_not_ordered_is_neither_held_nor_kept(shop: Shop) -> None:
    shop.market.grants = [Grant([{"buyer": STRANGER.key}])]
    with pytest.raises(MarketError):
        await shop.reserve(100)
    assert shop.orders.held == []


async def test_a_failed_order_does_not_stand_in_the_way_of_the_next(shop: Shop) -> None:
    shop.market.grants = [Grant([], state=OrderState.EXPIRED), Grant()]
    with pytest.raises(LimitsUnmet):
        await shop.reserve(100)
    assert (await shop.reserve(100)).reserved == 100


async def test_another_process_takes_up_an_award_of_the_wallet(tmp_path: Path) -> None:
    bought = shop_in(tmp_path / "buyer", order_lots=5)
    (held,) = await bought.orders.place(wanted(), 5)
    other = shop_in(tmp_path / "buyer", order_lots=5)
    recalled = await other.orders.recall(held.id.hex()[:10])
    assert recalled.id == held.id
    assert recalled.left() == 5_000
    assert await other.reserve(100) is recalled, "it is as good as one of its own"


async def test_an_award_that_is_over_is_not_taken_up_again(tmp_path: Path) -> None:
    shop = shop_in(tmp_path / "buyer")
    held = await shop.reserve(100)
    shop.clock.now_us = held.award.expires_us
    with pytest.raises(MarketError, match=r"expired"):
        await shop.orders.recall(held.id.hex())


async def test_digits_that_name_no_award_are_refused(shop: Shop) -> None:
    await shop.reserve(100)
    with pytest.raises(InvalidValue, match=r"^award: 'abcd' names no award"):
        await shop.orders.recall("abcd")


async def test_taking_up_an_award_that_is_held_keeps_what_was_used_of_it(tmp_path: Path) -> None:
    """Else its tokens would be set aside, and spent, a second time."""
    shop = shop_in(tmp_path / "buyer", order_lots=5)
    held = await shop.reserve(2_000)
    held.meter.add(Usage(output_tokens=500))
    recalled = await shop.orders.recall(held.id.hex())
    assert recalled.left() == 2_500


async def test_awards_that_are_used_up_are_forgotten_beyond_the_bound(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_orders, "AWARDS_HELD_MAX", 3)
    used = await shop.reserve(1_000)
    busy = await shop.reserve(1_000)
    shop.orders.settle(used, 0)
    await shop.reserve(600)
    assert used in shop.orders.held
    await shop.reserve(700)
    assert used not in shop.orders.held
    assert busy in shop.orders.held, "a job runs on it"
    assert len(shop.orders.held) == 3


async def test_what_orders_wait_for_is_forgotten_when_they_have_ended(tmp_path: Path) -> None:
    """However they ended: a gateway lives long, and its clients name many prices."""
    shop = shop_in(tmp_path / "buyer")
    for price in range(PRICE, PRICE + 20):
        shop.market.grants = [Grant() if price % 2 else Grant([], state=OrderState.EXPIRED)] * 2
        await asyncio.gather(*(shop.reserve(100, price) for _ in range(2)), return_exceptions=True)
    gc.collect()  # the tracebacks of those that failed hold on to what they waited for
    assert len(shop.orders._ordering) == 0


async def test_jobs_that_come_while_others_wait_order_after_them(tmp_path: Path) -> None:
    """One whose turn has come, but which has not run yet, is not overtaken by a newcomer."""
    shop = shop_in(tmp_path / "buyer")

    async def first() -> Any:
        await shop.reserve(1_000)
        return await shop.reserve(100)

    newcomer, second = await asyncio.gather(first(), shop.reserve(100))
    assert newcomer is second, "it draws on what the one before it has got"
    assert len(shop.market.orders) == 2


async def test_an_award_that_is_told_of_again_is_the_same_award(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a broken connection the market tells all that an order was awarded, once more."""
    monkeypatch.setattr("swatow._market.RETRY_S", 0)
    lost = Grant([{"lots": 2}], state=OrderState.OPEN, breaks=Unreachable("down"))
    shop.market.grants = [lost, Grant([{"lots": 2}, {"lots": 3}])]
    connected = shop.line._connected

    async def again() -> Any:
        reconnect(shop.line, shop.market)
        return await connected()

    monkeypatch.setattr(shop.line, "_connected", again)
    awards = await shop.orders.place(wanted(), 5)
    assert [award.award.lots for award in awards] == [2, 3]
    assert shop.orders.held == awards
    assert len(shop.market.orders) == 2


async def test_an_award_that_jobs_draw_on_is_not_started_anew_when_it_is_told_of_again(
    shop: Shop,
) -> None:
    held = await shop.reserve(600)
    order = shop.market.orders[0]
    granted = Granted(award=held.signed.envelope, offer=held.offer.envelope)
    (again,) = await shop.orders.keep([(granted, placed_order(order))])
    assert again is held
    assert again.left() == 400


async def test_several_models_are_ordered_each_for_its_own_price(shop: Shop) -> None:
    other = samples.digest("other model")
    models = (
        ModelLimit(model=other, price=PRICE // 2),
        ModelLimit(model=deal.MODEL.id, price=PRICE),
    )
    shop.market.grants = [Grant([{"model": deal.MODEL.id}])]
    (held,) = await shop.orders.place(wanted(models=models, all_or_none=True), 3)
    terms = shop.market.orders[0].message.terms
    assert (terms.models, terms.all_or_none) == (models, True)
    assert await shop.reserve(100) is held, "it is as good as one that was ordered for this model"


async def test_an_order_waits_as_long_as_it_says(shop: Shop) -> None:
    shop.market.grants = [Grant([], state=OrderState.EXPIRED)]
    with pytest.raises(LimitsUnmet, match=r"in 2\.5 s"):
        await shop.orders.place(wanted(wait_us=2_500_000), 3)
    assert shop.market.orders[0].message.terms.expires_us == NOW_US + 2_500_000


async def test_news_of_an_order_are_told_as_they_come(shop: Shop) -> None:
    news: list[OrderStatus] = []
    shop.market.grants = [Grant(state=OrderState.EXPIRED, unmet=(LimitName.PRICE,))]
    (held,) = await shop.orders.place(wanted(take_or_pay_ppm=5), 3, news.append)
    assert [each.state for each in news] == ["open", "expired"]
    assert [each.awards for each in news] == [(), (held.id.hex(),)]
    last = news[-1]
    assert (last.id, last.lots) == (shop.market.orders[0].id.hex(), 3)
    assert (last.models, last.currency) == ({deal.MODEL.message.name: PRICE}, "USD")
    assert (last.unmet, last.take_or_pay_ppm, last.all_or_none) == (("price",), 5, False)
    assert [each.is_open for each in news] == [True, False]


async def test_an_order_that_was_cancelled_says_so(shop: Shop) -> None:
    shop.market.grants = [
        Grant([], state=OrderState.CANCELLED, unmet=(LimitName.PRICE,)),
        Grant([{"lots": 1}], state=OrderState.CANCELLED),
    ]
    with pytest.raises(OrderCancelled) as error:
        await shop.orders.place(wanted(), 3)
    assert error.value.order == shop.market.orders[0].id
    (held,) = await shop.orders.place(wanted(), 3)
    assert held.award.lots == 1, "what was awarded before stays awarded"


class TestAtOnce:
    """Whether an order waits for a round."""

    async def test_an_order_says_that_it_cannot_wait(self, shop: Shop) -> None:
        await shop.orders.place(wanted(), 3)
        await shop.orders.place(wanted(immediate=True), 3)
        said = [order.message.terms.immediate for order in shop.market.orders]
        assert said == [False, True]

    async def test_what_cannot_be_had_at_once_is_named(self, shop: Shop) -> None:
        nothing = rejected(AdmissionReason.NOT_AT_ONCE)
        unmet = (LimitName.PRICE,)
        shop.market.grants = [Grant([], state=None, verdict=nothing, unmet=unmet)]
        with pytest.raises(LimitsUnmet, match="at once; unmet: price: why") as error:
            await shop.orders.place(wanted(immediate=True), 3)
        assert (error.value.limits, error.value.may_pass) == (unmet, True)

    async def test_it_cannot_have_a_deadline(self, shop: Shop) -> None:
        with pytest.raises(InvalidValue, match="deadline"):
            await shop.orders.place(wanted(immediate=True, within_us=PERIOD_US), 3)
        assert shop.market.orders == []

    async def test_a_job_that_can_be_bought_at_once_is_not_ordered_twice(
        self, tmp_path: Path
    ) -> None:
        shop = shop_in(tmp_path, order_now=True)
        assert (await shop.reserve(1_500)).left() == 500
        (order,) = shop.market.orders
        terms = order.message.terms
        assert (order.message.lots, terms.immediate, terms.all_or_none) == (2, True, True)

    @pytest.mark.parametrize(
        "first",
        [
            Grant([], state=None, verdict=rejected(AdmissionReason.NOT_AT_ONCE)),
            Grant([], state=None, verdict=rejected(AdmissionReason.TOO_MANY)),
            Grant([], state=None, verdict=rejected(AdmissionReason.NOT_SUPPORTED)),
            Grant([{"lots": 1}, {"lots": 1}]),
        ],
        ids=["nothing left", "too many wait", "another market", "split over nodes"],
    )
    async def test_a_job_that_cannot_be_bought_at_once_waits_for_a_round(
        self, tmp_path: Path, first: Grant
    ) -> None:
        shop = shop_in(tmp_path, order_now=True)
        shop.market.grants = [first]
        assert (await shop.reserve(1_500)).left() == 500
        said = [order.message.terms for order in shop.market.orders]
        assert [(each.immediate, each.all_or_none) for each in said] == [
            (True, True),
            (False, False),
        ]


class TestTakeOrPay:
    @staticmethod
    def ask_for(shop: Shop, least_ppm: int) -> None:
        terms = samples.market_terms(take_or_pay_min_ppm=least_ppm)
        shop.market.terms = sign(terms, MARKET).envelope

    @pytest.mark.parametrize("least_ppm", [0, 150_000])
    async def test_is_the_markets_minimum_unless_more_is_said(
        self, shop: Shop, least_ppm: int
    ) -> None:
        self.ask_for(shop, least_ppm)
        await shop.orders.place(wanted(), 1)
        await shop.orders.place(wanted(take_or_pay_ppm=200_000), 1)
        shares = [each.message.terms.take_or_pay_ppm for each in shop.market.orders]
        assert shares == [least_ppm, 200_000]

    async def test_is_what_the_settings_say_also_for_jobs(self, tmp_path: Path) -> None:
        shop = shop_in(tmp_path / "buyer", take_or_pay="0.2")
        await shop.reserve(100)
        assert shop.market.orders[0].message.terms.take_or_pay_ppm == 200_000
        await shop.orders.place(wanted(take_or_pay_ppm=0), 1)
        assert shop.market.orders[1].message.terms.take_or_pay_ppm == 0

    async def test_below_the_minimum_is_an_error_that_names_both(self, tmp_path: Path) -> None:
        shop = shop_in(tmp_path / "buyer", take_or_pay="0.05")
        self.ask_for(shop, 100_000)
        problem = r"^take_or_pay: 0\.05 is below this market's minimum of 0\.10$"
        with pytest.raises(InvalidValue, match=problem):
            await shop.reserve(100)
        assert shop.market.orders == []

    async def test_an_award_with_another_share_was_not_ordered(self, shop: Shop) -> None:
        shop.market.grants = [Grant([{"take_or_pay_ppm": 1}])]
        with pytest.raises(MarketError, match="take-or-pay"):
            await shop.reserve(100)
