"""The buyer's line to a market: terms and models, orders and their news, accounts.

Everything that comes back is verified here; what leaves this module was signed by whom it should
be signed by.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from swatow._awards import HeldAward
from swatow._placed import PlacedOrder
from swatow._wallet import Wallet
from swatow.errors import InvalidValue, MarketError, NetworkError
from swatow_protocol.carriers.grpc.connection import connect
from swatow_protocol.carriers.grpc.market import MarketClient
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.errors import MessageRefused, RemoteError
from swatow_protocol.messages import (
    Award,
    Contest,
    MarketTerms,
    Message,
    Model,
    NetworkMap,
    Offer,
    Order,
    OrderBatch,
    OrderCancel,
    OrderTerms,
    Query,
    RoundHead,
    RoundNumber,
    Subject,
)
from swatow_protocol.messages.answers import Granted, OrderEvent, QueryAnswer, Verdict
from swatow_protocol.messages.network_map import map_fault
from swatow_protocol.periods import is_later, steps_for

M = TypeVar("M", bound=Message)
T = TypeVar("T")

RETRY_S = 0.5
"""Pause before an order whose answer was lost is asked about again."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a market trades."""

    terms: MarketTerms
    models: dict[str, Signed[Model]]
    """By name."""

    def model(self, name: str) -> Signed[Model]:
        """Return the model that is listed under `name`.

        Raises:
            InvalidValue: none is.
        """
        if name not in self.models:
            listed = ", ".join(sorted(self.models)) or "none"
            raise InvalidValue("model", f"the market does not list {name!r}; it lists: {listed}")
        return self.models[name]

    @property
    def names(self) -> dict[bytes, str]:
        """Id of each model -> its name."""
        return {signed.id: name for name, signed in self.models.items()}


