"""Take-or-pay over real sockets: market, node, SDK; only the engine is simulated."""

from pathlib import Path

import pytest

from swatow import AsyncClient, AwardStatus
from swatow.errors import InvalidValue, NodeRefused
from swatow_node import standby
from swatow_protocol.messages import JobRefusal
from swatow_protocol.units import cost_nanos
from tests.support.engines import SimulatedEngine
from tests.support.world import MODEL, World, world

MESSAGES = [{"role": "user", "content": "count"}]
DEPOSIT = 5_000_000_000
FIFTH = 200_000


@pytest.fixture(autouse=True)
def _asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "ASK_S", 0.02)


async def settled(here: World, client: AsyncClient) -> AwardStatus:
    """Wait until the one award with a share is settled; return how."""

    async def closed() -> bool:
        return all(each.closed for each in await client.shares())

    await here.until(closed)
    assert await here.held() == 0
    (status,) = await client.shares()
    return status


async def test_a_buyer_that_uses_nothing_pays_the_share_and_no_more(tmp_path: Path) -> None:
    """The node never hears of the award from its buyer."""
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client(money=DEPOSIT, award_life_s=1)
        (award,) = await client.order(model=MODEL, lots=5, take_or_pay=0.2)
        status = await settled(here, client)
        assert status.id == award.id
        assert (status.standard_tokens, status.paid, status.paid_unused) == (0, 80_000, 80_000)
        fee = 80_000 * 10_000 // 1_000_000
        assert await here.balance("buyer") == DEPOSIT - 80_000
        assert await here.balance("node") == 80_000 - fee
        assert await here.balance("fee") == fee


async def test_what_was_used_counts_towards_the_share(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=50))
        client = await here.client(money=DEPOSIT, award_life_s=2)
        (award,) = await client.order(model=MODEL, lots=5, take_or_pay="0.2")
        answer = await (await award.run({"messages": MESSAGES})).completion()
        used = answer.receipt.standard_tokens
        assert 0 < used < 1_000
        await award.release()
        status = await settled(here, client)
        assert status.standard_tokens == used
        assert (status.paid, status.paid_unused) == (80_000, 80_000 - cost_nanos(used, 80_000))
        assert await here.balance("buyer") == DEPOSIT - 80_000


async def test_a_contested_award_costs_the_time_that_has_passed_and_serves_no_more(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client(money=DEPOSIT, award_life_s=3)
        (award,) = await client.order(model=MODEL, lots=5, take_or_pay="1")
        status = await client.contest(award.id[:12])
        assert status.contested

        async def refused() -> bool:
            try:
                stream = await award.run({"messages": MESSAGES, "max_tokens": 1})
            except NodeRefused as error:
                return error.refusal is JobRefusal.SPENT
            await stream.completion()
            return False

        await here.until(refused)
        status = await settled(here, client)
        assert status.contested
        assert status.paid < 5 * 80_000
        assert await here.balance("buyer") == DEPOSIT - status.paid


async def test_the_markets_minimum_is_paid_without_a_word_and_less_is_refused(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, take_or_pay_min_ppm=FIFTH) as here:
        await here.node()
        client = await here.client(money=DEPOSIT, award_life_s=1)
        with pytest.raises(InvalidValue, match=r"0\.10 is below this market's minimum of 0\.20"):
            await client.order(model=MODEL, lots=5, take_or_pay="0.1")
        await client.order(model=MODEL, lots=5)
        status = await settled(here, client)
        assert (status.take_or_pay_ppm, status.paid_unused) == (FIFTH, 80_000)
