"""Posted prices: how they move, and what a buyer that cannot wait takes at them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swatow_market.exchange import posted
from swatow_market.exchange.clearing import Unmet, clear
from swatow_market.exchange.eligibility import failed_limits
from swatow_market.exchange.network_map import NetworkMap, Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_market.exchange.posted import (
    STEP_MAX_PPM,
    STEP_MIN_PPM,
    Posted,
    PostedPrices,
    Purchase,
    Shelf,
    buy,
    moved,
)
from swatow_protocol.limits import LOTS_MAX, PRICE_MAX
from swatow_protocol.messages import LaterSupply, Limits
from tests.support import samples
from tests.support.market_books import MODEL, MODELS, OTHER, Drawn, books, demand, snapshot, supply
from tests.support.samples import LATER_US, digest

MILLION = 1_000_000

prices_st = st.integers(0, PRICE_MAX)
posted_st = st.builds(
    Posted, prices_st, st.integers(STEP_MIN_PPM, STEP_MAX_PPM), st.sampled_from((-1, 0, 1))
)


def bought(
    order: BookOrder,
    offers: Sequence[BookOffer],
    prices: PostedPrices | None = None,
    paths: dict[tuple[str, str], Path] | None = None,
) -> Purchase:
    """Buy from offers whose `lots_out` are out."""
    live = sorted(offers, key=lambda entry: entry.id)
    out = {(each.offer.sender, each.offer.model): each.lots_out for each in live}
    fresh = [replace(each, lots_out=0) for each in live]
    shelf = Shelf(tuple(fresh), MODELS, NetworkMap(paths or {}))
    return buy(order, shelf, out, prices or PostedPrices())


def taken(purchase: Purchase) -> list[tuple[bytes, int, int]]:
    """Return (offer, lots, node price) of each fill."""
    return [(fill.offer, fill.lots, fill.node_price) for fill in purchase.fills]


def posted_at(entry: BookOffer, price: int) -> PostedPrices:
    """Return prices of which one round has set the offer's, by selling all of it."""
    prices = PostedPrices()
    lots = sum(lots for _, lots in entry.steps_left())
    seen = snapshot([entry], [demand("dear", 2 * lots, price)])
    prices.settle(clear(seen))
    assert prices.price(entry) == price
    return prices


