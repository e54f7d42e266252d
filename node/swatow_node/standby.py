"""Standing by: awards that are paid for in part even if they are never drawn upon.

A node hears of an award when its buyer opens the first job on it. Of one with a take-or-pay share
it must hear in any case, or nobody would claim the share; so it asks the market, and writes down
what it is told, for the redeemer to claim when the award has ended.
"""

import asyncio
from collections.abc import Callable

import structlog

from swatow_node.awards import AwardBook
from swatow_node.journal import Journal
from swatow_node.market_link import MarketLink
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.errors import MessageRefused, Refusal, SwatowError
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Award, Query, Subject
from swatow_protocol.messages.answers import Standby

log = structlog.get_logger("swatow.standby")

ASK_S = 10.0
"""Time between two questions. An award that ends and is released within it goes unclaimed."""


class StandbyWatch:
    """Keeps the journal up to date with the awards for which this node must stand ready."""

    def __init__(
        self,
        *,
        journal: Journal,
        link: MarketLink,
        awards: AwardBook,
        identity: Identity,
        network: str,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        on_change: Callable[[], None],
    ) -> None:
        """Prepare to ask; `on_change` is told when the journal has something new."""
        self._journal = journal
        self._link = link
        self._awards = awards
        self._identity = identity
        self._network = network
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._on_change = on_change
        self._written: dict[bytes, bool] = {}
        """Award -> whether it was contested, when the market told of it last."""

    async def run(self) -> None:
        """Ask until cancelled; a market that cannot be asked is asked again."""
        while True:
            try:
                await self.ask()
            except SwatowError as error:
                log.warning("standby_not_asked", error=str(error), retry_s=ASK_S)
            await asyncio.sleep(ASK_S)

    async def ask(self) -> None:
        """Ask for all of the awards, and write down those that are new or newly contested.

        Raises:
            SwatowError: the market could not be asked, or tells what it should not.
        """
        told: dict[bytes, bool] = {}
        after: bytes | None = None
        while page := (await self._link.ask(self._query(after))).standby:
            for standby in page:
                signed = self._verified(standby)
                if after is not None and signed.id <= after:
                    raise MessageRefused(Refusal.MALFORMED, "awards out of the order of their ids")
                after = signed.id
                told[signed.id] = standby.contested
                if self._written.get(signed.id) != standby.contested:
                    await self._write(signed, contested=standby.contested)
        self._written = told

    async def _write(self, signed: Signed[Award], *, contested: bool) -> None:
        award = signed.message
        await self._journal.keep_award(
            signed.id, signed.envelope, award.expires_us, award.settle_by_us
        )
        if contested:
            await self._journal.keep_release(signed.id)
            account = self._awards.accounts.get(signed.id)
            if account is not None:
                account.released = True
        self._written[signed.id] = contested
        self._on_change()
        log.info("standing_by", award=signed.id, contested=contested)

    def _query(self, after: bytes | None) -> bytes:
        query = Query(
            network=self._network,
            sender=self._identity.key,
            issued_us=self._now_us(),
            market=self._link.market,
            subject=Subject.STANDBY,
            ids=() if after is None else (after,),
            nonce=self._random_bytes(16),
            round=None,
            order=None,
        )
        return sign(query, self._identity).envelope

    def _verified(self, standby: Standby) -> Signed[Award]:
        signed = verify(
            standby.award, Award, network=self._network, now_us=None, sender=self._link.market
        )
        if signed.message.node != self._identity.key:
            raise MessageRefused(Refusal.WRONG_SENDER, "an award of another node")
        return signed
