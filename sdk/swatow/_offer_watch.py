"""Watching offers over carriers: no market is asked, each offer proves itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from cachetools import LRUCache

from swatow_protocol.carriers.carrier import Heard
from swatow_protocol.carriers.several import open_carriers
from swatow_protocol.carriers.topics import node_of, offer_topic, offers_pattern
from swatow_protocol.envelope import verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Offer
from swatow_protocol.messages.answers import Decision
from swatow_protocol.shell.service import ended

NEWS_MAX = 4_096
"""News that waits for whoever watches; then the oldest is lost."""
NODES_MAX = 65_536
"""Nodes whose latest offer is remembered."""


class OfferNews(NamedTuple):
    """A node offers, or does not any more."""

    node: bytes
    zone: str
    offer: Offer | None
    """None: a carrier says that the node is gone, which nobody signed."""


class OfferWatch:
    """Judges what is heard on topics of offers, and keeps what is new."""

    def __init__(self, *, network: str, now_us: Callable[[], int]) -> None:
        self._network = network
        self._now_us = now_us
        self._news: asyncio.Queue[OfferNews] = asyncio.Queue(NEWS_MAX)
        self._latest: LRUCache[bytes, Offer] = LRUCache(NODES_MAX)

    async def next(self) -> OfferNews:
        """Return the next news, as soon as there is any."""
        return await self._news.get()

    def hear(self, heard: Heard) -> Decision:
        """Judge what may be an offer."""
        if not heard.payload:
            return self._gone(heard.topic)
        try:
            offer = verify(
                heard.payload, Offer, network=self._network, now_us=self._now_us()
            ).message
        except MessageRefused:
            return Decision.REJECT
        if heard.topic != offer_topic(offer.zone, offer.sender):
            return Decision.REJECT
        before = self._latest.get(offer.sender)
        if before and before.model == offer.model and before.sequence >= offer.sequence:
            return Decision.IGNORE
        self._latest[offer.sender] = offer
        self._put(OfferNews(offer.sender, offer.zone, offer))
        return Decision.ACCEPT

    def _gone(self, topic: str) -> Decision:
        node = node_of(topic)
        if node is None:
            return Decision.REJECT
        if node not in self._latest:
            return Decision.IGNORE
        self._put(OfferNews(node, self._latest[node].zone, None))
        return Decision.ACCEPT

    def _put(self, news: OfferNews) -> None:
        if self._news.full():
            self._news.get_nowait()
        self._news.put_nowait(news)


@asynccontextmanager
async def watching(
    urls: Iterable[str],
    *,
    network: str,
    identifier: str,
    now_us: Callable[[], int],
    zone: str | None = None,
) -> AsyncIterator[OfferWatch]:
    """Listen for the offers of a zone, or of all, while the block runs.

    Raises:
        InvalidValue: a URL cannot be used.
    """
    carriers = open_carriers(urls, identifier=identifier)
    watch = OfferWatch(network=network, now_us=now_us)
    carriers.subscribe(offers_pattern(zone) if zone else offers_pattern(), watch.hear)
    carrying = asyncio.create_task(carriers.run())
    try:
        yield watch
    finally:
        await ended(carrying)
