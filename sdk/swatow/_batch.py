"""Rows of a batch: grouped into orders of equal terms, in the columns that are signed.

Rows that ask for the same models, at the same distances between their limit prices, within the
same limits, are one order with many limit prices. Nothing here does I/O.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

from swatow._market import Catalogue
from swatow._wanted import Price, model_limits
from swatow.errors import InvalidRow, InvalidValue
from swatow_protocol import limits as bounds
from swatow_protocol.messages import Limits, ModelLimit

Ints: TypeAlias = "array[int]"  # at run time, only Python 3.12 takes an index there
Column: TypeAlias = "bytes | array[int]"
"""Numbers of one width, little-endian where they are bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One of many orders that are placed together."""

    model: str | Mapping[str, Price]
    """Name of the model; or several, each with the most that is paid for it."""
    lots: int
    """How many, of 1,000 standard tokens each."""
    max_price: Price | None = None
    """Most that is paid for a million standard tokens, for a single model."""
    limits: Limits | None = None
    """Hard limits on who may serve it; None for those of the whole batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTerms:
    """What rows have in common that come as columns."""

    model: str | Mapping[str, Price]
    """Name of the model; or several with prices whose distances to the first one's are kept."""
    limits: Limits | None = None
    """Hard limits on who may serve it; None for those of the whole batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderColumns:
    """Rows as columns of equal length, for machines that have them so: no object for each row."""

    terms: Sequence[RowTerms]
    """What rows have in common."""
    term: Column
    """16 bits a row, array('H') or bytes: which of `terms`; each has a row."""
    lots: Column
    """32 bits a row, array('I') or bytes: how many lots."""
    price: Column
    """64 bits a row, array('q') or bytes: the most for a lot of the first model, in nanos, which
    is millionths of a unit for a million standard tokens."""


Rows = Iterable[OrderRow] | OrderColumns
"""Rows of a batch, in either form."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows as orders: order t are the rows whose `term` is t, and nothing of them is lost."""

    models: tuple[tuple[ModelLimit, ...], ...]
    """Of each order, at the limit prices of its dearest row."""
    limits: tuple[Limits, ...]
    """Of each order."""
    term: Ints
    """'H': order of each row."""
    lots: Ints
    """'I': lots of each row."""
    price: Ints
    """'q': limit price of each row for the first model of its order."""
    money_most: int
    """Nanos: what all rows cost if each costs its limit price."""

    def columns(self) -> tuple[bytes, bytes, bytes]:
        """Return the columns term, lots and price as they are signed."""
        term, lots, price = (_little(each).tobytes() for each in (self.term, self.lots, self.price))
        return term, lots, price


@dataclass(slots=True)
class _Kind:
    """Rows of equal terms, before they are orders."""

    models: tuple[ModelLimit, ...]
    limits: Limits
    least: int = field(init=False)
    """Lowest limit price, counted from the first model's."""
    most: int = field(init=False)
    """Highest limit price, counted from the first model's."""

    def __post_init__(self) -> None:
        first = self.models[0].price
        self.least = min(limit.price for limit in self.models) - first
        self.most = max(limit.price for limit in self.models) - first


def grouped(
    rows: Rows, catalogue: Catalogue, settled: int | None, limits: Limits, *, whole: bool
) -> Grouped:
    """Return the orders that rows are.

    Args:
        rows: objects or columns.
        catalogue: what the market lists.
        settled: the limit price of a row with a single model and none of its own.
        limits: hard limits of rows that have none of their own.
        whole: each row is an order of its own, to be filled in one round or not at all.

    Raises:
        InvalidRow: a row cannot be; says which, and what of it.
        InvalidValue: there are no rows or too many, or columns do not fit each other.
    """
    if isinstance(rows, OrderColumns):
        kinds, columns = _of_columns(rows, catalogue, limits)
    else:
        kinds, columns = _of_rows(rows, catalogue, settled, limits)
    if not columns.term:
        raise InvalidValue("rows", "there are none")
    _check_prices(kinds, columns)
    kind_of, term = _split(columns, len(kinds), whole=whole)
    if len(kind_of) > bounds.BATCH_TERMS_MAX:
        problem = f"they are {len(kind_of)} orders, a batch takes {bounds.BATCH_TERMS_MAX}"
        raise InvalidValue("rows", problem)
    return _as_orders([kinds[number] for number in kind_of], replace(columns, term=term))


@dataclass(frozen=True, slots=True)
class _Columns:
    term: Ints
    lots: Ints
    price: Ints


def _of_rows(
    rows: Iterable[OrderRow], catalogue: Catalogue, settled: int | None, limits: Limits
) -> tuple[list[_Kind], _Columns]:
    """Number the distinct terms of rows; return them with the columns."""
    numbers: dict[object, int] = {}
    kinds: list[_Kind] = []
    columns = _Columns(array("Q"), array("q"), array("q"))
    for number, row in enumerate(rows):
        if number == bounds.BATCH_ORDERS_MAX:
            raise InvalidValue("rows", f"a batch takes {bounds.BATCH_ORDERS_MAX}")
        try:
            models = model_limits(catalogue, row.model, row.max_price, settled)
        except InvalidValue as error:
            raise InvalidRow(number, error.field, error.problem) from None
        first, own = models[0].price, limits if row.limits is None else row.limits
        what = (*((limit.model, limit.price - first) for limit in models), own)
        if what not in numbers:
            numbers[what] = len(kinds)
            kinds.append(_Kind(models, own))
        _check(number, "lots", row.lots, 1, bounds.LOTS_MAX)
        columns.term.append(numbers[what])
        columns.lots.append(row.lots)
        columns.price.append(first)
    return kinds, columns


