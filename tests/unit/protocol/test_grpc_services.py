"""The services over real sockets: bodies pass through unchanged, and failures without content."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import ClassVar

import pytest

from swatow_protocol import limits
from swatow_protocol.carriers.grpc._calls import method_handlers
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.carriers.grpc.market import MarketClient, add_market
from swatow_protocol.carriers.grpc.node import NodeClient, add_node
from swatow_protocol.errors import (
    CallRefused,
    MessageRefused,
    OutcomeUnknown,
    Refusal,
    SwatowError,
    Unreachable,
)
from swatow_protocol.messages import RoundNumber
from swatow_protocol.messages.answers import (
    AdmissionReason,
    Catalogue,
    Decision,
    OfferList,
    OrderEvent,
    OrderEvents,
    OrderState,
    QueryAnswer,
    Verdict,
)
from tests.support.samples import digest
from tests.unit.protocol.loopback import connected, serving

SECRET = "words of a prompt"
TOKENIZER = bytes(range(256)) * 8_000  # about four parts
NETWORK_MAP = bytes(range(256)) * 8_000
PUBLISHED_ROUND = bytes(range(256)) * 8_001
ROUND = RoundNumber(shard="main", epoch=3, number=1_234)
OTHER_FILE = b"something else"


def verdict(detail: str) -> Verdict:
    return Verdict(decision=Decision.REJECT, reason=AdmissionReason.NOT_YOURS, detail=detail)


class Market:
    """A market that answers with what it was sent, or fails as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def _answer(self, envelope: bytes) -> Verdict:
        if self.error is not None:
            raise self.error
        return verdict(sha256(envelope).hexdigest())

    async def catalogue(self) -> Catalogue:
        return Catalogue(terms=b"terms", models=(b"model",))

    async def list_offers(self) -> OfferList:
        return OfferList(offers=(b"offer",))

    async def network_map(self) -> bytes:
        return NETWORK_MAP

    async def published_round(self, number: RoundNumber) -> bytes:
        return PUBLISHED_ROUND if number == ROUND else b""

    async def submit_offer(self, envelope: bytes) -> Verdict:
        return self._answer(b"offer" + envelope)

    async def place_orders(self, envelope: bytes) -> AsyncIterator[OrderEvents]:
        taken = self._answer(b"orders" + envelope)
        for state in (OrderState.OPEN, OrderState.FILLED):
            event = OrderEvent(
                order=digest("order"),
                verdict=taken if state is OrderState.OPEN else None,
                state=state,
                granted=(),
                lots_open=0,
                unmet=(),
            )
            yield OrderEvents(events=(event,))

    async def cancel_orders(self, envelope: bytes) -> Verdict:
        return self._answer(b"cancel" + envelope)

    async def redeem(self, envelope: bytes) -> Verdict:
        return self._answer(b"redeem" + envelope)

    async def contest(self, envelope: bytes) -> Verdict:
        return self._answer(b"contest" + envelope)

    async def ask(self, envelope: bytes) -> QueryAnswer:
        return QueryAnswer(accounts=(), orders=(), awards=(), round=len(envelope))


class Node:
    """A node with one tokenizer file, which it also sends for another."""

    files: ClassVar = {sha256(TOKENIZER).digest(): TOKENIZER, digest("forged"): OTHER_FILE}

    async def jobs(self, stream: FrameStream) -> None:
        async for _ in stream.frames():
            pass

    def tokenizer(self, digest: bytes) -> bytes | None:
        if digest == bytes(32):
            raise RuntimeError(SECRET)
        return self.files.get(digest)


@pytest.fixture
async def market() -> AsyncIterator[MarketClient]:
    async with (
        serving(lambda server: add_market(server, Market())) as server,
        connected(server) as connection,
    ):
        yield MarketClient(connection)


@pytest.fixture
async def node() -> AsyncIterator[NodeClient]:
    async with (
        serving(lambda server: add_node(server, Node())) as server,
        connected(server) as connection,
    ):
        yield NodeClient(connection)


async def failure(error: Exception) -> SwatowError:
    """Return what a caller learns when the market's handler raises `error`."""
    async with (
        serving(lambda server: add_market(server, Market(error))) as server,
        connected(server) as connection,
    ):
        client = MarketClient(connection)
        with pytest.raises(SwatowError) as raised:
            await client.redeem(b"")
        with pytest.raises(type(raised.value)) as again:
            async for _ in client.place_orders(b""):
                pass
        assert str(again.value) == str(raised.value), "one answer and a stream of them alike"
        return raised.value


