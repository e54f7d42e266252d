"""What the optimum leaves open: ties, all-or-none orders, and what an unfilled order is told."""

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swatow_market.exchange.clearing import Outcome, clear
from swatow_market.exchange.clearing.fills import row_hash, share
from swatow_market.exchange.network_map import Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import Attributes, Limits, PaymentTerms
from swatow_protocol.messages.answers import LimitName
from tests.support.market_books import MODEL, OTHER, SALT, demand, snapshot, supply, unmet_of
from tests.support.samples import digest


def lots_of(outcome: Outcome, orders: Iterable[BookOrder]) -> list[int]:
    """Return what each order got."""
    lots: Counter[bytes] = Counter()
    for fill in outcome.fills:
        lots[fill.order] += fill.lots
    return [lots[order.id] for order in orders]


def shared(orders: list[BookOrder], lots: int, salt: bytes) -> dict[bytes, int]:
    """Share lots among orders of one price level; return order id -> lots."""
    hashes = [row_hash(order.id, 0, salt) for order in orders]
    wanted = np.array([order.lots for order in orders], np.int64)
    carried = np.array([order.carried for order in orders], np.bool_)
    whole = np.array([order.terms.all_or_none for order in orders], np.bool_)
    shares = share(wanted, carried, whole, hashes, lots).tolist()
    return dict(zip([order.id for order in orders], shares, strict=True))


class TestTies:
    def test_a_scarce_level_is_shared_in_proportion_to_quantity(self) -> None:
        orders = [demand("1", 60, 8), demand("2", 30, 8), demand("3", 10, 8)]
        outcome = clear(snapshot([supply("a", (3, 50))], orders))
        assert lots_of(outcome, orders) == [30, 15, 5]

    def test_a_better_limit_goes_before_any_share(self) -> None:
        orders = [demand("1", 40, 9), demand("2", 30, 8), demand("3", 30, 8)]
        outcome = clear(snapshot([supply("a", (3, 50))], orders))
        assert lots_of(outcome, orders) == [40, 5, 5]

    def test_carried_over_orders_go_first_among_equals(self) -> None:
        orders = [demand("1", 60, 8), demand("2", 30, 8, carried=True)]
        outcome = clear(snapshot([supply("a", (3, 50))], orders))
        assert lots_of(outcome, orders) == [20, 30]

    def test_having_waited_does_not_beat_a_better_limit(self) -> None:
        orders = [demand("1", 60, 9), demand("2", 30, 8, carried=True)]
        outcome = clear(snapshot([supply("a", (3, 50))], orders))
        assert lots_of(outcome, orders) == [50, 0]

    def test_carried_over_orders_share_in_proportion_too(self) -> None:
        orders = [
            demand("1", 60, 8, carried=True),
            demand("2", 20, 8, carried=True),
            demand("3", 90, 8),
        ]
        outcome = clear(snapshot([supply("a", (3, 40))], orders))
        assert lots_of(outcome, orders) == [30, 10, 0]

    def test_what_proportion_leaves_over_goes_by_largest_remainder(self) -> None:
        """Of 10 lots: 5.71, 2.86 and 1.43; the two lots left over go to .86 and .71."""
        orders = [demand("1", 8, 8), demand("2", 4, 8), demand("3", 2, 8)]
        outcome = clear(snapshot([supply("a", (3, 10))], orders))
        assert lots_of(outcome, orders) == [6, 3, 1]

    def test_equal_remainders_are_decided_by_the_salt(self) -> None:
        """Over many salts each of four equal orders wins: no id is a winning ticket."""
        orders = [demand(f"{number}", 5, 8) for number in range(4)]
        winners: Counter[int] = Counter()
        for number in range(64):
            book = snapshot([supply("a", (3, 1))], orders, salt=digest(f"salt {number}"))
            lots = lots_of(clear(book), orders)
            assert sorted(lots) == [0, 0, 0, 1]
            winners[lots.index(1)] += 1
        assert set(winners) == {0, 1, 2, 3}
        assert max(winners.values()) <= 32, "nobody wins half of the ties"

    @given(
        quantities=st.lists(st.integers(1, 50), min_size=1, max_size=8),
        carried=st.lists(st.booleans(), min_size=8, max_size=8),
        fraction=st.fractions(0, 1),
        salt=st.binary(min_size=1, max_size=32),
    )
    def test_shares_add_up_and_are_within_a_lot_of_proportion(
        self,
        quantities: list[int],
        carried: list[bool],
        fraction: Fraction,
        salt: bytes,
    ) -> None:
        orders = [
            demand(f"{number}", lots, 8, carried=each)
            for number, (lots, each) in enumerate(zip(quantities, carried, strict=False))
        ]
        lots = int(sum(quantities) * fraction)
        shares = shared(orders, lots, salt)
        assert sum(shares.values()) == lots
        for waited in (True, False):
            group = [order for order in orders if order.carried is waited]
            wanted = sum(order.lots for order in group)
            given_out = sum(shares[order.id] for order in group)
            for order in group:
                assert 0 <= shares[order.id] <= order.lots
                assert abs(shares[order.id] * wanted - order.lots * given_out) < wanted
        waited_for = sum(order.lots for order in orders if order.carried)
        assert sum(shares[each.id] for each in orders if each.carried) == min(lots, waited_for)

    @given(
        others=st.lists(st.integers(1, 30), max_size=5),
        lots=st.integers(2, 30),
        data=st.data(),
    )
    @settings(max_examples=200)
    def test_splitting_an_order_in_two_gains_at_most_a_lot(
        self, others: list[int], lots: int, data: st.DataObject
    ) -> None:
        first = data.draw(st.integers(1, lots - 1))
        supplied = data.draw(st.integers(1, lots + sum(others)))
        rest = [demand(f"other {number}", each, 8) for number, each in enumerate(others)]
        whole = demand("whole", lots, 8)
        halves = [demand("left", first, 8), demand("right", lots - first, 8)]
        one = shared([whole, *rest], supplied, SALT)
        two = shared([*halves, *rest], supplied, SALT)
        assert two[halves[0].id] + two[halves[1].id] <= one[whole.id] + 1

    def test_splitting_an_order_changes_no_price(self) -> None:
        offers = [supply("a", (3, 20)), supply("b", (5, 20))]
        rest = [demand("other", 25, 9), demand("more", 10, 6)]
        whole = clear(snapshot(offers, [demand("1", 12, 8), *rest]))
        split = clear(snapshot(offers, [demand("1", 5, 8), demand("2", 7, 8), *rest]))
        assert whole.node_prices == split.node_prices
        assert whole.welfare == split.welfare


