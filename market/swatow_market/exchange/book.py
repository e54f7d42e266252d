"""The book: live offers and open orders, and the frozen snapshot of both that a round clears.

Offers are soft state: nodes repeat them, and after a restart the book fills again by itself.
Orders are rows of the database; the book holds what clearing needs of them. The book has one
owner, is changed by synchronous calls only, and knows neither money nor signatures.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.open_orders import OpenOrders
from swatow_market.exchange.orders import BookOrder, Ints, OrderColumns
from swatow_protocol.messages import Model
from swatow_protocol.messages.answers import OFFERS_LISTED_MAX

OFFERS_MAX = OFFERS_LISTED_MAX
"""Offers in the book: what can be listed. A further one is rejected as TOO_MANY."""
ROWS_MAX = 1_000_000
"""Rows of all open orders: what a round clears within its interval. More are TOO_MANY."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a round depends on; the same snapshot gives the same outcome anywhere."""

    offers: tuple[BookOffer, ...]
    """By id."""
    orders: OrderColumns
    models: Mapping[bytes, Model]
    network_map: NetworkMap
    salt: bytes
    """Decides ties that quantity cannot; known to nobody before the round closes."""
    periods: range = range(0)
    """When the later periods start for which there may be supply; its step is their length."""


class Book:
    """Live offers by (node, model), open orders by id."""

    def __init__(self) -> None:
        self._offers: dict[tuple[bytes, bytes], BookOffer] = {}
        self._first_end_us = 0  # no offer ends before this
        self._live: tuple[BookOffer, ...] | None = ()  # None is to be sorted anew
        self._orders = OpenOrders()
        self._expected: dict[bytes, BookOrder] = {}  # being written, in no round yet
        self._open: Counter[bytes] = Counter()  # rows by buyer

    @property
    def live(self) -> tuple[BookOffer, ...]:
        """Return the live offers by id: the same object for as long as they are the same."""
        if self._live is None:
            self._live = tuple(sorted(self._offers.values(), key=lambda entry: entry.id))
        return self._live

    def offers(self) -> list[BookOffer]:
        """Return the live offers by id."""
        return list(self.live)

    def offer_of(self, node: bytes, model: bytes) -> BookOffer | None:
        """Return the live offer of a node for a model."""
        return self._offers.get((node, model))

    def offers_count(self) -> int:
        """Count the live offers."""
        return len(self._offers)

    def put_offer(self, entry: BookOffer) -> None:
        """Add an offer; it takes the place of the node's older one for the model."""
        ends = entry.offer.expires_us
        self._first_end_us = min(self._first_end_us, ends) if self._offers else ends
        self._offers[entry.offer.sender, entry.offer.model] = entry
        self._live = None

    def drop_expired_offers(self, now_us: int) -> None:
        """Forget offers whose validity is over."""
        if now_us < self._first_end_us:
            return
        live = {key: each for key, each in self._offers.items() if each.offer.expires_us > now_us}
        if len(live) < len(self._offers):
            self._offers, self._live = live, None
        self._first_end_us = min((each.offer.expires_us for each in live.values()), default=0)

    def orders(self) -> OrderColumns:
        """Return the open orders as they stand, by id."""
        return self._orders.columns().by_id()

    def orders_count(self) -> int:
        """Count the open orders."""
        return len(self._orders)

    def rows_count(self) -> int:
        """Count the rows of all open and expected orders."""
        return self._open.total()

    def expired_orders(self, now_us: int) -> list[bytes]:
        """Return the open orders whose time is over."""
        return self._orders.expired(now_us)

    def rows_of(self, buyer: bytes) -> int:
        """Count the rows of the open and the expected orders of a buyer."""
        return self._open[buyer]

    def put_order(self, entry: BookOrder) -> None:
        """Add an order."""
        self.drop_order(entry.id)
        self._orders.put(entry)
        self._open[entry.buyer] += entry.rows

    def expect_orders(self, entries: Iterable[BookOrder]) -> None:
        """Count new orders while they are being written; they are in no round yet."""
        for entry in entries:
            self._expected[entry.id] = entry
            self._open[entry.buyer] += entry.rows

    def put_expected(self, entries: Iterable[BookOrder]) -> None:
        """Add orders that are written by now, but for those that were dropped meanwhile."""
        for entry in entries:
            if self._expected.pop(entry.id, None) is not None:
                self._orders.put(entry)

    def drop_order(self, order: bytes) -> None:
        """Take out an order that has ended, or that is expected no more."""
        entry = self._orders.drop(order) or self._expected.pop(order, None)
        if entry is not None:
            self._count_off(entry)

    def settle_round(self, columns: OrderColumns, filled: Ints, told: Ints) -> None:
        """After a round: keep what is open, drop what is filled (`OpenOrders.settle`)."""
        for entry in self._orders.settle(columns, filled, told):
            self._count_off(entry)

    def snapshot(
        self,
        *,
        models: Mapping[bytes, Model],
        network_map: NetworkMap,
        salt: bytes,
        lots_out: Mapping[tuple[bytes, bytes], int],
        lots_promised: Mapping[tuple[bytes, bytes, int], int] = MappingProxyType({}),
        periods: range = range(0),
    ) -> Snapshot:
        """Freeze the live offers and the open orders for one round.

        Args:
            models: by id.
            network_map: paths and corridors.
            salt: see Snapshot.
            lots_out: (node, model) -> lots that awards of now still hold.
            lots_promised: (node, model, start) -> lots that awards of a later period hold.
            periods: see Snapshot.
        """
        supply = self.supply(
            models=models,
            network_map=network_map,
            lots_out=lots_out,
            lots_promised=lots_promised,
            periods=periods,
        )
        return replace(supply, orders=self._orders.columns(), salt=salt)

    def supply(
        self,
        *,
        models: Mapping[bytes, Model],
        network_map: NetworkMap,
        lots_out: Mapping[tuple[bytes, bytes], int],
        lots_promised: Mapping[tuple[bytes, bytes, int], int] = MappingProxyType({}),
        periods: range = range(0),
    ) -> Snapshot:
        """Freeze the live offers alone, as `snapshot` does; the orders stay as they are."""
        promised: dict[tuple[bytes, bytes], dict[int, int]] = {}
        for (node, model, start_us), lots in lots_promised.items():
            promised.setdefault((node, model), {})[start_us] = lots
        offers = tuple(
            replace(
                entry,
                lots_out=lots_out.get((entry.offer.sender, entry.offer.model), 0),
                lots_promised=promised.get((entry.offer.sender, entry.offer.model), {}),
            )
            for entry in self.offers()
        )
        return Snapshot(
            offers=offers,
            orders=OrderColumns.of(()),
            models=models,
            network_map=network_map,
            salt=b"",
            periods=periods,
        )

    def _count_off(self, entry: BookOrder) -> None:
        self._open[entry.buyer] -= entry.rows
        if not self._open[entry.buyer]:
            del self._open[entry.buyer]
