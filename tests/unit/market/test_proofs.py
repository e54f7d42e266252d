"""Proofs for buyers: made again from what is kept, and good against the published record."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swatow_market.exchange.certificate.merkle import Proof
from swatow_market.exchange.certificate.trader import Own, Paid, doubts
from swatow_market.published import check
from swatow_protocol.envelope import verify
from swatow_protocol.messages import RoundHead, RoundNumber, Subject
from swatow_protocol.messages.answers import PROOFS_MAX, OrderProof
from tests.support.market_world import UNIT, Placed, World, open_world
from tests.support.samples import BUYER, MARKET, NETWORK, STRANGER, digest

FIRST = RoundNumber(shard="main", epoch=1, number=1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await open_world(tmp_path, records_days=1)
    await opened.deposit(10 * UNIT)
    await opened.deposit(10 * UNIT, STRANGER)
    yield opened
    await opened.close()


def number_of(proof: OrderProof) -> int:
    head = verify(proof.head, RoundHead, network=NETWORK, now_us=None, sender=MARKET.key)
    return head.message.round.number


async def proof_of(world: World, placed: Placed, number: RoundNumber | None = None) -> OrderProof:
    (proof,) = (await world.ask(Subject.PROOF, placed.id, round=number)).proofs
    return proof


async def partly_filled(world: World) -> Placed:
    """Fill three of five lots in the first round, one more in the second; the third has none."""
    await world.supply((80_000, 3))
    placed = await world.place(5, 100_000, life_s=50)
    await world.round()
    await world.supply((80_000, 1), node=STRANGER)
    await world.round()
    await world.round()
    await placed.next()
    await placed.next()
    return placed


async def test_an_order_is_shown_as_it_stood_in_the_last_round_that_traded(world: World) -> None:
    placed = await partly_filled(world)
    proof = await proof_of(world, placed)
    assert (number_of(proof), proof.lots, proof.segment) == (2, 2, 0)
    earlier = await proof_of(world, placed, FIRST)
    assert (number_of(earlier), earlier.lots) == (1, 5)


@pytest.mark.parametrize(("number", "before"), [(1, 5), (2, 2)])
async def test_it_holds_against_the_record(world: World, number: int, before: int) -> None:
    placed = await partly_filled(world)
    of = RoundNumber(shard="main", epoch=1, number=number)
    proof = await proof_of(world, placed, of)
    record = check(await world.market.published_round(of)).record
    awards = [each.message for each in placed.awards if each.message.round == of]
    own = Own(
        order=placed.id,
        rows=((100_000, before),),
        all_or_none=False,
        awards=tuple(Paid(each.lots, each.price) for each in awards),
        segment=proof.segment,
        proof=Proof(index=proof.index, leaves=proof.leaves, hashes=proof.hashes),
    )
    assert doubts(record, own) == frozenset()
    assert sum(each.lots for each in awards) == {1: 3, 2: 1}[number]


async def test_an_order_that_no_offer_may_serve_has_no_segment(world: World) -> None:
    await world.supply((80_000, 3))
    served = await world.place(1, 100_000)
    other = await world.place(1, 100_000, rate=10**8)
    await world.round()
    assert (await proof_of(world, served)).segment == 0
    proof = await proof_of(world, other)
    assert (proof.segment, proof.leaves) == (None, 2)


async def test_a_round_that_did_not_trade_or_had_not_the_order_has_no_proof(world: World) -> None:
    await world.supply((80_000, 3))
    await world.place(1, 100_000)
    await world.round()
    late = await world.place(1, 50_000)
    await world.round()
    assert (await world.ask(Subject.PROOF, late.id)).proofs == ()
    assert (await world.ask(Subject.PROOF, late.id, round=FIRST)).proofs == ()
    elsewhere = RoundNumber(shard="other", epoch=1, number=1)
    assert (await world.ask(Subject.PROOF, late.id, round=elsewhere)).proofs == ()


async def test_only_the_buyer_is_told(world: World) -> None:
    placed = await partly_filled(world)
    answer = await world.ask(Subject.PROOF, placed.id, digest("unknown"), who=STRANGER)
    assert answer.proofs == ()
    assert len((await world.ask(Subject.PROOF, placed.id, who=BUYER)).proofs) == 1


async def test_so_many_orders_are_shown_at_once(world: World) -> None:
    await world.supply((80_000, 100))
    placed = [await world.place(1, 100_000) for _ in range(PROOFS_MAX + 1)]
    await world.round()
    answer = await world.ask(Subject.PROOF, *(each.id for each in placed))
    assert {each.order for each in answer.proofs} == {each.id for each in placed[:PROOFS_MAX]}


async def test_what_is_not_kept_any_more_is_not_shown(world: World) -> None:
    placed = await partly_filled(world)
    assert await world.market.published_round(FIRST)
    world.clock.advance(86_400 + 1)
    await world.supply((80_000, 3))
    await world.bought(1, 100_000)
    assert (await world.ask(Subject.PROOF, placed.id)).proofs == ()
    assert await world.market.published_round(FIRST) == b""
    elsewhere = RoundNumber(shard="other", epoch=1, number=1)
    assert await world.market.published_round(elsewhere) == b""


async def test_inputs_that_are_not_those_of_the_record_show_nothing(world: World) -> None:
    first = await partly_filled(world)
    async with world.market.state.database.writing() as connection:
        await connection.exec_driver_sql(
            "UPDATE rounds SET inputs = (SELECT inputs FROM rounds WHERE number = 2) "
            "WHERE number = 1"
        )
    assert (await world.ask(Subject.PROOF, first.id, round=FIRST)).proofs == ()


async def test_a_round_whose_offers_are_lost_shows_nothing(world: World) -> None:
    placed = await partly_filled(world)
    async with world.market.state.database.writing() as connection:
        await connection.exec_driver_sql("DELETE FROM offers")
    assert (await world.ask(Subject.PROOF, placed.id)).proofs == ()


async def test_rounds_that_were_asked_about_last_are_not_made_again(world: World) -> None:
    placed = await partly_filled(world)
    first = await proof_of(world, placed, FIRST)
    async with world.market.state.database.writing() as connection:
        await connection.exec_driver_sql("UPDATE rounds SET inputs = NULL")
    assert await proof_of(world, placed, FIRST) == first