class TestAllOrNone:
    def test_is_filled_whole_where_that_is_worth_it(self) -> None:
        order = demand("1", 6, 8, all_or_none=True)
        outcome = clear(snapshot([supply("a", (3, 4)), supply("b", (5, 4))], [order]))
        assert lots_of(outcome, [order]) == [6]
        assert {fill.price for fill in outcome.fills} == {5}
        assert outcome.passed_over == ()

    def test_gets_nothing_where_there_is_not_enough_and_is_listed(self) -> None:
        """3 of its 6 lots could be had far below its limit."""
        order = demand("1", 6, 8, all_or_none=True)
        outcome = clear(snapshot([supply("a", (3, 3))], [order]))
        assert outcome.fills == ()
        assert outcome.passed_over == (order.id,)
        assert unmet_of(outcome) == {order.id: (LimitName.CAPACITY,)}

    def test_does_not_take_lots_at_a_loss_to_be_whole(self) -> None:
        """The last 2 lots cost more than they are worth, though the whole would still be worth
        more than it costs: 6 x 8 > 4 x 1 + 2 x 9."""
        order = demand("1", 6, 8, all_or_none=True)
        outcome = clear(snapshot([supply("a", (1, 4)), supply("b", (9, 4))], [order]))
        assert outcome.fills == ()
        assert outcome.passed_over == (order.id,)

    def test_whoever_is_passed_over_leaves_the_lots_to_others(self) -> None:
        block = demand("block", 6, 8, all_or_none=True)
        plain = demand("plain", 2, 6)
        outcome = clear(snapshot([supply("a", (3, 5))], [block, plain]))
        assert lots_of(outcome, [block, plain]) == [0, 2]
        assert outcome.passed_over == (block.id,)

    def test_the_least_valuable_gives_way_first(self) -> None:
        dear, cheap = (
            demand("dear", 4, 9, all_or_none=True),
            demand("cheap", 4, 8, all_or_none=True),
        )
        outcome = clear(snapshot([supply("a", (3, 6))], [dear, cheap]))
        assert lots_of(outcome, [dear, cheap]) == [4, 0]
        assert outcome.passed_over == (cheap.id,)

    def test_of_two_that_are_filled_in_part_the_less_valuable_gives_way(self) -> None:
        """The cheap one wants all of the near node, the dear one a lot more than the far node
        has. Without the cheap one the near node can spare that lot; without the dear one the
        cheap one is as short as before."""
        near = supply("near", (1, 5), zone="cn-gd-shantou")
        far = supply("far", (1, 5), zone="cn-gz-guian")
        here = Limits(origin="sg", zones=("cn-gd",))
        first = demand("first", 3, 20, limits=here)
        cheap = demand("cheap", 5, 8, all_or_none=True, limits=here)
        dear = demand("dear", 6, 10, all_or_none=True, limits=Limits(origin="sg"))
        paths = {("sg", "cn-gd-shantou"): Path(charge=3), ("sg", "cn-gz-guian"): Path()}
        orders = [first, cheap, dear]
        outcome = clear(snapshot([near, far], orders, paths=paths))
        assert lots_of(outcome, orders) == [3, 0, 6]
        assert outcome.passed_over == (cheap.id,)

    def test_of_equal_limits_the_larger_that_fits_stays(self) -> None:
        """5 of 6 lots are worth more to both sides than 4."""
        sizes = {"too large": 7, "large": 5, "small": 4}
        orders = [demand(name, lots, 8, all_or_none=True) for name, lots in sizes.items()]
        outcome = clear(snapshot([supply("a", (3, 6))], orders))
        assert lots_of(outcome, orders) == [0, 5, 0]

    def test_at_its_own_limit_it_is_not_passed_over(self) -> None:
        """Nothing was to be gained at a price of 8; the other one sets it."""
        block, plain = demand("block", 3, 8, all_or_none=True), demand("plain", 8, 8)
        outcome = clear(snapshot([supply("a", (8, 5))], [block, plain]))
        assert lots_of(outcome, [block, plain]) == [0, 5]
        assert outcome.passed_over == ()

    def test_takes_nothing_from_others_at_its_price(self) -> None:
        """6 of 12 lots: half of the level is its, which is 3 lots, and it wants 6."""
        block, plain = demand("block", 6, 8, all_or_none=True), demand("plain", 6, 8)
        for large in (block, demand("block", 4, 8, all_or_none=True)):
            outcome = clear(snapshot([supply("a", (3, 6))], [large, plain]))
            assert lots_of(outcome, [large, plain]) == [0, 6]
        outcome = clear(snapshot([supply("a", (3, 8))], [block, plain]))
        assert lots_of(outcome, [block, plain]) == [0, 6]

    def test_is_served_whole_out_of_its_part_of_a_level(self) -> None:
        blocks = [demand(f"block {lots}", lots, 8, all_or_none=True) for lots in (2, 3, 4)]
        plain = demand("plain", 9, 8)
        outcome = clear(snapshot([supply("a", (3, 12))], [*blocks, plain]))
        assert lots_of(outcome, [*blocks, plain]) == [2, 0, 4, 6]
        assert outcome.passed_over == ()

    @given(
        orders=st.lists(
            st.tuples(st.integers(1, 30), st.booleans(), st.booleans()), min_size=1, max_size=8
        ),
        data=st.data(),
    )
    @settings(max_examples=200)
    def test_a_level_is_shared_to_the_last_lot_and_nobody_else_gets_less_than_its_part(
        self, orders: list[tuple[int, bool, bool]], data: st.DataObject
    ) -> None:
        rows = [
            demand(str(number), lots, 8, all_or_none=whole, carried=carried)
            for number, (lots, whole, carried) in enumerate(orders)
        ]
        lots = data.draw(st.integers(0, sum(order.lots for order in rows)))
        got = shared(rows, lots, SALT)
        assert sum(got.values()) == lots
        assert all(got[order.id] <= order.lots for order in rows)
        for carried in (True, False):
            alike = [order for order in rows if order.carried is carried]
            wanted = sum(order.lots for order in alike)
            here = min(lots, wanted)
            lots -= here
            assert sum(got[order.id] for order in alike) == here
            others = [order for order in alike if not order.terms.all_or_none]
            for order in others:
                assert got[order.id] >= here * order.lots // wanted
            cut = [o for o in alike if o.terms.all_or_none and 0 < got[o.id] < o.lots]
            assert len(cut) <= 1
            if cut:
                assert all(got[order.id] == order.lots for order in others)

    def test_below_the_price_is_not_passed_over(self) -> None:
        order = demand("1", 6, 2, all_or_none=True)
        outcome = clear(snapshot([supply("a", (9, 9))], [order]))
        assert outcome.passed_over == ()
        assert unmet_of(outcome) == {order.id: (LimitName.PRICE,)}

    def test_does_not_hold_up_the_price_of_the_others(self) -> None:
        """Prices are those of the round without it: 3, with lots to spare, and not its limit."""
        block, plain = demand("block", 9, 8, all_or_none=True), demand("plain", 2, 6)
        outcome = clear(snapshot([supply("a", (3, 5))], [block, plain]))
        assert {fill.price for fill in outcome.fills} == {3}


