"""SIGKILL of a node in the middle of an answer: no nano is lost or made, on any side."""

import asyncio
from pathlib import Path

import pytest

from swatow import AsyncClient
from swatow.errors import NodeLost
from swatow_protocol.shell.clock import now_us
from swatow_protocol.units import cost_nanos
from tests.support.processes import Swatow, needs_engine, swatow, swatow_json

pytestmark = [needs_engine, pytest.mark.engine]
MODEL = "smollm2-135m-instruct-q4_1"
PRICE = 80_000
DEPOSIT = 1_000_000_000
QUESTION = [{"role": "user", "content": "Write a very long story about the sea."}]


def start_market(at: Path) -> Swatow:
    return Swatow(
        *("market", "run", "--directory", str(at / "market"), "--listen", "127.0.0.1:0"),
        *("--round-ms", "200", "--dispute-s", "5"),
        log=at / "market.log",
    )


def start_node(at: Path, market: str) -> Swatow:
    return Swatow(
        *("node", "run", "--directory", str(at / "node"), "--listen", "127.0.0.1:0"),
        *("--market", market, "--zone", "cn-gd-shantou", "--price", "0.08"),
        log=at / "node.log",
    )


def balances(at: Path) -> dict[str, int]:
    """Return kind -> balance; the books must add up."""
    books = swatow_json("market", "accounts", "--directory", str(at / "market"))
    assert books["cash_nanos"] == books["claims_nanos"] == DEPOSIT
    found = {line["account"].partition(":")[0]: line for line in books["accounts"]}
    return {kind: line["balance_nanos"] for kind, line in found.items()} | {
        "held": sum(line["held_nanos"] for line in books["accounts"])
    }


async def interrupted(at: Path, market: str, node: Swatow, life_s: int) -> tuple[NodeLost, str]:
    """Buy an answer and kill the node in the middle of it; return the error and the award."""
    client = AsyncClient(
        market=market, directory=at / "buyer", max_price="0.20", award_life_s=life_s
    )
    swatow(*("market", "deposit", client.key, "1.00"), "--directory", str(at / "market"))
    try:
        stream = await client.chat(
            model=MODEL, messages=QUESTION, stream=True, max_tokens=900, temperature=0
        )
        pieces = stream.__aiter__()
        for _ in range(60):
            await anext(pieces)
        node.kill()
        with pytest.raises(NodeLost) as lost:
            await stream.completion()
        return lost.value, stream._live.core.award.id.hex()
    finally:
        await client.aclose(release=False)


async def closed(at: Path, market: str, award: str) -> None:
    """Wait until the market has closed the award."""
    client = AsyncClient(market=market, directory=at / "buyer")
    deadline_us = now_us() + 90_000_000
    try:
        while not (found := await client.award_statement(award)) or not found.closed:
            assert now_us() < deadline_us, "the award was not closed in time"
            await asyncio.sleep(0.2)
    finally:
        await client.aclose()


@pytest.mark.parametrize("restarted", [True, False], ids=["restarted", "gone for good"])
async def test_what_was_signed_is_paid_and_the_rest_comes_back(
    tmp_path: Path, *, restarted: bool
) -> None:
    with start_market(tmp_path) as market:
        node = start_node(tmp_path, market.first_line)
        begun_us = now_us()
        error, award = await interrupted(tmp_path, market.first_line, node, life_s=20)

        assert "lost in the middle of the answer" in str(error)
        assert error.paid is not None
        assert error.paid.received_tokens >= 50
        assert str(error.paid.standard_tokens) in str(error), "the error says what was paid for"
        assert error.paid.nanos == cost_nanos(error.paid.standard_tokens, PRICE)
        assert error.text, "what arrived is not thrown away"
        assert balances(tmp_path)["held"] > 0, "the award goes on until it ends"

        if restarted:
            with start_node(tmp_path, market.first_line):
                await closed(tmp_path, market.first_line, award)
        else:
            await closed(tmp_path, market.first_line, award)
        assert now_us() - begun_us > 20_000_000, "not before the award has ended"

        after = balances(tmp_path)
        assert after["held"] == 0
        paid = DEPOSIT - after["buyer"]
        assert paid == after.get("node", 0) + after["fee"]
        if not restarted:
            assert paid == 0, "nobody claimed anything"
            return
        # The node has every voucher but perhaps the last, which was under way when it died.
        least = cost_nanos(error.paid.standard_tokens - 16 - 8, PRICE)
        assert least <= paid <= error.paid.nanos
