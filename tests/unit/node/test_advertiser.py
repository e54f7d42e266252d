"""Advertising: the first offer must stand, later ones may fail, and a sick engine offers nothing.

The link is a fake that answers each offer as it is told to, and then accepts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from swatow_node.advertiser import Advertiser
from swatow_node.market_link import MarketLink
from swatow_protocol.carriers.carrier import Heard
from swatow_protocol.carriers.several import Carriers, open_carriers
from swatow_protocol.errors import ConfigError, SwatowError, Unreachable
from swatow_protocol.messages.answers import AdmissionReason, Decision, Verdict
from tests.unit.node import deal

TOPIC = "swatow/1/offers/sg/abcd"
ACCEPTED = Verdict(decision=Decision.ACCEPT, reason=None, detail="")
OLDER = Verdict(decision=Decision.IGNORE, reason=AdmissionReason.OLDER, detail="")
REJECTED = Verdict(decision=Decision.REJECT, reason=AdmissionReason.UNKNOWN_MODEL, detail="why")


@dataclass
class FakeLink:
    """A market that answers with what is in `answers`, then accepts."""

    answers: list[Verdict | SwatowError] = field(default_factory=list)
    offers: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    async def submit_offer(self, envelope: bytes) -> Verdict:
        """Take an offer."""
        self.offers.put_nowait(envelope)
        answer = self.answers.pop(0) if self.answers else ACCEPTED
        if isinstance(answer, SwatowError):
            raise answer
        return answer


class Stall:
    """An advertiser, its link, and how often it said that its offer stands."""

    def __init__(
        self,
        *answers: Verdict | SwatowError,
        is_healthy: Callable[[], bool] = lambda: True,
        life_s: float = 0.003,
        carriers: Carriers | None = None,
    ) -> None:
        self.link = FakeLink(list(answers))
        self.stands = 0
        self.advertiser = Advertiser(
            link=cast("MarketLink", self.link),
            make=deal.offer,
            is_healthy=is_healthy,
            life_s=life_s,
            carriers=carriers or Carriers(),
            topic=TOPIC,
        )

    async def run(self) -> None:
        """Advertise until cancelled."""
        await self.advertiser.run(self._stand)

    def _stand(self) -> None:
        self.stands += 1


@asynccontextmanager
async def running(stall: Stall) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(stall.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_offer_is_renewed_and_stands_once() -> None:
    stall = Stall()
    async with running(stall):
        for _ in range(4):
            assert await stall.link.offers.get() == deal.offer().envelope
    assert stall.stands == 1


async def test_a_rejected_first_offer_ends_it_with_the_markets_reason() -> None:
    stall = Stall(REJECTED)
    with pytest.raises(ConfigError, match=r"unknown_model: why"):
        await stall.run()
    assert stall.stands == 0


async def test_an_offer_that_the_market_ignores_stands() -> None:
    """It has a newer one, as after a restart within the life of the last."""
    stall = Stall(OLDER, REJECTED)
    async with running(stall):
        for _ in range(3):
            await stall.link.offers.get()
    assert stall.stands == 1


async def test_a_market_that_cannot_be_reached_is_tried_again() -> None:
    stall = Stall(Unreachable("down"), Unreachable("down"))
    async with running(stall) as task:
        for _ in range(4):
            await stall.link.offers.get()
        assert not task.done()
    assert stall.stands == 1


async def test_a_rejection_is_an_end_only_until_an_offer_stands() -> None:
    stall = Stall(ACCEPTED, REJECTED, Unreachable("down"), REJECTED)
    async with running(stall) as task:
        for _ in range(5):
            await stall.link.offers.get()
        assert not task.done()
    assert stall.stands == 1


async def test_a_rejection_after_failures_on_the_way_is_still_the_first_answer() -> None:
    stall = Stall(Unreachable("down"), REJECTED)
    with pytest.raises(ConfigError):
        await stall.run()


async def test_a_sick_engine_offers_nothing_until_it_is_well() -> None:
    looks = iter([False, False, False])
    stall = Stall(is_healthy=lambda: next(looks, True))
    async with running(stall):
        await stall.link.offers.get()
        assert next(looks, None) is None, "it was asked each time and said no"


async def test_the_offer_goes_over_the_carriers_too_until_it_is_withdrawn() -> None:
    """Even if the market cannot be reached."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def hear(news: Heard) -> Decision:
        heard.put_nowait(news.payload)
        return Decision.ACCEPT

    carriers = open_carriers(["memory:advertiser"], identifier="node")
    carriers.subscribe(TOPIC, hear)
    carrying = asyncio.create_task(carriers.run())
    stall = Stall(Unreachable("down"), carriers=carriers, life_s=1_000.0)
    async with running(stall):
        assert await heard.get() == deal.offer().envelope
    stall.advertiser.withdraw()
    assert await heard.get() == b""
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)