class TestSeveralModels:
    def test_each_model_is_paid_up_to_its_own_limit(self) -> None:
        """Scarce on both: the price of each model is pushed to the order's limit for it."""
        offers = [supply("a", (1, 2)), supply("b", (1, 3), model=OTHER)]
        order = demand("1", 9, models={MODEL: 10, OTHER: 6})
        outcome = clear(snapshot(offers, [order]))
        assert {(fill.offer, fill.lots, fill.price) for fill in outcome.fills} == {
            (offers[0].id, 2, 10),
            (offers[1].id, 3, 6),
        }
        assert outcome.welfare == 2 * (10 - 1) + 3 * (6 - 1)

    def test_an_order_of_two_models_leaves_the_scarce_one_to_who_needs_it(self) -> None:
        offers = [supply("a", (1, 3)), supply("b", (2, 3), model=OTHER)]
        either = demand("either", 3, models={MODEL: 9, OTHER: 9})
        only = demand("only", 3, 8)
        outcome = clear(snapshot(offers, [either, only]))
        assert {(fill.order, fill.offer) for fill in outcome.fills} == {
            (either.id, offers[1].id),
            (only.id, offers[0].id),
        }

    def test_the_order_of_the_models_in_an_order_does_not_matter(self) -> None:
        offers = [supply("a", (4, 3)), supply("b", (2, 3), model=OTHER)]
        there = demand("1", 4, models={MODEL: 9, OTHER: 6})
        back = demand("1", 4, models={OTHER: 6, MODEL: 9})
        assert clear(snapshot(offers, [there])) == clear(snapshot(offers, [back]))


