"""Orders and awards: what to ask the market for, what it gave, and what is left of it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from weakref import WeakValueDictionary

from swatow._awards import HeldAward
from swatow._config import BuyerSettings
from swatow._market import MarketLine
from swatow._placed import PlacedOrder, placed_of, placed_order
from swatow._status import OrderStatus, order_status
from swatow._wallet import Wallet
from swatow._wanted import Wanted, agreed_share
from swatow.errors import (
    InsufficientFunds,
    InvalidValue,
    LimitsUnmet,
    MarketError,
    OrderCancelled,
    OrderRejected,
)
from swatow_protocol import limits as bounds
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.messages import Limits, Model, ModelLimit, Order, OrderBatch, OrderTerms
from swatow_protocol.messages.answers import (
    AdmissionReason,
    Decision,
    Granted,
    LimitName,
    OrderEvent,
    OrderState,
)
from swatow_protocol.units import MICROS_PER_SECOND, lots_for

DAY_US = 86_400 * MICROS_PER_SECOND
News = Callable[[OrderStatus], None]
"""Is told where an order stands."""

JOB_TIME_US = 60 * MICROS_PER_SECOND
"""An award is used for a job only if it lasts at least this much longer."""
AWARDS_HELD_MAX = 256
"""Awards that a client keeps; beyond, one without jobs is left to expire by itself."""


class Orders:
    """Places orders and keeps what they were awarded."""

    def __init__(
        self,
        *,
        market: MarketLine,
        wallet: Wallet,
        settings: BuyerSettings,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._market = market
        self._wallet = wallet
        self._settings = settings
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._held: dict[bytes, HeldAward] = {}
        self._what: dict[bytes, tuple[bytes, int, Limits]] = {}  # award -> model, price, limits
        # A lock lives as long as a job waits for it or holds it, however the order ends.
        self._ordering = WeakValueDictionary[tuple[bytes, int, Limits], asyncio.Lock]()

    @property
    def held(self) -> list[HeldAward]:
        """Awards that are not released."""
        return [award for award in self._held.values() if not award.released]

    async def reserve(
        self, model: Signed[Model], tokens: int, price: int, limits: Limits
    ) -> HeldAward:
        """Return an award with `tokens` standard tokens set aside, ordering one if need be.

        Raises:
            OrderRejected, LimitsUnmet: as in `place`.
        """
        what = (model.id, price, limits)
        lock = self._ordering.setdefault(what, asyncio.Lock())
        async with lock:  # so that many jobs at once order once, not once each
            award = self._find(what, tokens)
            if award is None:
                lots = max(lots_for(tokens), self._settings.order_lots)
                models = (ModelLimit(model=model.id, price=price),)
                award = await self._buy(Wanted(models=models, limits=limits), lots, tokens)
            award.reserved += tokens
            award.jobs += 1
        return award

    async def _buy(self, wanted: Wanted, lots: int, tokens: int) -> HeldAward:
        """Return a new award with room for `tokens`: bought at once if the settings want that and
        it can be, else in a round."""
        if self._settings.order_now:
            now = replace(wanted, immediate=True, all_or_none=True)
            with suppress(LimitsUnmet, OrderRejected):  # the book may have it; or it says why not
                award = _largest(await self.place(now, lots))
                if award.left() >= tokens:
                    return award
        award = _largest(await self.place(wanted, lots))
        if award.left() < tokens:  # split over several nodes: none is large enough
            raise LimitsUnmet((LimitName.CAPACITY,), self._settings.order_wait_s)
        return award

    def settle(self, award: HeldAward, tokens: int) -> None:
        """Note that a job is over for which `tokens` were set aside."""
        award.reserved -= tokens
        award.jobs -= 1

    async def place(
        self, wanted: Wanted, lots: int, on_news: News = lambda _: None
    ) -> list[HeldAward]:
        """Order lots and wait for what the market awards.

        Args:
            wanted: everything of the order but how much.
            on_news: told where the order stands, whenever the market says.

        Raises:
            InvalidValue: the order cannot be, as where a corridor is named, but not which data
                goes through it.
            InsufficientFunds, OrderRejected: the market does not take the order.
            OrderCancelled: somebody with this wallet cancelled it before anything was awarded.
            LimitsUnmet: nothing was awarded while the order waited, or at once where it does not
                wait; names the limits.
            NetworkError, MarketError: as in `MarketLine.place`.
        """
        signed = await self._make(wanted, lots)
        order = placed_order(signed)
        names = (await self._market.catalogue()).names
        awards: dict[bytes, HeldAward] = {}  # an order that is asked about again tells all of them
        unmet: tuple[LimitName, ...] = ()
        cancelled = False
        async with aclosing(self._market.place(signed)) as news:
            async for event in news:
                check_admitted(event)
                unmet = event.unmet or unmet
                told = await self.keep((granted, order) for granted in event.granted)
                awards |= {award.id: award for award in told}
                check_total(order, awards.values())
                ids = tuple(award.id.hex() for award in told)
                on_news(order_status(order, event, names, ids))
                if event.state is not OrderState.OPEN:
                    cancelled = event.state is OrderState.CANCELLED
                    break
        if not awards and cancelled:
            raise OrderCancelled(order.id)
        if not awards:
            waited_us = order.terms.expires_us - order.issued_us
            raise LimitsUnmet(unmet, waited_us / MICROS_PER_SECOND)
        return list(awards.values())

    async def recall(self, prefix: str) -> HeldAward:
        """Take up an award that another process has put into the wallet.

        Raises:
            InvalidValue: there is no such award, or more than one.
            MarketError: it is over, or not what it says.
        """
        kept = await asyncio.to_thread(self._wallet.award, prefix)
        if kept is None:
            raise InvalidValue("award", f"{prefix!r} names no award of this wallet, or several")
        placed = await asyncio.to_thread(self._placed, kept.order)
        held = next((award for award in self.held if award.signed.envelope == kept.award), None)
        if held is not None and held.usable_until(self._now_us()):
            return held  # with what is left of it
        (held,) = await self.keep([(Granted(award=kept.award, offer=kept.offer), placed)])
        return held

    def _find(self, what: tuple[bytes, int, Limits], tokens: int) -> HeldAward | None:
        now_us = self._now_us()
        usable = [
            award
            for award in self.held
            if self._what[award.id] == what
            and award.left() >= tokens
            and award.has_begun(now_us)
            and award.usable_until(now_us + JOB_TIME_US)
        ]
        return min(usable, key=lambda award: award.award.price, default=None)

    async def _make(self, wanted: Wanted, lots: int) -> Signed[Order]:
        now_us = self._now_us()
        if not 1 <= lots <= bounds.LOTS_MAX:
            raise InvalidValue("lots", f"{lots} is outside 1 to {bounds.LOTS_MAX}")
        order = Order(
            network=self._market.network,
            sender=self._wallet.identity.key,
            issued_us=now_us,
            nonce=self._random_bytes(16),
            lots=lots,
            terms=await self._terms(wanted, now_us),
        )
        return sign(order, self._wallet.identity)

    async def sign_batch(
        self, wanted: Sequence[Wanted], columns: tuple[bytes, bytes, bytes]
    ) -> Signed[OrderBatch]:
        """Return a batch of orders that are wanted so, with the columns of their rows.

        Raises:
            InvalidValue: no market takes such an order, or the batch is too large in all.
        """
        now_us = self._now_us()
        terms = [await self._terms(each, now_us) for each in wanted]
        term_column, lots_column, price_column = columns
        batch = OrderBatch(
            network=self._market.network,
            sender=self._wallet.identity.key,
            issued_us=now_us,
            nonce=self._random_bytes(16),
            terms=tuple(terms),
            term_column=term_column,
            lots_column=lots_column,
            price_column=price_column,
        )
        signed = await asyncio.to_thread(sign, batch, self._wallet.identity)
        size, most = len(signed.envelope), bounds.BATCH_BYTES_MAX
        if size > most:
            raise InvalidValue("rows", f"{size} bytes with all their limits, a batch has {most}")
        return signed

    async def _terms(self, wanted: Wanted, now_us: int) -> OrderTerms:
        """Return what is wanted as terms of an order that is placed now.

        Raises:
            InvalidValue: no market takes such an order.
        """
        _check_corridor(wanted.limits)
        within_us = wanted.within_us
        if within_us is not None and not 0 < within_us <= bounds.ORDER_LIFE_US:
            days = bounds.ORDER_LIFE_US // DAY_US
            raise InvalidValue("deadline", f"{within_us} us is not within {days} days")
        if wanted.immediate and within_us is not None:
            raise InvalidValue("deadline", "what is bought at once is delivered now")
        settings, terms = self._settings, (await self._market.catalogue()).terms
        share_ppm = (
            settings.take_or_pay if wanted.take_or_pay_ppm is None else (wanted.take_or_pay_ppm)
        )
        wait_us = wanted.wait_us or int(settings.order_wait_s * MICROS_PER_SECOND)
        deadline_us = None if within_us is None else now_us + within_us
        expires_us = now_us + wait_us
        life_us = settings.award_life_s * MICROS_PER_SECOND
        return OrderTerms(
            currency=terms.currency,
            models=wanted.models,
            limits=wanted.limits,
            all_or_none=wanted.all_or_none,
            immediate=wanted.immediate,
            take_or_pay_ppm=agreed_share(share_ppm, terms),
            expires_us=expires_us if deadline_us is None else min(expires_us, deadline_us),
            deadline_us=deadline_us,
            award_life_us=min(life_us, terms.award_life_max_us),
        )

    async def keep(self, told: Iterable[tuple[Granted, PlacedOrder]]) -> list[HeldAward]:
        """Check awards and write them down together; one that is held already is the held one.

        Raises:
            MarketError: one is not what was ordered.
        """
        found: list[HeldAward] = []
        new: list[tuple[bytes, bytes, bytes, bytes]] = []
        try:
            for granted, order in told:
                award = await self._market.held(granted, order)
                known = self._held.get(award.id)
                if known is not None and not known.released:
                    found.append(known)  # with what is left of it
                    continue
                self._forget_old()
                self._hold(award, order)
                found.append(award)
                new.append((award.id, order.id, granted.award, granted.offer))
        finally:  # the good ones are kept even if one is not
            if new:
                await asyncio.to_thread(self._wallet.keep_awards, new)
        return found

    def _hold(self, award: HeldAward, order: PlacedOrder) -> None:
        terms, model = order.terms, award.award.model
        prices = {limit.model: limit.price for limit in terms.models}
        self._held[award.id] = award
        self._what[award.id] = (model, prices[model], terms.limits)

    def _placed(self, order: bytes) -> PlacedOrder:
        """Return an order of the wallet, which must be there. Blocks."""
        kept = self._wallet.order(order.hex())
        assert kept is not None, "an award is kept with its order"
        key = self._wallet.identity.key
        return placed_of([kept], self._market.network, key)[0]

    def _forget_old(self) -> None:
        if len(self._held) < AWARDS_HELD_MAX:
            return
        idle = [award for award in self._held.values() if not award.jobs]
        if idle:
            oldest = min(idle, key=lambda award: award.award.expires_us)
            del self._held[oldest.id], self._what[oldest.id]


def _largest(awards: list[HeldAward]) -> HeldAward:
    return max(awards, key=lambda each: each.left())


def _check_corridor(limits: Limits) -> None:
    """No corridor admits data of unknown origin or class: such an order would wait in vain."""
    for name in ("data_origin", "data_class"):
        if limits.corridor is not None and getattr(limits, name) is None:
            raise InvalidValue(name, f"state it too: the corridor {limits.corridor} asks for it")


def check_total(order: PlacedOrder, awards: Iterable[HeldAward]) -> None:
    """See that the awards of an order are not for more than it asked for.

    Raises:
        MarketError: they are.
    """
    lots = sum(award.award.lots for award in awards)
    if lots > order.lots:
        raise MarketError(f"awards: {lots} lots in all, {order.lots} were ordered")


def check_admitted(event: OrderEvent) -> None:
    """See that an order was taken in.

    Raises:
        InsufficientFunds, OrderRejected: it was not.
    """
    verdict = event.verdict
    if verdict is None or verdict.decision is not Decision.REJECT:
        return
    reason = verdict.reason or AdmissionReason.REFUSED_MESSAGE
    if reason is AdmissionReason.NOT_AT_ONCE:
        raise LimitsUnmet(event.unmet, 0, verdict.detail)
    kind = InsufficientFunds if reason is AdmissionReason.INSUFFICIENT_FUNDS else OrderRejected
    raise kind(reason, verdict.detail)
