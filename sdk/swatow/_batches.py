"""Batches of orders: many orders under one signature, followed until all of them have ended."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from swatow._award import Award, Drawer
from swatow._awards import HeldAward
from swatow._batch import Grouped, Ints, Rows, grouped
from swatow._config import BuyerSettings
from swatow._orders import Orders, check_admitted, check_total
from swatow._placed import PlacedOrder, placed_batch
from swatow._standing import Standing
from swatow._status import OrderStatus, order_status
from swatow._wanted import NO_LIMITS, Price, Share, Wanted, exact, share_ppm, wait_us
from swatow.errors import InsufficientFunds, InvalidValue
from swatow_protocol.messages import Limits, MarketTerms
from swatow_protocol.messages.answers import AdmissionReason, OrderEvent, OrderState
from swatow_protocol.units import format_money, parse_duration, parse_price

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """Where a batch stands on its way."""

    id: str
    """The batch's id, in hexadecimal."""
    orders: int
    """Orders that its rows are."""
    orders_open: int
    """Orders that may still be awarded something."""
    lots: int
    """Lots ordered."""
    lots_awarded: int
    awards: int


BatchNews = Callable[[BatchProgress], None]
"""Is told where a batch stands."""


def no_news(_: BatchProgress) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder(Generic[A]):
    """What became of one order of a batch: of all its rows of equal terms."""

    status: OrderStatus
    """Where it stands; its limit prices are those of its dearest row."""
    awards: tuple[A, ...]
    """Ready to be drawn upon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult(Generic[A]):
    """What became of a batch."""

    id: str
    """The batch's id, in hexadecimal."""
    orders: tuple[BatchOrder[A], ...]
    """One for all rows of equal terms; several where LOTS_MAX lots are not enough."""
    money_most: int
    """Nanos: what all rows would have cost if each had cost its limit price."""
    currency: str
    order_of_row: Ints = field(repr=False)
    """Number of each row's order, in the order of the rows."""

    @property
    def awards(self) -> tuple[A, ...]:
        """The awards of all orders."""
        return tuple(award for order in self.orders for award in order.awards)

    @property
    def lots(self) -> int:
        """Lots ordered."""
        return sum(order.status.lots for order in self.orders)

    @property
    def lots_awarded(self) -> int:
        """Lots awarded."""
        return self.lots - sum(order.status.lots_open for order in self.orders)

    def with_awards(self, face: Callable[[A], B]) -> "BatchResult[B]":
        """Return the same result with another face of each award."""
        orders = tuple(
            BatchOrder(status=each.status, awards=tuple(face(award) for award in each.awards))
            for each in self.orders
        )
        return BatchResult(
            id=self.id,
            orders=orders,
            money_most=self.money_most,
            currency=self.currency,
            order_of_row=self.order_of_row,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return orders and totals as plain values; awards are named by their ids."""
        return {
            "id": self.id,
            "lots": self.lots,
            "lots_awarded": self.lots_awarded,
            "money_most": self.money_most,
            "currency": self.currency,
            "orders": [order.status.as_dict() for order in self.orders],
        }


@dataclass(slots=True)
class _Followed:
    """An order of a batch, and what was told of it so far."""

    order: PlacedOrder
    event: OrderEvent | None = None
    unmet: tuple[str, ...] = ()
    awards: dict[bytes, HeldAward] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it may still be awarded something."""
        return self.event is None or self.event.state is OrderState.OPEN

    @property
    def lots_open(self) -> int:
        """Lots that were not awarded."""
        return self.order.lots if self.event is None else self.event.lots_open

    def told(self, event: OrderEvent) -> None:
        """Take in what the market says."""
        self.event = event
        if event.state is OrderState.FILLED:
            self.unmet = ()
        elif event.unmet:
            self.unmet = tuple(limit.value for limit in event.unmet)

    def status(self, names: Mapping[bytes, str]) -> OrderStatus:
        """Return where it stands."""
        ids = tuple(award.hex() for award in self.awards)
        return replace(order_status(self.order, self.event, names, ids), unmet=self.unmet)


class BatchBuyer(Standing, Drawer):
    """A buyer of many orders at once."""

    settings: BuyerSettings
    _orders: Orders

    async def order_batch(
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
    ) -> BatchResult[Award]:
        """Place many orders under one signature, and wait until all of them have ended.

        All of them are taken in, or none is. Rows of equal terms are one order with many limit
        prices, whose dearest rows are served first.

        Args:
            rows: what is wanted: an OrderRow for each, or OrderColumns.
            max_price: most that is paid for a million standard tokens, where a row does not say.
            limits: hard limits on who may serve it, for rows that have none of their own.
            all_or_none: fill each row in one round, or not at all.
            take_or_pay: share of what is awarded that is paid for even if it is not used.
            deadline: delivery may be in any period of the market that ends so soon, as in "90m".
            wait_s: how long the orders wait for offers; else order_wait_s of the settings.
            on_news: told where the batch stands, whenever the market says.

        Raises:
            InvalidRow, InvalidValue: a row, or the batch, cannot be; nothing was sent.
            InsufficientFunds: the account does not cover all rows at their limit prices.
            OrderRejected: the market does not take the batch.
            MarketError, NetworkError: see swatow.errors.
        """
        settled = self.settings.max_price
        if max_price is not None:
            settled = parse_price(exact(max_price, "max_price"), "max_price")
        common = Wanted(
            models=(),
            all_or_none=all_or_none,
            take_or_pay_ppm=share_ppm(take_or_pay),
            within_us=None if deadline is None else parse_duration(deadline, "deadline"),
            wait_us=wait_us(wait_s),
        )
        catalogue = await self._market.catalogue()
        group = await asyncio.to_thread(
            grouped, rows, catalogue, settled, limits, whole=all_or_none
        )
        await self._check_affordable(group, catalogue.terms)
        wanted = [
            replace(common, models=models, limits=own)
            for models, own in zip(group.models, group.limits, strict=True)
        ]
        batch = await self._orders.sign_batch(wanted, group.columns())
        followed = {
            order.id: _Followed(order) for order in await asyncio.to_thread(placed_batch, batch)
        }
        orders = [each.order for each in followed.values()]
        name = batch.id.hex()
        async with aclosing(self._market.place_batch(batch, orders)) as news:
            async for events in news:
                await self._take(events, followed)
                on_news(_progress(name, followed.values()))
                if not any(each.is_open for each in followed.values()):
                    break
        return BatchResult(
            id=name,
            orders=tuple(
                BatchOrder(
                    status=each.status(catalogue.names),
                    awards=tuple(Award(self, award) for award in each.awards.values()),
                )
                for each in followed.values()
            ),
            money_most=group.money_most,
            currency=catalogue.terms.currency,
            order_of_row=group.term,
        )

    async def _check_affordable(self, group: Grouped, terms: MarketTerms) -> None:
        """See what the market would refuse anyway, before a long message is sent."""
        rows, most = len(group.term), terms.orders_open_max
        if rows > most:
            problem = f"{rows} rows, this market takes {most} open orders of one buyer"
            raise InvalidValue("rows", problem)
        account = await self.account()
        free = account.balance if account is not None else 0
        if group.money_most > free:
            needed, has = format_money(group.money_most), format_money(free)
            detail = f"needed {needed}, free {has} {terms.currency}"
            raise InsufficientFunds(AdmissionReason.INSUFFICIENT_FUNDS, detail)

    async def _take(
        self, events: Iterable[OrderEvent], followed: Mapping[bytes, _Followed]
    ) -> None:
        """Take in news: check and keep what was awarded, and note where the orders stand."""
        news = []
        for event in events:
            check_admitted(event)
            if event.order in followed:
                news.append(event)
        granted = ((one, followed[event.order].order) for event in news for one in event.granted)
        for award in await self._orders.keep(granted):
            followed[award.award.order].awards[award.id] = award
        for event in news:
            each = followed[event.order]
            check_total(each.order, each.awards.values())
            each.told(event)


def _progress(batch: str, followed: Iterable[_Followed]) -> BatchProgress:
    known = list(followed)
    lots = sum(each.order.lots for each in known)
    return BatchProgress(
        id=batch,
        orders=len(known),
        orders_open=sum(each.is_open for each in known),
        lots=lots,
        lots_awarded=lots - sum(each.lots_open for each in known),
        awards=sum(len(each.awards) for each in known),
    )
