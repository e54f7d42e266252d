"""One trader and a record: it sees that its order was treated as the rules say, or what was not."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.merkle import Tree
from swatow_market.exchange.certificate.publish import Recorded, publish_round
from swatow_market.exchange.certificate.trader import (
    NOWHERE,
    Doubt,
    Own,
    Paid,
    doubts,
    offer_leaf,
    order_leaf,
    segment_price,
)
from swatow_market.exchange.certificate.verify import judge
from swatow_market.exchange.clearing import Outcome, clear
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import Limits
from tests.support.market_books import MODEL, OTHER, Drawn, books, demand, snapshot, supply
from tests.support.market_records import ROUND


def recorded(book: Snapshot) -> tuple[Recorded, Outcome]:
    outcome = clear(book)
    return publish_round(ROUND, outcome), outcome


def own(book: Snapshot, outcome: Outcome, trees: Recorded, number: int) -> Own:
    """Return what the trader of this order knows, and what an honest market tells it."""
    order = book.orders[number]
    models = {entry.id: entry.offer.model for entry in book.offers}
    limits = {each.model: each.price for each in order.terms.models}
    segment = int(outcome.cleared.order_segment[number])
    return Own(
        order=order.id,
        rows=rows_of(order),
        all_or_none=order.terms.all_or_none,
        awards=tuple(
            Paid(fill.lots, fill.price, order.limit_price - limits[models[fill.offer]])
            for fill in outcome.fills
            if fill.order == order.id
        ),
        segment=segment if segment >= 0 else None,
        proof=trees.orders.proof(number),
    )


def rows_of(order: BookOrder) -> tuple[tuple[int, int], ...]:
    curve = order.curve
    if curve is None:
        return ((order.limit_price, order.lots),)
    return tuple(zip(curve.price.tolist(), curve.lots.tolist(), strict=True))


def every_trader(book: Snapshot) -> Iterator[tuple[Recorded, Own]]:
    trees, outcome = recorded(book)
    for number in range(len(book.orders)):
        yield trees, own(book, outcome, trees, number)


@given(books(all_or_none=True))
@settings(max_examples=150)
def test_every_trader_of_every_round_finds_it_right(drawn: Drawn) -> None:
    offers, orders, paths = drawn
    book = snapshot(offers, orders, paths=paths)
    trees, outcome = recorded(book)
    judgement = judge(trees.record)
    assert judgement.findings == ()
    for number in range(len(book.orders)):
        assert doubts(trees.record, own(book, outcome, trees, number)) == set()
    assert judgement.shortfall is not None
    assert judgement.shortfall.passed_over <= len(outcome.passed_over)
    assert trees.record.offers == trees.offers.head


# 6 lots at 20: a buys 3, b wants 5 whole or none and is passed over, c gets none, d has no offer,
# e buys 1 of the other model, for which it pays 4 less at most.
def the_book() -> Snapshot:
    orders: list[BookOrder] = [
        demand("a", 3, 50),
        demand("b", 5, 30, all_or_none=True),
        demand("c", 2, 10),
        demand("d", 2, 90, limits=Limits(zones=("sg",))),
        demand("e", 1, models={MODEL: 22, OTHER: 18}),
        demand("f", 2, 40, all_or_none=True),
    ]
    offers = [supply("n", (20, 6), zone="cn-gz-guian"), supply("o", (3, 4), model=OTHER)]
    return snapshot(offers, orders)


@pytest.fixture(scope="module")
def traders() -> dict[str, tuple[Recorded, Own]]:
    book = the_book()
    names = {demand(name, 1, 1).id: name for name in "abcdef"}
    return {
        names[order.id]: each for order, each in zip(book.orders, every_trader(book), strict=True)
    }


def test_what_traders_see(traders: dict[str, tuple[Recorded, Own]]) -> None:
    filled = {name: each.filled for name, (_, each) in traders.items()}
    assert filled == {"a": 3, "b": 0, "c": 0, "d": 0, "e": 1, "f": 2}
    for trees, each in traders.values():
        assert doubts(trees.record, each) == set()
        price = None if each.segment is None else segment_price(trees.record, each.segment)
        assert {award.price + award.handicap for award in each.awards} <= {price}
    trees, d = traders["d"]
    assert d.segment is None
    leaf = d.order + (2).to_bytes(8, "big") + b"\xff" * 8
    assert order_leaf(d.order, 2, None) == order_leaf(d.order, 2, NOWHERE) == leaf
    assert trees.offers.head == trees.record.offers
    assert offer_leaf(d.order, 258) == d.order + bytes([0] * 6 + [1, 2])


@pytest.mark.parametrize(
    ("name", "changes", "found"),
    [
        ("a", {"rows": ((50, 4),)}, {Doubt.NOT_IN_TREE, Doubt.LEFT_OUT}),
        ("c", {"segment": None}, {Doubt.NOT_IN_TREE}),
        ("d", {"segment": 0}, {Doubt.NOT_IN_TREE, Doubt.LEFT_OUT}),
        ("c", {"segment": 77}, {Doubt.NOT_IN_TREE}),
        ("c", {"order": bytes(32)}, {Doubt.NOT_IN_TREE}),
        ("a", {"rows": ((9, 3),)}, {Doubt.ABOVE_LIMIT}),
        ("a", {"awards": ()}, {Doubt.LEFT_OUT}),
        ("a", {"all_or_none": True}, {Doubt.MISSTATED}),
        ("b", {"rows": ((31, 5),)}, {Doubt.MISSTATED}),
        ("b", {"all_or_none": False}, {Doubt.MISSTATED}),
        ("f", {"awards": ()}, {Doubt.MISSTATED}),
        ("c", {"rows": ((99, 2),)}, {Doubt.LEFT_OUT}),
        ("c", {"rows": ((99, 2),), "all_or_none": True}, {Doubt.LEFT_OUT}),
    ],
)
def test_what_is_not_as_the_market_says_is_seen(
    traders: dict[str, tuple[Recorded, Own]],
    name: str,
    changes: dict[str, Any],
    found: set[Doubt],
) -> None:
    trees, each = traders[name]
    changed = replace(each, **changes)
    assert doubts(trees.record, changed) == found


def test_an_award_at_another_price_or_of_other_lots_is_seen(
    traders: dict[str, tuple[Recorded, Own]],
) -> None:
    trees, each = traders["e"]
    (award,) = each.awards
    for wrong, found in (
        (replace(award, price=award.price + 1), {Doubt.OTHER_PRICE}),
        (replace(award, price=award.price - 1), {Doubt.OTHER_PRICE}),
        (replace(award, handicap=award.handicap - 1), {Doubt.OTHER_PRICE}),
        (replace(award, price=30), {Doubt.OTHER_PRICE, Doubt.ABOVE_LIMIT}),
        (replace(award, lots=2), {Doubt.ABOVE_LIMIT}),
    ):
        assert doubts(trees.record, replace(each, awards=(wrong,))) == found
    trees, each = traders["f"]
    part = replace(each, awards=(replace(each.awards[0], lots=1),))
    assert doubts(trees.record, part) == {Doubt.IN_PART, Doubt.MISSTATED}
    trees, each = traders["d"]
    assert doubts(trees.record, replace(each, awards=(Paid(1, 20),))) == {Doubt.OTHER_PRICE}


def test_the_proof_of_another_order_shows_nothing(
    traders: dict[str, tuple[Recorded, Own]],
) -> None:
    trees, each = traders["a"]
    other = Tree([order_leaf(each.order, each.lots, each.segment)]).proof(0)
    for proof in (traders["c"][1].proof, other):
        assert Doubt.NOT_IN_TREE in doubts(trees.record, replace(each, proof=proof))
