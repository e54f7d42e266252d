"""News of orders, from the code that decides to the calls that wait for it.

A feed carries hints: everything in it can be read again from the database. A subscriber that does
not keep up is cut off, and asks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from swatow_protocol.messages.answers import OrderEvent

EVENTS_WAITING_MAX = 1_024
"""Messages that wait for one subscriber; one more ends its subscription."""


class Subscription:
    """News of some orders, until all of them have ended."""

    def __init__(self, feed: "Feed", orders: Iterable[bytes]) -> None:
        self._feed = feed
        self.orders = set(orders)
        self._queue: asyncio.Queue[list[OrderEvent]] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._cut_off = False

    def put(self, events: list[OrderEvent]) -> None:
        """Queue news; cut the subscriber off if it does not keep up."""
        if self._queue.full():
            self._cut_off = True
            self.close()
        else:
            self._queue.put_nowait(events)

    async def news(self) -> AsyncIterator[list[OrderEvent]]:
        """Yield news until every order has ended, or the subscriber is cut off."""
        while (self.orders or not self._queue.empty()) and not self._cut_off:
            yield await self._queue.get()

    def forget(self, orders: Iterable[bytes]) -> None:
        """Wait for these orders no more."""
        for order in orders:
            self.orders.discard(order)
            self._feed.forget(order, self)

    def close(self) -> None:
        """End the subscription."""
        self.forget(list(self.orders))


class Feed:
    """Who waits for news of which order."""

    def __init__(self) -> None:
        self._subscriptions: dict[bytes, set[Subscription]] = {}

    def subscribe(self, orders: Iterable[bytes]) -> Subscription:
        """Wait for news of these orders."""
        subscription = Subscription(self, orders)
        for order in subscription.orders:
            self._subscriptions.setdefault(order, set()).add(subscription)
        return subscription

    def publish(self, events: Iterable[OrderEvent]) -> None:
        """Tell whoever waits."""
        for_whom: dict[Subscription, list[OrderEvent]] = {}
        for event in events:
            for subscription in self._subscriptions.get(event.order, ()):
                for_whom.setdefault(subscription, []).append(event)
        for subscription, news in for_whom.items():
            subscription.forget(event.order for event in news if event.state not in (None, "open"))
            subscription.put(news)

    def forget(self, order: bytes, subscription: Subscription) -> None:
        """Tell a subscriber of this order no more."""
        waiting = self._subscriptions.get(order)
        if waiting is not None:
            waiting.discard(subscription)
            if not waiting:
                del self._subscriptions[order]
