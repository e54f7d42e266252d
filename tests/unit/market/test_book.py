"""The book: one live offer for each node and model, open orders, and snapshots that stay put."""

import dataclasses
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_market.exchange.book import Book, Snapshot
from swatow_market.exchange.network_map import NetworkMap, Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.open_orders import SIGNATURES_SPARE
from swatow_market.exchange.orders import BookOrder, OrderColumns
from swatow_protocol.messages import ModelLimit
from tests.support import samples
from tests.support.market_books import (
    MODEL,
    MODELS,
    OTHER,
    SALT,
    curved,
    demand,
    step_lists,
    supply,
)
from tests.support.samples import NOW_US, SECOND, digest


class TestOffers:
    def test_a_newer_one_takes_the_place_of_the_nodes_older_one_for_the_model(self) -> None:
        book = Book()
        first = supply("a", (3, 5))
        newer = dataclasses.replace(supply("a", (4, 5)), id=digest("newer"))
        other_model = dataclasses.replace(supply("a", (5, 5), model=OTHER), id=digest("other"))
        for entry in (first, other_model, newer):
            book.put_offer(entry)
        assert book.offer_of(digest("a"), MODEL) == newer
        assert book.offer_of(digest("a"), OTHER) == other_model
        assert book.offer_of(digest("b"), MODEL) is None
        assert book.offers_count() == 2
        assert book.offers() == sorted([newer, other_model], key=lambda each: each.id)

    def test_an_offer_does_not_exist_from_its_expiry_on(self) -> None:
        book = Book()
        book.put_offer(supply("short", (3, 5), expires_us=NOW_US + SECOND))
        book.put_offer(supply("long", (3, 5), expires_us=NOW_US + 2 * SECOND))
        book.drop_expired_offers(NOW_US + SECOND - 1)
        assert book.offers_count() == 2
        book.drop_expired_offers(NOW_US + SECOND)
        assert [entry.offer.sender for entry in book.offers()] == [digest("long")]

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 9))))
    def test_in_any_order_those_are_left_that_have_not_expired(
        self, done: list[tuple[str, int, int]]
    ) -> None:
        """Each puts a node's offer that ends then, and looks at a time."""
        book, live = Book(), dict[str, int]()
        for node, ends, now in done:
            book.put_offer(supply(node, (3, 5), expires_us=ends))
            live[node] = ends
            book.drop_expired_offers(now)
            live = {each: ends for each, ends in live.items() if ends > now}
            assert {entry.offer.sender for entry in book.offers()} == {digest(n) for n in live}

    @pytest.mark.parametrize(
        ("out", "left"),
        [
            (0, [(3, 5), (4, 2)]),
            (1, [(3, 4), (4, 2)]),
            (5, [(4, 2)]),
            (6, [(4, 1)]),
            (7, []),
            (100, []),
        ],
    )
    def test_open_awards_use_the_cheapest_steps_first(
        self, out: int, left: list[tuple[int, int]]
    ) -> None:
        assert supply("a", (3, 5), (4, 2), out=out).steps_left() == left

    @given(steps=step_lists(100, 20), out=st.integers(0, 80))
    def test_what_is_left_is_the_dear_end_of_the_steps(
        self, steps: list[tuple[int, int]], out: int
    ) -> None:
        lots = [price for price, count in steps for _ in range(count)]
        left = supply("a", *steps, out=out).steps_left()
        assert [price for price, count in left for _ in range(count)] == lots[out:]
        assert all(count > 0 for _, count in left)


