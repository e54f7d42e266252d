"""Redeeming: what the journal has goes to the market until it is settled, whatever fails between.

The link is a fake that keeps what it was sent and answers as it is told to; the journal is real.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from swatow_node.journal import AwardRecord, Journal
from swatow_node.market_link import MarketLink
from swatow_node.redeemer import EARLY_AGAIN_US, REJECTED_AGAIN_US, Redeemer
from swatow_protocol.envelope import sign, verify
from swatow_protocol.errors import OutcomeUnknown, SwatowError, Unreachable
from swatow_protocol.messages import Redemption
from swatow_protocol.messages.answers import AdmissionReason, Decision, Verdict
from swatow_protocol.units import MICROS_PER_SECOND
from tests.support import samples
from tests.support.samples import MARKET, NETWORK, NODE, NOW_US, SECOND, digest

A, B = digest("award a"), digest("award b")
ACCEPTED = Verdict(decision=Decision.ACCEPT, reason=None, detail="")
LATER_US = NOW_US + 60 * SECOND


def rejected(reason: AdmissionReason) -> Verdict:
    return Verdict(decision=Decision.REJECT, reason=reason, detail="why")


@dataclass
class FakeLink:
    """A market that keeps every claim, and answers with what is in `answers`, then accepts."""

    answers: list[Verdict | SwatowError] = field(default_factory=list)
    claims: asyncio.Queue[Redemption] = field(default_factory=asyncio.Queue)

    async def redeem(self, envelope: bytes) -> Verdict:
        """Take a claim."""
        signed = verify(envelope, Redemption, network=NETWORK, now_us=None, sender=NODE.key)
        self.claims.put_nowait(signed.message)
        answer = self.answers.pop(0) if self.answers else ACCEPTED
        if isinstance(answer, SwatowError):
            raise answer
        return answer

    def taken(self) -> list[tuple[bytes, int, bool]]:
        """Return the claims since the last call: award, standard tokens, whether final."""
        found = []
        while not self.claims.empty():
            claim = self.claims.get_nowait()
            found.append((claim.award, claim.standard_tokens, claim.final))
        return found


class Books:
    """A redeemer with everything around it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.link = FakeLink()
        self.now_us = NOW_US
        self.in_use: set[bytes] = set()
        self.redeemer = Redeemer(
            journal=journal,
            link=cast("MarketLink", self.link),
            identity=NODE,
            network=NETWORK,
            now_us=lambda: self.now_us,
            is_in_use=lambda award: award in self.in_use,
        )

    async def award(
        self, award: bytes, tokens: int = 0, expires_us: int = LATER_US, share_ppm: int = 0
    ) -> None:
        """Put an award of 5 lots with a voucher for so much into the journal."""
        message = samples.award(expires_us=expires_us, take_or_pay_ppm=share_ppm)
        envelope = sign(message, MARKET).envelope
        await self.journal.keep_award(award, envelope, expires_us, expires_us + SECOND)
        if tokens:
            await self.journal.keep_voucher(award, b"voucher %d" % tokens, tokens)

    async def record(self, award: bytes) -> AwardRecord:
        """Return what the journal has of an award."""
        found = await self.journal.award(award)
        assert found is not None
        return found


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    journal = Journal(tmp_path / "node.sqlite")
    yield Books(journal)
    await journal.close()


async def test_an_award_that_is_over_is_claimed_once_and_for_good(books: Books) -> None:
    await books.award(A, 70)
    books.now_us = LATER_US
    assert await books.redeemer.redeem_due() is None
    claim = books.link.claims.get_nowait()
    assert (claim.award, claim.voucher, claim.standard_tokens) == (A, b"voucher 70", 70)
    assert claim.final
    assert claim.issued_us == LATER_US
    record = await books.record(A)
    assert (record.redeemed, record.settled) == (70, True)
    await books.redeemer.redeem_due(everything=True)
    assert books.link.taken() == []


async def test_an_award_that_goes_on_is_left_alone_until_it_ends(books: Books) -> None:
    await books.award(A, 70, expires_us=LATER_US)
    await books.award(B, 50, expires_us=LATER_US - SECOND)
    assert await books.redeemer.redeem_due() == LATER_US - SECOND, "when the next one ends"
    assert books.link.taken() == []