class TestMarket:
    async def test_each_call_reaches_its_own_handler_and_brings_its_answer(
        self, market: MarketClient
    ) -> None:
        def seen(name: bytes) -> str:
            return sha256(name + b"envelope").hexdigest()

        assert (await market.submit_offer(b"envelope")).detail == seen(b"offer")
        assert (await market.cancel_orders(b"envelope")).detail == seen(b"cancel")
        assert (await market.redeem(b"envelope")).detail == seen(b"redeem")
        assert (await market.contest(b"envelope")).detail == seen(b"contest")
        assert (await market.catalogue()).models == (b"model",)
        assert (await market.list_offers()).offers == (b"offer",)
        assert await market.network_map() == NETWORK_MAP, "in about four parts"
        assert await market.published_round(ROUND) == PUBLISHED_ROUND, "in about four parts"
        unknown = RoundNumber(shard="main", epoch=3, number=1)
        assert await market.published_round(unknown) == b""
        assert (await market.ask(b"12345")).round == 5

    @pytest.mark.parametrize("size", [0, 1, limits.PART_BYTES + 1, limits.BATCH_BYTES_MAX])
    async def test_orders_travel_in_parts_and_their_news_come_as_a_stream(
        self, market: MarketClient, size: int
    ) -> None:
        envelope = bytes(size)
        news = [event async for event in market.place_orders(envelope)]
        first, second = (message.events[0] for message in news)
        assert first.verdict == verdict(sha256(b"orders" + envelope).hexdigest())
        assert (first.state, second.state) == (OrderState.OPEN, OrderState.FILLED)

    async def test_a_batch_beyond_the_bound_is_refused(self, market: MarketClient) -> None:
        with pytest.raises(CallRefused, match=Refusal.OVERSIZED):
            async for _ in market.place_orders(bytes(limits.BATCH_BYTES_MAX + 1)):
                pass

    async def test_whoever_loses_interest_in_news_just_leaves(self, market: MarketClient) -> None:
        news = market.place_orders(b"")
        await anext(news)
        await news.aclose()  # type: ignore[attr-defined]
        assert (await market.ask(b"")).round == 0, "the connection goes on"

    async def test_an_answer_that_does_not_decode_is_refused(self) -> None:
        class Wrong(Market):
            async def ask(self, envelope: bytes) -> QueryAnswer:
                return QueryAnswer(accounts=(), orders=(), awards=(), round=-1)

        async with (
            serving(lambda server: add_market(server, Wrong())) as server,
            connected(server) as connection,
        ):
            with pytest.raises(MessageRefused) as refused:
                await MarketClient(connection).ask(b"")
        assert refused.value.refusal is Refusal.MALFORMED

    async def test_an_answer_too_large_to_send_is_no_answer(self) -> None:
        class Chatty(Market):
            async def catalogue(self) -> Catalogue:
                return Catalogue(terms=b"", models=(bytes(limits.ENVELOPE_BYTES_MAX),) * 20)

        async with (
            serving(lambda server: add_market(server, Chatty())) as server,
            connected(server) as connection,
        ):
            with pytest.raises(CallRefused):
                await MarketClient(connection).catalogue()

    async def test_a_list_of_offers_longer_than_one_message_arrives_whole(self) -> None:
        offers = tuple(bytes([number]) * limits.ENVELOPE_BYTES_MAX for number in range(40))

        class Full(Market):
            async def list_offers(self) -> OfferList:
                return OfferList(offers=offers)

        async with (
            serving(lambda server: add_market(server, Full())) as server,
            connected(server) as connection,
        ):
            assert (await MarketClient(connection).list_offers()).offers == offers

    async def test_a_network_map_beyond_the_bound_is_refused(self) -> None:
        class Sprawling(Market):
            async def network_map(self) -> bytes:
                return bytes(limits.NETWORK_MAP_BYTES_MAX + 1)

        async with (
            serving(lambda server: add_market(server, Sprawling())) as server,
            connected(server) as connection,
        ):
            with pytest.raises(MessageRefused) as refused:
                await MarketClient(connection).network_map()
        assert refused.value.refusal is Refusal.OVERSIZED


class TestFailures:
    async def test_an_accident_in_a_handler_tells_its_type_and_none_of_its_words(self) -> None:
        """The words of an exception may be words of a prompt."""
        error = await failure(RuntimeError(SECRET))
        assert isinstance(error, CallRefused)
        assert "RuntimeError" in str(error)
        assert SECRET not in str(error)

    async def test_the_words_of_a_refusal_on_purpose_reach_the_caller(self) -> None:
        error = await failure(MessageRefused(Refusal.STALE, "issued 99 us ago"))
        assert isinstance(error, CallRefused)
        assert "issued 99 us ago" in str(error)

    async def test_a_network_error_behind_the_server_is_one_for_the_caller(self) -> None:
        error = await failure(Unreachable("the database does not answer"))
        assert isinstance(error, OutcomeUnknown | Unreachable)

    def test_a_service_without_a_handler_for_each_method_is_not_made(self) -> None:
        with pytest.raises(AssertionError):
            method_handlers("Node", {"Jobs": lambda: None})


class TestTokenizer:
    async def test_a_tokenizer_comes_in_parts_and_is_checked(self, node: NodeClient) -> None:
        assert await node.tokenizer(sha256(TOKENIZER).digest()) == TOKENIZER

    async def test_another_file_than_was_asked_for_is_refused(self, node: NodeClient) -> None:
        with pytest.raises(CallRefused):
            await node.tokenizer(digest("forged"))

    async def test_a_file_that_the_node_does_not_have_is_refused(self, node: NodeClient) -> None:
        with pytest.raises(CallRefused, match=digest("unknown").hex()):
            await node.tokenizer(digest("unknown"))

    async def test_an_accident_on_the_way_tells_none_of_its_words(self, node: NodeClient) -> None:
        with pytest.raises(CallRefused) as refused:
            await node.tokenizer(bytes(32))
        assert SECRET not in str(refused.value)