class TestOrders:
    def test_are_counted_and_dropped(self) -> None:
        book = Book()
        first, second = demand("1", 5, 8), demand("2", 4, 8)
        same_buyer = dataclasses.replace(demand("3", 1, 8), buyer=first.buyer)
        for order in (first, second, same_buyer):
            book.put_order(order)
        assert [book.rows_of(each.buyer) for each in (first, second)] == [2, 1]
        assert book.rows_of(digest("nobody")) == 0
        assert list(book.orders()) == sorted([first, second, same_buyer], key=lambda each: each.id)
        book.drop_order(first.id)
        book.drop_order(first.id)
        assert first not in list(book.orders())
        assert book.rows_of(first.buyer) == 1
        assert (book.orders_count(), book.rows_count()) == (2, 2)

    def test_put_again_takes_the_place_of_the_one_before(self) -> None:
        book = Book()
        book.put_order(demand("1", 5, 8))
        book.orders()
        book.put_order(demand("1", 7, 9))
        assert list(book.orders()) == [demand("1", 7, 9)]

    def test_each_limit_price_of_an_order_is_counted(self) -> None:
        book = Book()
        book.put_order(curved("1", (5, 8), (6, 7)))
        book.put_order(demand("2", 5, 8))
        assert (book.orders_count(), book.rows_count()) == (2, 3)
        book.drop_order(curved("1", (5, 8)).id)
        assert book.rows_count() == 1

    def test_that_are_expected_are_counted_and_in_no_round_before_they_are_put(self) -> None:
        book = Book()
        first, second = demand("1", 5, 8), demand("2", 4, 8)
        book.expect_orders([first, second])
        assert book.orders_count() == 0
        assert [book.rows_of(each.buyer) for each in (first, second)] == [1, 1]
        book.drop_order(second.id)
        book.put_expected([first, second])
        assert list(book.orders()) == [first], "what was dropped meanwhile does not come"
        assert [book.rows_of(each.buyer) for each in (first, second)] == [1, 0]

    def test_whose_time_is_over_are_found(self) -> None:
        book = Book()
        book.put_order(demand("short", 5, 8, expires_us=NOW_US + SECOND))
        book.put_order(demand("long", 5, 8, expires_us=NOW_US + 2 * SECOND))
        assert book.expired_orders(NOW_US + SECOND - 1) == []
        assert book.expired_orders(NOW_US + SECOND) == [digest("order short")]

    def test_after_a_round_what_is_open_is_carried_and_what_is_filled_is_gone(self) -> None:
        book = Book()
        part, full = curved("part", (5, 8), (3, 6), (4, 7)), demand("full", 4, 8)
        for order in (part, full):
            book.put_order(order)
        taken = book.orders()
        late = demand("late", 3, 8)
        book.put_order(late)
        settle(book, taken, {part.id: [5, 0, 1], full.id: [4]})
        left = {order.id: order for order in book.orders()}
        assert left == {
            part.id: curved("part", (0, 8), (3, 6), (3, 7), carried=True),
            late.id: late,
        }
        assert book.rows_of(full.buyer) == 0
        taken = book.orders()
        settle(book, taken, {part.id: [3, 2]})
        assert [order.lots for order in book.orders() if order.id == part.id] == [1]

    def test_what_a_buyer_was_told_is_kept_with_its_order(self) -> None:
        book = Book()
        for number in range(3):
            book.put_order(demand(f"{number}", 5, 8))
        taken = book.orders()
        book.settle_round(taken, np.zeros(3, np.int64), np.array([1, 2, 3]))
        told = {entry.id: code for entry, code in pairs(book.orders())}
        assert told == {entry.id: code for code, entry in enumerate(taken.entries, 1)}

    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(("put", "drop", "fill", "take")),
                st.integers(0, 5),
                st.integers(1, 2),
            ),
            max_size=40,
        )
    )
    def test_is_what_a_plain_dictionary_would_be_whatever_happens(
        self, steps: list[tuple[str, int, int]]
    ) -> None:
        """Six orders of two buyers: put again, dropped again, filled in part or whole."""
        book, buyers = Book(), (digest("even"), digest("odd"))
        model: dict[bytes, BookOrder] = {}
        for step, number, lots in steps:
            order = dataclasses.replace(demand(f"{number}", 2, 8), buyer=buyers[number % 2])
            if step == "put":
                book.put_order(order)
                model[order.id] = order
            elif step == "drop":
                book.drop_order(order.id)
                model.pop(order.id, None)
            elif step == "fill":
                taken = book.orders()
                wanted = min(lots, model[order.id].lots) if order.id in model else 0
                settle(book, taken, {order.id: [wanted]} if wanted else {})
                model = {
                    key: dataclasses.replace(
                        each, lots=each.lots - wanted * (key == order.id), carried=True
                    )
                    for key, each in model.items()
                    if each.lots > wanted or key != order.id
                }
            expected = sorted(model.values(), key=lambda each: each.id)
            assert book.orders_count() == len(expected)
            if step == "take":
                assert list(book.orders()) == expected
            for buyer in buyers:
                assert book.rows_of(buyer) == sum(each.buyer == buyer for each in expected)

    def test_signatures_that_nobody_uses_are_forgotten(self) -> None:
        """A buyer who changes one limit again and again makes the market remember nothing."""
        book = Book()
        for number in range(3_000):
            book.put_order(demand(f"{number}", 5, 8, rate=number + 1))
            book.put_order(demand("kept", 5, 8, rate=7))
            if number % 2:
                book.drop_order(digest(f"order {number}"))
                book.drop_order(digest(f"order {number - 1}"))
            if number % 500 == 0:
                book.orders()
        (last,) = book.orders()
        assert last == demand("kept", 5, 8, rate=7)
        assert len(book.orders().terms) <= 2 + SIGNATURES_SPARE

    def test_the_limit_price_is_the_most_of_all_models(self) -> None:
        models = tuple(ModelLimit(model=each, price=price) for each, price in PRICES)
        order = dataclasses.replace(demand("1", 1, 8), terms=samples.terms(models=models))
        assert order.limit_price == 9


PRICES = ((MODEL, 6), (OTHER, 9))


def settle(book: Book, taken: OrderColumns, filled: dict[bytes, list[int]]) -> None:
    """End a round: `filled` has the lots of each open row of an order."""
    rows = [
        lots
        for number, entry in enumerate(taken.entries)
        for lots in filled.get(entry.id, [0] * int(taken.start[number + 1] - taken.start[number]))
    ]
    book.settle_round(taken, np.array(rows, np.int64), np.zeros(len(taken), np.int64))


