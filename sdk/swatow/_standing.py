"""What stands in the market for a buyer: its account, its orders, how its awards are settled."""

import asyncio
from collections.abc import Sequence

from swatow._evidence import OrderExplanation, RoundEvidence, order_explanation
from swatow._market import Catalogue, MarketLine
from swatow._placed import placed_of
from swatow._status import AwardStatus, ModelPrice, OrderStatus, award_status, order_status
from swatow._wallet import KeptOrder, Wallet
from swatow.errors import BuyerError, InvalidValue, MarketError
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import NetworkMap, Offer, Order, RoundNumber, Subject
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
        kept = await self._kept(order)
        _insist(await self._market.cancel(kept.id), f"order {kept.id.hex()[:16]} is not cancelled")
        (status,) = await self._statuses([kept])
        return status

    async def explain(self, order: str) -> OrderExplanation:
        """Return what keeps an order from being filled, by the first digits of its id.

        It need not have been taken in by the market, nor be open.

        Raises:
            InvalidValue: the wallet has no such order, or more than one, or it came in a batch.
            MarketError: the market does not say.
        """
        kept = await self._kept(order)
        own = self._own(kept)
        told = (await self._market.ask(Subject.EXPLAIN, order=kept.envelope)).explanation
        if told is None or told.order != kept.id:
            raise MarketError("no explanation of the order that was asked about")
        return order_explanation(own, told)

    async def round_evidence(self, order: str, number: RoundNumber | None = None) -> RoundEvidence:
        """Return what shows how a round has treated an order, by the first digits of its id.

        Nothing of the round is checked here: `swatow check` does.

        Args:
            order: first digits of its id.
            number: which round; else the last one that traded in which it took part.

        Raises:
            InvalidValue: the wallet has no such order, or more than one, or it came in a batch; or
                the market has no proof of it, for it took part in no such round, or nothing of
                that is kept any more.
            MarketError: what it sends is not signed by it.
        """
        kept = await self._kept(order)
        own = self._own(kept)
        answer = await self._market.ask(Subject.PROOF, (kept.id,), number=number)
        proof = next((each for each in answer.proofs if each.order == kept.id), None)
        if proof is None:
            problem = f"{order}: in no such round that traded, or nothing of it is kept any more"
            raise InvalidValue("order", problem)
        of = self._market.round_head(proof.head).message.round
        stands = (await self._market.ask(Subject.ORDERS, (kept.id,))).orders
        granted = [each for event in stands if event.order == kept.id for each in event.granted]
        awards = [self._market.award(each.award) for each in granted]
        return RoundEvidence(
            order=own,
            awards=tuple(award for award in awards if award.message.order == kept.id),
            round=of,
            proof=proof,
            file=await self._market.published_round(of),
        )

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

    async def _kept(self, order: str) -> KeptOrder:
        kept = await asyncio.to_thread(self.wallet.order, order)
        if kept is None:
            raise InvalidValue("order", f"{order!r} names no order of this wallet, or several")
        return kept

    async def _statuses(self, kept: list[KeptOrder]) -> list[OrderStatus]:
        names = (await self._market.catalogue()).names
        events: dict[bytes, OrderEvent] = {}
        for first in range(0, len(kept), ORDERS_PER_QUERY):
            ids = tuple(each.id for each in kept[first : first + ORDERS_PER_QUERY])
            answer = await self._market.ask(Subject.ORDERS, ids)
            events |= {event.order: event for event in answer.orders}
        key, network = self.wallet.identity.key, self._market.network
        found = []
        for order in await asyncio.to_thread(placed_of, kept, network, key):
            event = events.get(order.id)
            granted = event.granted if event is not None else ()
            awards = tuple(self._market.award(one.award).id.hex() for one in granted)
            found.append(order_status(order, event, names, awards))
        return found

    def _own(self, kept: KeptOrder) -> Signed[Order]:
        if kept.number is not None:
            problem = f"{kept.id.hex()[:16]} came in a batch: this is told of single orders alone"
            raise InvalidValue("order", problem)
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
