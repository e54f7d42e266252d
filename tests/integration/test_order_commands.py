"""Orders from the command line, over real sockets: market and node here, commands in a thread."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from swatow._cli import main
from swatow_mesh.check import check_order
from swatow_mesh.commands import check
from swatow_protocol.errors import InvalidValue
from swatow_protocol.messages import RoundNumber
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


async def test_what_keeps_an_order_from_being_filled_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client()
        monkeypatch.setenv("SWATOW_BUYER_MARKET", here.address)
        words = ["order", MODEL, "5", "--price", "0.01", "--wait", "1s", "--json"]
        assert await run(here, *words) == 1
        (order,) = await client.orders()
        capsys.readouterr()
        assert await run(here, "explain", order.id[:12], "--json") == 0
        found = said(capsys)["explanation"]
        assert (found["id"], found["state"], found["lots_open"]) == (order.id, "expired", 5)
        assert (found["offers"], found["eligible"], found["limits"]) == (1, 1, [])
        assert (found["missing"], found["price_short"]) == ("price", 70_000)
        assert await run(here, "explain", order.id[:12]) == 0
        printed = capsys.readouterr().out
        assert printed.endswith("Its price is too low, by 0.07 USD a million.\n")
        words = ["order", MODEL, "5", "--price", "0.20", "--zones", "sg", "--wait", "1s"]
        assert await run(here, *words) == 1
        (order, _) = await client.orders()
        found = await client.explain(order.id)
        assert (found.eligible, found.nearest) == (0, ("zones",))
        capsys.readouterr()
        assert await run(here, "explain", order.id[:12]) == 0
        printed = capsys.readouterr().out
        assert "zones\t1\t1\n" in printed
        assert printed.endswith("No offer may serve it; the nearest fail: zones.\n")


async def test_how_a_round_has_treated_an_order_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client()
        monkeypatch.setenv("SWATOW_BUYER_MARKET", here.address)
        (award,) = await client.order(model=MODEL, lots=5, max_price="0.20")
        (order,) = await client.orders()
        buyer = here.directory / "buyer"
        capsys.readouterr()
        await soon(asyncio.to_thread(check, order.id[:12], directory=buyer, json=True))
        found = said(capsys)["check"]
        assert (found["right"], found["wrong"]) == (True, [])
        assert (found["lots_before"], found["lots"], found["paid"]) == (5, 5, 5 * award.price)
        assert found["price"] == award.price
        await soon(asyncio.to_thread(check, order.id[:12], directory=buyer))
        printed = capsys.readouterr().out
        assert printed.endswith("The round is right, and so is what it did to this order.\n")
        epoch_and_number = found["round"].removeprefix("main ")
        options: Any = {"in_round": f"main/{epoch_and_number}", "directory": buyer, "json": True}
        await soon(asyncio.to_thread(lambda: check(order.id[:12], **options)))
        assert said(capsys)["check"] == found
        with pytest.raises(InvalidValue, match="in no such round"):
            await client.round_evidence(order.id, RoundNumber(shard="main", epoch=9, number=9))

        evidence = await client.round_evidence(order.id)
        name = f"main-{epoch_and_number.replace('/', '-')}.swatow"
        file = here.directory / "market" / "rounds" / name

        async def written() -> bool:
            return file.is_file()

        await here.until(written)
        assert file.read_bytes() == evidence.file
        key = bytes.fromhex(here.address.partition("@")[0])
        assert check_order(evidence, key).wrong == ()
        other = structs.replace(evidence.proof, segment=None)
        cut = structs.replace(evidence.proof, hashes=(bytes(32),))
        altered: dict[str, Any] = {
            "not_published": {"file": b""},
            "record": {"file": evidence.file[:-1]},
            "not_in_tree": {"proof": cut},
            "other_price": {"proof": other},
            "left_out": {"awards": ()},
        }
        for problem, changes in altered.items():
            wrong = check_order(replace(evidence, **changes), key).wrong
            assert any(each.startswith(problem) for each in wrong), problem
        assert check_order(evidence, bytes(32)).wrong


async def test_offers_of_the_market_are_listed_by_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        await here.node()
        await here.node("other", zone="sg", price="0.05")
        monkeypatch.setenv("SWATOW_BUYER_MARKET", here.address)
        capsys.readouterr()
        assert await run(here, "offers") == 0
        lines = [line.split("\t")[1:5] for line in capsys.readouterr().out.splitlines()]
        assert lines == [
            ["zone", "model", "from", "lots"],
            ["sg", MODEL, "0.05 USD", "1000"],
            ["cn-gd-shantou", MODEL, "0.08 USD", "1000"],
        ]
        assert await run(here, "offers", "--zone", "sg", "--json") == 0
        (offer,) = said(capsys)["offers"]
        assert (offer["zone"], offer["steps"]) == ("sg", [{"price": 50_000, "lots": 1_000}])
        assert await run(here, "offers", "--watch") == 2
        assert "carrier: which one?" in capsys.readouterr().err