def _of_columns(
    given: OrderColumns, catalogue: Catalogue, limits: Limits
) -> tuple[list[_Kind], _Columns]:
    """Return the terms of columns, and the columns as numbers of this machine."""
    if not 1 <= len(given.terms) <= bounds.BATCH_TERMS_MAX:
        problem = f"{len(given.terms)} terms, a batch takes 1 to {bounds.BATCH_TERMS_MAX}"
        raise InvalidValue("terms", problem)
    kinds = []
    for number, each in enumerate(given.terms):
        try:
            models = model_limits(catalogue, each.model, None, 0)
        except InvalidValue as error:
            raise InvalidValue(f"terms[{number}].{error.field}", error.problem) from None
        kinds.append(_Kind(models, limits if each.limits is None else each.limits))
    columns = _Columns(
        _numbers(given.term, "H", "term"),
        _numbers(given.lots, "I", "lots"),
        _numbers(given.price, "q", "price"),
    )
    rows = len(columns.term)
    if not len(columns.lots) == len(columns.price) == rows:
        lengths = f"{rows} term, {len(columns.lots)} lots, {len(columns.price)} price"
        raise InvalidValue("rows", f"the columns are not of equal length: {lengths}")
    if rows > bounds.BATCH_ORDERS_MAX:
        raise InvalidValue("rows", f"{rows} rows, a batch takes {bounds.BATCH_ORDERS_MAX}")
    for row, (term, lots) in enumerate(zip(columns.term, columns.lots, strict=True)):
        _check(row, "term", term, 0, len(kinds) - 1)
        _check(row, "lots", lots, 1, bounds.LOTS_MAX)
    for number in sorted(set(range(len(kinds))) - set(columns.term))[:1]:
        raise InvalidValue(f"terms[{number}]", "no row names them")
    return kinds, columns


def _check_prices(kinds: Sequence[_Kind], columns: _Columns) -> None:
    """Check the limit prices of all models, which keep their distances to the first one."""
    for row, (term, price) in enumerate(zip(columns.term, columns.price, strict=True)):
        kind = kinds[term]
        if price + kind.least < 0 or price + kind.most > bounds.PRICE_MAX:
            _check(row, "price", price, -kind.least, bounds.PRICE_MAX - kind.most)


def _split(columns: _Columns, kinds: int, *, whole: bool) -> tuple[list[int], Ints]:
    """Split the rows of each kind into orders of LOTS_MAX lots at most, or of one row.

    Returns:
        The kind of each order, and the order of each row.
    """
    if whole:
        return columns.term.tolist(), array("L", range(len(columns.term)))
    kind_of = list(range(kinds))
    latest = list(range(kinds))
    total = [0] * kinds
    term = array("L")
    for kind, lots in zip(columns.term, columns.lots, strict=True):
        if total[kind] + lots > bounds.LOTS_MAX:
            latest[kind] = len(kind_of)
            kind_of.append(kind)
            total[kind] = 0
        total[kind] += lots
        term.append(latest[kind])
    return kind_of, term


def _as_orders(kinds: Sequence[_Kind], columns: _Columns) -> Grouped:
    highest = [0] * len(kinds)
    money = 0
    for term, lots, price in zip(columns.term, columns.lots, columns.price, strict=True):
        highest[term] = max(highest[term], price)
        money += lots * (price + kinds[term].most)
    models = [
        tuple(
            ModelLimit(model=limit.model, price=limit.price - kind.models[0].price + first)
            for limit in kind.models
        )
        for kind, first in zip(kinds, highest, strict=True)
    ]
    return Grouped(
        models=tuple(models),
        limits=tuple(kind.limits for kind in kinds),
        term=array("H", columns.term),
        lots=array("I", columns.lots),
        price=array("q", columns.price),
        money_most=money,
    )


def _numbers(column: Column, code: str, name: str) -> Ints:
    """Return a column as numbers of this machine."""
    width = struct.calcsize(f"<{code}")
    if isinstance(column, array):
        if column.itemsize != width or column.typecode.isupper() != code.isupper():
            problem = f"array({column.typecode!r}) where array({code!r}) was expected"
            raise InvalidValue(name, problem)
        return column
    if len(column) % width:
        raise InvalidValue(name, f"{len(column)} bytes are no whole numbers of {8 * width} bits")
    return _little(cast("array[int]", array(code, column)))


def _little(numbers: Ints) -> Ints:
    """Turn numbers of this machine into little-endian ones, or back."""
    if sys.byteorder == "little":
        return numbers
    turned = numbers[:]
    turned.byteswap()
    return turned


def _check(row: int, column: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRow(row, column, f"{value!r} is no whole number")
    if not least <= value <= most:
        raise InvalidRow(row, column, f"{value} is outside {least} to {most}")
