"""Rows of a batch as orders: nothing is lost, and the bounds of the protocol hold."""

from array import array
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow._batch import Grouped, OrderColumns, OrderRow, Rows, RowTerms, grouped
from swatow._market import Catalogue
from swatow.errors import InvalidRow, InvalidValue
from swatow_market.exchange.batch import entries_of_batch
from swatow_protocol import limits as bounds
from swatow_protocol.envelope import sign
from swatow_protocol.messages import Limits
from swatow_protocol.messages.order import pack_columns
from swatow_protocol.units import format_price
from tests.support import samples
from tests.support.samples import BUYER, MARKET

NAMES = ("model-one", "model-two", "model-three")
MODELS = {name: sign(samples.model(name=name), MARKET) for name in NAMES}
CATALOGUE = Catalogue(samples.market_terms(), MODELS)
NAME_OF = {signed.id: name for name, signed in MODELS.items()}
ANYWHERE, HERE = Limits(), Limits(zones=("cn-gd",))


def group(rows: Rows, *, settled: int | None = None, whole: bool = False) -> Grouped:
    return grouped(rows, CATALOGUE, settled, ANYWHERE, whole=whole)


def row(model: Any = "model-one", lots: int = 1, price: Any = "0.1", **more: Any) -> OrderRow:
    single = price if isinstance(model, str) else None
    return OrderRow(model=model, lots=lots, max_price=single, **more)


def asked(found: Grouped) -> Counter[Any]:
    """Return what the orders ask for, row by row: prices of all models, limits and lots."""
    rows: Counter[Any] = Counter()
    for term, lots, price in zip(found.term, found.lots, found.price, strict=True):
        models = found.models[term]
        shift = price - models[0].price
        prices = tuple((NAME_OF[limit.model], limit.price + shift) for limit in models)
        rows[prices, found.limits[term], lots] += 1
    return rows


prices = st.integers(0, bounds.PRICE_MAX)
row_of_one = st.builds(lambda name, price: {name: price}, st.sampled_from(NAMES), prices)
row_of_two = st.builds(
    lambda price, gap: {"model-one": price, "model-three": price + gap},
    st.integers(0, 1_000_000),
    st.sampled_from([0, 1, 50_000]),
)
drawn_rows = st.lists(
    st.tuples(
        row_of_one | row_of_two,
        st.integers(1, 50) | st.integers(1, bounds.LOTS_MAX),
        st.sampled_from([None, ANYWHERE, HERE]),
    ),
    min_size=1,
    max_size=40,
)


@given(drawn_rows, st.booleans())
def test_nothing_is_lost_and_the_market_takes_what_comes_out(rows: Any, whole: bool) -> None:
    given_rows = [
        OrderRow(
            model={name: format_price(price) for name, price in models.items()},
            lots=lots,
            limits=limits,
        )
        for models, lots, limits in rows
    ]
    found = group(given_rows, whole=whole)
    assert asked(found) == Counter(
        (tuple(models.items()), limits or ANYWHERE, lots) for models, lots, limits in rows
    )
    terms = tuple(
        samples.terms(models=models, limits=limits, all_or_none=whole)
        for models, limits in zip(found.models, found.limits, strict=True)
    )
    term, lots, price = found.columns()
    batch = samples.order_batch(terms=terms, term_column=term, lots_column=lots, price_column=price)
    entries = entries_of_batch(sign(batch, BUYER))
    assert sum(entry.worth for entry in entries) == found.money_most
    assert all(entry.lots <= bounds.LOTS_MAX for entry in entries)


@given(drawn_rows)
def test_rows_are_split_no_more_than_their_lots_ask_for(rows: Any) -> None:
    """Two neighbours of equal terms would together be more than one order takes."""
    found = group([row(lots=lots) for _, lots, _ in rows])
    totals = [0] * len(found.models)
    for term, lots in zip(found.term, found.lots, strict=True):
        totals[term] += lots
    assert max(totals) <= bounds.LOTS_MAX
    firsts = [found.lots[list(found.term).index(number)] for number in range(len(totals))]
    for before, first in zip(totals, firsts[1:], strict=False):
        assert before + first > bounds.LOTS_MAX


def test_equal_terms_are_one_order_with_the_limit_prices_of_its_dearest_row() -> None:
    found = group(
        [
            row(price="0.1", lots=3),
            row({"model-one": "0.1", "model-two": "0.3"}),
            row(price="0.2", lots=4),
            row({"model-one": "0.4", "model-two": "0.6"}),
            row(price="0.3", limits=HERE),
        ]
    )
    told = [[(NAME_OF[each.model], each.price) for each in models] for models in found.models]
    assert told == [
        [("model-one", 200_000)],
        [("model-one", 400_000), ("model-two", 600_000)],
        [("model-one", 300_000)],
    ]
    assert found.limits == (ANYWHERE, ANYWHERE, HERE)
    assert found.term.tolist() == [0, 1, 0, 1, 2]
    assert found.money_most == 3 * 100_000 + 300_000 + 4 * 200_000 + 600_000 + 300_000


def test_what_a_row_does_not_say_is_said_for_all() -> None:
    rows = [OrderRow(model="model-one", lots=1), OrderRow(model="model-one", lots=1, limits=HERE)]
    found = grouped(rows, CATALOGUE, 70_000, Limits(zones=("sg",)), whole=False)
    assert found.price.tolist() == [70_000, 70_000]
    assert found.limits == (Limits(zones=("sg",)), HERE)


def columns_of(rows: list[tuple[int, int, int]], *names: Any) -> OrderColumns:
    term, lots, price = pack_columns(rows)
    terms = [RowTerms(model=name) for name in names or ("model-one",)]
    return OrderColumns(terms=terms, term=term, lots=lots, price=price)


