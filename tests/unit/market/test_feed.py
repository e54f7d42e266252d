"""The feed: whoever waits for an order hears of it in order, until it ends or falls behind."""

import asyncio

from swatow_market.service.feed import EVENTS_WAITING_MAX, Feed, Subscription
from swatow_protocol.messages.answers import OrderEvent, OrderState
from tests.support.market_ledger import STUCK_S
from tests.support.market_world import settle_down
from tests.support.samples import digest

FIRST, SECOND, OTHER = digest("first"), digest("second"), digest("other")


def news(
    order: bytes, lots_open: int = 5, state: OrderState | None = OrderState.OPEN
) -> OrderEvent:
    return OrderEvent(
        order=order, verdict=None, state=state, granted=(), lots_open=lots_open, unmet=()
    )


async def heard(subscription: Subscription) -> list[list[OrderEvent]]:
    """Return everything that a subscriber hears until its news end."""
    async with asyncio.timeout(STUCK_S):
        return [events async for events in subscription.news()]


async def test_news_come_in_order_until_the_order_has_ended() -> None:
    feed = Feed()
    subscription = feed.subscribe([FIRST])
    events = [news(FIRST, 5), news(FIRST, 2), news(FIRST, 0, OrderState.FILLED)]
    for event in events:
        feed.publish([event])
    assert await heard(subscription) == [[event] for event in events]


async def test_every_way_of_ending_ends_the_news() -> None:
    for state in (OrderState.FILLED, OrderState.EXPIRED, OrderState.CANCELLED):
        feed = Feed()
        subscription = feed.subscribe([FIRST])
        feed.publish([news(FIRST, 3, state)])
        assert await heard(subscription) == [[news(FIRST, 3, state)]]
        assert feed._subscriptions == {}


async def test_what_is_published_together_comes_together_and_to_each_its_own() -> None:
    feed = Feed()
    both, one = feed.subscribe([FIRST, SECOND]), feed.subscribe([SECOND])
    ended = [news(order, 0, OrderState.FILLED) for order in (FIRST, SECOND, OTHER)]
    feed.publish(ended)
    assert await heard(both) == [ended[:2]]
    assert await heard(one) == [ended[1:2]]


async def test_the_news_end_with_the_last_of_several_orders() -> None:
    feed = Feed()
    subscription = feed.subscribe([FIRST, SECOND])
    listening = asyncio.create_task(heard(subscription))
    feed.publish([news(FIRST, 0, OrderState.FILLED)])
    await settle_down()
    assert not listening.done()
    feed.publish([news(SECOND, 4)])
    feed.publish([news(FIRST, 9), news(SECOND, 4, OrderState.EXPIRED)])
    assert [len(events) for events in await listening] == [1, 1, 1]


async def test_an_order_that_has_ended_is_not_heard_of_again() -> None:
    feed = Feed()
    subscription = feed.subscribe([FIRST, SECOND])
    feed.publish([news(FIRST, 0, OrderState.FILLED)])
    feed.publish([news(FIRST, 1)])
    feed.publish([news(SECOND, 0, OrderState.FILLED)])
    orders = [[event.order for event in events] for events in await heard(subscription)]
    assert orders == [[FIRST], [SECOND]]


async def test_without_orders_there_is_no_news() -> None:
    feed = Feed()
    assert await heard(feed.subscribe([])) == []
    assert feed._subscriptions == {}


async def test_news_that_nobody_waits_for_are_dropped() -> None:
    feed = Feed()
    feed.publish([news(FIRST)])
    assert feed._subscriptions == {}


async def test_whoever_subscribes_late_has_missed_what_was() -> None:
    feed = Feed()
    feed.publish([news(FIRST, 4)])
    subscription = feed.subscribe([FIRST])
    feed.publish([news(FIRST, 0, OrderState.FILLED)])
    assert [events[0].lots_open for events in await heard(subscription)] == [0]


async def test_as_much_as_may_wait_is_kept() -> None:
    feed = Feed()
    subscription = feed.subscribe([FIRST])
    for lots in range(EVENTS_WAITING_MAX - 1):
        feed.publish([news(FIRST, lots)])
    feed.publish([news(FIRST, 0, OrderState.FILLED)])
    assert len(await heard(subscription)) == EVENTS_WAITING_MAX


async def test_a_subscriber_that_does_not_keep_up_is_cut_off_and_forgotten() -> None:
    feed = Feed()
    slow, quick = feed.subscribe([FIRST, SECOND]), feed.subscribe([FIRST])
    taken = quick.news()
    for lots in range(EVENTS_WAITING_MAX + 1):
        feed.publish([news(FIRST, lots)])
        assert await anext(taken) == [news(FIRST, lots)]
    assert await heard(slow) == [], "its place is with the database now"
    assert set(feed._subscriptions) == {FIRST}
    feed.publish([news(FIRST, 0, OrderState.FILLED)])
    assert [event.lots_open for event in await anext(taken)] == [0]
    assert feed._subscriptions == {}


async def test_a_subscriber_that_is_cut_off_by_the_last_news_is_forgotten() -> None:
    feed = Feed()
    subscription = feed.subscribe([FIRST, SECOND])
    for lots in range(EVENTS_WAITING_MAX):
        feed.publish([news(FIRST, lots)])
    feed.publish([news(FIRST, 0, OrderState.FILLED)])
    assert feed._subscriptions == {}
    assert await heard(subscription) == []


async def test_closing_forgets_the_subscriber_and_no_other() -> None:
    feed = Feed()
    gone, stays = feed.subscribe([FIRST, SECOND]), feed.subscribe([SECOND])
    gone.close()
    gone.close()
    assert feed._subscriptions == {SECOND: {stays}}
    feed.publish([news(SECOND, 0, OrderState.FILLED)])
    assert await heard(stays) == [[news(SECOND, 0, OrderState.FILLED)]]
    assert feed._subscriptions == {}
