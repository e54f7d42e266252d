"""`order_batch`: what is signed, what is kept, what is refused. The market is a fake."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from swatow import (
    AsyncClient,
    BatchProgress,
    BatchResult,
    Client,
    Limits,
    OrderColumns,
    OrderRow,
    RowTerms,
)
from swatow._market import MarketLine
from swatow._placed import PlacedOrder, placed_batch
from swatow._wallet import Wallet
from swatow.errors import (
    InsufficientFunds,
    InvalidValue,
    MarketError,
    OrderRejected,
    OutcomeUnknown,
)
from swatow_protocol import limits as bounds
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.messages import OrderBatch
from swatow_protocol.messages.answers import (
    AccountStatement,
    AdmissionReason,
    Decision,
    Granted,
    LimitName,
    OrderEvent,
    OrderEvents,
    OrderState,
    QueryAnswer,
    Verdict,
)
from tests.support import samples
from tests.support.samples import BUYER, MARKET, NETWORK, NOW_US, SECOND
from tests.unit.node import deal
from tests.unit.sdk.market import ACCEPTED, FakeMarket, wallet_in

MODEL = deal.MODEL.message.name
HERE = Limits(zones=("cn-gd",))
ROWS = [
    OrderRow(model=MODEL, lots=2, max_price="0.2"),
    OrderRow(model=MODEL, lots=3, max_price="0.1"),
    OrderRow(model=MODEL, lots=4, max_price="0.3", limits=HERE),
]
"""Two orders: 5 lots for 0.2 at most, and 4 for 0.3."""
MONEY = 2 * 200_000 + 3 * 100_000 + 4 * 300_000

Script = Callable[[list[PlacedOrder]], list[OrderEvent] | Exception]


def event(order: PlacedOrder, state: OrderState | None, **more: Any) -> OrderEvent:
    fields: dict[str, Any] = {
        "verdict": None, "granted": (), "lots_open": order.lots, "unmet": (), **more
    }  # fmt: skip
    return OrderEvent(order=order.id, state=state, **fields)


def granted(of: PlacedOrder, lots: int, **changes: Any) -> Granted:
    offer = deal.offer()
    award = deal.award(offer, **{"order": of.id, "lots": lots, **changes})
    return Granted(award=award.envelope, offer=offer.envelope)


def taken_in(orders: list[PlacedOrder]) -> list[OrderEvent]:
    return [event(order, OrderState.OPEN, verdict=ACCEPTED) for order in orders]


def served(orders: list[PlacedOrder]) -> list[OrderEvent]:
    """The first order gets two awards of its five lots, the second one all of its four."""
    first, second = orders
    some = (granted(first, 2), granted(first, 1, price=200_000))
    return [
        event(first, OrderState.EXPIRED, granted=some, lots_open=2, unmet=(LimitName.PRICE,)),
        event(second, OrderState.FILLED, granted=(granted(second, 4),), lots_open=0),
    ]


class BatchMarket(FakeMarket):
    """A fake that takes batches, and tells what its script says."""

    def __init__(self, wallet: Wallet) -> None:
        super().__init__(wallet)
        self.batches: list[Signed[OrderBatch]] = []
        self.script: list[Script] = [taken_in, served]
        self.deposit(10 * MONEY)

    def deposit(self, nanos: int) -> None:
        account = AccountStatement(
            owner=BUYER.key,
            kind="buyer",
            currency="USD",
            balance=nanos,
            held=0,
            paid_in=nanos,
            paid_out=0,
        )
        self.answer = QueryAnswer(accounts=(account,), orders=(), awards=(), round=0)

    async def place_orders(self, envelope: bytes) -> AsyncIterator[OrderEvents]:
        signed = verify(envelope, OrderBatch, network=NETWORK, now_us=None)
        self.batches.append(signed)
        self.on_disk.append(self.wallet.orders_count())
        orders = list(placed_batch(signed))
        while self.script:
            told = self.script.pop(0)(orders)
            if isinstance(told, Exception):
                raise told
            yield OrderEvents(events=tuple(told))


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchMarket:
    made = BatchMarket(wallet_in(tmp_path / "buyer"))

    async def connected(_: MarketLine) -> BatchMarket:
        return made

    monkeypatch.setattr(MarketLine, "_connected", connected)
    monkeypatch.setattr("swatow._client.now_us", lambda: NOW_US)
    monkeypatch.setattr("swatow._market.RETRY_S", 0)
    return made


@pytest.fixture
def client(market: BatchMarket) -> AsyncClient:
    return AsyncClient(
        market=f"{MARKET.key.hex()}@127.0.0.1:1",
        directory=market.wallet.directory,
        network=NETWORK,
    )


def sizes(result: BatchResult[Any]) -> list[list[int]]:
    """Return the lots of each award of each order."""
    return [[award.lots for award in order.awards] for order in result.orders]


async def test_rows_of_equal_terms_are_one_order_and_all_news_is_gathered(
    market: BatchMarket, client: AsyncClient
) -> None:
    news: list[BatchProgress] = []
    result = await client.order_batch(
        ROWS, take_or_pay="0", wait_s=30, deadline="1h", on_news=news.append
    )
    (batch,) = market.batches
    assert [terms.limits for terms in batch.message.terms] == [Limits(), HERE]
    for terms in batch.message.terms:
        assert terms.expires_us == NOW_US + 30 * SECOND
        assert terms.deadline_us == NOW_US + 3_600 * SECOND
    assert (result.id, result.money_most, result.currency) == (batch.id.hex(), MONEY, "USD")
    assert result.order_of_row.tolist() == [0, 0, 1]
    assert (result.lots, result.lots_awarded, sizes(result)) == (9, 7, [[2, 1], [4]])
    first, second = (order.status for order in result.orders)
    assert (first.state, first.lots, first.lots_open) == ("expired", 5, 2)
    assert (first.unmet, first.models) == (("price",), {MODEL: 200_000})
    assert first.awards == tuple(award.id for award in result.orders[0].awards)
    assert (second.state, second.models) == ("filled", {MODEL: 300_000})
    progress = [(each.orders_open, each.lots_awarded, each.awards) for each in news]
    assert progress == [(2, 0, 0), (0, 7, 3)]
    assert result.as_dict()["orders"][1]["id"] == second.id


async def test_columns_are_signed_as_they_come(market: BatchMarket, client: AsyncClient) -> None:
    market.script = [taken_in, lambda orders: [event(orders[0], OrderState.EXPIRED)]]
    term, lots, price = bytes(4), bytes([1, 0, 0, 0, 2, 0, 0, 0]), bytes(16)
    rows = OrderColumns(terms=[RowTerms(model=MODEL)], term=term, lots=lots, price=price)
    result = await client.order_batch(rows, limits=HERE)
    message = market.batches[0].message
    assert (message.term_column, message.lots_column, message.price_column) == (term, lots, price)
    assert message.terms[0].limits == HERE
    assert (result.lots, result.lots_awarded, result.awards) == (3, 0, ())


async def test_the_batch_is_on_disk_once_before_it_is_sent(
    market: BatchMarket, client: AsyncClient
) -> None:
    await client.order_batch(ROWS)
    assert market.on_disk == [2]
    first, second = market.wallet.orders(9)
    assert first.envelope is second.envelope
    assert first.envelope == market.batches[0].envelope
    assert (first.number, second.number) == (0, 1)


async def test_another_process_takes_an_award_up_and_sees_the_orders(
    market: BatchMarket, client: AsyncClient
) -> None:
    result = await client.order_batch(ROWS)
    other = AsyncClient(
        market=client.settings.market, directory=market.wallet.directory, network=NETWORK
    )
    for award in result.awards:
        again = await other.award(award.id[:16])
        assert (again.id, again.lots) == (award.id, award.lots)
    stand = await other.orders()
    assert [each.id for each in stand] == [order.status.id for order in result.orders]
    assert [(each.lots, each.models) for each in stand] == [
        (5, {MODEL: 200_000}),
        (4, {MODEL: 300_000}),
    ]
    name = result.orders[1].status.id
    assert (await other.cancel(name[:12])).id == name
    assert market.cancelled == (bytes.fromhex(name),)


async def test_after_a_broken_connection_the_same_batch_asks_for_its_news(
    market: BatchMarket, client: AsyncClient
) -> None:
    """What was told before is told again, and counted once."""

    def partly(orders: list[PlacedOrder]) -> list[OrderEvent]:
        return served(orders)[1:]

    market.script = [taken_in, partly, lambda _: OutcomeUnknown("lost"), served]
    result = await client.order_batch(ROWS)
    first, again = market.batches
    assert first.envelope == again.envelope
    assert market.wallet.orders_count() == 2
    assert sizes(result) == [[2, 1], [4]]


async def test_a_filled_order_is_told_without_what_it_lacked_before(
    market: BatchMarket, client: AsyncClient
) -> None:
    def waits(orders: list[PlacedOrder]) -> list[OrderEvent]:
        return [event(order, OrderState.OPEN, unmet=(LimitName.CAPACITY,)) for order in orders]

    def ends(orders: list[PlacedOrder]) -> list[OrderEvent]:
        return [event(orders[0], OrderState.CANCELLED), served(orders)[1]]

    market.script = [taken_in, waits, ends]
    result = await client.order_batch(ROWS)
    told = [(order.status.state, order.status.unmet) for order in result.orders]
    assert told == [("cancelled", ("capacity",)), ("filled", ())]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"price": 200_001}, "above the limit price"),
        ({"lots": 6}, "for more lots than ordered"),
        ({"order": b"\7" * 32}, "for another order"),
        ({"buyer": MARKET.key}, "for another buyer"),
    ],
)
async def test_an_award_that_no_row_allows_is_the_markets_fault(
    market: BatchMarket, client: AsyncClient, changes: dict[str, Any], problem: str
) -> None:
    def wrong(orders: list[PlacedOrder]) -> list[OrderEvent]:
        one = granted(orders[0], **{"lots": 1, **changes})
        return [event(orders[0], OrderState.OPEN, granted=(one,))]

    market.script = [taken_in, wrong]
    with pytest.raises(MarketError, match=problem):
        await client.order_batch(ROWS)


async def test_awards_for_more_lots_in_all_than_ordered_are_the_markets_fault(
    market: BatchMarket, client: AsyncClient
) -> None:
    """Each is within the order; the sum is not. What was given by then is kept."""

    def wrong(orders: list[PlacedOrder]) -> list[OrderEvent]:
        two = (granted(orders[0], 3), granted(orders[0], 3, price=80_000, node_price=80_000))
        return [event(orders[0], OrderState.OPEN, granted=two)]

    market.script = [taken_in, wrong]
    with pytest.raises(MarketError, match="6 lots in all, 5 were ordered"):
        await client.order_batch(ROWS)
    assert len(market.wallet.awards(9)) == 2


async def test_good_awards_are_kept_although_one_is_not(
    market: BatchMarket, client: AsyncClient
) -> None:
    def mixed(orders: list[PlacedOrder]) -> list[OrderEvent]:
        two = (granted(orders[0], 3), granted(orders[0], 1, price=200_001))
        return [event(orders[0], OrderState.OPEN, granted=two)]

    market.script = [taken_in, mixed]
    with pytest.raises(MarketError, match="above the limit price"):
        await client.order_batch(ROWS)
    assert len(market.wallet.awards(9)) == 1


async def test_news_of_others_is_left_out(market: BatchMarket, client: AsyncClient) -> None:
    def strange(orders: list[PlacedOrder]) -> list[OrderEvent]:
        told = event(orders[0], OrderState.OPEN, granted=(granted(orders[0], 1),))
        return [
            replace(told, order=samples.digest("another order")),
            replace(told, order=market.batches[0].id),
        ]

    market.script = [strange, taken_in, served]
    assert sizes(await client.order_batch(ROWS)) == [[2, 1], [4]]


@pytest.mark.parametrize("balance", [MONEY - 1, None])
async def test_what_the_account_does_not_cover_is_told_before_anything_is_sent(
    market: BatchMarket, client: AsyncClient, balance: int | None
) -> None:
    if balance is None:
        market.answer = QueryAnswer(accounts=(), orders=(), awards=(), round=0)
    else:
        market.deposit(balance)
    with pytest.raises(InsufficientFunds, match=r"needed 0\.0019, free 0\.00"):
        await client.order_batch(ROWS)
    assert (market.batches, market.wallet.orders_count()) == ([], 0)
    market.deposit(MONEY)
    assert (await client.order_batch(ROWS)).money_most == MONEY


@pytest.mark.parametrize("whole", [False, True], ids=["each order", "the batch"])
async def test_a_batch_that_is_rejected_says_why(
    market: BatchMarket, client: AsyncClient, whole: bool
) -> None:
    """Where its columns cannot be, the market has no orders to name, but the batch."""
    no = Verdict(decision=Decision.REJECT, reason=AdmissionReason.BAD_COLUMNS, detail="why")

    def rejected(orders: list[PlacedOrder]) -> list[OrderEvent]:
        told = [event(order, None, verdict=no) for order in orders]
        return [replace(told[0], order=market.batches[0].id)] if whole else told

    market.script = [rejected]
    with pytest.raises(OrderRejected, match="bad_columns: why"):
        await client.order_batch(ROWS)


async def test_what_no_market_takes_is_never_sent(market: BatchMarket, client: AsyncClient) -> None:
    row = ROWS[0]
    many = [row] * (samples.market_terms().orders_open_max + 1)
    market.deposit(10**15)
    with pytest.raises(InvalidValue, match="rows: 1001 rows, this market takes 1000 open orders"):
        await client.order_batch(many)
    with pytest.raises(InvalidValue, match="data_origin"):
        await client.order_batch([row], limits=Limits(corridor="shantou-2026"))
    with pytest.raises(InvalidValue, match="max_price"):
        await client.order_batch([OrderRow(model=MODEL, lots=1)])
    with pytest.raises(InvalidValue, match="max_price: 'dear'"):
        await client.order_batch([row], max_price="dear")
    assert market.batches == []


async def test_a_batch_of_more_bytes_than_an_envelope_has_is_never_sent(
    market: BatchMarket, client: AsyncClient
) -> None:
    market.deposit(10**15)
    names = tuple(f"{number:02}{'x' * 90}" for number in range(bounds.LIST_ITEMS_MAX))
    rows = [
        OrderRow(
            model=MODEL, lots=1, max_price="0.1", limits=Limits(features=names, reputation=number)
        )
        for number in range(900)
    ]
    with pytest.raises(InvalidValue, match=r"rows: \d+ bytes with all their limits, a batch has"):
        await client.order_batch(rows)
    assert market.batches == []


async def test_rows_that_are_all_or_none_are_orders_of_their_own(
    market: BatchMarket, client: AsyncClient
) -> None:
    market.script = [lambda orders: [event(order, OrderState.EXPIRED) for order in orders]]
    result = await client.order_batch(ROWS, all_or_none=True, max_price="0.5")
    assert [terms.all_or_none for terms in market.batches[0].message.terms] == [True] * 3
    assert [order.status.lots for order in result.orders] == [2, 3, 4]


def test_without_an_event_loop_it_is_the_same(
    market: BatchMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nowhere(_: AsyncClient) -> None:
        """Give nothing back: there is no node to give it to."""

    monkeypatch.setattr(AsyncClient, "release_all", nowhere)
    news: list[BatchProgress] = []
    home = str(market.wallet.directory)
    address = f"{MARKET.key.hex()}@127.0.0.1:1"
    with Client(market=address, directory=home, network=NETWORK) as client:
        result = client.order_batch(
            [*ROWS[:2], OrderRow(model=MODEL, lots=4, limits=HERE)],
            max_price="0.3",
            on_news=news.append,
        )
    assert result.money_most == MONEY
    assert [[award.details.lots for award in order.awards] for order in result.orders] == [
        [2, 1],
        [4],
    ]
    assert result.order_of_row.tolist() == [0, 0, 1]
    assert news[-1].lots_awarded == result.lots_awarded == 7


async def test_a_market_that_says_no_more_leaves_orders_open(
    market: BatchMarket, client: AsyncClient
) -> None:
    market.script = []
    result = await client.order_batch(ROWS)
    assert [order.status.state for order in result.orders] == ["unknown"] * 2
    assert result.lots_awarded == 0


async def test_many_batches_are_many(market: BatchMarket, client: AsyncClient) -> None:
    market.terms = sign(samples.market_terms(take_or_pay_min_ppm=100_000), MARKET).envelope
    market.script = []
    await asyncio.gather(client.order_batch(ROWS), client.order_batch(ROWS, take_or_pay="0.2"))
    assert {batch.message.terms[0].take_or_pay_ppm for batch in market.batches} == {
        100_000,
        200_000,
    }
    assert len({batch.id for batch in market.batches}) == 2
