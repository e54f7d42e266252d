"""Redeeming: the node's vouchers to the market, until each award is settled for good.

An award with a take-or-pay share that was not drawn in full is settled when its time is over, not
when its buyer releases it: only then is the share due, and the node claims it.

Driven by the journal, not by events: what a crash interrupted is found there at the next start,
and what the market did not answer is sent again.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from swatow_node.journal import AwardRecord, Journal
from swatow_node.market_link import RETRY_S_MAX, RETRY_S_MIN, MarketLink
from swatow_protocol.envelope import sign, verify
from swatow_protocol.errors import SwatowError
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Award, Redemption
from swatow_protocol.messages.answers import AdmissionReason, Decision
from swatow_protocol.metering import share_tokens
from swatow_protocol.units import MICROS_PER_SECOND

log = structlog.get_logger("swatow.redeemer")

REJECTED_AGAIN_US = 30 * MICROS_PER_SECOND
"""A claim that the market rejects is sent again after this pause, until its time is over: the
fault may lie in a clock or a setting that somebody mends."""
EARLY_AGAIN_US = MICROS_PER_SECOND
"""The same where a take-or-pay share is not due yet: the market's clock is a little behind."""

_SETTLED = {AdmissionReason.AWARD_CLOSED, AdmissionReason.UNKNOWN_AWARD}


class Redeemer:
    """Redeems what the journal has."""

    def __init__(
        self,
        *,
        journal: Journal,
        link: MarketLink,
        identity: Identity,
        network: str,
        now_us: Callable[[], int],
        is_in_use: Callable[[bytes], bool],
    ) -> None:
        """Prepare to redeem; `is_in_use` tells whether jobs of an award are open."""
        self._journal = journal
        self._link = link
        self._identity = identity
        self._network = network
        self._now_us = now_us
        self._is_in_use = is_in_use
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """Look at the journal now: an award may have ended."""
        self._wake.set()

    async def run(self) -> None:
        """Redeem until cancelled: first what an earlier run left over, then what ends."""
        pause_s, everything = RETRY_S_MIN, True
        while True:
            self._wake.clear()
            try:
                next_us = await self.redeem_due(everything=everything)
                pause_s, everything = RETRY_S_MIN, False
            except SwatowError as error:
                log.warning("redemption_failed", error=str(error), retry_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)
                continue
            await self._sleep_until(next_us)

    async def redeem_due(self, *, everything: bool = False) -> int | None:
        """Redeem awards that have ended or were released.

        Args:
            everything: also claim what is signed for so far on awards that go on.

        Returns:
            When the next award ends, in microseconds; None if there is none.

        Raises:
            SwatowError: the market could not be asked; nothing is lost.
        """
        ends: list[int] = []
        for record in await self._journal.unsettled():
            share_left = self._share(record) > record.claim
            ended = record.expires_us <= self._now_us()
            over = ended or (record.released and not share_left)  # a share is due at the end
            in_use = self._is_in_use(record.id)
            if over and not in_use:
                again_us = await self._redeem(record, final=True, stood_ready=share_left)
                ends += [] if again_us is None else [again_us]
            elif everything and record.claim > record.redeemed:
                await self._redeem(record, final=False)
            if not over:
                ends.append(record.expires_us)
            elif in_use:
                ends.append(self._now_us() + MICROS_PER_SECOND)
        return min(ends, default=None)

    def _share(self, record: AwardRecord) -> int:
        """Return the standard tokens of an award that are paid for even if they are not used."""
        award = verify(record.envelope, Award, network=self._network, now_us=None).message
        return share_tokens(award)

    async def _redeem(
        self, record: AwardRecord, *, final: bool, stood_ready: bool = False
    ) -> int | None:
        """Send a claim; return when to send it again, None if it was taken, or never will be."""
        claim = Redemption(
            network=self._network,
            sender=self._identity.key,
            issued_us=self._now_us(),
            award=record.id,
            voucher=record.voucher,
            standard_tokens=record.claim,
            final=final,
            stood_ready=stood_ready,
        )
        verdict = await self._link.redeem(sign(claim, self._identity).envelope)
        if verdict.decision is Decision.REJECT and verdict.reason not in _SETTLED:
            log.error(
                "redemption_rejected", award=record.id, reason=verdict.reason, why=verdict.detail
            )
        taken = verdict.decision is not Decision.REJECT
        too_late = self._now_us() > record.settle_by_us
        settled = (final and taken) or verdict.reason in _SETTLED or too_late
        redeemed = record.claim if taken else record.redeemed
        await self._journal.keep_redeemed(record.id, redeemed, settled=settled)
        log.info("redeemed", award=record.id, standard_tokens=redeemed, settled=settled)
        if taken or settled:
            return None
        early = verdict.reason is AdmissionReason.SHARE_NOT_DUE
        return self._now_us() + (EARLY_AGAIN_US if early else REJECTED_AGAIN_US)

    async def _sleep_until(self, next_us: int | None) -> None:
        left_s = None if next_us is None else (next_us - self._now_us()) / MICROS_PER_SECOND
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if left_s is None else max(left_s, 0.05)):
                await self._wake.wait()
