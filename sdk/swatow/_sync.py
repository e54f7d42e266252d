"""The synchronous face: the asynchronous client on an event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, Literal, Self, TypeVar, overload

from swatow._answers import Completion, CompletionStream, JobReceipt, Piece
from swatow._award import Award
from swatow._batch import Rows
from swatow._batches import BatchNews, BatchResult, no_news
from swatow._client import AsyncClient, Messages
from swatow._evidence import OrderExplanation, RoundEvidence
from swatow._orders import News
from swatow._status import AwardStatus, ModelPrice, OrderStatus
from swatow._wanted import NO_LIMITS, Price, Share
from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Limits, NetworkMap, RoundNumber
from swatow_protocol.messages.answers import AccountStatement

T = TypeVar("T")


class SyncStream:
    """An answer piece by piece: `for piece in stream`. Close it to stop the engine."""

    def __init__(self, client: "Client", stream: CompletionStream) -> None:
        self._client = client
        self._stream = stream

    @property
    def receipt(self) -> JobReceipt | None:
        """The receipt; None until the answer has ended."""
        return self._stream.receipt

    @property
    def text(self) -> str:
        """Everything that the model has written so far."""
        return self._stream.text

    def __iter__(self) -> Iterator[Piece]:
        pieces = self._stream.__aiter__()
        try:
            while True:
                try:
                    yield self._client._call(_next(pieces))  # noqa: SLF001 - the same face
                except StopAsyncIteration:
                    return
        finally:
            self.close()

    def close(self) -> None:
        """Stop the engine, if the answer has not ended."""
        self._client._call(self._stream.aclose())  # noqa: SLF001 - the same face

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncAward:
    """Lots of a model at a node, bought and ready to be drawn upon."""

    def __init__(self, client: "Client", award: Award) -> None:
        self._client = client
        self.details = award
        """The award: id, node, zone, lots, price, what is left."""

    def run(self, request: dict[str, Any]) -> SyncStream:
        """Run an OpenAI chat request body on this award. Errors as in `Award.run`."""
        stream = self._client._call(self.details.run(request))  # noqa: SLF001 - the same face
        return SyncStream(self._client, stream)

    def release(self) -> None:
        """Give back what is left."""
        self._client._call(self.details.release())  # noqa: SLF001 - the same face

    def __repr__(self) -> str:
        return repr(self.details)


class Client:
    """A buyer. Use it as a context manager, or call `close`, so that unused lots come back.

    Safe to use from several threads. Arguments and errors are those of `AsyncClient`.
    """

    def __init__(
        self,
        *,
        market: str | None = None,
        directory: str | None = None,
        max_price: Price | None = None,
        take_or_pay: Share | None = None,
        **settings: Any,
    ) -> None:
        """Open the wallet; nothing is sent yet."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="swatow", daemon=True)
        self._thread.start()
        try:
            self._async = self._call(
                _open(
                    market=market,
                    directory=directory,
                    max_price=max_price,
                    take_or_pay=take_or_pay,
                    **settings,
                )
            )
        except BaseException:
            self._stop_loop()
            raise

    @property
    def key(self) -> str:
        """This buyer's public key, in hexadecimal."""
        return self._async.key

    @overload
    def chat(
        self,
        *,
        model: str,
        messages: Messages,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
        stream: Literal[False] = False,
        **options: Any,
    ) -> Completion: ...

    @overload
    def chat(
        self,
        *,
        model: str,
        messages: Messages,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
        stream: Literal[True],
        **options: Any,
    ) -> SyncStream: ...

    def chat(
        self,
        *,
        model: str,
        messages: Messages,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
        stream: bool = False,
        **options: Any,
    ) -> Completion | SyncStream:
        """Buy the answer to a conversation. See `AsyncClient.chat`."""
        request = {"messages": [dict(message) for message in messages], **options}
        running = self._call(
            self._async.run(request, model=model, max_price=max_price, limits=limits)
        )
        if stream:
            return SyncStream(self, running)
        return self._call(running.completion())

    def order(
        self,
        *,
        model: str | Mapping[str, Price],
        lots: int = 1,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
        all_or_none: bool = False,
        immediate: bool = False,
        take_or_pay: Share | None = None,
        deadline: str | None = None,
        wait_s: float | None = None,
        on_news: News = lambda _: None,
    ) -> list[SyncAward]:
        """Buy lots of a model. See `AsyncClient.order`; `on_news` is called in another thread."""
        awards = self._call(
            self._async.order(
                model=model,
                lots=lots,
                max_price=max_price,
                limits=limits,
                all_or_none=all_or_none,
                immediate=immediate,
                take_or_pay=take_or_pay,
                deadline=deadline,
                wait_s=wait_s,
                on_news=on_news,
            )
        )
        return [SyncAward(self, award) for award in awards]

    def order_batch(
        self,
        rows: Rows,
        *,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
        all_or_none: bool = False,
        take_or_pay: Share | None = None,
        deadline: str | None = None,
        wait_s: float | None = None,
        on_news: BatchNews = no_news,
    ) -> BatchResult[SyncAward]:
        """Place many orders under one signature. See `AsyncClient.order_batch`.

        `on_news` is called in another thread.
        """
        result = self._call(
            self._async.order_batch(
                rows,
                max_price=max_price,
                limits=limits,
                all_or_none=all_or_none,
                take_or_pay=take_or_pay,
                deadline=deadline,
                wait_s=wait_s,
                on_news=on_news,
            )
        )
        return result.with_awards(lambda award: SyncAward(self, award))

    def network_map(self) -> Signed[NetworkMap]:
        """Return the market's zones, paths and corridors. See `AsyncClient.network_map`."""
        return self._call(self._async.network_map())

    def prices(self, model: str | None = None) -> list[ModelPrice]:
        """Return what lots cost now. See `AsyncClient.prices`."""
        return self._call(self._async.prices(model))

    def orders(self, most: int = 20) -> list[OrderStatus]:
        """Return where the latest orders stand. See `AsyncClient.orders`."""
        return self._call(self._async.orders(most))

    def cancel(self, order: str) -> OrderStatus:
        """Take an order out of the book. See `AsyncClient.cancel`."""
        return self._call(self._async.cancel(order))

    def explain(self, order: str) -> OrderExplanation:
        """Return what keeps an order from being filled. See `AsyncClient.explain`."""
        return self._call(self._async.explain(order))

    def round_evidence(self, order: str, number: RoundNumber | None = None) -> RoundEvidence:
        """Return what shows how a round has treated an order. See `AsyncClient.round_evidence`."""
        return self._call(self._async.round_evidence(order, number))

    def contest(self, award: str) -> AwardStatus:
        """Let go of an award whose node does not serve it. See `AsyncClient.contest`."""
        return self._call(self._async.contest(award))

    def shares(self, most: int = 20) -> list[AwardStatus]:
        """Return how awards with a take-or-pay share are settled. See `AsyncClient.shares`."""
        return self._call(self._async.shares(most))

    def account(self) -> AccountStatement | None:
        """Return this buyer's account. See `AsyncClient.account`."""
        return self._call(self._async.account())

    def close(self) -> None:
        """Release every award and close all connections."""
        if self._thread.is_alive():
            try:
                self._call(self._async.aclose())
            finally:
                self._stop_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt in this thread ends the work in the other
            raise

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _open(**arguments: Any) -> AsyncClient:
    return AsyncClient(**arguments)


async def _next(pieces: Any) -> Piece:
    piece: Piece = await anext(pieces)
    return piece
