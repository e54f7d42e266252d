"""What stands in the market for a buyer: its account, its orders, how its awards are settled."""

import asyncio
from collections.abc import Sequence

from swatow._market import Catalogue, MarketLine
from swatow._status import AwardStatus, ModelPrice, OrderStatus, award_status, order_status
from swatow._wallet import KeptOrder, Wallet
from swatow.errors import BuyerError, InvalidValue, MarketError
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import NetworkMap, Offer, Order, Subject
from swatow_protocol.messages.answers import (
    AccountStatement,
    AwardStatement,
    Decision,
    OrderEvent,
    Verdict,
)

ORDERS_PER_QUERY = 64
"""Orders that the market is asked about at once, so that its answer stays within one message."""


class Standing:
    """A buyer's questions to the market, and what it takes back. Errors: see swatow.errors."""

    def __init__(self, market: MarketLine, wallet: Wallet) -> None:
        self.wallet = wallet
        self._market = market

    async def catalogue(self) -> Catalogue:
        """Return the market's terms and models."""
        return await self._market.catalogue()

    async def offers(self) -> list[Signed[Offer]]:
        """Return the live offers in the market."""
        return await self._market.offers()

    async def network_map(self) -> Signed[NetworkMap]:
        """Return the zones, paths and corridors that the market signed."""
        return await self._market.network_map()

    async def prices(self, model: str | None = None) -> list[ModelPrice]:
        """Return what lots of a model, or of all, cost now, by model and zone.

        Raises:
            InvalidValue: the market does not list the model.
        """
        catalogue = await self._market.catalogue()
        asked = () if model is None else (catalogue.model(model).id,)
        names = catalogue.names
        found = [
            ModelPrice(
                model=names[each.model],
                zone=each.zone,
                cleared=each.cleared,
                posted=each.posted,
                lots=each.lots,
                currency=catalogue.terms.currency,
            )
            for each in (await self._market.ask(Subject.PRICES, asked)).prices
            if each.model in names  # listed since this client asked what is
        ]
        return sorted(found, key=lambda each: (each.model, each.zone))

    async def account(self) -> AccountStatement | None:
        """Return this buyer's account; None if it never had money."""
        answer = await self._market.ask(Subject.ACCOUNT)
        return next((each for each in answer.accounts if each.kind == "buyer"), None)

    async def award_statement(self, award: str) -> AwardStatement | None:
        """Return how far an award, by its whole id, is settled."""
        return next(iter(await self.award_statements([award])), None)

    async def award_statements(self, awards: Sequence[str]) -> list[AwardStatement]:
        """Return how far these awards, at most QUERY_IDS_MAX, are settled."""
        ids = tuple(bytes.fromhex(award) for award in awards)
        return list((await self._market.ask(Subject.AWARDS, ids)).awards)

    async def orders(self, most: int = 20) -> list[OrderStatus]:
        """Return where the latest orders of this wallet stand, newest first."""
        kept = await asyncio.to_thread(self.wallet.orders, most)
        return await self._statuses(kept)

    async def cancel(self, order: str) -> OrderStatus:
        """Take an order out of the book, by the first digits of its id; return where it stands.

        What was awarded stays awarded; an order that has ended stays as it is.

        Raises:
            InvalidValue: the wallet has no such order, or more than one.
            BuyerError: the market does not know it.
        """
        kept = await asyncio.to_thread(self.wallet.order, order)
        if kept is None:
            raise InvalidValue("order", f"{order!r} names no order of this wallet, or several")
        _insist(await self._market.cancel(kept.id), f"order {kept.id.hex()[:16]} is not cancelled")
        (status,) = await self._statuses([kept])
        return status

    async def contest(self, award: str) -> AwardStatus:
        """Let go of an award whose node does not serve it, by the first digits of its id.

        Its take-or-pay share is owed only for the part of its life that has passed; what vouchers
        promise stays owed. No more jobs can be run on it.

        Raises:
            InvalidValue: the wallet has no such award, or more than one.
            BuyerError: there is nothing to contest: it has no share, or is over.
        """
        kept = await asyncio.to_thread(self.wallet.award, award)
        if kept is None:
            raise InvalidValue("award", f"{award!r} names no award of this wallet, or several")
        signed = self._market.award(kept.award)
        name = signed.id.hex()
        _insist(await self._market.contest(signed.id), f"award {name[:16]} is not contested")
        statement = await self.award_statement(name)
        if statement is None:
            raise MarketError(f"award {name[:16]}: contested, and then unknown")
        return award_status(signed, statement)

    async def shares(self, most: int = 20) -> list[AwardStatus]:
        """Return how those of the latest awards are settled that have a take-or-pay share."""
        kept = await asyncio.to_thread(self.wallet.awards, most)
        signed = [self._market.award(each.award) for each in kept]
        shared = {each.id: each for each in signed if each.message.take_or_pay_ppm}
        if not shared:
            return []
        answer = await self._market.ask(Subject.AWARDS, tuple(shared))
        told = {each.award: each for each in answer.awards}
        return [award_status(each, told[each.id]) for each in shared.values() if each.id in told]

    async def _statuses(self, kept: list[KeptOrder]) -> list[OrderStatus]:
        names = (await self._market.catalogue()).names
        events: dict[bytes, OrderEvent] = {}
        for first in range(0, len(kept), ORDERS_PER_QUERY):
            ids = tuple(each.id for each in kept[first : first + ORDERS_PER_QUERY])
            answer = await self._market.ask(Subject.ORDERS, ids)
            events |= {event.order: event for event in answer.orders}
        found = []
        for each in kept:
            event = events.get(each.id)
            granted = event.granted if event is not None else ()
            awards = tuple(self._market.award(one.award).id.hex() for one in granted)
            found.append(order_status(self._own(each), event, names, awards))
        return found

    def _own(self, kept: KeptOrder) -> Signed[Order]:
        key = self.wallet.identity.key
        try:
            return verify(
                kept.envelope, Order, network=self._market.network, now_us=None, sender=key
            )
        except MessageRefused as error:
            raise MarketError(f"order in the wallet: {error}") from None


def _insist(verdict: Verdict, problem: str) -> None:
    if verdict.decision is Decision.REJECT:
        reason = verdict.reason.value if verdict.reason is not None else "rejected"
        raise BuyerError(f"{problem}: {reason}" + (f": {verdict.detail}" if verdict.detail else ""))