async def test_what_is_signed_for_so_far_is_claimed_where_everything_is(books: Books) -> None:
    await books.award(A, 70)
    await books.award(B)
    await books.redeemer.redeem_due(everything=True)
    assert books.link.taken() == [(A, 70, False)], "and nothing where nothing is signed for"
    await books.redeemer.redeem_due(everything=True)
    assert books.link.taken() == [], "it was redeemed already"
    await books.journal.keep_voucher(A, b"voucher 90", 90)
    await books.redeemer.redeem_due(everything=True)
    assert books.link.taken() == [(A, 90, False)]


async def test_a_released_award_is_settled_at_once_and_frees_the_hold(books: Books) -> None:
    await books.award(A)
    await books.journal.keep_release(A)
    await books.redeemer.redeem_due()
    claim = books.link.claims.get_nowait()
    assert (claim.voucher, claim.standard_tokens, claim.final) == (None, 0, True)


async def test_no_more_is_claimed_than_was_counted(books: Books) -> None:
    await books.award(A, 70)
    await books.journal.keep_claim(A, 60)
    books.now_us = LATER_US
    await books.redeemer.redeem_due()
    assert books.link.taken() == [(A, 60, True)]


async def test_an_award_whose_jobs_still_run_is_not_settled(books: Books) -> None:
    await books.award(A, 70)
    books.in_use.add(A)
    books.now_us = LATER_US + SECOND
    look_again_us = await books.redeemer.redeem_due()
    assert books.link.taken() == []
    assert look_again_us == books.now_us + MICROS_PER_SECOND
    await books.redeemer.redeem_due(everything=True)
    assert books.link.taken() == [(A, 70, False)], "what is signed for is sure already"
    books.in_use.clear()
    await books.redeemer.redeem_due()
    assert books.link.taken() == [(A, 70, True)]


@pytest.mark.parametrize("failure", [Unreachable("down"), OutcomeUnknown("lost")])
async def test_a_market_that_cannot_be_asked_costs_nothing(
    books: Books, failure: SwatowError
) -> None:
    for award in (A, B):
        await books.award(award, 70)
    books.now_us = LATER_US
    books.link.answers = [failure]
    with pytest.raises(type(failure)):
        await books.redeemer.redeem_due()
    assert not (await books.record(A)).settled
    books.link.taken()
    await books.redeemer.redeem_due()
    assert sorted(books.link.taken()) == sorted([(A, 70, True), (B, 70, True)])
    assert await books.journal.unsettled() == []


async def test_what_the_market_has_seen_before_counts_as_redeemed(books: Books) -> None:
    """As after a lost answer: the same claim again is ignored, which is a yes."""
    await books.award(A, 70)
    known = Verdict(decision=Decision.IGNORE, reason=AdmissionReason.KNOWN, detail="")
    books.link.answers = [known]
    await books.redeemer.redeem_due(everything=True)
    assert (await books.record(A)).redeemed == 70


@pytest.mark.parametrize("reason", [AdmissionReason.AWARD_CLOSED, AdmissionReason.UNKNOWN_AWARD])
async def test_an_award_that_is_closed_in_the_market_is_settled_unpaid(
    books: Books, reason: AdmissionReason
) -> None:
    await books.award(A, 70)
    books.link.answers = [rejected(reason)]
    await books.redeemer.redeem_due(everything=True)
    record = await books.record(A)
    assert (record.redeemed, record.settled) == (0, True)


async def test_a_claim_that_is_rejected_is_not_taken_for_redeemed(books: Books) -> None:
    await books.award(A, 70)
    books.link.answers = [rejected(AdmissionReason.BAD_VOUCHER)]
    await books.redeemer.redeem_due(everything=True)
    record = await books.record(A)
    assert (record.redeemed, record.settled) == (0, False)
    books.now_us = LATER_US
    await books.redeemer.redeem_due()
    assert books.link.taken() == [(A, 70, False), (A, 70, True)]
    assert (await books.record(A)).settled