class MarketLine:
    """Calls to one market, over one connection that is made when it is needed."""

    def __init__(
        self,
        *,
        market: bytes,
        address: str,
        network: str,
        wallet: Wallet,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.market = market
        self.network = network
        self._address = address
        self._wallet = wallet
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._client: MarketClient | None = None
        self._catalogue: Catalogue | None = None
        self._connecting = asyncio.Lock()

    async def catalogue(self) -> Catalogue:
        """Return what the market trades; asked once.

        Raises:
            MarketError: whoever answers is not this market.
            NetworkError: nobody answers.
        """
        if self._catalogue is None:
            found = await self._call(lambda client: client.catalogue())
            try:
                terms = self._verified(found.terms, MarketTerms)
                models = [self._verified(each, Model) for each in found.models]
            except MessageRefused as error:
                raise MarketError(str(error)) from None
            self._catalogue = Catalogue(
                terms.message, {signed.message.name: signed for signed in models}
            )
        return self._catalogue

    async def offers(self) -> list[Signed[Offer]]:
        """Return the live offers that are really their nodes'. Errors as in `catalogue`."""
        found = await self._call(lambda client: client.list_offers())
        offers = []
        for envelope in found.offers:
            try:
                offers.append(verify(envelope, Offer, network=self.network, now_us=self._now_us()))
            except MessageRefused:
                continue  # it has expired on the way, or the market made it up
        return offers

    async def network_map(self) -> Signed[NetworkMap]:
        """Return the market's network map. Errors as in `catalogue`."""
        envelope = await self._call(lambda client: client.network_map())
        try:
            signed = self._verified(envelope, NetworkMap)
        except MessageRefused as error:
            raise MarketError(str(error)) from None
        if (fault := map_fault(signed.message)) is not None:
            raise MarketError(f"network map: {fault}")
        return signed

    async def place(self, order: Signed[Order]) -> AsyncGenerator[OrderEvent, None]:
        """Send an order and yield its news until it has ended.

        The order is in the wallet before it is sent. When the connection breaks, the same order is
        sent again, which asks for its news: it cannot be placed twice.

        Raises:
            NetworkError: no connection to the market until the order has expired.
            MarketError: the market does not keep to the protocol.
        """
        await asyncio.to_thread(
            self._wallet.keep_order, order.id, order.envelope, order.message.issued_us
        )
        async with aclosing(self._news(order.envelope, order.message.terms.expires_us)) as news:
            async for events in news:
                for event in events:
                    if event.order == order.id:
                        yield event

    async def place_batch(
        self, batch: Signed[OrderBatch], orders: Sequence[PlacedOrder]
    ) -> AsyncGenerator[tuple[OrderEvent, ...], None]:
        """Send a batch and yield the news of its orders until all have ended. As in `place`.

        A batch that is rejected as it stands is told of by its own id.
        """
        ids = [order.id for order in orders]
        await asyncio.to_thread(
            self._wallet.keep_batch, batch.id, batch.envelope, batch.message.issued_us, ids
        )
        known = {batch.id, *ids}
        expires_us = max(order.terms.expires_us for order in orders)
        async with aclosing(self._news(batch.envelope, expires_us)) as news:
            async for events in news:
                yield tuple(event for event in events if event.order in known)

    async def held(self, granted: Granted, order: PlacedOrder) -> HeldAward:
        """Check an award and the offer that it draws on; return it ready for use.

        Raises:
            MarketError: the award is not what was ordered, or the offer is not the node's.
        """
        models = {signed.id: signed for signed in (await self.catalogue()).models.values()}
        try:
            award = self._verified(granted.award, Award, check_time=True)
            offer = verify(
                granted.offer,
                Offer,
                network=self.network,
                now_us=None,
                sender=award.message.node,
            )
        except MessageRefused as error:
            raise MarketError(f"award: {error}") from None
        problem = _mismatch(award.message, offer, order)
        if problem or award.message.model not in models:
            raise MarketError(f"award: {problem or 'of an unlisted model'}")
        return HeldAward(award, offer, models[award.message.model].message)

    async def published_round(self, number: RoundNumber) -> bytes:
        """Return the file of a round, which is not checked; nothing where the market keeps none.

        Errors as in `catalogue`.
        """
        return await self._call(lambda client: client.published_round(number))

    async def ask(
        self,
        subject: Subject,
        ids: tuple[bytes, ...] = (),
        *,
        number: RoundNumber | None = None,
        order: bytes | None = None,
    ) -> QueryAnswer:
        """Ask about this buyer's own accounts, orders or awards. Errors as in `catalogue`.

        Args:
            subject: what is asked for.
            ids: about which orders or awards.
            number: of a proof: the round that is asked about.
            order: of an explanation: the order's envelope.
        """
        query = Query(
            network=self.network,
            sender=self._wallet.identity.key,
            issued_us=self._now_us(),
            market=self.market,
            subject=subject,
            ids=ids,
            nonce=self._random_bytes(16),
            round=number,
            order=order,
        )
        envelope = sign(query, self._wallet.identity).envelope
        return await self._call(lambda client: client.ask(envelope))

    async def cancel(self, order: bytes) -> Verdict:
        """Take an order out of the book. Errors as in `catalogue`."""
        cancel = OrderCancel(
            network=self.network,
            sender=self._wallet.identity.key,
            issued_us=self._now_us(),
            orders=(order,),
        )
        envelope = sign(cancel, self._wallet.identity).envelope
        return await self._call(lambda client: client.cancel_orders(envelope))

    async def contest(self, award: bytes) -> Verdict:
        """Let go of an award whose node does not serve it. Errors as in `catalogue`."""
        contest = Contest(
            network=self.network,
            sender=self._wallet.identity.key,
            issued_us=self._now_us(),
            award=award,
        )
        envelope = sign(contest, self._wallet.identity).envelope
        return await self._call(lambda client: client.contest(envelope))

    def award(self, envelope: bytes) -> Signed[Award]:
        """Return an award that this market has signed, over or not.

        Raises:
            MarketError: it is none.
        """
        try:
            return self._verified(envelope, Award)
        except MessageRefused as error:
            raise MarketError(f"award: {error}") from None

    def round_head(self, envelope: bytes) -> Signed[RoundHead]:
        """Return this market's word on a round.

        Raises:
            MarketError: it is none.
        """
        try:
            return self._verified(envelope, RoundHead)
        except MessageRefused as error:
            raise MarketError(f"round: {error}") from None

    async def close(self) -> None:
        """Close the connection."""
        await self._drop()

    async def _news(
        self, envelope: bytes, expires_us: int
    ) -> AsyncGenerator[tuple[OrderEvent, ...], None]:
        """Send orders and yield all news, again after every broken connection until they expire."""
        sent = False
        while not sent:
            try:
                client = await self._connected()
                async for events in client.place_orders(envelope):
                    yield events.events
                sent = True
            except NetworkError:
                await self._drop()
                if self._now_us() >= expires_us:
                    raise
                await asyncio.sleep(RETRY_S)
            except RemoteError as error:
                raise MarketError(str(error)) from None

    async def _call(self, call: Callable[[MarketClient], Awaitable[T]]) -> T:
        client = await self._connected()
        try:
            return await call(client)
        except RemoteError as error:
            raise MarketError(str(error)) from None
        except NetworkError:
            await self._drop()
            raise

    def _verified(self, envelope: bytes, kind: type[M], *, check_time: bool = False) -> Signed[M]:
        now_us = self._now_us() if check_time else None
        return verify(envelope, kind, network=self.network, now_us=now_us, sender=self.market)

    async def _connected(self) -> MarketClient:
        async with self._connecting:
            if self._client is None:
                try:
                    connection, _ = await connect(
                        self._address,
                        server=self.market,
                        network=self.network,
                        now_us=self._now_us,
                    )
                except RemoteError as error:
                    raise MarketError(f"{self._address}: {error}") from None
                self._client = MarketClient(connection)
            return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.connection.close()


def _mismatch(award: Award, offer: Signed[Offer], order: PlacedOrder) -> str:
    """Return in what an award differs from what was ordered; empty if in nothing."""
    terms = order.terms
    prices = {limit.model: limit.price for limit in terms.models}
    checks = {
        "for another order": award.order == order.id,
        "for another buyer": award.buyer == order.buyer,
        "of a model that was not ordered": award.model in prices,
        "above the limit price": award.price <= prices.get(award.model, -1),
        "with another take-or-pay share": award.take_or_pay_ppm == terms.take_or_pay_ppm,
        "in another currency": award.currency == terms.currency,
        "for more lots than ordered": award.lots <= order.lots,
        "for a time that was not ordered": _is_in_time(award, terms),
        "on another offer": award.offer == offer.id and award.model == offer.message.model,
        "beyond what the offer states for its time": _fits(award, offer.message),
        "with another certificate": (
            award.certificate_sha256 == offer.message.certificate_sha256
            and award.sealing_key == offer.message.sealing_key
        ),
    }
    return next((problem for problem, holds in checks.items() if not holds), "")


def _is_in_time(award: Award, terms: OrderTerms) -> bool:
    """Tell whether an award is one of now, or of a whole period before the order's deadline."""
    if not is_later(award):
        return True
    deadline_us = terms.deadline_us
    return deadline_us is not None and award.from_us < award.expires_us <= deadline_us


def _fits(award: Award, offer: Offer) -> bool:
    """Tell whether the node has offered as much at that price; else it would not serve it."""
    steps = steps_for(award, offer)
    lots = sum(step.lots for step in steps if step.price <= award.node_price)
    return award.lots <= lots
