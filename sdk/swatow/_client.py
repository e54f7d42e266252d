"""The asynchronous client: everything a buyer does, on one event loop."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

from swatow._answers import Completion, CompletionStream
from swatow._award import Award
from swatow._awards import HeldAward
from swatow._batches import BatchBuyer
from swatow._config import BuyerSettings
from swatow._job import BuyerJob
from swatow._market import MarketLine
from swatow._nodes import LiveJob, NodeLine, NodeLines, is_key_retired
from swatow._orders import News, Orders
from swatow._recount import Recount, TokenizerCache
from swatow._request import Request, measure
from swatow._status import AwardStatus
from swatow._wallet import Wallet
from swatow._wanted import (
    NO_LIMITS,
    Price,
    Share,
    Wanted,
    exact,
    model_limits,
    price_limit,
    share_ppm,
    wait_us,
)
from swatow.errors import (
    ConfigError,
    NetworkError,
    NodeFailed,
    NodeRefused,
    RemoteError,
    TooEarly,
)
from swatow_protocol.addresses import parse_market
from swatow_protocol.messages import JobRefusal, Limits, Model, Service, Usage
from swatow_protocol.shell.clock import now_us, random_bytes
from swatow_protocol.shell.settings import load, role_directory
from swatow_protocol.units import parse_duration

Messages = Sequence[Mapping[str, Any]]

BUSY_TRIES_MAX = 5
"""A busy node is asked so often, with the pauses that it asks for."""


class AsyncClient(BatchBuyer):
    """A buyer. Use it as a context manager, or call `aclose`, so that unused lots come back."""

    def __init__(
        self,
        *,
        market: str | None = None,
        directory: Path | str | None = None,
        max_price: Price | None = None,
        take_or_pay: Share | None = None,
        **settings: Any,
    ) -> None:
        """Open the wallet; nothing is sent yet.

        Args:
            market: KEY@host:port; else from SWATOW_BUYER_MARKET or config.toml.
            directory: the wallet; else SWATOW_BUYER_DIRECTORY or ~/.swatow/buyer. Made if missing.
            max_price: most that is paid for a million standard tokens, where a call does not say.
            take_or_pay: share of what is awarded that is paid for even if it is not used, where a
                call does not say; else the least that the market takes.
            settings: any other setting of a buyer (`swatow config show --role buyer`).

        Raises:
            ConfigError: a setting cannot be used.
            KeyFileError: the wallet's key file cannot be used safely.
        """
        home = role_directory("buyer", Path(directory) if directory is not None else None)
        price = None if max_price is None else exact(max_price, "max_price")
        share = None if take_or_pay is None else exact(take_or_pay, "take_or_pay")
        given = {"market": market, "max_price": price, "take_or_pay": share, **settings}
        self.settings: BuyerSettings = load(BuyerSettings, home, given).settings
        if self.settings.market is None:
            raise ConfigError(
                "market: which one? Give KEY@host:port, as `swatow market run` prints"
            )
        key, address = parse_market(self.settings.market)
        wallet = Wallet(home)
        line = MarketLine(
            market=key,
            address=address,
            network=self.settings.network,
            wallet=wallet,
            now_us=now_us,
            random_bytes=random_bytes,
        )
        super().__init__(line, wallet)
        self._now_us = now_us
        self._nodes = NodeLines(
            identity=self.wallet.identity,
            network=self.settings.network,
            now_us=now_us,
            random_bytes=random_bytes,
        )
        self._orders = Orders(
            market=self._market,
            wallet=self.wallet,
            settings=self.settings,
            now_us=now_us,
            random_bytes=random_bytes,
        )
        self._tokenizers = TokenizerCache(home / "tokenizers")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self, *, release: bool = True) -> None:
        """Close all connections; jobs under way are lost.

        Args:
            release: give back what is left of every award whose time has begun; any other
                stays in the wallet, to be taken up again with `award` until it expires.
        """
        if release:
            await self.release_all()
        await self._nodes.close()
        await self._market.close()

    @property
    def key(self) -> str:
        """This buyer's public key, in hexadecimal."""
        return self.wallet.identity.key.hex()

    @overload
    async def chat(
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
    async def chat(
        self,
        *,
        model: str,
        messages: Messages,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
        stream: Literal[True],
        **options: Any,
    ) -> CompletionStream: ...

    async def chat(
        self,
        *,
        model: str,
        messages: Messages,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
        stream: bool = False,
        **options: Any,
    ) -> Completion | CompletionStream:
        """Buy the answer to a conversation.

        Args:
            model: name of the model, as the market lists it.
            messages: the conversation, as in the OpenAI API.
            max_price: most that is paid for a million standard tokens.
            limits: hard limits on who may serve it; none is ever relaxed.
            stream: return a stream instead of the whole answer.
            options: any other field of the OpenAI request, passed on as it is.

        Raises:
            BuyerError: the order or the request cannot be.
            NodeError: the node failed; carries what was paid for.
            MarketError, NetworkError: see swatow.errors.
        """
        request = {"messages": [dict(message) for message in messages], **options}
        running = await self.run(request, model=model, max_price=max_price, limits=limits)
        if stream:
            return running
        return await running.completion()

    async def run(
        self,
        request: Mapping[str, Any],
        *,
        model: str,
        service: Service = Service.CHAT,
        max_price: Price | None = None,
        limits: Limits = NO_LIMITS,
    ) -> CompletionStream:
        """Buy the answer to an OpenAI request body. Errors as in `chat`."""
        listed = (await self._market.catalogue()).model(model)
        price = price_limit(max_price, self.settings.max_price)
        job = measure(request, listed.message, service, self.settings.output_tokens_max)
        while True:
            award = await self._orders.reserve(listed, job.tokens, price, limits)
            try:
                live = await self._open(award, job)
            except NodeRefused as refused:
                self._orders.settle(award, job.tokens)
                if refused.refusal is not JobRefusal.SPENT or award.meter.usage == Usage():
                    raise
                await self.release(award)  # our counts differ by a few tokens: take a fresh one
            except BaseException:
                self._orders.settle(award, job.tokens)
                raise
            else:
                return self._stream(award, job, live)

    async def run_on(
        self, award: HeldAward, request: Mapping[str, Any], *, service: Service
    ) -> CompletionStream:
        """Run a request on an award that is held. Errors as in `Award.run`."""
        if not award.has_begun(self._now_us()):
            raise TooEarly(award.id, award.award.from_us)
        most = self.settings.output_tokens_max
        job = measure(request, award.model, service, most).within(award.left())
        award.reserved += job.tokens
        award.jobs += 1
        try:
            live = await self._open(award, job)
        except BaseException:
            self._orders.settle(award, job.tokens)
            raise
        return self._stream(award, job, live)

    async def order(
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
    ) -> list[Award]:
        """Buy lots of a model; one award, or several where one node has too few.

        Args:
            model: name of the model; or several, each with the most that is paid for it: the order
                is then served where it gains most.
            lots: how many, of 1,000 standard tokens each.
            max_price: most that is paid for a million standard tokens, for a single model.
            limits: hard limits on who may serve it.
            all_or_none: take the whole quantity in one round, or nothing.
            immediate: do not wait for a round: what there is at the posted price, or nothing.
            take_or_pay: share of what is awarded that is paid for even if it is not used.
            deadline: delivery may be in any period of the market that ends so soon, as in "90m",
                "6h" or "2d": an award may then begin later, at a lower price.
            wait_s: how long the order waits for offers; else order_wait_s of the settings.
            on_news: told where the order stands, whenever the market says.

        Raises:
            BuyerError: the order cannot be filled; LimitsUnmet names the limits.
            MarketError, NetworkError: see swatow.errors.
        """
        within_us = None if deadline is None else parse_duration(deadline, "deadline")
        catalogue = await self._market.catalogue()
        wanted = Wanted(
            models=model_limits(catalogue, model, max_price, self.settings.max_price),
            limits=limits,
            all_or_none=all_or_none,
            immediate=immediate,
            take_or_pay_ppm=share_ppm(take_or_pay),
            within_us=within_us,
            wait_us=wait_us(wait_s),
        )
        held = await self._orders.place(wanted, lots, on_news)
        return [Award(self, award) for award in held]

    async def award(self, prefix: str) -> Award:
        """Take up an award of this wallet by the first digits of its id.

        Raises:
            InvalidValue, MarketError: there is none, or it is over.
        """
        return Award(self, await self._orders.recall(prefix))

    async def release(self, award: HeldAward) -> None:
        """Give back what is left of an award, if its node can be reached."""
        if award.released:
            return
        award.released = True
        try:
            line = await self._nodes.line(award.award, award.offer.message)
        except (NetworkError, RemoteError):
            return  # it expires by itself
        line.release(award)

    async def release_all(self) -> None:
        """Give back what is left of every award whose time has begun."""
        now_us = self._now_us()
        held = [award for award in self._orders.held if award.has_begun(now_us)]
        await asyncio.gather(*(self.release(award) for award in held))

    async def contest(self, award: str) -> AwardStatus:
        """Let go of an award whose node does not serve it. See `Standing.contest`."""
        status = await super().contest(award)
        for held in self._orders.held:
            held.released = held.released or held.id.hex() == status.id
        return status

    async def _open(self, award: HeldAward, job: Request) -> LiveJob:
        """Open a job; a node that is busy or has new keys is asked again."""
        stale: NodeLine | None = None
        for left in range(BUSY_TRIES_MAX, 0, -1):
            line = await self._line(award, stale)
            if await self._fetch_tokenizer(line, award.model):
                line = await self._line(award, stale)  # it may have been closed in the meantime
            live = line.open(
                award=award,
                service=job.service,
                request=job.body,
                recount=Recount(
                    self._tokenizers.get(award.model.tokenizer_sha256), job.stops, job.choices
                ),
                output_tokens_max=job.output_tokens,
                prompt_tokens_most=job.prompt_tokens_most,
                silence_s=self.settings.silence_s,
            )
            try:
                await live.opened()
            except NodeRefused as refused:
                if is_key_retired(refused) and stale is None:
                    stale = line
                elif refused.may_pass and left > 1:
                    pause_ms = refused.retry_after_ms
                    await asyncio.sleep((1_000 if pause_ms is None else pause_ms) / 1_000)
                else:
                    raise
            except asyncio.CancelledError:
                await asyncio.shield(live.cancel())
                raise
            else:
                return live
        raise NodeFailed(award.award.node, "its keys change faster than a job can be opened")

    async def _line(self, award: HeldAward, stale: NodeLine | None) -> NodeLine:
        try:
            return await self._nodes.line(award.award, award.offer.message, stale=stale)
        except NetworkError as error:
            raise NodeFailed(award.award.node, f"cannot be reached: {error}") from None

    async def _fetch_tokenizer(self, line: NodeLine, model: Model) -> bool:
        """Get the tokenizer that the model pins, where it can be used; tell if it was asked for.

        A job runs without it, so it is asked for once, and no error ends the job.
        """
        digest = model.tokenizer_sha256
        if digest is None or not self._tokenizers.missing(digest):
            return False
        try:
            file = await line.client.tokenizer(digest)
            await asyncio.to_thread(self._tokenizers.keep, digest, file)
        except (RemoteError, NetworkError, OSError):
            self._tokenizers.give_up(digest)
        return True

    def _stream(self, award: HeldAward, job: Request, live: LiveJob) -> CompletionStream:
        async def on_end(core: BuyerJob) -> None:
            self._orders.settle(award, job.tokens)
            if core.receipt is not None:
                await asyncio.to_thread(
                    self.wallet.keep_receipt,
                    core.id,
                    core.receipt.message.closed_us,
                    core.receipt.envelope,
                    core.countersignature,
                )

        return CompletionStream(live, award.model.name, on_end)
