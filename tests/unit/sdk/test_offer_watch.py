"""Watching offers: what is news, and what is not believed."""

import asyncio

from msgspec import structs

from swatow._offer_watch import NEWS_MAX, OfferWatch, watching
from swatow_protocol.carriers.carrier import Heard
from swatow_protocol.carriers.several import open_carriers
from swatow_protocol.carriers.topics import offer_topic
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.messages import Offer
from swatow_protocol.messages.answers import Decision
from tests.support import samples
from tests.support.samples import NETWORK, NODE, NOW_US


def offer(sequence: int = 1, **changed: object) -> Signed[Offer]:
    return sign(structs.replace(samples.offer(), sequence=sequence, **changed), NODE)


def heard(signed: Signed[Offer], zone: str | None = None) -> Heard:
    message = signed.message
    return Heard(offer_topic(zone or message.zone, message.sender), signed.envelope)


def watch() -> OfferWatch:
    return OfferWatch(network=NETWORK, now_us=lambda: NOW_US)


async def test_newer_offers_are_news_and_older_ones_are_not() -> None:
    watched = watch()
    decisions = [watched.hear(heard(offer(sequence))) for sequence in (2, 2, 1, 3)]
    assert decisions == [Decision.ACCEPT, Decision.IGNORE, Decision.IGNORE, Decision.ACCEPT]
    news = [await watched.next(), await watched.next()]
    assert [each.offer and each.offer.sequence for each in news] == [2, 3]


async def test_that_a_node_is_gone_is_news_if_it_was_there() -> None:
    watched = watch()
    here = offer()
    gone = Heard(heard(here).topic, b"")
    assert watched.hear(gone) is Decision.IGNORE
    watched.hear(heard(here))
    assert watched.hear(gone) is Decision.ACCEPT
    assert (await watched.next()).offer == here.message
    assert await watched.next() == (NODE.key, here.message.zone, None)
    assert watched.hear(Heard("swatow/1/offers/sg/nobody", b"")) is Decision.REJECT


def test_what_proves_nothing_is_rejected() -> None:
    watched = watch()
    good = offer()
    other_zone, forged = heard(good, "de"), bytearray(good.envelope)
    forged[-1] ^= 1
    expired = offer(expires_us=NOW_US)
    for each in (
        other_zone,
        Heard(heard(good).topic, bytes(forged)),
        heard(expired),
        Heard(heard(good).topic, b"no offer"),
    ):
        assert watched.hear(each) is Decision.REJECT


async def test_who_does_not_look_loses_the_oldest_news() -> None:
    watched = watch()
    for sequence in range(1, NEWS_MAX + 2):
        watched.hear(heard(offer(sequence)))
    first = (await watched.next()).offer
    assert first is not None
    assert first.sequence == 2


async def test_a_watch_hears_what_is_kept_on_its_carriers() -> None:
    carriers = open_carriers(["memory:watched"], identifier="node")
    signed = offer()
    carriers.publish(heard(signed).topic, signed.envelope, retained=True)
    carrying = asyncio.create_task(carriers.run())
    async with watching(
        ["memory:watched"],
        network=NETWORK,
        identifier="buyer",
        now_us=lambda: NOW_US,
        zone=signed.message.zone,
    ) as watched:
        assert (await watched.next()).offer == signed.message
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)
