"""An award of a later period, from order to receipt, on real nodes and a clock set forward."""

from pathlib import Path
from typing import Any

import pytest

from swatow._request import measure
from swatow.errors import NodeRefused, TooEarly
from swatow_protocol.messages import JobRefusal, Service
from swatow_protocol.periods import later_starts
from swatow_protocol.units import format_time
from tests.support.world import MODEL, World, soon, world

PERIOD_S = 600
PERIOD_US = PERIOD_S * 1_000_000
REQUEST = {"messages": [{"role": "user", "content": "count"}]}


async def bought(here: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start a node and a buyer, and return the buyer with its award of the next period.

    A period has just begun, so that the next one is far off. In that one the node is cheap.
    """
    now_us = here.clock.now_us()
    here.clock.ahead_us += later_starts(now_us, PERIOD_US)[0] - now_us
    monkeypatch.setattr("swatow._client.now_us", here.clock.now_us)
    begins, ends = (
        format_time(each)[11:16] for each in later_starts(here.clock.now_us(), PERIOD_US)[:2]
    )
    hours = {"from": begins, "until": ends, "price": "0.05", "lots": 500}
    await here.node(price="0.10", tariff=[hours])
    client = await here.client()
    (award,) = await client.order(model=MODEL, lots=2, deadline="2h")
    return client, award


async def test_a_later_award_is_served_in_its_period_and_neither_before_nor_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, period_s=PERIOD_S) as here:
        client, award = await bought(here, monkeypatch)
        assert award.from_us == later_starts(here.clock.now_us(), PERIOD_US)[0]
        assert award.expires_us == award.from_us + PERIOD_US
        with pytest.raises(TooEarly, match=r"may be drawn upon from 20\d\d-") as early:
            await award.run(REQUEST)
        assert early.value.from_us == award.from_us

        here.clock.ahead_us += award.from_us - here.clock.now_us()
        answer = await (await award.run(REQUEST)).completion()
        assert answer.receipt.countersigned
        assert answer.receipt.price == award.price == 50_000
        statement = await client.award_statement(award.id)
        assert (statement.from_us, statement.expires_us) == (award.from_us, award.expires_us)

        here.clock.ahead_us += PERIOD_US
        with pytest.raises(NodeRefused) as over:
            await award.run(REQUEST)
        assert over.value.refusal is JobRefusal.EXPIRED


async def test_a_node_opens_no_job_for_a_buyer_that_comes_too_early_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, period_s=PERIOD_S) as here:
        client, award = await bought(here, monkeypatch)
        held = award._held
        job = measure(REQUEST, held.model, Service.CHAT, 16)
        with pytest.raises(NodeRefused) as refused:
            await client._open(held, job)
        assert refused.value.refusal is JobRefusal.NOT_YET
        assert not refused.value.may_pass
        assert refused.value.retry_after_ms is not None
        assert 0 < refused.value.retry_after_ms <= PERIOD_S * 1_000
        assert refused.value.paid is None


async def test_a_job_that_cannot_wait_does_not_draw_on_a_later_award(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, period_s=PERIOD_S) as here:
        client, award = await bought(here, monkeypatch)
        monkeypatch.undo()
        answer = await client.chat(model=MODEL, messages=REQUEST["messages"])
        assert answer.receipt.award != award.id
        assert award.standard_tokens_left == 2_000


async def test_a_later_award_outlives_the_client_that_bought_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, period_s=PERIOD_S) as here:
        client, award = await bought(here, monkeypatch)
        await client.aclose()
        again = await here.client(money=0)
        here.clock.ahead_us += award.from_us - here.clock.now_us()
        answer = await (await (await again.award(award.id)).run(REQUEST)).completion()
        assert answer.receipt.award == award.id
        await soon(again.aclose())
