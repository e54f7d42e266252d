"""The book: one live offer for each node and model, open orders, and snapshots that stay put."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_market.exchange.book import Book, BookOffer, NetworkMap, Path
from swatow_protocol.messages import ModelLimit
from tests.support import samples
from tests.support.market_books import (
    MODEL,
    MODELS,
    OTHER,
    SALT,
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
    def test_are_found_counted_and_dropped(self) -> None:
        book = Book()
        first, second = demand("1", 5, 8), demand("2", 4, 8)
        same_buyer = dataclasses.replace(demand("3", 1, 8), buyer=first.buyer)
        for order in (first, second, same_buyer):
            book.put_order(order)
        assert book.order(first.id) == first
        assert book.order(digest("none")) is None
        assert [book.orders_of(each.buyer) for each in (first, second)] == [2, 1]
        assert book.orders_of(digest("nobody")) == 0
        assert book.orders() == sorted([first, second, same_buyer], key=lambda each: each.id)
        book.drop_order(first.id)
        book.drop_order(first.id)
        assert book.order(first.id) is None
        assert book.orders_of(first.buyer) == 1

    def test_that_are_expected_are_counted_and_in_no_round_before_they_are_put(self) -> None:
        book = Book()
        first, second = demand("1", 5, 8), demand("2", 4, 8)
        book.expect_orders([first, second])
        assert book.orders() == []
        assert [book.orders_of(each.buyer) for each in (first, second)] == [1, 1]
        book.drop_order(second.id)
        book.put_expected([first, second])
        assert book.orders() == [first], "what was dropped meanwhile does not come"
        assert [book.orders_of(each.buyer) for each in (first, second)] == [1, 0]

    def test_after_a_round_what_is_open_is_carried_and_what_is_filled_is_gone(self) -> None:
        book = Book()
        part, full, untouched = demand("part", 5, 8), demand("full", 4, 8), demand("late", 3, 8)
        for order in (part, full, untouched):
            book.put_order(order)
        book.carry_over({part.id: 2, full.id: 0, digest("dropped meanwhile"): 3})
        assert book.order(part.id) == dataclasses.replace(part, lots=2, carried=True)
        assert book.order(full.id) is None
        assert book.order(untouched.id) == untouched
        assert book.order(digest("dropped meanwhile")) is None

    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(("put", "drop", "carry")), st.integers(0, 5), st.integers(0, 2)
            ),
            max_size=40,
        )
    )
    def test_a_buyers_orders_are_counted_right_whatever_happens(
        self, steps: list[tuple[str, int, int]]
    ) -> None:
        """Six orders of two buyers, put again, dropped again, carried over in part or filled."""
        book, buyers = Book(), (digest("even"), digest("odd"))
        for step, number, lots in steps:
            order = dataclasses.replace(demand(f"{number}", 5, 8), buyer=buyers[number % 2])
            if step == "put":
                book.put_order(order)
            elif step == "drop":
                book.drop_order(order.id)
            else:
                book.carry_over({order.id: lots})
            for buyer in buyers:
                assert book.orders_of(buyer) == sum(each.buyer == buyer for each in book.orders())

    def test_the_limit_price_is_the_most_of_all_models(self) -> None:
        models = tuple(ModelLimit(model=each, price=price) for each, price in PRICES)
        order = dataclasses.replace(demand("1", 1, 8), terms=samples.terms(models=models))
        assert order.limit_price == 9


PRICES = ((MODEL, 6), (OTHER, 9))


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
            taken.append(
                book.snapshot(
                    models=MODELS,
                    network_map=NetworkMap(),
                    salt=SALT,
                    lots_out=lots_out,
                    orders=shuffle.sample(orders, 6),
                )
            )
        assert taken[1:] == taken[:-1]
        assert [entry.id for entry in taken[0].offers] == sorted(entry.id for entry in offers)
        assert [order.id for order in taken[0].orders] == sorted(order.id for order in orders)
        assert {entry.lots_out for entry in taken[0].offers if entry.id == offers[2].id} == {4}
        assert {entry.lots_out for entry in taken[0].offers if entry.id != offers[2].id} == {0}

    def test_stays_as_it_was_when_the_book_goes_on(self) -> None:
        book = Book()
        book.put_offer(supply("a", (3, 5)))
        book.put_order(demand("1", 5, 8))
        frozen = book.snapshot(
            models=MODELS,
            network_map=NetworkMap(),
            salt=SALT,
            lots_out={},
            orders=book.orders(),
        )
        before = (frozen.offers, frozen.orders)
        book.put_offer(dataclasses.replace(supply("a", (9, 9)), id=digest("newer")))
        book.carry_over({demand("1", 5, 8).id: 1})
        assert (frozen.offers, frozen.orders) == before
        assert frozen.orders[0].lots == 5

    def test_holds_the_orders_that_the_round_asked_for_and_no_others(self) -> None:
        book = Book()
        for number in range(3):
            book.put_order(demand(f"{number}", 5, 8))
        chosen = book.orders()[1:2]
        frozen = book.snapshot(
            models=MODELS, network_map=NetworkMap(), salt=SALT, lots_out={}, orders=chosen
        )
        assert list(frozen.orders) == chosen

    def test_counts_lots_out_afresh(self) -> None:
        """What a snapshot says of awards is what the database says, not an older round."""
        book = Book()
        book.put_offer(BookOffer(digest("offer"), samples.offer(), b"", lots_out=50))
        frozen = book.snapshot(
            models=MODELS, network_map=NetworkMap(), salt=SALT, lots_out={}, orders=()
        )
        assert frozen.offers[0].lots_out == 0


class TestPaths:
    def test_one_that_is_not_stated_costs_nothing_and_is_not_measured(self) -> None:
        network_map = NetworkMap({("sg", "cn-gd"): Path(round_trip_ms=40, charge=7)})
        assert network_map.path("sg", "cn-gd") == Path(40, 7)
        for origin, zone in (("cn-gd", "sg"), ("sg", "sg"), (None, "cn-gd"), ("sg", "cn-gd-x")):
            assert network_map.path(origin, zone) == Path(None, 0)
