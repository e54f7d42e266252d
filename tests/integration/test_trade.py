"""Whole trades over real sockets: market, node, SDK; only the engine is simulated."""

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from swatow import Limits
from swatow._cli import build
from swatow.errors import (
    InsufficientFunds,
    InvalidRequest,
    InvalidValue,
    LimitsUnmet,
    NodeFailed,
)
from swatow_protocol.messages import DataClass, Retention
from swatow_protocol.units import cost_nanos
from tests.support.engines import PROMPT_TOKENS, SimulatedEngine
from tests.support.world import MODEL, World, soon, world

MESSAGES = [{"role": "user", "content": "count"}]
DEPOSIT = 5_000_000_000


def standard_tokens(output: int) -> int:
    """A prompt token of the built-in model weighs a quarter."""
    return -(-(PROMPT_TOKENS * 250 + output * 1_000) // 1_000)


async def settled(world: World) -> None:
    """Wait until nothing is held any more."""

    async def nothing_held() -> bool:
        return await world.held() == 0

    await world.until(nothing_held)


async def test_one_completion_is_paid_to_the_nano(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=50))
        client = await here.client(money=DEPOSIT)
        answer = await client.chat(model=MODEL, messages=MESSAGES)

        assert answer.text == "".join(f"t{number} " for number in range(50))
        receipt = answer.receipt
        assert (receipt.prompt_tokens, receipt.output_tokens) == (PROMPT_TOKENS, 50)
        assert receipt.standard_tokens == standard_tokens(50)
        assert receipt.countersigned
        assert receipt.finish_reason == "stop"
        assert receipt.price == 80_000
        assert receipt.cost == cost_nanos(standard_tokens(50), 80_000)

        await client.release_all()
        await settled(here)
        fee = receipt.cost * 10_000 // 1_000_000
        assert await here.balance("buyer") == DEPOSIT - receipt.cost
        assert await here.balance("node") == receipt.cost - fee
        assert await here.balance("fee") == fee


