"""Batches: columns of a signed message become orders with curves, or an error that names a row."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_market.exchange.batch import entries_of_batch
from swatow_market.exchange.orders import BookOrder
from swatow_protocol import limits
from swatow_protocol.envelope import Signed, content_id, order_in_batch, sign
from swatow_protocol.messages import ModelLimit, OrderBatch, OrderTerms
from swatow_protocol.messages.order import pack_columns
from tests.support import samples
from tests.support.market_books import MODEL, OTHER
from tests.support.samples import BUYER, digest


def two_models(first: int, second: int) -> OrderTerms:
    pairs = zip((MODEL, OTHER), (first, second), strict=True)
    return samples.terms(models=tuple(ModelLimit(model=m, price=price) for m, price in pairs))


def batch_of(rows: list[tuple[int, int, int]], *terms: OrderTerms) -> Signed[OrderBatch]:
    return sign(samples.order_batch(rows, terms=terms or (samples.terms(),)), BUYER)


def rows_of(entry: BookOrder) -> list[tuple[int, int]]:
    """Return (lots, limit price) of an order's rows."""
    assert entry.curve is not None
    return list(zip(entry.curve.lots.tolist(), entry.curve.price.tolist(), strict=True))


def test_rows_of_the_same_terms_are_one_order() -> None:
    signed = batch_of([(0, 5, 90_000), (1, 7, 80_000), (0, 6, 70_000)], *[samples.terms()] * 2)
    first, second = entries_of_batch(signed)
    assert rows_of(first) == [(5, 90_000), (6, 70_000)]
    assert rows_of(second) == [(7, 80_000)]
    assert [each.buyer for each in (first, second)] == [BUYER.key] * 2
    assert [each.id for each in (first, second)] == [order_in_batch(signed.id, n) for n in (0, 1)]
    assert len({signed.id, first.id, second.id}) == 3
    assert (first.lots, first.rows, first.limit_price) == (11, 2, 90_000)
    assert first.worth == 5 * 90_000 + 6 * 70_000


def test_the_id_of_an_order_is_the_hash_of_batch_and_terms() -> None:
    batch = digest("batch")
    assert order_in_batch(batch, 258) == content_id(batch + b"\x02\x01\x00\x00")


def test_a_rows_price_moves_all_limit_prices_alike() -> None:
    """The curve holds the highest of them; the distances stay with the terms."""
    (entry,) = entries_of_batch(batch_of([(0, 1, 60), (0, 1, 90), (0, 1, 0)], two_models(60, 100)))
    assert rows_of(entry) == [(1, 100), (1, 130), (1, 40)]
    assert entry.terms == two_models(60, 100)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ((1, 5, 100), r"term_column\[1\] = 1, there are 1 terms"),
        ((0, 0, 100), r"lots_column\[1\] = 0, allowed are 1 to 1000000"),
        ((0, 1_000_001, 100), r"lots_column\[1\] = 1000001, allowed are 1 to 1000000"),
        (
            (0, 999_996, 100),
            r"lots_column: 1000001 in all for terms\[0\], allowed are 1 to 1000000",
        ),
        ((0, 5, -1), r"price_column\[1\] = -1 "),
        ((0, 5, 10**12 + 1), r"price_column\[1\] = 1000000000001 "),
        ((0, 5, 39), r"price_column\[1\] = 39 gives a limit price of -1"),
    ],
)
def test_a_bad_value_names_column_row_and_limit(row: tuple[int, int, int], problem: str) -> None:
    signed = batch_of([(0, 5, 100), row], two_models(100, 60))
    with pytest.raises(ValueError, match=f"^{problem}"):
        entries_of_batch(signed)


def test_terms_that_no_row_names_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^terms\[1\] = 0, no row names them"):
        entries_of_batch(batch_of([(0, 5, 100)], *[samples.terms()] * 2))


@pytest.mark.parametrize("column", ["term_column", "lots_column", "price_column"])
@pytest.mark.parametrize("change", [lambda c: c + b"\0", lambda c: c[:-1], lambda c: c + c])
def test_columns_of_different_length_name_one_that_is_wrong(
    column: str, change: Callable[[bytes], bytes]
) -> None:
    whole = samples.order_batch()
    changed = msgspec.structs.replace(whole, **{column: change(getattr(whole, column))})
    with pytest.raises(ValueError, match=r"^(term|lots|price)_column: \d+ bytes where \d+ "):
        entries_of_batch(sign(changed, BUYER))


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.integers(1, 10**4), st.integers(60, 10**12 - 60)),
        max_size=20,
    )
)
def test_columns_come_back_as_they_were_packed(rows: list[tuple[int, int, int]]) -> None:
    rows = [*rows, (0, 1, 60), (1, 1, 60)]
    columns = pack_columns(rows)
    assert [len(column) // len(rows) for column in columns] == [2, 4, 8]
    entries = entries_of_batch(batch_of(rows, two_models(100, 60), two_models(60, 100)))
    for number, (entry, top) in enumerate(zip(entries, (0, 40), strict=True)):
        expected = [(lots, price + top) for term, lots, price in rows if term == number]
        assert rows_of(entry) == expected
        assert entry.worth == sum(lots * price for lots, price in expected)
        assert entry.worth <= limits.MONEY_MAX
