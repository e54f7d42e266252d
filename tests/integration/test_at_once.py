"""Buying at the posted price, over real sockets; rounds are so far apart that none comes by."""

import asyncio
import json
from pathlib import Path

import pytest

from swatow._cli import main
from swatow.errors import LimitsUnmet
from tests.support.world import MODEL, soon, world

MESSAGES = [{"role": "user", "content": "Tell me about the harbour."}]
RARELY = {"round_ms": 15_000}


async def test_a_request_does_not_wait_for_a_round(tmp_path: Path) -> None:
    async with world(tmp_path, **RARELY) as here:
        await here.node()
        client = await here.client()
        answer = await soon(client.chat(model=MODEL, messages=MESSAGES))
        assert answer.receipt.price == 80_000
        assert answer.receipt.countersigned
        await client.aclose()

        async def settled() -> bool:
            return await here.held() == 0

        await here.until(settled)
        assert await here.balance("node") > 0


async def test_what_cannot_be_had_at_once_is_told_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, **RARELY) as here:
        await here.node(capacity_lots=5)
        client = await here.client()
        with pytest.raises(LimitsUnmet, match=r"unmet: price: .* posted at 0\.08 USD") as cheap:
            await soon(client.order(model=MODEL, lots=2, max_price="0.07", immediate=True))
        assert cheap.value.may_pass
        (award,) = await soon(client.order(model=MODEL, lots=9, immediate=True))
        assert award.lots == 5
        with pytest.raises(LimitsUnmet, match="unmet: capacity"):
            await soon(client.order(model=MODEL, lots=1, immediate=True))


async def test_the_command_line_buys_at_the_price_that_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, **RARELY) as here:
        await here.node()
        await here.client()
        monkeypatch.setenv("SWATOW_BUYER_MARKET", here.address)

        async def run(*words: str) -> dict[str, list[dict[str, object]]]:
            directory = ["--json", "--directory", str(here.directory / "buyer")]
            with pytest.raises(SystemExit) as left:
                await soon(asyncio.to_thread(main, [*words, *directory]))
            assert not left.value.code
            said: dict[str, list[dict[str, object]]] = json.loads(
                capsys.readouterr().out.splitlines()[-1]
            )
            return said

        (shown,) = (await run("prices"))["prices"]
        assert (shown["model"], shown["posted"], shown["cleared"]) == (MODEL, 80_000, None)
        (award,) = (await run("order", MODEL, "5", "--price", "0.20", "--now"))["awards"]
        assert (award["lots"], award["price"]) == (5, shown["posted"])
        (after,) = (await run("prices", MODEL))["prices"]
        assert after["lots"] == int(str(shown["lots"])) - 5
