"""Rounds are cleared again, from what is kept of them, to the same bytes."""

import asyncio
import json
import os
import random
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swatow_market import admin
from swatow_market.exchange.certificate import inputs as kept
from swatow_market.exchange.certificate.publish import publish_round, round_of
from swatow_market.exchange.certificate.record import encode, pack, unpack
from swatow_market.exchange.certificate.replay import snapshot_of
from swatow_market.exchange.clearing import clear
from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.network_map import Path as MapPath
from swatow_market.published import compress, decompress
from swatow_market.service import records
from swatow_market.service.replays import read_inputs
from swatow_protocol import codec
from swatow_protocol.envelope import Signed
from swatow_protocol.errors import InvalidValue, MessageRefused
from swatow_protocol.identity import Identity
from swatow_protocol.messages import LaterSupply, Limits, ModelLimit, PriceStep
from swatow_protocol.periods import later_starts
from tests.support.market_books import MODELS, SALT, Drawn, books, curved, snapshot
from tests.support.market_world import UNIT, World, open_world
from tests.support.samples import BUYER, STRANGER

HOUR_S = 3_600
PATHS = [
    {"origin": "sg", "zone": "cn-gd-shantou", "round_trip_ms": 40, "charge": "0.003"},
    {"origin": "cn-gd-shantou", "zone": "cn-gd-shantou", "round_trip_ms": 2, "charge": 0},
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await open_world(tmp_path, records_days=1, paths=PATHS)
    await opened.deposit(1_000 * UNIT)
    await opened.deposit(1_000 * UNIT, STRANGER)
    yield opened
    await opened.close()


async def busy(world: World, seed: int, rounds: int = 6) -> list[str]:
    """Trade at random for some rounds; return the names of those that traded."""
    chance = random.Random(seed)
    nodes = [Identity(bytes([40 + number]) * 32) for number in range(4)]

    def price() -> int:
        return 10_000 * chance.randint(4, 12)

    for _ in range(rounds):
        for node in chance.sample(nodes, 2):
            starts = later_starts(world.clock(), HOUR_S * 1_000_000)
            later = tuple(
                LaterSupply(
                    start_us=starts[number],
                    steps=(PriceStep(price=price(), lots=chance.randint(1, 9)),),
                )
                for number in sorted(chance.sample(range(4), 2))
            )
            first = price()
            steps = ((first, chance.randint(1, 6)), (first + 7_000, chance.randint(1, 6)))
            await world.supply(*steps, node=node, life_s=600, later=later)
        for _ in range(chance.randint(2, 5)):
            deadline_us = world.clock() + chance.randint(1, 5) * HOUR_S * 1_000_000
            await world.place(
                chance.randint(1, 12),
                price(),
                buyer=chance.choice((BUYER, STRANGER)),
                life_s=300,
                all_or_none=chance.random() < 0.3,
                deadline_us=deadline_us if chance.random() < 0.4 else None,
                limits=Limits(origin=chance.choice((None, "sg"))),
            )
        rows = [(0, chance.randint(1, 4), price()) for _ in range(5)]
        await world.send(world.batch(rows, terms=(world.terms(80_000, life_s=300),)))
        await world.round()
        world.clock.advance(20)
    found = await admin.latest_rounds(world.settings, world.home, 100)
    return [f"{each['epoch']}/{each['number']}" for each in found]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_round_of_a_busy_market_gives_the_same_record(world: World, seed: int) -> None:
    names = await busy(world, seed)
    assert len(names) >= 4, "it has traded"
    for name in names:
        found = await admin.replayed_round(world.settings, world.home, name)
        assert found.differs == ()
        assert found.record == found.head.record
    await world.check_books()


async def test_another_process_gives_the_same_record(world: World) -> None:
    names = await busy(world, 4, rounds=3)
    command = (
        "import sys; from swatow_market.commands import app; "
        "app(['replay', *sys.argv[1:], '--json'], result_action='return_value')"
    )
    (world.home / "config.toml").write_text(f'network = "{world.settings.network}"')
    for hash_seed in ("1", "2718"):
        told = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", command, names[0], "--directory", str(world.home)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=120,
        )
        answer = json.loads(told.stdout)
        assert answer["same"] is True
        assert answer["replayed"] == answer["record"]


