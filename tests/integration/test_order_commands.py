"""Orders from the command line, over real sockets: market and node here, commands in a thread."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from swatow._cli import main
from tests.support.world import MODEL, World, soon, world


async def run(here: World, *words: str) -> int:
    """Run a command of the buyer in a thread; return the code with which it leaves."""
    buyer = str(here.directory / "buyer")
    try:
        await soon(asyncio.to_thread(main, [*words, "--directory", buyer]))
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the last JSON object on standard output."""
    return json.loads(capsys.readouterr().out.splitlines()[-1])


async def test_lots_are_ordered_listed_and_let_go_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        await here.node()
        await here.client()
        monkeypatch.setenv("SWATOW_BUYER_MARKET", here.address)
        words = ["order", MODEL, "5", "--price", "0.20", "--take-or-pay", "0.2", "--json"]
        assert await run(here, *words) == 0
        ordered = said(capsys)
        (award,) = ordered["awards"]
        assert (award["lots"], award["price"]) == (5, 80_000)

        assert await run(here, "orders", "--json") == 0
        (listed,) = said(capsys)["orders"]
        assert (listed["id"], listed["state"]) == (ordered["order"]["id"], "filled")
        assert listed["awards"] == [award["id"]]

        assert await run(here, "contest", award["id"][:12], "--json") == 0
        assert said(capsys)["award"]["contested"] is True
        assert await run(here, "wallet", "--json") == 0
        (share,) = said(capsys)["take_or_pay"]
        assert (share["id"], share["take_or_pay_ppm"]) == (award["id"], 200_000)


async def test_an_order_that_waits_is_cancelled_from_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client()
        monkeypatch.setenv("SWATOW_BUYER_MARKET", here.address)
        words = ["order", MODEL, "5", "--price", "0.01", "--wait", "1h", "--json"]
        waiting = asyncio.ensure_future(run(here, *words))

        async def taken_in() -> bool:
            return any(each.is_open for each in await client.orders())

        await here.until(taken_in)
        (order,) = await client.orders()
        assert order.expires_us - order.placed_us == 3_600_000_000
        assert await here.held() == 5 * 10_000
        assert await run(here, "cancel", order.id[:12], "--json") == 0
        assert await soon(waiting) == 1, "it was awarded nothing"
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "{" in line]
        told = {name: value for line in lines for name, value in line.items()}
        assert told["order"]["state"] == "cancelled"
        assert told["error"] == f"order {order.id[:16]} was cancelled; nothing was awarded"
        assert await here.held() == 0
