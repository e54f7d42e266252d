"""The book: live offers and open orders, and the frozen snapshot of both that a round clears.

Offers are soft state: nodes repeat them, and after a restart the book fills again by itself.
Orders are rows of the database; the book holds what clearing needs of them. The book has one
owner, is changed by synchronous calls only, and knows neither money nor signatures.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from swatow_protocol.messages import Model, Offer, OrderTerms
from swatow_protocol.messages.answers import OFFERS_LISTED_MAX

OFFERS_MAX = OFFERS_LISTED_MAX
"""Offers in the book: what can be listed. A further one is rejected as TOO_MANY."""


@dataclass(frozen=True, slots=True)
class BookOffer:
    """A live offer, as clearing sees it."""

    id: bytes
    offer: Offer
    envelope: bytes
    lots_out: int = 0
    """Lots of this node and model that open awards still hold."""
    reputation: int | None = None
    """This market's estimate of the node, 0 to 1,000; None is unknown."""

    def steps_left(self) -> list[tuple[int, int]]:
        """Return (price, lots) steps that are still free: open awards use the cheapest first."""
        used, left = self.lots_out, []
        for step in self.offer.steps:
            taken = min(used, step.lots)
            used -= taken
            if step.lots > taken:
                left.append((step.price, step.lots - taken))
        return left


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An open order, as clearing sees it."""

    id: bytes
    buyer: bytes
    terms: OrderTerms
    lots: int
    """Lots still open."""
    carried: bool = False
    """It was in the book in an earlier round, and goes first among equals."""

    @property
    def limit_price(self) -> int:
        """The most it pays for any of its models."""
        return max(limit.price for limit in self.terms.models)


@dataclass(frozen=True, slots=True)
class Path:
    """From a buyer's zone to a node's zone."""

    round_trip_ms: int | None = None
    """None is not measured, and fails an order that limits it."""
    charge: int = 0
    """Nanos a lot for the carriers."""


@dataclass(frozen=True, slots=True)
class NetworkMap:
    """The paths that the operator has stated; any other costs nothing and is not measured."""

    paths: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    def path(self, origin: str | None, zone: str) -> Path:
        """Return the path from origin to zone, either of which may be unknown."""
        return self.paths.get((origin, zone), _UNKNOWN_PATH) if origin else _UNKNOWN_PATH


_UNKNOWN_PATH = Path()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a round depends on; the same snapshot gives the same outcome anywhere."""

    offers: tuple[BookOffer, ...]
    """By id."""
    orders: tuple[BookOrder, ...]
    """By id."""
    models: Mapping[bytes, Model]
    network_map: NetworkMap
    salt: bytes
    """Decides ties that quantity cannot; known to nobody before the round closes."""


class Book:
    """Live offers by (node, model), open orders by id."""

    def __init__(self) -> None:
        self._offers: dict[tuple[bytes, bytes], BookOffer] = {}
        self._orders: dict[bytes, BookOrder] = {}
        self._expected: dict[bytes, BookOrder] = {}  # being written, in no round yet
        self._open: Counter[bytes] = Counter()  # by buyer

    def offers(self) -> list[BookOffer]:
        """Return the live offers by id."""
        return sorted(self._offers.values(), key=lambda entry: entry.id)

    def offer_of(self, node: bytes, model: bytes) -> BookOffer | None:
        """Return the live offer of a node for a model."""
        return self._offers.get((node, model))

    def offers_count(self) -> int:
        """Count the live offers."""
        return len(self._offers)

    def put_offer(self, entry: BookOffer) -> None:
        """Add an offer; it takes the place of the node's older one for the model."""
        self._offers[entry.offer.sender, entry.offer.model] = entry

    def drop_expired_offers(self, now_us: int) -> None:
        """Forget offers whose validity is over."""
        live = {key: each for key, each in self._offers.items() if each.offer.expires_us > now_us}
        self._offers = live

    def order(self, order: bytes) -> BookOrder | None:
        """Return an open order."""
        return self._orders.get(order)

    def orders(self) -> list[BookOrder]:
        """Return the open orders by id."""
        return sorted(self._orders.values(), key=lambda entry: entry.id)

    def orders_count(self) -> int:
        """Count the open orders."""
        return len(self._orders)

    def expired_orders(self, now_us: int) -> list[bytes]:
        """Return the open orders whose time is over."""
        return [order for order, each in self._orders.items() if each.terms.expires_us <= now_us]

    def orders_of(self, buyer: bytes) -> int:
        """Count the open and the expected orders of a buyer."""
        return self._open[buyer]

    def put_order(self, entry: BookOrder) -> None:
        """Add an order."""
        self.drop_order(entry.id)
        self._orders[entry.id] = entry
        self._open[entry.buyer] += 1

    def expect_orders(self, entries: Iterable[BookOrder]) -> None:
        """Count new orders while they are being written; they are in no round yet."""
        for entry in entries:
            self._expected[entry.id] = entry
            self._open[entry.buyer] += 1

    def put_expected(self, entries: Iterable[BookOrder]) -> None:
        """Add orders that are written by now, but for those that were dropped meanwhile."""
        for entry in entries:
            if self._expected.pop(entry.id, None) is not None:
                self._orders[entry.id] = entry

    def drop_order(self, order: bytes) -> None:
        """Take out an order that has ended, or that is expected no more."""
        entry = self._orders.pop(order, None) or self._expected.pop(order, None)
        if entry is not None:
            self._open[entry.buyer] -= 1
            if not self._open[entry.buyer]:
                del self._open[entry.buyer]

    def carry_over(self, lots_open: Mapping[bytes, int]) -> None:
        """After a round: keep what is open, drop what is filled."""
        for order, lots in lots_open.items():
            entry = self._orders.get(order)
            if entry is not None and lots:
                self._orders[order] = replace(entry, lots=lots, carried=True)
            else:
                self.drop_order(order)

    def snapshot(
        self,
        *,
        models: Mapping[bytes, Model],
        network_map: NetworkMap,
        salt: bytes,
        lots_out: Mapping[tuple[bytes, bytes], int],
        orders: Iterable[BookOrder],
    ) -> Snapshot:
        """Freeze the live offers and these orders for one round."""
        offers = tuple(
            replace(entry, lots_out=lots_out.get((entry.offer.sender, entry.offer.model), 0))
            for entry in self.offers()
        )
        return Snapshot(
            offers=offers,
            orders=tuple(sorted(orders, key=lambda entry: entry.id)),
            models=models,
            network_map=network_map,
            salt=salt,
        )
