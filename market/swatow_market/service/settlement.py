"""Settlement: redemptions in, payments out.

A node is paid on what the buyer signed. A redemption is decided by the voucher that it carries,
not by when or how often it comes: the same one twice pays once, a lower one pays nothing. What the
buyer signed with its order is the take-or-pay share: a node that says that it stood ready is paid
at least that, once the award can be drawn upon no more. Who does not say so gets no share.
"""

from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.admission import ACCEPTED, ignored, rejected
from swatow_market.ledger import accounts
from swatow_market.ledger.rules import settle
from swatow_market.service import store
from swatow_market.service.state import MarketState
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Contest, Redemption, Voucher
from swatow_protocol.messages.answers import AdmissionReason, Decision, Verdict
from swatow_protocol.metering import share_tokens
from swatow_protocol.units import STANDARD_TOKENS_PER_LOT

log = structlog.get_logger("swatow.settlement")


class Settlement:
    """Pays nodes for vouchers."""

    def __init__(self, state: MarketState) -> None:
        self._state = state

    async def redeem(self, envelope: bytes) -> Verdict:
        """Pay what a redemption claims, or say why not."""
        state = self._state
        try:
            signed = verify(envelope, Redemption, network=state.network, now_us=state.now_us())
        except MessageRefused as refusal:
            return rejected(AdmissionReason.REFUSED_MESSAGE, str(refusal))
        claim = signed.message
        async with state.database.writing() as connection:
            row = await store.read_award(connection, claim.award)
            if row is None:
                return rejected(AdmissionReason.UNKNOWN_AWARD)
            if row["node"] != claim.sender:
                return rejected(AdmissionReason.NOT_YOURS)
            if await store.has_message(connection, signed.id):
                return ignored(AdmissionReason.KNOWN)
            verdict = self._judge(claim, row)
            if verdict.decision is Decision.ACCEPT:
                await store.add_message(connection, signed.id, claim.kind, envelope, state.now_us())
                await self._pay(connection, signed, row)
        if verdict.decision is Decision.ACCEPT:
            log.info(
                "redeemed",
                award=row["id"],
                standard_tokens=claim.standard_tokens,
                final=claim.final,
            )
        return verdict

    async def contest(self, envelope: bytes) -> Verdict:
        """Let a buyer go of an award whose node does not serve it, or say why not."""
        state = self._state
        now_us = state.now_us()
        try:
            signed = verify(envelope, Contest, network=state.network, now_us=now_us)
        except MessageRefused as refusal:
            return rejected(AdmissionReason.REFUSED_MESSAGE, str(refusal))
        contest = signed.message
        async with state.database.writing() as connection:
            row = await store.read_award(connection, contest.award)
            if row is None:
                return rejected(AdmissionReason.UNKNOWN_AWARD)
            if row["buyer"] != contest.sender:
                return rejected(AdmissionReason.NOT_YOURS)
            if row["contested_us"] is not None:
                return ignored(AdmissionReason.KNOWN)
            if row["closed"]:
                return rejected(AdmissionReason.AWARD_CLOSED)
            if not row["take_or_pay_ppm"] or row["expires_us"] <= now_us:
                return rejected(AdmissionReason.NOTHING_TO_CONTEST)
            await store.add_message(connection, signed.id, contest.kind, envelope, now_us)
            await store.contest_award(connection, row["id"], now_us)
        log.info("contested", award=row["id"])
        return ACCEPTED

    def _judge(self, claim: Redemption, row: dict[str, Any]) -> Verdict:
        if row["closed"] or row["settle_by_us"] <= self._state.now_us():
            return rejected(AdmissionReason.AWARD_CLOSED)
        promised = 0
        if claim.voucher is not None:
            try:
                voucher = self._voucher(claim.voucher, row)
            except MessageRefused as refusal:
                return rejected(AdmissionReason.BAD_VOUCHER, str(refusal))
            if voucher.award != claim.award or voucher.node != row["node"]:
                return rejected(AdmissionReason.BAD_VOUCHER, "for another award or node")
            promised = voucher.standard_tokens
        most = min(promised, row["lots"] * STANDARD_TOKENS_PER_LOT)
        if claim.standard_tokens > most:
            detail = f"claimed {claim.standard_tokens}, promised {most} standard tokens"
            return rejected(AdmissionReason.CLAIM_TOO_HIGH, detail)
        if claim.stood_ready:
            ends_us = row["expires_us"] if row["contested_us"] is None else row["contested_us"]
            if not claim.final or self._state.now_us() < ends_us:
                detail = f"only in a final claim, from {ends_us} us on"
                return rejected(AdmissionReason.SHARE_NOT_DUE, detail)
        if claim.standard_tokens < row["standard_tokens"] and not claim.final:
            return ignored(AdmissionReason.OLDER)
        return ACCEPTED

    def _voucher(self, envelope: bytes, row: dict[str, Any]) -> Voucher:
        network = self._state.network
        return verify(envelope, Voucher, network=network, now_us=None, sender=row["buyer"]).message

    async def _pay(
        self, connection: AsyncConnection, signed: Signed[Redemption], row: dict[str, Any]
    ) -> None:
        state, claim = self._state, signed.message
        award = state.award_of(row)
        redeemed = max(claim.standard_tokens, row["standard_tokens"])
        share = share_tokens(award, row["contested_us"]) if claim.stood_ready else 0
        owed = max(redeemed, share)
        if owed > row["standard_tokens"]:
            paid = await accounts.paid_from(connection, row["id"])
            await accounts.pay(
                connection,
                hold_id=row["id"],
                cause=signed.id,
                split=settle(award, owed, paid),
                node=row["node"],
                currency=state.currency,
                now_us=state.now_us(),
            )
        if redeemed > row["standard_tokens"]:
            await store.redeem_award(connection, row["id"], redeemed, claim.voucher)
        if claim.final:
            await accounts.release(connection, row["id"])
            await store.close_awards(connection, [row["id"]])
