"""Batches of orders: from the columns of a signed message to orders with curves.

No row becomes an object: a hundred thousand of them are three arrays.
"""

import numpy as np
from numpy.typing import NDArray

from swatow_market.exchange.orders import BookOrder, Bools, Curve, Ints
from swatow_protocol import limits
from swatow_protocol.envelope import Signed, order_in_batch
from swatow_protocol.messages import OrderBatch, OrderTerms


def entries_of_batch(signed: Signed[OrderBatch]) -> list[BookOrder]:
    """Return the book's entries of a batch, one for each of its terms.

    Raises:
        ValueError: a column has the wrong length or a value outside its limits; names it.
    """
    batch = signed.message
    term, lots, price = _columns(batch)
    _check(term >= len(batch.terms), "term_column", term, f"there are {len(batch.terms)} terms")
    counts = np.bincount(term, minlength=len(batch.terms))
    _check(counts == 0, "terms", counts, "no row names them")
    whole = np.array([each.all_or_none for each in batch.terms], np.bool_)
    _check(whole & (counts > 1), "terms", counts, "one row may name what is all or none")
    allowed = f"allowed are 1 to {limits.LOTS_MAX}"
    _check((lots < 1) | (lots > limits.LOTS_MAX), "lots_column", lots, allowed)
    _check_prices(batch.terms, term, price)
    entries = []
    by_term = np.argsort(term, kind="stable")
    for number, rows in enumerate(np.split(by_term, np.cumsum(counts)[:-1])):
        total = int(lots[rows].sum())
        if total > limits.LOTS_MAX:
            raise ValueError(f"lots_column: {total} in all for terms[{number}], {allowed}")
        terms = batch.terms[number]
        top = max(limit.price for limit in terms.models) - terms.models[0].price
        curve = Curve(price[rows] + top, lots[rows])
        order = order_in_batch(signed.id, number)
        entries.append(BookOrder(order, batch.sender, terms, total, curve=curve))
    return entries


def _columns(batch: OrderBatch) -> tuple[Ints, Ints, Ints]:
    """Return (terms, lots, prices) of the rows."""
    count = len(batch.term_column) // 2
    return (
        _column(batch.term_column, "<u2", count, "term_column"),
        _column(batch.lots_column, "<u4", count, "lots_column"),
        _column(batch.price_column, "<i8", count, "price_column"),
    )


def _column(column: bytes, form: str, count: int, name: str) -> Ints:
    width = np.dtype(form).itemsize
    if len(column) != width * count:
        raise ValueError(f"{name}: {len(column)} bytes where {width * count} were expected")
    return np.frombuffer(column, form).astype(np.int64)


def _check_prices(terms: tuple[OrderTerms, ...], term: Ints, price: Ints) -> None:
    """Check the limit prices of all models, which keep their distances to the first one."""
    apart = [[limit.price - each.models[0].price for limit in each.models] for each in terms]
    least = price + np.array([min(each) for each in apart])[term]
    most = price + np.array([max(each) for each in apart])[term]
    given = np.where(least < 0, least, most)
    for row in np.flatnonzero((least < 0) | (most > limits.PRICE_MAX))[:1].tolist():
        raise ValueError(f"price_column[{row}] = {price[row]} gives a limit price of {given[row]}")


def _check(wrong: Bools, name: str, values: NDArray[np.int64], why: str) -> None:
    for row in np.flatnonzero(wrong)[:1].tolist():
        raise ValueError(f"{name}[{row}] = {values[row]}, {why}")
