"""Batches on a market without a network: many orders under one signature, all or none of them."""

from hashlib import blake2b
from pathlib import Path

from swatow_market.exchange.admission import ACCEPTED
from swatow_protocol import codec, limits
from swatow_protocol.envelope import order_in_batch
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Attributes
from swatow_protocol.messages.answers import AdmissionReason, LimitName, OrderEvents, OrderState
from tests.support.market_world import UNIT, World, lots_of, open_world
from tests.support.samples import BUYER, STRANGER


async def test_a_thousand_rows_are_taken_in_cleared_and_told(world: World) -> None:
    """Forty of them can pay; their order is told what it got, and why not more."""
    await world.deposit(UNIT)
    await world.supply((80_000, 60), (90_000, 1_000))
    rows = [(row % 2, 1 + row % 7, 100_000 if row < 40 else 9) for row in range(1_000)]
    signed = world.batch(rows, terms=(world.terms(), world.terms(life_s=9)))
    orders = [order_in_batch(signed.id, number) for number in range(2)]
    placed = await world.send(signed)
    assert {event.verdict for event in placed.events} == {ACCEPTED}
    assert [event.order for event in placed.events] == orders
    dear = sum(lots for _, lots, price in rows if price > 9)
    cheap = sum(lots for _, lots, price in rows if price == 9)
    assert await world.money(BUYER) == (
        UNIT - dear * 100_000 - cheap * 9,
        dear * 100_000 + cheap * 9,
    )
    await world.round()
    news = {event.order: event for event in await placed.next()}
    assert set(news) == set(orders)
    for number, order in enumerate(orders):
        left = sum(lots for term, lots, price in rows if term == number and price == 9)
        assert (news[order].state, news[order].lots_open) == (OrderState.OPEN, left)
        assert news[order].unmet == (LimitName.PRICE,)
    assert lots_of(placed.awards) == dear
    assert {award.message.order for award in placed.awards} == set(orders)
    assert len(placed.awards) == 2, "one for each order and node, and not one for each row"
    assert (await world.money(BUYER))[1] == dear * 90_000 + cheap * 9
    await world.check_books()


async def test_news_of_a_batch_fits_the_messages_that_carry_it(world: World) -> None:
    """Each message of the stream is one gRPC message of at most FRAME_BYTES_MAX. This offer
    is a long one, as the protocol allows; every award brings its offer along."""
    names = tuple(f"{number:02}{'x' * 90}" for number in range(limits.LIST_ITEMS_MAX))
    stated = Attributes(features=names, corridors=names)
    await world.deposit(UNIT)
    await world.supply((80_000, 1_000_000), attributes=stated)
    terms = tuple(world.terms(life_s=1 + number) for number in range(100))
    signed = world.batch([(number, 1, 100_000) for number in range(100)], terms=terms)
    stream = world.market.place_orders(signed.envelope)
    sizes = [len(codec.encode(await anext(stream)))]
    await world.round()
    sizes += [len(codec.encode(events)) async for events in stream]
    assert max(sizes) <= limits.FRAME_BYTES_MAX


async def test_news_of_one_order_with_very_many_awards_come_in_several_messages(
    world: World,
) -> None:
    """The order counts as open until the last of them, so nobody stops listening too early."""
    names = tuple(f"{number:02}{'x' * 90}" for number in range(limits.LIST_ITEMS_MAX))
    stated = Attributes(features=names, corridors=names)
    await world.deposit(UNIT)
    for number in range(100):
        node = Identity(blake2b(bytes([number]), digest_size=32).digest())
        await world.supply((80_000, 1), node=node, attributes=stated)
    placed = await world.place(100, 100_000)
    await world.round()
    again = await world.send(placed.signed)
    for told in (placed, again):
        await told.rest()
        news = [event for event in told.events if event.granted]
        assert len(news) > 1
        assert [event.state for event in news[:-1]] == [OrderState.OPEN] * (len(news) - 1)
        assert news[-1].state is OrderState.FILLED
        assert len({award.id for award in told.awards}) == 100
        sizes = [len(codec.encode(OrderEvents(events=(event,)))) for event in news]
        assert max(sizes) <= limits.FRAME_BYTES_MAX


