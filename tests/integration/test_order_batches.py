"""Batches of orders over real sockets: a hundred thousand rows in one envelope, and a file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from swatow import AsyncClient, BatchProgress, Limits, OrderRow
from swatow._cli import main
from swatow.errors import InsufficientFunds
from swatow_protocol.limits import BATCH_ORDERS_MAX
from tests.support.engines import SimulatedEngine
from tests.support.world import MODEL, soon, world

REQUEST = {"messages": [{"role": "user", "content": "count"}]}
HERE = Limits(zones=("cn-gd",))
DEAR = 600
"""Rows that the node's price of 0.08 is within the limit of."""


def rows() -> list[OrderRow]:
    """Return as many rows as a batch takes: two orders, of which the second is too cheap."""
    dear = [OrderRow(model=MODEL, lots=1, max_price="0.10") for _ in range(DEAR)]
    cheap = [
        OrderRow(
            model=MODEL, lots=1, max_price=f"0.00{1 + row % 9}", limits=HERE if row % 2 else None
        )
        for row in range(BATCH_ORDERS_MAX - DEAR)
    ]
    return dear + cheap


async def test_a_hundred_thousand_rows_are_taken_in_served_in_part_drawn_upon_and_cancelled(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, orders_open_max=BATCH_ORDERS_MAX) as here:
        await here.node(engine=SimulatedEngine(tokens=50))
        client = await here.client()
        served = asyncio.Event()
        news: list[BatchProgress] = []

        def told(progress: BatchProgress) -> None:
            news.append(progress)
            if progress.lots_awarded:
                served.set()

        placing = asyncio.ensure_future(client.order_batch(rows(), wait_s=3_600, on_news=told))
        waiting = asyncio.ensure_future(served.wait())
        await soon(asyncio.wait({placing, waiting}, return_when=asyncio.FIRST_COMPLETED))
        assert not placing.done(), "the cheap rows wait"
        assert (news[0].orders, news[0].lots) == (2, BATCH_ORDERS_MAX)
        assert news[-1].lots_awarded == DEAR

        other = AsyncClient(market=here.address, directory=tmp_path / "buyer")
        here.clients.append(other)
        first, second = await other.orders()
        cheap = BATCH_ORDERS_MAX - DEAR
        assert (first.lots_open, second.lots_open) == (cheap // 2, cheap // 2)
        assert first.models == {MODEL: 100_000}
        award = await other.award(first.awards[0][:16])
        answer = await (await award.run(REQUEST)).completion()
        assert answer.receipt is not None
        assert answer.receipt.countersigned

        for order in (first, second):
            assert (await other.cancel(order.id[:16])).state == "cancelled"
        result = await soon(placing)
        assert (result.lots, result.lots_awarded) == (BATCH_ORDERS_MAX, DEAR)
        assert [award.lots for award in result.awards] == [DEAR]
        assert {award.price for award in result.awards} == {80_000}
        assert result.order_of_row.tolist() == [0] * DEAR + [0, 1] * (cheap // 2)

        await other.release_all()

        async def nothing_held() -> bool:
            return await here.held() == 0

        await here.until(nothing_held)
        account = await client.account()
        assert account is not None
        assert account.paid_in - account.balance == answer.receipt.cost


async def test_what_is_free_is_what_counts_and_a_batch_is_taken_in_whole_or_not_at_all(
    tmp_path: Path,
) -> None:
    """What other orders hold does not cover this one."""
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client(money=1_000_000)
        waits = [OrderRow(model=MODEL, lots=1, max_price="0.01")] * 60
        first = asyncio.ensure_future(client.order_batch(waits, wait_s=3_600))

        async def taken_in() -> bool:
            return any(order.is_open for order in await client.orders())

        await here.until(taken_in)
        with pytest.raises(InsufficientFunds, match=r"needed 0\.0006, free 0\.0004"):
            await client.order_batch(waits)
        (order,) = await client.orders()
        await client.cancel(order.id)
        assert (await soon(first)).awards == ()


async def test_a_file_is_ordered_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*words: str) -> Any:
        words = (*words, "--json", "--directory", str(tmp_path / "buyer"))
        with pytest.raises(SystemExit) as left:
            await soon(asyncio.to_thread(main, [*words]))
        assert not left.value.code
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    async with world(tmp_path) as here:
        await here.node()
        await here.client()
        monkeypatch.setenv("SWATOW_BUYER_MARKET", here.address)
        file = tmp_path / "orders.csv"
        file.write_text(
            f"model,lots,price,zones\n{MODEL},5,0.20,cn-gd\n{MODEL},3,0.10,cn-gd\n{MODEL},2,0.20,\n"
        )
        ordered = await run("batch", str(file))
        totals = {name: ordered["batch"][name] for name in ("lots", "lots_awarded", "money_most")}
        assert totals == {"lots": 10, "lots_awarded": 10, "money_most": 1_700_000}
        listed = (await run("orders"))["orders"]
        assert [each["id"] for each in listed] == [
            each["id"] for each in ordered["batch"]["orders"]
        ]
        assert [(each["state"], each["lots"]) for each in listed] == [("filled", 8), ("filled", 2)]
        name = ordered["awards"][0]["id"][:16]
        assert (await run("chat", "count", "--award", name))["receipt"] is not None
