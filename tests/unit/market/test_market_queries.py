"""Signed queries: each asker is told of what is its own, and of nothing else."""

import pytest

from swatow_protocol import limits
from swatow_protocol.envelope import sign
from swatow_protocol.errors import MessageRefused, Refusal
from swatow_protocol.messages import Query, Subject
from swatow_protocol.messages.answers import OrderState
from tests.support import samples
from tests.support.market_world import UNIT, World
from tests.support.samples import BUYER, MARKET, NODE, NOW_US, STRANGER, digest


async def test_an_account_says_what_is_free_held_paid_in_and_paid_out(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    await world.place(1, 70_000)
    await world.redeem(award, 2_000)
    (account,) = (await world.ask(Subject.ACCOUNT)).accounts
    assert (account.owner, account.kind, account.currency) == (BUYER.key, "buyer", "USD")
    assert (account.balance, account.held) == (UNIT - 470_000, 310_000)
    assert (account.paid_in, account.paid_out) == (UNIT, 160_000)
    (account,) = (await world.ask(Subject.ACCOUNT, who=NODE)).accounts
    assert (account.owner, account.kind) == (NODE.key, "node")
    assert (account.balance, account.held) == (158_400, 0)
    assert (await world.ask(Subject.ACCOUNT, who=STRANGER)).accounts == ()


async def test_one_key_may_buy_and_sell_and_has_an_account_for_each(world: World) -> None:
    await world.deposit(UNIT)
    await world.deposit(UNIT, NODE)
    award = await world.bought(5, 80_000)
    await world.redeem(award, 5_000)
    kinds = [account.kind for account in (await world.ask(Subject.ACCOUNT, who=NODE)).accounts]
    assert kinds == ["buyer", "node"]


async def test_orders_are_told_with_all_their_awards(world: World) -> None:
    await world.deposit(UNIT)
    await world.supply((80_000, 2))
    placed = await world.place(5, 100_000)
    await world.round()
    await world.supply((80_000, 3), node=STRANGER)
    (event,) = (await world.ask(Subject.ORDERS, placed.id)).orders
    assert (event.state, event.lots_open, len(event.granted)) == (OrderState.OPEN, 3, 1)
    await world.round()
    answer = await world.ask(Subject.ORDERS, placed.id)
    (event,) = answer.orders
    assert (event.state, event.lots_open, len(event.granted)) == (OrderState.FILLED, 0, 2)
    assert event.verdict is None
    assert answer.round == 2
    await placed.rest()
    told = {granted.award for each in placed.events for granted in each.granted}
    assert told == {granted.award for granted in event.granted}


async def test_orders_of_others_and_unknown_ones_are_left_out(world: World) -> None:
    await world.deposit(UNIT)
    await world.deposit(UNIT, STRANGER)
    mine = await world.place(5, 100_000)
    other = await world.place(5, 100_000, buyer=STRANGER)
    asked = (mine.id, other.id, digest("unknown"))
    answer = await world.ask(Subject.ORDERS, *asked)
    assert [event.order for event in answer.orders] == [mine.id]
    answer = await world.ask(Subject.ORDERS, *asked, who=STRANGER)
    assert [event.order for event in answer.orders] == [other.id]
    assert (await world.ask(Subject.ORDERS)).orders == ()


async def test_as_many_ids_as_a_query_may_name_are_answered(world: World) -> None:
    await world.deposit(UNIT)
    placed = await world.send(world.batch([(0, 1, 100)] * limits.QUERY_IDS_MAX))
    ids = [event.order for event in placed.events]
    answer = await world.ask(Subject.ORDERS, *ids)
    assert {event.order for event in answer.orders} == set(ids)


async def test_before_the_first_round_there_is_none(world: World) -> None:
    assert (await world.ask(Subject.ACCOUNT)).round == 0


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"market": NODE.key}, Refusal.WRONG_NETWORK),
        ({"network": "other"}, Refusal.WRONG_NETWORK),
        ({"issued_us": NOW_US - limits.MESSAGE_AGE_US - 1}, Refusal.STALE),
    ],
)
async def test_a_query_for_another_market_or_time_is_refused(
    world: World, changes: dict[str, object], refusal: Refusal
) -> None:
    query: Query = samples.query(**{"market": MARKET.key, **changes})
    with pytest.raises(MessageRefused) as refused:
        await world.market.ask(sign(query, BUYER).envelope)
    assert refused.value.refusal is refusal


async def test_asking_changes_nothing(world: World) -> None:
    await world.deposit(UNIT)
    award = await world.bought(5, 80_000)
    before = world.contents()
    for subject in Subject:
        await world.ask(subject, award.id, order=world.order(1, 80_000).envelope)
    assert world.contents() == before