async def test_many_jobs_at_once_share_one_award(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=60), slots=4, waiting_jobs_max=100)
        client = await here.client(order_lots=50)
        answers = await asyncio.gather(
            *(client.chat(model=MODEL, messages=MESSAGES, max_tokens=100) for _ in range(20))
        )
        assert {answer.receipt.output_tokens for answer in answers} == {60}
        assert len({answer.receipt.award for answer in answers}) == 1
        assert all(answer.receipt.countersigned for answer in answers)
        await client.release_all()
        await settled(here)
        owed = -(-20 * (PROMPT_TOKENS * 250 + 60_000) // 1_000)
        assert await here.balance("buyer") == DEPOSIT - cost_nanos(owed, 80_000)


async def test_data_leaves_its_country_under_a_corridor_of_the_map_that_buyers_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = {"origin": "sg", "zone": "cn-gd-shantou", "round_trip_ms": 62, "charge": "0.002"}
    corridor = {
        "name": "harbour",
        "data_origin": "sg",
        "zones": ["cn-gd"],
        "data_class": DataClass.PERSONAL,
        "retention": Retention.DAY,
    }
    async with world(tmp_path, paths=(path,), corridors=(corridor,)) as here:
        await here.node(corridors=("harbour",), retention=Retention.NOTHING)
        client = await here.client(order_wait_s=2.0)
        signed = await client.network_map()
        assert [each.name for each in signed.message.corridors] == ["harbour"]
        words = ["map", "--market", here.address, "--directory", str(tmp_path / "reader")]
        await asyncio.to_thread(build(), words, result_action="return_value")
        lines = capsys.readouterr().out.splitlines()
        assert f"id\t{signed.id.hex()}" in lines
        assert "sg\tcn-gd-shantou\t62 ms\t0.002" in lines
        await asyncio.to_thread(build(), [*words, "--json"], result_action="return_value")
        (line,) = (each for each in capsys.readouterr().out.splitlines() if each.startswith("{"))
        told = json.loads(line)
        assert told["id"] == signed.id.hex()
        assert told["paths"] == [{**path, "charge": 2_000}]
        assert told["corridors"] == [{**corridor, "attestation": None}]

        personal = Limits(
            origin="sg", data_origin="sg", data_class=DataClass.PERSONAL, corridor="harbour"
        )
        answer = await client.chat(model=MODEL, messages=MESSAGES, limits=personal)
        assert answer.receipt.price == 82_000
        important = replace(personal, data_class=DataClass.IMPORTANT)
        with pytest.raises(LimitsUnmet, match="corridor"):
            await client.chat(model=MODEL, messages=MESSAGES, limits=important)


async def test_closing_the_stream_stops_the_engine_and_pays_what_was_made(tmp_path: Path) -> None:
    engine = SimulatedEngine(tokens=10_000, gated=True)
    assert engine.gate is not None
    async with world(tmp_path) as here:
        await here.node(engine=engine)
        client = await here.client()
        stream = await client.chat(model=MODEL, messages=MESSAGES, stream=True)
        for _ in range(40):
            engine.gate.release()
        received = 0
        async for piece in stream:
            received += bool(piece.text)
            if received == 40:
                break
        await stream.aclose()
        await soon(engine.stopped.wait())
        assert stream.receipt is not None
        assert stream.receipt.finish_reason == "cancelled"
        assert stream.receipt.output_tokens == 40
        assert stream.receipt.countersigned


async def test_a_buyer_that_goes_away_stops_the_engine(tmp_path: Path) -> None:
    engine = SimulatedEngine(tokens=10_000, gated=True)
    assert engine.gate is not None
    async with world(tmp_path) as here:
        await here.node(engine=engine)
        client = await here.client()
        stream = await client.chat(model=MODEL, messages=MESSAGES, stream=True)
        for _ in range(5):
            engine.gate.release()
        pieces = stream.__aiter__()
        await anext(pieces)
        line = next(iter(client._nodes._lines.values()))
        line._end_stream()  # as a crash of the buyer would
        await soon(engine.stopped.wait())


async def test_the_engine_is_held_back_when_the_buyer_does_not_pay(tmp_path: Path) -> None:
    engine = SimulatedEngine(tokens=1_000)
    async with world(tmp_path) as here:
        await here.node(engine=engine, voucher_wait_s=1)
        client = await here.client()
        stream = await client.chat(model=MODEL, messages=MESSAGES, stream=True)
        core = stream._live.core
        core._vouch = lambda now_us: []  # type: ignore[method-assign]  # a buyer that never signs
        with pytest.raises(NodeFailed, match="not paid"):
            await stream.completion()
        assert core.usage.output_tokens <= core.award.meter.payment.credit_window
        await client.release_all()
        await settled(here)
        assert await here.balance("node") == 0


async def test_unmet_limits_are_named(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client(order_wait_s=0.6)
        for limits, unmet in (
            (Limits(zones=("sg",)), "zones"),
            (Limits(retention=Retention.NOTHING), "retention"),
            (Limits(vendors_refused=("nvidia",)), "vendors_refused"),
            (Limits(attestations=("tdx",)), "attestations"),
        ):
            with pytest.raises(LimitsUnmet, match=unmet) as error:
                await client.chat(model=MODEL, messages=MESSAGES, limits=limits)
            assert not error.value.may_pass
        with pytest.raises(LimitsUnmet, match="price") as error:
            await client.chat(model=MODEL, messages=MESSAGES, max_price="0.01")
        assert error.value.may_pass
        await settled(here)


async def test_what_the_buyer_got_wrong_is_said_plainly(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node()
        poor = await here.client("poor", money=1_000)
        with pytest.raises(InsufficientFunds, match=r"needed 0\.\d+, free 0\.000001 USD"):
            await poor.chat(model=MODEL, messages=MESSAGES)
        rich = await here.client("rich")
        with pytest.raises(InvalidValue, match="does not list 'no-such-model'"):
            await rich.chat(model="no-such-model", messages=MESSAGES)
        with pytest.raises(InvalidValue, match="max_tokens"):
            await rich.chat(model=MODEL, messages=MESSAGES, max_tokens=0)
        with pytest.raises(InvalidRequest, match="asked for something bad"):
            await rich.chat(model=MODEL, messages=MESSAGES, bad=True)
        with pytest.raises(InvalidValue, match="request"):
            await rich.chat(model=MODEL, messages=[{"role": "user", "content": "x" * 800_000}])


async def test_an_engine_that_breaks_is_the_nodes_fault_and_costs_what_arrived(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=50, fail_after=20))
        client = await here.client()
        with pytest.raises(NodeFailed, match="its engine failed") as error:
            await client.chat(model=MODEL, messages=MESSAGES)
        assert error.value.text == "".join(f"t{number} " for number in range(20))
        assert error.value.paid is not None
        assert error.value.paid.received_tokens == 20
        await client.release_all()
        await settled(here)
        paid = cost_nanos(standard_tokens(20), 80_000)
        assert await here.balance("buyer") == DEPOSIT - paid


async def test_an_order_is_split_over_two_nodes_when_one_is_too_small(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node("one", price="0.05", capacity_lots=3)
        await here.node("two", price="0.09", capacity_lots=100)
        client = await here.client()
        awards = await client.order(model=MODEL, lots=5)
        assert sorted((award.lots, award.price) for award in awards) == [(2, 90_000), (3, 90_000)]
        assert len({award.node for award in awards}) == 2
        streams = [await award.run({"messages": MESSAGES}) for award in awards]
        for stream in streams:
            assert (await stream.completion()).receipt.countersigned
        for award in awards:
            await award.release()
        await settled(here)


async def test_an_award_is_taken_up_again_by_another_process_of_the_wallet(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=30))
        first = await here.client()
        (award,) = await first.order(model=MODEL, lots=1)
        await (await award.run({"messages": MESSAGES})).completion()
        await first.aclose(release=False)

        second = await here.client(money=0)
        again = await second.award(award.id[:12])
        answer = await (await again.run({"messages": MESSAGES})).completion()
        assert answer.receipt.countersigned
        assert again._held.meter.signed == -(-2 * (PROMPT_TOKENS * 250 + 30_000) // 1_000)
        await again.release()
        await settled(here)
        paid = cost_nanos(again._held.meter.signed, 80_000)
        assert await here.balance("buyer") == DEPOSIT - paid


async def test_an_award_that_is_used_up_is_followed_by_a_fresh_one(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=400))
        client = await here.client()
        awards = set()
        for _ in range(4):
            answer = await client.chat(model=MODEL, messages=MESSAGES, max_tokens=400)
            awards.add(answer.receipt.award)
            assert answer.receipt.output_tokens == 400
        assert len(awards) == 2, "two answers fit a lot"


async def test_a_long_answer_stops_where_its_award_ends(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=5_000))
        client = await here.client()
        (award,) = await client.order(model=MODEL, lots=1)
        answer = await (await award.run({"messages": MESSAGES})).completion()
        assert answer.receipt.finish_reason in ("spent", "length")
        assert answer.receipt.standard_tokens <= 1_000
        assert answer.receipt.countersigned


async def test_a_market_that_restarts_keeps_orders_awards_and_money(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.client()
        with pytest.raises(LimitsUnmet):
            await client.chat(model=MODEL, messages=MESSAGES)
        await settled(here)
    async with world(tmp_path) as here:
        assert await here.balance("buyer") == DEPOSIT
        await here.node()
        client = await here.client(money=0)
        assert (await client.chat(model=MODEL, messages=MESSAGES)).receipt.countersigned