NOTHING_STATED = Attributes()
SLOW = PaymentTerms(voucher_interval=16, credit_window=4_096)


class TestUnmet:
    @pytest.mark.parametrize("limit", [0, 2, 6, 7])
    def test_price(self, limit: int) -> None:
        """There are lots enough for it at 8, so its limit is what keeps it from them."""
        order = demand("1", 4, limit)
        outcome = clear(snapshot([supply("a", (8, 9))], [order]))
        assert unmet_of(outcome) == {order.id: (LimitName.PRICE,)}

    def test_capacity(self) -> None:
        order = demand("1", 4, 8)
        outcome = clear(snapshot([supply("a", (3, 1))], [order]))
        assert unmet_of(outcome) == {order.id: (LimitName.CAPACITY,)}

    def test_capacity_where_every_lot_is_out(self) -> None:
        order = demand("1", 4, 8)
        outcome = clear(snapshot([supply("a", (3, 1), out=1)], [order]))
        assert unmet_of(outcome) == {order.id: (LimitName.CAPACITY,)}

    @pytest.mark.parametrize("offers", [[], [supply("a", (3, 9), model=OTHER)]])
    def test_model(self, offers: list[BookOffer]) -> None:
        order = demand("1", 4, 8)
        assert unmet_of(clear(snapshot(offers, [order]))) == {order.id: (LimitName.MODEL,)}

    def test_one_limit(self) -> None:
        order = demand("1", 4, 8, limits=Limits(vendors=("nvidia",)))
        outcome = clear(snapshot([supply("a", (3, 9))], [order]))
        assert unmet_of(outcome) == {order.id: (LimitName.VENDORS,)}

    def test_the_offers_that_came_nearest_speak(self) -> None:
        """One offer fails two limits, another only one of them, a third another one."""
        order = demand("1", 4, 8, rate=500, limits=Limits(vendors=("ascend",)))
        offers = [
            supply("both", (3, 9), rate=400, attributes=NOTHING_STATED),
            supply("vendor", (3, 9), rate=500, attributes=NOTHING_STATED),
            supply("rate", (3, 9), rate=499),
        ]
        unmet = unmet_of(clear(snapshot(offers[:2], [order])))
        assert unmet == {order.id: (LimitName.VENDORS,)}
        unmet = unmet_of(clear(snapshot(offers, [order])))
        assert unmet == {order.id: (LimitName.RATE, LimitName.VENDORS)}

    def test_offers_of_the_wanted_model_speak_before_those_of_others(self) -> None:
        order = demand("1", 4, 8, rate=500, payment=SLOW)
        offers = [supply("a", (3, 9)), supply("b", (3, 9), model=OTHER)]
        unmet = unmet_of(clear(snapshot(offers, [order])))
        assert unmet == {order.id: (LimitName.RATE, LimitName.PAYMENT)}

    def test_filled_orders_are_told_nothing(self) -> None:
        orders = [demand("1", 4, 8), demand("2", 4, 2)]
        outcome = clear(snapshot([supply("a", (3, 9))], orders))
        assert list(unmet_of(outcome)) == [orders[1].id]