def pairs(orders: OrderColumns) -> Iterator[tuple[BookOrder, int]]:
    return zip(orders.entries, orders.told.tolist(), strict=True)


class TestColumns:
    @given(st.permutations(range(6)))
    def test_by_id_they_are_the_same_in_whatever_order_they_came(self, order: list[int]) -> None:
        orders = [curved(f"{number}", (number + 1, 8), (2, 9)) for number in range(6)]
        columns = OrderColumns.of(orders[number] for number in order).by_id()
        assert list(columns) == sorted(orders, key=lambda each: each.id)

    def test_ids_that_begin_alike_are_still_in_order(self) -> None:
        ids = [bytes(8) + bytes([9]) * 24, bytes(8) + bytes([3]) * 24, bytes([1]) * 32]
        orders = [dataclasses.replace(demand("1", 5, 8), id=each) for each in ids]
        assert [each.id for each in OrderColumns.of(orders).by_id()] == sorted(ids)

    def test_equal_signatures_are_one(self) -> None:
        orders = [demand("1", 5, 8), demand("2", 5, 9), demand("3", 5, 9, rate=3)]
        columns = OrderColumns.of(orders)
        assert columns.signature.tolist() == [0, 0, 1]
        assert [each.rate for each in columns.terms] == [orders[0].terms.rate, 3]

    def test_what_is_filled_already_has_no_row(self) -> None:
        columns = OrderColumns.of([curved("1", (0, 8), (5, 7)), curved("2", (0, 3))])
        assert (columns.lots.tolist(), columns.row.tolist()) == ([5], [1])
        assert [entry.id for entry in columns.entries] == [digest("order 1")]

    def test_no_orders_are_no_rows(self) -> None:
        columns = OrderColumns.of([])
        assert len(columns.by_id()) == len(columns.order) == 0


def test_curves_are_equal_row_by_row() -> None:
    curve = curved("1", (5, 8)).curve
    assert curve == curved("2", (5, 8)).curve
    assert curve != curved("1", (5, 9)).curve
    assert curve != curved("1", (4, 8)).curve
    assert curve != 5


class TestSnapshots:
    def test_is_the_same_whatever_the_order_in_which_things_came_in(self) -> None:
        offers = [supply(f"{number}", (3, 5)) for number in range(6)]
        orders = [demand(f"{number}", 5, 8) for number in range(6)]
        lots_out = {(offers[2].offer.sender, MODEL): 4}
        taken = []
        for seed in range(4):
            book, shuffle = Book(), random.Random(seed)
            for entry in shuffle.sample(offers, 6):
                book.put_offer(entry)
            for order in shuffle.sample(orders, 6):
                book.put_order(order)
            frozen = frozen_of(book, lots_out)
            taken.append((frozen.offers, list(frozen.orders.by_id())))
        assert taken[1:] == taken[:-1]
        offers_taken, orders_taken = taken[0]
        assert [entry.id for entry in offers_taken] == sorted(entry.id for entry in offers)
        assert orders_taken == sorted(orders, key=lambda order: order.id)
        assert {entry.lots_out for entry in offers_taken if entry.id == offers[2].id} == {4}
        assert {entry.lots_out for entry in offers_taken if entry.id != offers[2].id} == {0}

    def test_stays_as_it_was_when_the_book_goes_on(self) -> None:
        book = Book()
        book.put_offer(supply("a", (3, 5)))
        book.put_order(demand("1", 5, 8))
        frozen = frozen_of(book)
        before = (frozen.offers, list(frozen.orders))
        book.put_offer(dataclasses.replace(supply("a", (9, 9)), id=digest("newer")))
        book.settle_round(frozen.orders, np.array([4]), np.array([1]))
        book.put_order(demand("2", 5, 8))
        book.orders()
        assert (frozen.offers, list(frozen.orders)) == before
        assert frozen.orders[0].lots == 5

    def test_counts_lots_out_afresh(self) -> None:
        """What a snapshot says of awards is what the database says, not an older round."""
        book = Book()
        book.put_offer(BookOffer(digest("offer"), samples.offer(), b"", lots_out=50))
        assert frozen_of(book).offers[0].lots_out == 0


def frozen_of(book: Book, lots_out: dict[tuple[bytes, bytes], int] | None = None) -> Snapshot:
    return book.snapshot(
        models=MODELS, network_map=NetworkMap(), salt=SALT, lots_out=lots_out or {}
    )


class TestPaths:
    def test_one_that_is_not_stated_costs_nothing_and_is_not_measured(self) -> None:
        network_map = NetworkMap({("sg", "cn-gd"): Path(round_trip_ms=40, charge=7)})
        assert network_map.path("sg", "cn-gd") == Path(40, 7)
        for origin, zone in (("cn-gd", "sg"), ("sg", "sg"), (None, "cn-gd"), ("sg", "cn-gd-x")):
            assert network_map.path(origin, zone) == Path(None, 0)
