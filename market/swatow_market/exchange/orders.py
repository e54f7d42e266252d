"""Open orders, one by one as they come to the book, and in columns as rounds take them.

An order has one limit price, or, out of a batch, a curve: many quantities, each with a limit price
of its own, under the same terms. In columns a hundred thousand rows are a handful of arrays.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from swatow_market.exchange.signature import Signature, signature
from swatow_protocol.messages import OrderTerms

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Quantities under the same terms, each with its limit price."""

    price: Ints
    """(k,) Most for a lot of any of the order's models, in nanos."""
    lots: Ints
    """(k,) Lots still open; zero where all are filled."""

    def __eq__(self, other: object) -> bool:
        """Two curves are equal if they ask for the same, row by row."""
        if not isinstance(other, Curve):
            return NotImplemented
        return np.array_equal(self.price, other.price) and np.array_equal(self.lots, other.lots)

    __hash__ = None  # type: ignore[assignment]  # arrays change what they hold


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An open order, as clearing sees it."""

    id: bytes
    buyer: bytes
    terms: OrderTerms
    """Of an order with a curve, the distances between its models' limit prices count, and the
    prices themselves do not."""
    lots: int
    """Lots still open, in all."""
    carried: bool = False
    """It was in the book in an earlier round, and goes first among equals."""
    curve: Curve | None = None

    @property
    def limit_price(self) -> int:
        """The most it pays for any lot of any of its models."""
        if self.curve is not None:
            return int(self.curve.price.max())
        return max(limit.price for limit in self.terms.models)

    @property
    def rows(self) -> int:
        """Quantities that have a limit price of their own."""
        return 1 if self.curve is None else len(self.curve.price)

    @property
    def worth(self) -> int:
        """What its open lots cost if each costs its limit price: nanos."""
        if self.curve is None:
            return self.lots * self.limit_price
        return int(self.curve.price @ self.curve.lots)  # LOTS_MAX x PRICE_MAX at most: fits int64


@dataclass(frozen=True, slots=True, eq=False)
class OrderColumns(Sequence[BookOrder]):
    """n orders of r open rows, frozen. As a sequence: the orders as they stand now."""

    entries: tuple[BookOrder, ...]
    """(n) Who asks and on which terms; what is open of them is said by the columns."""
    terms: tuple[OrderTerms, ...]
    """(g) Terms of one order of each signature."""
    signature: Ints
    """(n,) Place in `terms`."""
    carried: Bools
    """(n,)"""
    told: Ints
    """(n,) What its buyer was told last, as a number of whoever tells; 0 is nothing yet."""
    expires_us: Ints
    """(n,)"""
    deadline_us: Ints
    """(n,) Any period that ends by then will do; 0 is none but now."""
    start: Ints
    """(n + 1,) Rows of each order."""
    price: Ints
    """(r,) Most for a lot, in nanos."""
    lots: Ints
    """(r,) Open lots; above zero."""
    row: Ints
    """(r,) Place in the order's curve."""

    @classmethod
    def of(cls, orders: Iterable[BookOrder]) -> "OrderColumns":
        """Put orders into columns."""
        return Signatures().columns(list(orders))

    def __len__(self) -> int:
        """Return n."""
        return len(self.entries)

    def __iter__(self) -> Iterator[BookOrder]:
        """Yield the orders as they stand."""
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> BookOrder:  # type: ignore[override]
        """Return an order as it stands."""
        entry = self.entries[number]
        rows = slice(self.start[number], self.start[number + 1])
        curve = entry.curve
        if curve is not None:
            left = np.zeros(len(curve.lots), np.int64)
            left[self.row[rows]] = self.lots[rows]
            curve = Curve(curve.price, left)
        lots, carried = int(self.lots[rows].sum()), bool(self.carried[number])
        return replace(entry, lots=lots, carried=carried, curve=curve)

    @property
    def order(self) -> Ints:
        """(r,) Return the order of each row."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def totals(self, of_rows: Ints | Bools) -> Ints:
        """(n,) Add up what belongs to the rows of each order, or count those that hold."""
        running = starts(of_rows)
        totals: Ints = running[self.start[1:]] - running[self.start[:-1]]
        return totals

    def by_id(self) -> "OrderColumns":
        """Return the orders by id: the same columns in whatever order they came."""
        ids = b"".join(entry.id for entry in self.entries)
        first = np.frombuffer(ids, ">u8").reshape(len(self), -1)[:, 0] if ids else np.zeros(0)
        order = np.argsort(first, kind="stable")
        if (first[order][1:] == first[order][:-1]).any():
            order = np.array(sorted(range(len(self)), key=lambda each: self.entries[each].id))
        return self if (order[1:] > order[:-1]).all() else self.take(order)

    def only(self, kept: Bools) -> "OrderColumns":
        """Return those orders that are `kept` (n,)."""
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def take(self, numbers: Ints) -> "OrderColumns":
        """Return these orders, in this order."""
        sizes = np.diff(self.start)[numbers]
        start = starts(sizes)
        rows = np.arange(start[-1]) + np.repeat(self.start[numbers] - start[:-1], sizes)
        return OrderColumns(
            entries=tuple(map(self.entries.__getitem__, numbers.tolist())),
            terms=self.terms,
            signature=self.signature[numbers],
            carried=self.carried[numbers],
            told=self.told[numbers],
            expires_us=self.expires_us[numbers],
            deadline_us=self.deadline_us[numbers],
            start=start,
            price=self.price[rows],
            lots=self.lots[rows],
            row=self.row[rows],
        )

    def less(self, filled: Ints) -> "OrderColumns":
        """Return the orders without the lots that are `filled` (r,), and without those filled."""
        left = self.lots - filled
        kept = left > 0
        open_rows = self.totals(kept)
        stays = open_rows > 0
        return replace(
            self,
            entries=tuple(compress(self.entries, stays.tolist())),
            signature=self.signature[stays],
            carried=self.carried[stays],
            told=self.told[stays],
            expires_us=self.expires_us[stays],
            deadline_us=self.deadline_us[stays],
            start=starts(open_rows[stays]),
            price=self.price[kept],
            lots=left[kept],
            row=self.row[kept],
        )


class Signatures:
    """Numbers the signatures of orders, so that an order is looked at once, when it comes."""

    def __init__(self) -> None:
        self._numbers: dict[Signature, int] = {}
        self._terms: list[OrderTerms] = []

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._terms)

    def columns(self, orders: Sequence[BookOrder]) -> OrderColumns:
        """Put orders into columns, with all signatures known by now."""
        curves = [order.curve for order in orders]
        price = [
            _one(o.limit_price) if c is None else c.price
            for o, c in zip(orders, curves, strict=True)
        ]
        lots = [_one(o.lots) if c is None else c.lots for o, c in zip(orders, curves, strict=True)]
        sizes = np.array([len(each) for each in price], np.int64)
        columns = OrderColumns(
            entries=tuple(orders),
            terms=(),
            signature=np.array([self._number(order.terms) for order in orders], np.int64),
            carried=np.array([order.carried for order in orders], np.bool_),
            told=np.zeros(len(orders), np.int64),
            expires_us=np.array([order.terms.expires_us for order in orders], np.int64),
            deadline_us=np.array([order.terms.deadline_us or 0 for order in orders], np.int64),
            start=starts(sizes),
            price=joined(price),
            lots=joined(lots),
            row=np.arange(sizes.sum()) - np.repeat(starts(sizes)[:-1], sizes),
        )
        columns = replace(columns, terms=tuple(self._terms))
        return columns.less(np.zeros(len(columns.lots), np.int64))

    def _number(self, terms: OrderTerms) -> int:
        found = self._numbers.setdefault(signature(terms), len(self._terms))
        if found == len(self._terms):
            self._terms.append(terms)
        return found


def starts(sizes: Ints | Bools | Sequence[int]) -> Ints:
    """Return where each of several rows of these sizes starts, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])


def joined(parts: Iterable[Ints]) -> Ints:
    """Return the parts one after another; nothing for no parts."""
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _one(value: int) -> Ints:
    return np.array([value], np.int64)