async def test_all_of_it_is_taken_in_or_nothing(world: World) -> None:
    await world.deposit(299_999)
    reason, _ = await world.refused(world.batch([(0, 1, 100_000)] * 3))
    assert reason is AdmissionReason.INSUFFICIENT_FUNDS
    for rows in ([(0, 1, 100_000), (0, 0, 100_000)], [(0, 1, 100_000), (7, 1, 100_000)]):
        reason, detail = await world.refused(world.batch(rows))
        assert reason is AdmissionReason.BAD_COLUMNS
        assert "[1]" in detail
    assert world.rows("SELECT * FROM orders") == []
    assert await world.money(BUYER) == (299_999, 0)


async def test_one_bad_set_of_terms_rejects_the_batch(world: World) -> None:
    await world.deposit(UNIT)
    terms = (world.terms(), world.terms(currency="CNY"))
    reason, _ = await world.refused(world.batch([(0, 1, 100_000)], terms=terms))
    assert reason is AdmissionReason.WRONG_CURRENCY


async def test_more_than_a_buyer_may_have_open_is_too_many(world: World) -> None:
    await world.deposit(UNIT)
    reason, detail = await world.refused(world.batch([(0, 1, 1)] * 1_001))
    assert (reason, detail) == (AdmissionReason.TOO_MANY, "1000 open orders")


async def test_sent_twice_it_is_placed_once(world: World) -> None:
    await world.deposit(UNIT)
    first = await world.send(world.batch([(0, 2, 100_000)] * 3))
    again = await world.send(first.signed)
    assert {event.verdict.reason for event in again.events if event.verdict} == {
        AdmissionReason.KNOWN
    }
    assert {event.order for event in again.events} == {event.order for event in first.events}
    assert await world.money(BUYER) == (UNIT - 600_000, 600_000)


async def test_orders_end_one_by_one_and_the_stream_with_the_last(world: World) -> None:
    await world.deposit(UNIT)
    terms = tuple(world.terms(rate=rate) for rate in (None, 1, 2))
    rows = [(0, 2, 100_000), (1, 2, 90_000), (2, 2, 1)]
    placed = await world.send(world.batch(rows, terms=terms))
    await world.supply((80_000, 3))
    await world.round()
    states = {event.order: event.state for event in await placed.next()}
    orders = [order_in_batch(placed.id, number) for number in range(3)]
    assert [states[order] for order in orders] == [
        OrderState.FILLED,
        OrderState.OPEN,
        OrderState.OPEN,
    ]
    await world.cancel(orders[1])
    (event,) = await placed.next()
    assert (event.order, event.state) == (orders[1], OrderState.CANCELLED)
    world.clock.advance(10)
    await world.round()
    (event,) = await placed.rest()
    assert (event.order, event.state) == (orders[2], OrderState.EXPIRED)
    assert (await world.money(BUYER))[1] == 3 * 90_000, "what the awards hold, and no more"


async def test_rows_are_filled_round_by_round_and_survive_a_restart(empty_home: Path) -> None:
    """The dearest first; what is held is always what is open at its own limit price."""
    world = await open_world(empty_home)
    await world.deposit(UNIT)
    placed = await world.send(world.batch([(0, 4, 90_000), (0, 5, 100_000), (0, 6, 70_000)]))
    await world.supply((60_000, 7))
    await world.round()
    assert lots_of(placed.awards) == 0
    await placed.next()
    assert lots_of(placed.awards) == 7
    spent = sum(award.message.lots * award.message.price for award in placed.awards)
    assert (await world.money(BUYER))[1] == spent + 2 * 90_000 + 6 * 70_000
    await world.close()
    world = await open_world(empty_home, world.clock)
    try:
        (order,) = world.market.state.book.orders()
        assert order.curve is not None
        assert order.curve.lots.tolist() == [2, 0, 6]
        again = await world.send(placed.signed)
        await world.supply((60_000, 100), node=STRANGER)
        await world.round()
        await again.rest()
        assert lots_of(again.awards) == 15
        assert world.rows("SELECT state, lots_open FROM orders") == [("filled", 0)]
        await world.check_books()
    finally:
        await world.close()