async def test_a_round_of_some_orders_only_gives_the_same_record(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swatow_market.service.rounds.ROUND_AWARDS_MAX", 2)
    names = await busy(world, 11, rounds=4)
    sizes = world.rows("SELECT MAX(orders), MIN(orders) FROM rounds WHERE head NOTNULL")
    assert sizes[0][1] <= 2, "most were carried over"
    for name in names:
        assert (await admin.replayed_round(world.settings, world.home, name)).differs == ()


async def row_of(world: World, name: str) -> dict[str, Any]:
    epoch, _, number = name.partition("/")
    async with world.market.state.database.reading() as connection:
        row = await records.read_round(
            connection, "main", int(epoch), int(number), with_inputs=True
        )
    assert row is not None
    return row


async def change(world: World, name: str, column: str, value: object) -> None:
    """Change a column of a round behind the market's back."""
    epoch, _, number = name.partition("/")
    query = f"UPDATE rounds SET {column} = ? WHERE epoch = ? AND number = ?"
    async with world.market.state.database.writing() as connection:
        await connection.exec_driver_sql(query, (value, int(epoch), int(number)))


@pytest.mark.parametrize(
    "field", ["lots_out", "deadline_us", "carried", "whole", "price", "lots", "row", "reputation"]
)
async def test_an_input_that_was_changed_is_seen(world: World, field: str) -> None:
    (name, *_) = await busy(world, 5, rounds=3)
    row = await row_of(world, name)
    inputs = codec.decode(kept.Inputs, decompress(row["inputs"]))
    values = unpack(getattr(inputs, field)).copy()
    values[0] = 1 - values[0] if field in ("carried", "whole") else values[0] + 1
    changed = msgspec.structs.replace(inputs, **{field: pack(values)})
    await change(world, name, "inputs", compress(codec.encode(changed)))
    found = await admin.replayed_round(world.settings, world.home, name)
    assert "round.inputs" in found.differs
    assert found.record != found.head.record


async def test_the_fields_that_differ_are_named(world: World) -> None:
    (name, *_) = await busy(world, 6, rounds=2)
    row = await row_of(world, name)
    inputs = codec.decode(kept.Inputs, decompress(row["inputs"]))
    doubled = pack(2 * unpack(inputs.lots))
    changed = msgspec.structs.replace(inputs, lots=doubled)
    await change(world, name, "inputs", compress(codec.encode(changed)))
    found = await admin.replayed_round(world.settings, world.home, name)
    assert {"round.inputs", "orders.root", "demand_lots"} <= set(found.differs)


async def test_what_is_not_kept_is_named(world: World) -> None:
    (name, *_) = await busy(world, 7, rounds=2)
    async with world.market.state.database.writing() as connection:
        await connection.exec_driver_sql("DELETE FROM offers")
    with pytest.raises(InvalidValue, match=r"offers: .* is not kept"):
        await admin.replayed_round(world.settings, world.home, name)
    await change(world, name, "inputs", None)
    with pytest.raises(InvalidValue, match="inputs"):
        await admin.replayed_round(world.settings, world.home, name)


async def test_a_record_that_was_changed_is_refused(world: World) -> None:
    (name, *_) = await busy(world, 8, rounds=2)
    record = bytearray(zlib.decompress((await row_of(world, name))["record"]))
    record[-1] ^= 1
    await change(world, name, "record", compress(bytes(record)))
    with pytest.raises(MessageRefused):
        await admin.replayed_round(world.settings, world.home, name)


async def test_inputs_and_offers_are_forgotten_with_the_record(world: World) -> None:
    await busy(world, 9, rounds=2)
    before = {name for (name,) in world.rows("SELECT id FROM offers")}
    world.clock.advance(86_400 + HOUR_S)
    await world.supply((80_000, 9))
    await world.bought(1, 100_000)
    kept_rows = world.rows("SELECT record IS NULL, inputs IS NULL FROM rounds WHERE head NOTNULL")
    assert sorted(set(kept_rows)) == [(0, 0), (1, 1)]
    assert not before & {name for (name,) in world.rows("SELECT id FROM offers")}


async def test_each_offer_is_kept_once(world: World) -> None:
    await world.supply((80_000, 1_000))
    for _ in range(3):
        await world.place(1, 100_000)
        await world.round()
    assert world.rows("SELECT COUNT(*) FROM offers") == [(1,)]
    assert world.rows("SELECT COUNT(*) FROM rounds WHERE inputs NOTNULL") == [(3,)]


async def test_the_record_names_the_map_and_the_periods(world: World) -> None:
    (name, *_) = await busy(world, 10, rounds=1)
    row = await row_of(world, name)
    async with world.market.state.database.reading() as connection:
        number = (await read_inputs(connection, bytes(32), row)).number
    assert number.network_map == world.market.state.signed_map.id
    starts = later_starts(row["closed_us"], world.market.state.terms.message.period_us)
    assert (number.first_period_us, number.period_us) == (starts.start, starts.step)
    assert number.periods == len(starts)


ROUND: Any = {"network": "local", "shard": "main", "epoch": 1, "number": 2}


@given(drawn=books(all_or_none=True), seed=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_inputs_do_not_depend_on_the_order_of_orders(drawn: Drawn, seed: int) -> None:
    offers, orders, paths = drawn
    orders.append(curved("many", (3, 90), (2, 120), (5, 40)))
    chance = random.Random(seed)
    shuffled = chance.sample(orders, len(orders))
    frozen = snapshot(offers, orders, paths=paths)
    given_inputs = kept.inputs_of(frozen)
    assert given_inputs == kept.inputs_of(snapshot(offers, shuffled, paths=paths))
    of = round_of(frozen, **ROUND, inputs=kept.id_of(given_inputs))
    record = encode(publish_round(of, clear(frozen)).record)
    again = snapshot_of(
        of,
        codec.decode(kept.Inputs, given_inputs),
        offers={entry.id: Signed(entry.offer, entry.id, b"", b"") for entry in offers},
        models=MODELS,
        network_map=NetworkMap({key: MapPath(10, path.charge) for key, path in paths.items()}),
    )
    assert kept.inputs_of(again) == given_inputs
    numbers = np.array(chance.sample(range(len(again.orders)), len(again.orders)), np.int64)
    mixed = replace(again, orders=again.orders.take(numbers))
    assert encode(publish_round(of, clear(mixed)).record) == record
    assert again.salt == SALT


def test_rows_that_do_not_fit_the_orders_are_refused() -> None:
    frozen = snapshot([], [curved("many", (3, 90), (2, 120))])
    inputs = codec.decode(kept.Inputs, kept.inputs_of(frozen))
    cut = msgspec.structs.replace(inputs, lots=pack(unpack(inputs.lots)[:1]))
    of = round_of(frozen, **ROUND, inputs=bytes(32))
    with pytest.raises(ValueError, match="row_start"):
        snapshot_of(of, cut, offers={}, models=MODELS, network_map=NetworkMap())


def test_models_of_an_order_keep_their_distances() -> None:
    one, other = MODELS
    models = (ModelLimit(model=one, price=70), ModelLimit(model=other, price=100))
    order = curved("two", (3, 90))
    frozen = snapshot(
        [], [replace(order, terms=msgspec.structs.replace(order.terms, models=models))]
    )
    (kind,) = codec.decode(kept.Inputs, kept.inputs_of(frozen)).kinds
    assert {each.model: each.handicap for each in kind.models} == {one: 30, other: 0}
