"""A fake market at the end of a buyer's line: it answers orders as a test tells it to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from swatow._market import MarketLine
from swatow._wallet import Wallet
from swatow_protocol.carriers.grpc.market import MarketClient
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.errors import SwatowError
from swatow_protocol.messages import Award, Contest, Offer, Order, OrderCancel, Query, RoundNumber
from swatow_protocol.messages.answers import (
    Catalogue,
    Decision,
    Granted,
    LimitName,
    OfferList,
    OrderEvent,
    OrderEvents,
    OrderState,
    QueryAnswer,
    Verdict,
)
from tests.support import samples
from tests.support.samples import MARKET, NETWORK, NOW_US
from tests.unit.node import deal

ACCEPTED = Verdict(decision=Decision.ACCEPT, reason=None, detail="")


@dataclass
class Grant:
    """What an order is answered with: awards with these fields in place of the right ones."""

    awards: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    offer: dict[str, Any] = field(default_factory=dict)
    state: OrderState | None = OrderState.FILLED
    verdict: Verdict | None = ACCEPTED
    unmet: tuple[LimitName, ...] = ()
    fails: SwatowError | None = None
    """Raised in place of the news."""
    breaks: SwatowError | None = None
    """Raised after the news."""


class FakeMarket:
    """In the place of `MarketClient`. Keeps the orders that it gets, in order."""

    def __init__(self, wallet: Wallet) -> None:
        self.wallet = wallet
        self.grants: list[Grant] = []
        self.orders: list[Signed[Order]] = []
        self.on_disk: list[int] = []
        """Orders in the wallet when each order came."""
        self.queries: list[Query] = []
        self.answer: QueryAnswer | SwatowError = QueryAnswer(
            accounts=(), orders=(), awards=(), round=0
        )
        self.models: tuple[bytes, ...] = (deal.MODEL.envelope,)
        self.terms: bytes = sign(samples.market_terms(), MARKET).envelope
        self.map: bytes | SwatowError = sign(samples.network_map(), MARKET).envelope
        self.listed: tuple[bytes, ...] | SwatowError = ()
        self.file = b"file of a round"
        self.hold: asyncio.Event | None = None
        """News waits for this where it is set."""
        self.verdict = ACCEPTED
        """What cancellations and contests are answered with."""
        self.cancelled: tuple[bytes, ...] = ()
        self.contested: list[bytes] = []
        self.connection = self
        self.closed = 0

    async def close(self) -> None:
        """Count the closings of the connection."""
        self.closed += 1

    async def catalogue(self) -> Catalogue:
        """Tell what is traded."""
        return Catalogue(terms=self.terms, models=self.models)

    async def list_offers(self) -> OfferList:
        """Tell the live offers."""
        if isinstance(self.listed, SwatowError):
            raise self.listed
        return OfferList(offers=self.listed)

    async def network_map(self) -> bytes:
        """Tell the network map."""
        if isinstance(self.map, SwatowError):
            raise self.map
        return self.map

    async def published_round(self, number: RoundNumber) -> bytes:
        """Tell the file of any round."""
        return self.file

    async def ask(self, envelope: bytes) -> QueryAnswer:
        """Answer a query."""
        self.queries.append(verify(envelope, Query, network=NETWORK, now_us=NOW_US).message)
        if isinstance(self.answer, SwatowError):
            raise self.answer
        return self.answer

    async def cancel_orders(self, envelope: bytes) -> Verdict:
        """Take a cancellation."""
        signed = verify(envelope, OrderCancel, network=NETWORK, now_us=None)
        self.cancelled += signed.message.orders
        return self.verdict

    async def contest(self, envelope: bytes) -> Verdict:
        """Take a contest."""
        signed = verify(envelope, Contest, network=NETWORK, now_us=None)
        self.contested.append(signed.message.award)
        return self.verdict

    async def place_orders(self, envelope: bytes) -> AsyncIterator[OrderEvents]:
        """Take an order; tell what the next grant says."""
        order = verify(envelope, Order, network=NETWORK, now_us=None)
        self.orders.append(order)
        self.on_disk.append(self.wallet.orders_count())
        if self.hold is not None:
            await self.hold.wait()
        grant = self.grants.pop(0) if self.grants else Grant()
        if grant.fails is not None:
            raise grant.fails
        stranger = _event(samples.digest("another order"), OrderState.EXPIRED, None)
        state = None if grant.state is None else OrderState.OPEN
        first = _event(order.id, state, grant.verdict, (), () if state else grant.unmet)
        yield OrderEvents(events=(stranger, first))
        granted = tuple(grant_of(order, changes, grant.offer) for changes in grant.awards)
        last = _event(order.id, grant.state, None, granted, grant.unmet)
        yield OrderEvents(events=(last,))
        if grant.breaks is not None:
            raise grant.breaks


def grant_of(
    order: Signed[Order],
    changes: dict[str, Any] | None = None,
    offer_changes: dict[str, Any] | None = None,
) -> Granted:
    """Return the award that answers an order in full, but for the changes."""
    offer: Signed[Offer] = deal.offer(**(offer_changes or {}))
    message = order.message
    fields: dict[str, Any] = {
        "order": order.id,
        "buyer": message.sender,
        "model": message.terms.models[0].model,
        "lots": message.lots,
        "take_or_pay_ppm": message.terms.take_or_pay_ppm,
        **(changes or {}),
    }
    award: Signed[Award] = deal.award(offer, **fields)
    return Granted(award=award.envelope, offer=offer.envelope)


def _event(
    order: bytes,
    state: OrderState | None,
    verdict: Verdict | None,
    granted: tuple[Granted, ...] = (),
    unmet: tuple[LimitName, ...] = (),
) -> OrderEvent:
    return OrderEvent(
        order=order, verdict=verdict, state=state, granted=granted, lots_open=0, unmet=unmet
    )


class Counter:
    """A clock that a test sets, and random bytes that differ each time."""

    def __init__(self) -> None:
        self.now_us = NOW_US
        self._drawn = 0

    def read(self) -> int:
        """Return the time."""
        return self.now_us

    def random(self, count: int) -> bytes:
        """Return bytes that were not returned before."""
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")


def line_to(market: FakeMarket, clock: Counter) -> MarketLine:
    """Return the buyer's line, connected to a fake market."""
    line = MarketLine(
        market=MARKET.key,
        address="127.0.0.1:1",
        network=NETWORK,
        wallet=market.wallet,
        now_us=clock.read,
        random_bytes=clock.random,
    )
    reconnect(line, market)
    return line


def reconnect(line: MarketLine, market: FakeMarket) -> None:
    """Let the line have a connection, so that none is made over the network."""
    line._client = cast("MarketClient", market)


def wallet_in(directory: Path) -> Wallet:
    """Return a wallet whose key is BUYER's."""
    directory.mkdir(parents=True, exist_ok=True)
    key = directory / "key"
    key.touch(0o600)
    key.write_text((bytes([3]) * 32).hex())
    return Wallet(directory)
