"""Standing by: what the market tells of is written down, so that its share is claimed.

The link is a fake that answers with pages; the journal is real.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from swatow_node import standby
from swatow_node.awards import AwardBook
from swatow_node.journal import Journal
from swatow_node.market_link import MarketLink
from swatow_node.standby import StandbyWatch
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.errors import MessageRefused, SwatowError, Unreachable
from swatow_protocol.messages import Award, Query, Subject
from swatow_protocol.messages.answers import QueryAnswer, Standby
from tests.support import samples
from tests.support.samples import BUYER, MARKET, NETWORK, NODE, NOW_US, STRANGER
from tests.unit.node import deal


def award(lots: int, **changes: Any) -> Signed[Award]:
    """Return an award with a share, which differs from others by its lots."""
    return sign(samples.award(lots=lots, take_or_pay_ppm=200_000, **changes), MARKET)


FIRST, SECOND, THIRD = sorted((award(lots) for lots in (1, 2, 3)), key=lambda each: each.id)


class FakeLink:
    """A market with these awards, two to a page."""

    market = MARKET.key

    def __init__(self) -> None:
        self.awards: list[tuple[Signed[Award], bool]] = []
        self.asked: list[Sequence[bytes]] = []
        self.fails: list[SwatowError] = []
        self.told = asyncio.Event()

    async def ask(self, envelope: bytes) -> QueryAnswer:
        """Tell of the awards after the one that is named."""
        query = verify(envelope, Query, network=NETWORK, now_us=NOW_US, sender=NODE.key).message
        assert (query.market, query.subject) == (MARKET.key, Subject.STANDBY)
        self.asked.append(query.ids)
        if self.fails:
            raise self.fails.pop(0)
        after = query.ids[0] if query.ids else b""
        page = [
            Standby(award=signed.envelope, contested=contested)
            for signed, contested in self.awards
            if signed.id > after
        ]
        if not page:
            self.told.set()
        return QueryAnswer(accounts=(), orders=(), awards=(), standby=tuple(page[:2]), round=0)


class Watch:
    """A watch with everything around it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.link = FakeLink()
        self.awards = AwardBook()
        self.changes = 0
        self._numbers = iter(range(1_000))
        self.watch = StandbyWatch(
            journal=journal,
            link=cast("MarketLink", self.link),
            awards=self.awards,
            identity=NODE,
            network=NETWORK,
            now_us=lambda: NOW_US,
            random_bytes=lambda count: next(self._numbers).to_bytes(count, "big"),
            on_change=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def unsettled(self) -> list[bytes]:
        """Return the awards in the journal that are to be settled."""
        return [record.id for record in await self.journal.unsettled()]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Watch]:
    journal = Journal(tmp_path / "node.sqlite")
    yield Watch(journal)
    await journal.close()


async def test_every_award_is_written_down_page_by_page(here: Watch) -> None:
    here.link.awards = [(each, False) for each in (FIRST, SECOND, THIRD)]
    await here.watch.ask()
    assert await here.unsettled() == [FIRST.id, SECOND.id, THIRD.id]
    record = await here.journal.award(FIRST.id)
    assert record is not None
    assert record.envelope == FIRST.envelope
    message = FIRST.message
    assert (record.expires_us, record.settle_by_us) == (message.expires_us, message.settle_by_us)
    assert here.link.asked == [(), (SECOND.id,), (THIRD.id,)]
    assert here.changes == 3


async def test_what_was_told_before_is_no_news(here: Watch) -> None:
    here.link.awards = [(FIRST, False)]
    await here.watch.ask()
    await here.watch.ask()
    assert here.changes == 1
    here.link.awards = [(FIRST, False), (SECOND, False)]
    await here.watch.ask()
    assert here.changes == 2


async def test_an_award_that_is_settled_is_not_taken_up_again(here: Watch) -> None:
    here.link.awards = [(FIRST, False)]
    await here.watch.ask()
    await here.journal.keep_redeemed(FIRST.id, 0, settled=True)
    here.link.awards = []
    await here.watch.ask()
    here.link.awards = [(FIRST, False)]
    await here.watch.ask()
    assert await here.unsettled() == []


async def test_on_a_contested_award_no_job_is_opened_any_more(here: Watch) -> None:
    account = here.awards.open(FIRST, deal.MODEL.message)
    here.link.awards = [(FIRST, False)]
    await here.watch.ask()
    before = account.released
    here.link.awards = [(FIRST, True), (SECOND, True)]
    await here.watch.ask()
    assert (before, account.released) == (False, True)
    for each in (FIRST, SECOND):
        record = await here.journal.award(each.id)
        assert record is not None
        assert record.released, "also if its first job comes after a restart"


@pytest.mark.parametrize(
    "wrong",
    [
        award(1, node=STRANGER.key),
        sign(samples.award(sender=BUYER.key), BUYER),
        award(1, network="other"),
    ],
)
async def test_what_is_not_an_award_of_this_node_is_refused(
    here: Watch, wrong: Signed[Award]
) -> None:
    here.link.awards = [(wrong, False)]
    with pytest.raises(MessageRefused):
        await here.watch.ask()
    assert await here.unsettled() == []


async def test_a_market_that_tells_the_same_for_ever_is_not_listened_to_for_ever(
    here: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = QueryAnswer(
        accounts=(),
        orders=(),
        awards=(),
        standby=(Standby(award=FIRST.envelope, contested=False),),
        round=0,
    )

    async def same(_envelope: bytes) -> QueryAnswer:
        return page

    monkeypatch.setattr(here.link, "ask", same)
    with pytest.raises(MessageRefused, match="order of their ids"):
        await here.watch.ask()


async def test_a_market_that_cannot_be_asked_is_asked_again(
    here: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "ASK_S", 0)
    here.link.fails = [Unreachable("down")]
    here.link.awards = [(FIRST, False)]
    running = asyncio.create_task(here.watch.run())
    try:
        async with asyncio.timeout(20):
            await here.link.told.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert await here.unsettled() == [FIRST.id]
