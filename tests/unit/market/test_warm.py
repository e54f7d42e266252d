"""A round that begins where another one ended comes to the same bytes."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.publish import publish_round
from swatow_market.exchange.certificate.record import encode
from swatow_market.exchange.choice import Decision, decide
from swatow_market.exchange.clearing import Outcome, clear
from swatow_market.exchange.clearing.compiled import compile_round
from swatow_market.exchange.clearing.problem import NO_PRICE, Start
from swatow_market.exchange.clearing.warm import Kept, start_from
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_market.service import rounds
from tests.support.market_books import demand, snapshot, supply
from tests.support.market_periods import PERIODS, node, patient, patient_books
from tests.support.market_records import ROUND
from tests.support.market_world import UNIT, World
from tests.support.samples import digest

Drawn = tuple[list[BookOffer], list[BookOrder]]

OFFERS = [node("a", [(3, 9)], [(2, 5)]), node("b", [(4, 9)], [], [(1, 4)])]
ORDERS = [demand("now", 12, 9), patient("soon", 4, 9, 1), patient("late", 6, 9, 2)]


def frozen(offers: list[BookOffer], orders: list[BookOrder]) -> Snapshot:
    return snapshot(offers, orders, periods=PERIODS)


def record(outcome: Outcome) -> bytes:
    return encode(publish_round(ROUND, outcome).record)


def check_alike(book: Snapshot, kept: Kept) -> None:
    cold, warm = clear(book), clear(book, kept=kept)
    assert warm == cold
    assert warm.filled.tobytes() == cold.filled.tobytes()
    assert record(warm) == record(cold)


def renewed(offers: list[BookOffer]) -> list[BookOffer]:
    """Return the same offers under other ids, and so in another order."""
    return [replace(each, id=digest(f"again {each.id.hex()}")) for each in offers]


@given(patient_books(all_or_none=True), patient_books(all_or_none=True))
@settings(max_examples=100)
@example((OFFERS, ORDERS), (OFFERS, ORDERS[:1]))
def test_an_outcome_does_not_depend_on_the_round_before(before: Drawn, after: Drawn) -> None:
    kept = clear(frozen(*before)).kept
    check_alike(frozen(*after), kept)
    check_alike(frozen(renewed(before[0]), before[1]), kept)
    check_alike(frozen(before[0][1:], after[1]), kept)


@given(patient_books(all_or_none=True))
@settings(max_examples=100)
@example((OFFERS, ORDERS))
def test_an_outcome_does_not_depend_on_nonsense(drawn: Drawn) -> None:
    book = frozen(*drawn)
    kept = clear(book).kept
    turned = replace(
        kept,
        **{
            field.name: turn(getattr(kept, field.name))
            for field in fields(kept)
            if field.name != "keys"
        },
    )
    check_alike(book, turned)
    for price in (NO_PRICE, 0, 2**40):
        check_alike(book, replace(kept, node_price=np.full(len(kept.node_price), price)))
    nothing = np.zeros(0, np.int64)
    check_alike(book, replace(kept, row=nothing, target=nothing))


def turn(part: Any) -> Any:
    """Give each what belongs to another one."""
    if isinstance(part, np.ndarray):
        return part[::-1].copy()
    assert isinstance(part, dict)
    return dict(zip(part, reversed(part.values()), strict=True))


def start_of(outcome: Outcome, book: Snapshot) -> Start:
    return start_from(outcome.kept, book, compile_round(book))


def test_the_same_book_begins_where_it_ended() -> None:
    book = frozen(OFFERS, ORDERS)
    outcome = clear(book)
    ended, start = outcome.cleared.solution.start, start_of(outcome, book)
    assert outcome.cleared.problem.hubs > 0
    for field in fields(Start):
        assert getattr(start, field.name).tolist() == getattr(ended, field.name).tolist()


def test_offers_and_orders_are_known_by_who_they_are() -> None:
    """Renewed offers have other numbers; an order of the same signature is in the same segment."""
    book = frozen(OFFERS, ORDERS)
    again = frozen(
        renewed(OFFERS),
        [demand("other", 3, 7), patient("soon too", 1, 2, 1), patient("late too", 2, 8, 2)],
    )
    outcome = clear(book)
    start = start_of(outcome, again)
    compiled, compiled_again = compile_round(book), compile_round(again)
    for each, frozen_book, found in (
        (compiled, book, outcome.cleared.solution.start),
        (compiled_again, again, start),
    ):
        assert found is not None
        senders = [frozen_book.offers[offer].offer.sender for offer in each.supply.offer.tolist()]
        periods = each.supply.from_us.tolist()
        prices = dict(
            zip(zip(senders, periods, strict=True), found.node_price.tolist(), strict=True)
        )
        if each is compiled:
            expected, tree = prices, int(found.arc_inside.sum())
    assert prices == expected
    assert start.arc_inside.sum() == tree


def test_who_is_new_is_unknown() -> None:
    outcome = clear(frozen(OFFERS[:1], ORDERS[:1]))
    book = frozen(OFFERS, ORDERS)
    start = start_of(outcome, book)
    names = [book.offers[offer].offer.sender for offer in compile_round(book).supply.offer.tolist()]
    known = OFFERS[0].offer.sender
    assert {name for name, price in zip(names, start.node_price, strict=True) if price >= 0} == {
        known
    }
    assert start.segment_inside.sum() <= 1


def test_fewer_orders_are_chosen_alike_from_any_start() -> None:
    """Two offers and ten orders are more than three awards; what is kept is of all orders."""
    offers = [supply("a", (3, 20)), supply("b", (4, 20))]
    orders = [demand(f"{number}", 3, 9) for number in range(10)]
    book = snapshot(offers, orders)
    cold = decide(book, 3)
    warm = decide(book, 3, threads=2, kept=cold.kept)
    assert record(warm.outcome) == record(cold.outcome)
    assert len(cold.outcome.fills) <= 3
    whole = clear(book)
    assert cold.kept.node_price.tolist() == whole.kept.node_price.tolist()


async def test_a_round_begins_with_what_the_one_before_has_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_: list[Kept | None] = []
    made: list[Decision] = []

    def noted(book: Snapshot, awards_max: int, threads: int, kept: Kept | None) -> Decision:
        given_.append(kept)
        made.append(decide(book, awards_max, threads, kept))
        assert 1 <= threads <= rounds.ROUND_THREADS_MAX
        return made[-1]

    monkeypatch.setattr(rounds, "decide", noted)
    await world.deposit(UNIT)
    await world.supply((80_000, 60))
    for _ in range(3):
        await world.place(5, 100_000)
        await world.round()
    assert given_ == [None, made[0].kept, made[1].kept]