class TestMoving:
    @given(posted_st, st.integers(0, LOTS_MAX), st.integers(0, LOTS_MAX))
    def test_a_move_is_bounded_and_goes_toward_the_target(
        self, before: Posted, sold: int, left: int
    ) -> None:
        after = moved(before, sold, left)
        assert abs(after.price - before.price) * MILLION <= before.price * STEP_MAX_PPM
        assert 0 <= after.price <= PRICE_MAX
        assert STEP_MIN_PPM <= after.step_ppm <= STEP_MAX_PPM
        if sold > left:
            assert after.price >= before.price
            assert after.direction == 1
        elif sold < left:
            assert after.price <= before.price
            assert after.direction == -1
        else:
            assert after == before

    @given(posted_st, st.integers(1, LOTS_MAX))
    def test_a_step_halves_when_the_direction_changes_and_else_grows_back(
        self, before: Posted, lots: int
    ) -> None:
        up, down = moved(before, lots, 0), moved(before, 0, lots)
        for after, same in ((up, 1), (down, -1)):
            if before.direction == -same:
                assert after.step_ppm == max(STEP_MIN_PPM, before.step_ppm // 2)
            elif before.direction == same and before.step_ppm < STEP_MAX_PPM:
                assert before.step_ppm < after.step_ppm <= before.step_ppm * 9 // 8
            else:
                assert after.step_ppm == before.step_ppm

    def test_a_price_moves_an_eighth_at_first_if_all_or_nothing_is_taken(self) -> None:
        assert moved(Posted(80_000), 10, 0).price == 90_000
        assert moved(Posted(80_000), 0, 10).price == 70_000
        assert moved(Posted(80_000), 3, 1).price == 85_000, "half way from the target to all"

    def test_it_settles_where_a_constant_rate_oscillates(self) -> None:
        """Three quarters of what is left would be taken by buyers who give up at almost the same
        price. What they think of it does not change, so neither should the price, much."""

        def constant(before: Posted, sold: int, left: int) -> Posted:
            return moved(Posted(before.price), sold, left)

        for seed in range(10):
            shrinking, steady = swings(moved, seed), swings(constant, seed)
            assert shrinking < 0.03, "of the price, within the last forty intervals"
            assert steady > 0.10

    def test_after_it_has_settled_it_still_follows_what_buyers_pay(self) -> None:
        price = Posted(100_000)
        for level in (120_000, 60_000):
            for _ in range(200):
                price = moved(price, *((10, 0) if price.price <= level else (0, 10)))
            assert abs(price.price - level) < level // 20


def swings(move: Callable[[Posted, int, int], Posted], seed: int) -> float:
    """Return by which part the price goes up and down in the end, in a simulated market."""
    chance, price, seen = random.Random(seed), Posted(60_000), list[int]()
    for _ in range(240):
        limits = [chance.randint(99_000, 101_000) for _ in range(75)]
        sold = sum(limit >= price.price for limit in limits)
        price = move(price, sold, 100 - sold)
        seen.append(price.price)
    last = seen[-40:]
    return (max(last) - min(last)) / min(last)


class TestPrices:
    def test_an_offer_that_has_never_sold_is_posted_at_what_it_asks(self) -> None:
        prices = PostedPrices()
        assert prices.price(supply("a", (5, 10), (7, 10))) == 5
        assert prices.price(supply("a", (5, 10), (7, 10), out=10)) == 7
        assert prices.price(supply("a", (5, 10), (7, 10), out=20)) is None
        assert prices.cleared(supply("a", (5, 10))) is None

    def test_it_starts_from_the_last_round_in_which_lots_of_it_sold(self) -> None:
        offer = supply("a", (5, 10))
        prices = posted_at(offer, 9)
        assert prices.cleared(offer) == 9
        prices.settle(clear(snapshot([offer], [demand("poor", 1, 3)])))
        assert (prices.price(offer), prices.cleared(offer)) == (9, 9), "nothing was sold"
        prices.settle(clear(snapshot([offer], [demand("one", 1, 30)])))
        assert (prices.price(offer), prices.cleared(offer)) == (5, 5)

    def test_it_falls_to_what_the_node_asks_and_no_lower(self) -> None:
        offer = supply("a", (50_000, 10))
        prices, seen = posted_at(offer, 90_000), []
        for _ in range(20):
            prices.move([offer])
            seen.append(prices.price(offer) or 0)
        assert seen[0] == 78_750
        assert seen == sorted(seen, reverse=True)
        assert seen[-1] == 50_000

    def test_it_rises_where_more_than_the_target_is_taken(self) -> None:
        offer, prices = supply("a", (80_000, 10)), PostedPrices()
        prices.note(bought(demand("b", 10, 100_000), [offer], prices))
        prices.move([offer])
        assert prices.price(offer) == 90_000
        prices.note(bought(demand("b", 2, 100_000), [offer], prices))
        prices.note(bought(demand("b", 3, 100_000), [replace(offer, lots_out=2)], prices))
        prices.move([offer])
        assert prices.price(offer) == 90_000, "half of it went"

    def test_where_nothing_is_left_it_stays_while_somebody_asks(self) -> None:
        offer = supply("a", (50_000, 10))
        prices, gone = posted_at(offer, 80_000), replace(offer, lots_out=10)
        prices.note(bought(demand("b", 1, 100_000), [gone], prices))
        prices.move([offer])
        assert prices.price(offer) == 80_000
        prices.move([offer])
        assert prices.price(offer) == 70_000, "nobody asked"

    def test_a_renewed_offer_keeps_its_price_and_one_with_other_prices_does_not(self) -> None:
        offer = supply("a", (5, 10))
        prices = posted_at(offer, 9)
        renewed = replace(supply("a", (5, 30)), id=digest("renewed"))
        assert prices.price(renewed) == 9
        assert prices.price(supply("a", (6, 10))) == 6

    def test_an_offer_that_is_gone_is_forgotten(self) -> None:
        offer = supply("a", (5, 10))
        prices = posted_at(offer, 9)
        prices.move([])
        assert prices.price(offer) == 5


class TestBuying:
    def test_the_cheapest_delivered_lots_are_taken_and_equals_go_by_id(self) -> None:
        near, far = supply("near", (10, 5)), supply("far", (9, 5), zone="sg")
        paths = {("cn-gd-shantou", "sg"): Path(charge=3)}
        origin = Limits(origin="cn-gd-shantou")
        purchase = bought(demand("b", 7, 20, limits=origin), [near, far], paths=paths)
        assert taken(purchase) == [(near.id, 5, 10), (far.id, 2, 9)]
        assert [fill.price for fill in purchase.fills] == [10, 12]
        assert [fill.path_charge for fill in purchase.fills] == [0, 3]
        assert (purchase.unmet, purchase.cheapest) == (Unmet.NOTHING, 10)
        offers = [supply(name, (10, 5)) for name in "xyz"]
        first = min(offer.id for offer in offers)
        assert taken(bought(demand("b", 5, 20), offers)) == [(first, 5, 10)]

    def test_lots_of_several_steps_cost_the_dearest_step_that_is_touched(self) -> None:
        offer = supply("a", (5, 3), (8, 10))
        (fill,) = bought(demand("b", 4, 20), [offer]).fills
        assert (fill.lots, fill.node_price, fill.worth) == (4, 8, 80)
        (fill,) = bought(demand("b", 4, 20), [offer], posted_at(offer, 11)).fills
        assert (fill.lots, fill.node_price) == (4, 11)

    def test_what_is_left_of_an_offer_is_what_awards_do_not_hold(self) -> None:
        offer = supply("a", (5, 3), (8, 10), out=3)
        assert taken(bought(demand("b", 99, 20), [offer])) == [(offer.id, 10, 8)]

    def test_part_of_an_order_is_better_than_nothing_unless_it_says_otherwise(self) -> None:
        offer = supply("a", (5, 3), (8, 10))
        part = bought(demand("b", 9, 7), [offer])
        assert (taken(part), part.unmet) == ([(offer.id, 3, 5)], Unmet.PRICE)
        whole = bought(demand("b", 9, 7, all_or_none=True), [offer])
        assert (whole.fills, whole.sold, whole.unmet) == ((), (), Unmet.PRICE)
        assert whole.cheapest == 5
        assert bought(demand("b", 13, 8, all_or_none=True), [offer]).fills[0].lots == 13
        assert bought(demand("b", 14, 8, all_or_none=True), [offer]).unmet is Unmet.CAPACITY

    def test_it_says_what_keeps_the_order_from_being_filled(self) -> None:
        offer = supply("a", (5, 3))
        assert bought(demand("b", 1, 4), [offer]).unmet is Unmet.PRICE
        none_left = bought(demand("b", 1, 9), [replace(offer, lots_out=3)])
        assert (none_left.unmet, none_left.cheapest) == (Unmet.CAPACITY, None)
        nowhere = bought(demand("b", 1, 9, limits=Limits(zones=("us",))), [offer])
        assert nowhere.unmet is Unmet.ELIGIBILITY

    def test_an_offer_that_has_lots_only_later_has_none_now(self) -> None:
        later = supply("a", later=(LaterSupply(start_us=LATER_US, steps=samples.offer().steps),))
        assert bought(demand("b", 1, 9), [later]).unmet is Unmet.CAPACITY
        both = [later, supply("b", (5, 3))]
        assert taken(bought(demand("b", 3, 9), both)) == [(both[1].id, 3, 5)]

    def test_of_several_models_it_takes_where_it_gains_most(self) -> None:
        small, big = supply("small", (50, 5)), supply("big", (70, 5), model=OTHER)
        order = demand("b", 6, models={MODEL: 60, OTHER: 100})
        assert taken(bought(order, [small, big])) == [(big.id, 5, 70), (small.id, 1, 50)]
        part = bought(demand("b", 6, models={MODEL: 49, OTHER: 100}), [small, big])
        assert (taken(part), part.unmet) == ([(big.id, 5, 70)], Unmet.PRICE)

    def test_one_order_takes_of_so_many_offers_and_no_more(self) -> None:
        offers = [
            supply(str(number), (5, 1), (6, 1)) for number in range(posted.AWARDS_NOW_MAX + 9)
        ]
        purchase = bought(demand("b", LOTS_MAX, 9), offers)
        assert len(purchase.fills) == posted.AWARDS_NOW_MAX
        assert {fill.lots for fill in purchase.fills} == {2}
        assert purchase.unmet is Unmet.CAPACITY

    @given(books(all_or_none=True), st.data())
    def test_no_order_takes_what_is_not_left_or_pays_beyond_its_limit(
        self, drawn: Drawn, data: st.DataObject
    ) -> None:
        """Nor less than the node asks, or than is posted."""
        offers, orders, paths = drawn
        offers = list({(each.offer.sender, each.offer.model): each for each in offers}.values())
        prices = PostedPrices()
        for _ in range(data.draw(st.integers(0, 3))):
            prices.settle(clear(snapshot(offers, orders[:3], paths=paths)))
            prices.move(offers)
        network_map = NetworkMap(paths)
        out = {each.id: each.lots_out for each in offers}
        for order in orders:
            entries = [replace(each, lots_out=out[each.id]) for each in offers]
            by_id = {each.id: each for each in entries}
            before = {each.id: prices.price(each) for each in entries}
            purchase = bought(order, entries, prices, paths)
            assert sorted(taken(purchase)) == plainly(order, entries, prices, network_map)
            for fill in purchase.fills:
                entry = by_id[fill.offer]
                limits = {limit.model: limit.price for limit in order.terms.models}
                assert 0 < fill.lots <= sum(lots for _, lots in entry.steps_left())
                assert fill.price <= limits[entry.offer.model]
                charge = network_map.path(order.terms.limits.origin, entry.offer.zone).charge
                assert (fill.path_charge, fill.price) == (charge, fill.node_price + charge)
                assert fill.node_price == max(before[fill.offer] or 0, ask(entry, fill.lots))
                out[fill.offer] += fill.lots
            got = sum(fill.lots for fill in purchase.fills)
            assert got <= order.lots
            assert (got == order.lots) == (purchase.unmet is Unmet.NOTHING)
            assert not order.terms.all_or_none or got in (0, order.lots)
            prices.note(purchase)


def plainly(
    order: BookOrder, entries: Sequence[BookOffer], prices: PostedPrices, network_map: NetworkMap
) -> list[tuple[bytes, int, int]]:
    """Return what an order takes: lot by lot, each time the best of all that may serve it."""
    limits, top = {each.model: each.price for each in order.terms.models}, order.limit_price
    lots = []
    for entry in entries:
        if failed_limits(order, entry, MODELS[entry.offer.model], network_map):
            continue
        charge = network_map.path(order.terms.limits.origin, entry.offer.zone).charge
        for asked, free in entry.steps_left():
            price = max(asked, prices.price(entry) or 0)
            cost = price + charge + top - limits[entry.offer.model]
            lots += [(cost, entry.id, price)] * free
    best = [each for each in sorted(lots)[: order.lots] if each[0] <= top]
    if order.terms.all_or_none and len(best) < order.lots:
        return []
    found: dict[bytes, tuple[int, int]] = {}
    for _, offer, price in best:
        found[offer] = found.get(offer, (0, 0))[0] + 1, price
    return sorted((offer, *each) for offer, each in found.items())


def ask(entry: BookOffer, lots: int) -> int:
    """Return what the node asks for the dearest of so many of its next lots."""
    for price, free in entry.steps_left():
        lots -= free
        if lots <= 0:
            return price
    raise AssertionError("it has fewer")
