"""What a market publishes of a round: anyone with the file can check it, nobody can change it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from swatow_market import admin
from swatow_market.exchange.certificate import record as records
from swatow_market.exchange.certificate.findings import Check
from swatow_market.exchange.certificate.merkle import Tree
from swatow_market.exchange.certificate.trader import offer_leaf, order_leaf
from swatow_market.exchange.certificate.whole import Shortfall
from swatow_market.published import PublishedRound, check
from swatow_protocol import codec
from swatow_protocol.envelope import sign
from swatow_protocol.errors import InvalidValue, MessageRefused, Refusal
from swatow_protocol.identity import Identity
from swatow_protocol.messages import RoundHead, RoundNumber
from swatow_protocol.units import MICROS_PER_SECOND
from tests.support import samples
from tests.support.market_world import UNIT, World, open_world
from tests.support.samples import MARKET, STRANGER

DAY_S = 86_400


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await open_world(tmp_path, records_days=1)
    await opened.deposit(UNIT)
    yield opened
    await opened.close()


async def traded(world: World) -> bytes:
    """Trade in a round, and return the file of it."""
    await world.supply((80_000, 3), (90_000, 5))
    await world.place(4, 100_000)
    await world.round()
    return await file_of(world, "1")


async def file_of(world: World, name: str) -> bytes:
    return await admin.published_round(world.settings, world.home, name)


def signed_anew(data: bytes, by: Identity = MARKET, **changes: object) -> bytes:
    """Return the file with other fields in its record, and a signature over it."""
    content = codec.decode(PublishedRound, data)
    record = structs.replace(records.decode(content.record), **changes)
    encoded = records.encode(record)
    number = RoundNumber(
        shard=record.round.shard, epoch=record.round.epoch, number=record.round.number
    )
    head = RoundHead(
        network=record.round.network,
        sender=by.key,
        issued_us=samples.NOW_US,
        round=number,
        record=records.id_of(encoded),
    )
    return codec.encode(PublishedRound(head=sign(head, by).envelope, record=encoded))


async def test_a_round_that_traded_can_be_checked_from_its_file_alone(world: World) -> None:
    found = check(await traded(world))
    assert found.judgement.findings == ()
    assert found.head.sender == MARKET.key
    assert (found.head.round.epoch, found.head.round.number) == (1, 1)
    totals = found.record.totals
    # The fourth lot is the first of four in the second step, so the price is what that asks.
    assert records.unpack_amount(totals.nodes) == 4 * 90_000
    assert records.unpack_amount(totals.buyers) == 4 * 90_000
    assert records.unpack_amount(totals.welfare) == 3 * 20_000 + 10_000


async def test_its_orders_and_offers_are_those_of_the_round(world: World) -> None:
    offer = await world.supply((80_000, 3), (90_000, 5))
    await world.place(4, 100_000)
    await world.round()
    found = check(await file_of(world, "1"))
    ((order, lots),) = world.rows("SELECT id, lots FROM orders")
    assert found.record.orders == Tree([order_leaf(order, lots, 0)]).head
    assert found.record.offers == Tree([offer_leaf(offer.id, 0)]).head


async def test_a_round_that_passes_an_order_over_says_so(world: World) -> None:
    await world.supply((80_000, 3), (90_000, 1))
    await world.place(3, 120_000)
    await world.place(2, 110_000, all_or_none=True)
    await world.round()
    found = check(await file_of(world, "1"))
    assert found.judgement.findings == ()
    shortfall = found.judgement.shortfall
    assert shortfall is not None
    # A lot at 90,000 is left over: half of what the order wants, and worth 20,000.
    assert shortfall == Shortfall(passed_over=1, welfare=3 * 40_000, bound=3 * 40_000 + 20_000)
    assert shortfall.gap_ppb == 142_857_143


async def test_a_round_is_named_by_number_or_with_its_epoch(world: World) -> None:
    data = await traded(world)
    assert await file_of(world, "1/1") == data
    for wrong in ("2", "2/1", "x", "1/", "/x", "-1", ""):
        with pytest.raises(InvalidValue, match="round"):
            await file_of(world, wrong)


async def test_a_round_without_a_trade_has_no_record(world: World) -> None:
    await world.place(1, 100_000)
    await world.round()
    with pytest.raises(InvalidValue, match="has traded"):
        await file_of(world, "1")
    assert await admin.latest_rounds(world.settings, world.home, 5) == []


async def test_records_are_kept_for_their_days_and_rounds_for_good(world: World) -> None:
    await traded(world)
    world.clock.advance(DAY_S + 1)
    await world.supply((80_000, 9))
    await world.bought(1, 100_000)
    latest, first = await admin.latest_rounds(world.settings, world.home, 5)
    assert (latest["has_record"], first["has_record"]) == (1, 0)
    assert latest["closed_us"] - first["closed_us"] > DAY_S * MICROS_PER_SECOND
    with pytest.raises(InvalidValue, match="no longer kept"):
        await file_of(world, f"1/{first['number']}")
    assert check(await file_of(world, f"1/{latest['number']}")).judgement.findings == ()


async def test_no_byte_of_a_file_can_be_changed(world: World) -> None:
    data = await traded(world)
    for place in range(0, len(data), 7):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(MessageRefused):
            check(changed)
    for cut in (b"", data[:-1], data + b"\x00"):
        with pytest.raises(MessageRefused):
            check(cut)


async def test_a_market_that_signs_a_wrong_round_is_found_out(world: World) -> None:
    data = await traded(world)
    dear = records.pack(records.unpack(check(data).record.node_price) + 1)
    found = check(signed_anew(data, node_price=dear))
    assert {finding.check for finding in found.judgement.findings} <= {
        Check.DEMAND,
        Check.SUPPLY,
        Check.ARC,
    }
    assert found.judgement.findings


async def test_whose_word_it_is_is_told(world: World) -> None:
    assert check(signed_anew(await traded(world), STRANGER)).head.sender == STRANGER.key


async def test_the_head_of_another_record_or_round_is_refused(world: World) -> None:
    data = await traded(world)
    content = codec.decode(PublishedRound, data)
    other = signed_anew(data, version=2)
    assert check(other).judgement.findings == ()
    elsewhere = structs.replace(check(data).record.round, number=2)
    moved = codec.decode(PublishedRound, signed_anew(data, round=elsewhere))
    with pytest.raises(MessageRefused) as refused:
        check(codec.encode(PublishedRound(head=content.head, record=moved.record)))
    assert refused.value.refusal is Refusal.BAD_SIGNATURE
    head = samples.round_head(record=records.id_of(content.record))
    with pytest.raises(MessageRefused, match="another round"):
        check(codec.encode(PublishedRound(head=sign(head, MARKET).envelope, record=content.record)))
