"""The Market service: what a market's handler offers, and the client of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from swatow_protocol import codec, limits, parts
from swatow_protocol.carriers.grpc.connection import CALL_S, Connection
from swatow_protocol.carriers.grpc.server import Server
from swatow_protocol.errors import OutcomeUnknown
from swatow_protocol.messages import Body, RoundNumber
from swatow_protocol.messages.answers import (
    Catalogue,
    OfferList,
    OrderEvents,
    QueryAnswer,
    Verdict,
)


class MarketHandler(Protocol):
    """What a market answers. Envelopes come unverified, as they arrived."""

    async def catalogue(self) -> Catalogue:
        """Tell what is traded, on which terms."""
        ...

    async def list_offers(self) -> OfferList:
        """Tell the live offers."""
        ...

    async def network_map(self) -> bytes:
        """Return the envelope of the NetworkMap."""
        ...

    async def published_round(self, number: RoundNumber) -> bytes:
        """Return the file of a round; nothing where none is kept."""
        ...

    async def submit_offer(self, envelope: bytes) -> Verdict:
        """Take an Offer."""
        ...

    def place_orders(self, envelope: bytes) -> AsyncIterator[OrderEvents]:
        """Take an Order or an OrderBatch; tell what becomes of it until all of it has ended."""
        ...

    async def cancel_orders(self, envelope: bytes) -> Verdict:
        """Take an OrderCancel."""
        ...

    async def redeem(self, envelope: bytes) -> Verdict:
        """Take a Redemption."""
        ...

    async def contest(self, envelope: bytes) -> Verdict:
        """Take a Contest."""
        ...

    async def ask(self, envelope: bytes) -> QueryAnswer:
        """Answer a Query."""
        ...


def add_market(server: Server, handler: MarketHandler) -> None:
    """Serve the Market service on `server`."""

    async def get_catalogue(_: bytes) -> bytes:
        return codec.encode(await handler.catalogue())

    async def list_offers(_: bytes) -> AsyncIterator[bytes]:
        for part in parts.split(codec.encode(await handler.list_offers())):
            yield part

    async def get_network_map(_: bytes) -> AsyncIterator[bytes]:
        for part in parts.split(await handler.network_map()):
            yield part

    async def get_round(body: bytes) -> AsyncIterator[bytes]:
        number = codec.decode(RoundNumber, body)
        for part in parts.split(await handler.published_round(number)):
            yield part

    async def place_orders(envelope_parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        envelope = await parts.join(envelope_parts, limits.BATCH_BYTES_MAX)
        async for events in handler.place_orders(envelope):
            yield codec.encode(events)

    server.add(
        "Market",
        {
            "GetCatalogue": get_catalogue,
            "ListOffers": list_offers,
            "GetNetworkMap": get_network_map,
            "GetRound": get_round,
            "SubmitOffer": _encoded(handler.submit_offer),
            "PlaceOrders": place_orders,
            "CancelOrders": _encoded(handler.cancel_orders),
            "Redeem": _encoded(handler.redeem),
            "Contest": _encoded(handler.contest),
            "Ask": _encoded(handler.ask),
        },
    )


def _encoded(take: Callable[[bytes], Awaitable[Body]]) -> Callable[[bytes], Awaitable[bytes]]:
    """Return a call that takes one envelope and encodes what it is answered with."""

    async def call(envelope: bytes) -> bytes:
        return codec.encode(await take(envelope))

    return call


class MarketClient:
    """Calls to a market. Errors are those of `Connection.call`, and MessageRefused for an answer
    that does not decode."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def catalogue(self) -> Catalogue:
        """Ask what is traded, on which terms."""
        return codec.decode(Catalogue, await self.connection.call("Market", "GetCatalogue"))

    async def list_offers(self) -> OfferList:
        """Ask for the live offers."""
        return codec.decode(OfferList, await self._long("ListOffers", limits.OFFER_LIST_BYTES_MAX))

    async def network_map(self) -> bytes:
        """Ask for the network map; return its envelope, which is not verified."""
        return await self._long("GetNetworkMap", limits.NETWORK_MAP_BYTES_MAX)

    async def published_round(self, number: RoundNumber) -> bytes:
        """Ask for the file of a round, which is not checked; nothing where none is kept."""
        return await self._long("GetRound", limits.ROUND_BYTES_MAX, codec.encode(number))

    async def submit_offer(self, envelope: bytes) -> Verdict:
        """Send an Offer."""
        return await self._send("SubmitOffer", envelope)

    async def place_orders(self, envelope: bytes) -> AsyncIterator[OrderEvents]:
        """Send an Order or an OrderBatch; yield its news until all of it has ended."""
        answers = self.connection.stream("Market", "PlaceOrders", parts.split(envelope))
        async for events in answers:
            yield codec.decode(OrderEvents, events)

    async def cancel_orders(self, envelope: bytes) -> Verdict:
        """Send an OrderCancel."""
        return await self._send("CancelOrders", envelope)

    async def redeem(self, envelope: bytes) -> Verdict:
        """Send a Redemption."""
        return await self._send("Redeem", envelope)

    async def contest(self, envelope: bytes) -> Verdict:
        """Send a Contest."""
        return await self._send("Contest", envelope)

    async def ask(self, envelope: bytes) -> QueryAnswer:
        """Send a Query."""
        return codec.decode(QueryAnswer, await self.connection.call("Market", "Ask", envelope))

    async def _long(self, method: str, bytes_max: int, body: bytes = b"") -> bytes:
        """Ask for what comes in parts."""
        stream = self.connection.stream("Market", method, [body])
        try:
            async with asyncio.timeout(CALL_S):
                return await parts.join(stream, bytes_max)
        except TimeoutError:
            raise OutcomeUnknown(
                f"{self.connection.address}: no whole answer to {method} in {CALL_S:g} s"
            ) from None

    async def _send(self, method: str, envelope: bytes) -> Verdict:
        return codec.decode(Verdict, await self.connection.call("Market", method, envelope))