def test_columns_of_bytes_and_of_numbers_are_the_same_rows() -> None:
    rows = [(1, 5, 100_000), (0, 7, 80_000), (1, 2, 90_000)]
    packed = columns_of(rows, "model-one", {"model-two": "1", "model-one": "1.5"})
    term, lots, price = (list(column) for column in zip(*rows, strict=True))
    numbers = OrderColumns(
        terms=packed.terms, term=array("H", term), lots=array("I", lots), price=array("q", price)
    )
    found = group(packed)
    assert found == group(numbers)
    assert found.columns() == pack_columns(rows)
    assert [[each.price for each in models] for models in found.models] == [
        [80_000],
        [100_000, 600_000],
    ]
    assert found.money_most == 5 * 600_000 + 7 * 80_000 + 2 * 590_000


def test_columns_of_more_lots_than_an_order_has_are_split() -> None:
    most = bounds.LOTS_MAX
    found = group(columns_of([(0, most, 1), (0, 1, 2), (0, most - 1, 3), (0, 1, 4)]))
    assert found.term.tolist() == [0, 1, 1, 2]
    assert [models[0].price for models in found.models] == [1, 3, 4]


def test_rows_that_are_all_or_none_are_an_order_each() -> None:
    assert group([row()] * 3, whole=True).term.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        (row("gpt"), "model"),
        (row({}), "model"),
        (row(price="dear"), "max_price"),
        (row(price=None), "max_price"),
        (row({"model-one": "dear"}), "max_price"),
        (row(lots=0), "lots"),
        (row(lots=bounds.LOTS_MAX + 1), "lots"),
        (row(lots=1.5), "lots"),  # type: ignore[arg-type]
        (row(lots=True), "lots"),
        (row(price="1000000.000001"), "price"),
        (row({"model-one": "1", "model-two": "1000000.000001"}), "price"),
    ],
)
def test_a_row_that_cannot_be_is_named(wrong: OrderRow, column: str) -> None:
    with pytest.raises(InvalidRow, match=rf"^rows\[1\]\.{column}: ") as error:
        group([row(), wrong])
    assert (error.value.row, error.value.column) == (1, column)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], r"rows: there are none"),
        ([row()] * (bounds.BATCH_ORDERS_MAX + 1), r"rows: a batch takes 100000"),
        (columns_of([(0, 1, 1)] * (bounds.BATCH_ORDERS_MAX + 1)), r"rows: 100001 rows"),
        (
            [row(limits=Limits(reputation=number % 1_000, carbon_mg_per_lot=number))
             for number in range(bounds.BATCH_TERMS_MAX + 1)],
            r"rows: they are 1025 orders, a batch takes 1024",
        ),
        (columns_of([(0, bounds.LOTS_MAX, 1)] * 1_025), r"rows: they are 1025 orders"),
        (columns_of([(1, 1, 1)]), r"rows\[0\]\.term: 1 is outside 0 to 0"),
        (columns_of([(0, 1, 1), (0, 0, 1)]), r"rows\[1\]\.lots: 0 is outside 1 to 1000000"),
        (columns_of([(0, 1, -1)]), r"rows\[0\]\.price: -1 is outside 0 to"),
        (
            columns_of([(0, 1, 4)], {"model-one": "0.000005", "model-two": "0"}),
            r"rows\[0\]\.price: 4 is outside 5 to",
        ),
        (columns_of([(0, 1, 1)], "model-one", "model-two"), r"terms\[1\]: no row names them"),
        (columns_of([(0, 1, 1)], "gpt"), r"terms\[0\]\.model: the market does not list"),
        (
            OrderColumns(terms=[], term=b"", lots=b"", price=b""),
            r"terms: 0 terms, a batch takes 1 to 1024",
        ),
        (
            OrderColumns(terms=[RowTerms(model="model-one")], term=b"", lots=b"", price=b""),
            r"terms\[0\]: no row names them",
        ),
        (
            OrderColumns(
                terms=[RowTerms(model="model-one")], term=bytes(4), lots=bytes(4), price=bytes(16)
            ),
            r"rows: the columns are not of equal length: 2 term, 1 lots, 2 price",
        ),
        (
            OrderColumns(
                terms=[RowTerms(model="model-one")], term=bytes(3), lots=bytes(4), price=bytes(8)
            ),
            r"term: 3 bytes are no whole numbers of 16 bits",
        ),
        (
            OrderColumns(
                terms=[RowTerms(model="model-one")],
                term=array("H", [0]),
                lots=array("Q", [1]),
                price=array("q", [1]),
            ),
            r"lots: array\('Q'\) where array\('I'\) was expected",
        ),
        (
            OrderColumns(
                terms=[RowTerms(model="model-one")],
                term=array("h", [0]),
                lots=array("I", [1]),
                price=array("q", [1]),
            ),
            r"term: array\('h'\) where",
        ),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_is_an_error_that_names_the_bound(rows: Rows, problem: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{problem}"):
        group(rows)


def test_a_machine_of_the_other_byte_order_signs_the_same_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There, what is little-endian is turned on the way in and on the way out."""
    rows = [(0, 5, 100_000), (0, 7, 80_000)]
    found = group(columns_of(rows))
    monkeypatch.setattr("swatow._batch.sys.byteorder", "big")
    term, lots, price = turned = [each[:] for each in (found.term, found.lots, found.price)]
    numbers = Grouped(found.models, found.limits, term, lots, price, found.money_most)
    for each in turned:
        each.byteswap()
    assert numbers.columns() == pack_columns(rows)