async def test_a_last_claim_that_is_rejected_is_sent_again_until_its_time_is_over(
    books: Books,
) -> None:
    """The fault may lie in a clock or a setting that somebody mends; but not for ever."""
    await books.award(A, 70, expires_us=NOW_US)
    books.link.answers = [rejected(AdmissionReason.BAD_VOUCHER)] * 3
    assert await books.redeemer.redeem_due() == NOW_US + REJECTED_AGAIN_US
    record = await books.record(A)
    assert (record.redeemed, record.settled) == (0, False)
    books.now_us = record.settle_by_us
    assert await books.redeemer.redeem_due() is not None
    books.now_us += 1
    assert await books.redeemer.redeem_due() is None
    assert books.link.taken() == [(A, 70, True)] * 3
    record = await books.record(A)
    assert (record.redeemed, record.settled) == (0, True)


async def test_it_starts_with_what_was_left_over_and_goes_on_when_woken(books: Books) -> None:
    await books.award(A, 70)
    running = asyncio.create_task(books.redeemer.run())
    try:
        first = await books.link.claims.get()
        assert (first.award, first.final) == (A, False)
        await books.journal.keep_release(A)
        books.redeemer.wake()
        second = await books.link.claims.get()
        assert (second.award, second.final) == (A, True)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_it_asks_again_after_a_failure(books: Books) -> None:
    await books.award(A, 70)
    books.link.answers = [Unreachable("down")]
    running = asyncio.create_task(books.redeemer.run())
    try:
        for _ in range(2):
            claim = await books.link.claims.get()
            assert (claim.award, claim.standard_tokens, claim.final) == (A, 70, False)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_it_settles_an_award_when_its_time_is_over(books: Books) -> None:
    await books.award(A, 70, expires_us=NOW_US + 1_000)
    running = asyncio.create_task(books.redeemer.run())
    try:
        assert not (await books.link.claims.get()).final
        books.now_us += 1_000
        assert (await books.link.claims.get()).final
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


FIFTH = 200_000
"""Of 5 lots: 1,000 standard tokens are paid for in any case."""


@pytest.mark.parametrize(
    ("tokens", "share_ppm", "stood_ready"),
    [(0, FIFTH, True), (999, FIFTH, True), (1_000, FIFTH, False), (70, 0, False)],
)
async def test_a_share_that_was_not_drawn_is_claimed_at_the_end(
    books: Books, tokens: int, share_ppm: int, stood_ready: bool
) -> None:
    await books.award(A, tokens, share_ppm=share_ppm)
    assert await books.redeemer.redeem_due() == LATER_US
    books.now_us = LATER_US
    assert await books.redeemer.redeem_due() is None
    claim = books.link.claims.get_nowait()
    assert (claim.standard_tokens, claim.final, claim.stood_ready) == (tokens, True, stood_ready)
    assert (await books.record(A)).settled


async def test_a_released_award_with_a_share_left_is_settled_when_its_time_is_over(
    books: Books,
) -> None:
    for award, tokens in ((A, 999), (B, 1_000)):
        await books.award(award, tokens, share_ppm=FIFTH)
        await books.journal.keep_release(award)
    assert await books.redeemer.redeem_due() == LATER_US
    assert books.link.taken() == [(B, 1_000, True)], "its share was drawn"
    books.now_us = LATER_US
    await books.redeemer.redeem_due()
    assert books.link.taken() == [(A, 999, True)]


async def test_what_is_claimed_before_the_end_is_without_the_share(books: Books) -> None:
    await books.award(A, 70, share_ppm=FIFTH)
    await books.redeemer.redeem_due(everything=True)
    claim = books.link.claims.get_nowait()
    assert (claim.final, claim.stood_ready) == (False, False)


async def test_a_share_that_is_not_due_by_the_markets_clock_is_soon_claimed_again(
    books: Books,
) -> None:
    await books.award(A, share_ppm=FIFTH)
    books.now_us = LATER_US
    books.link.answers = [rejected(AdmissionReason.SHARE_NOT_DUE)]
    assert await books.redeemer.redeem_due() == LATER_US + EARLY_AGAIN_US
    assert not (await books.record(A)).settled
    assert await books.redeemer.redeem_due() is None
    assert (await books.record(A)).settled
