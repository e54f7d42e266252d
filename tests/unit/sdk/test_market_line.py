"""The line to a market: nothing that comes back is believed that was not signed or ordered."""

from pathlib import Path
from typing import Any

import pytest

from swatow._market import MarketLine
from swatow._placed import placed_order
from swatow.errors import InvalidValue, MarketError, OutcomeUnknown, Unreachable
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.errors import CallRefused, MessageRefused, Refusal, RemoteError
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Limits, ModelLimit, Order, Subject
from swatow_protocol.messages.answers import Granted, OrderState
from tests.support import samples
from tests.support.samples import BUYER, LATER_US, MARKET, NOW_US, PERIOD_US, STRANGER, digest
from tests.unit.node import deal
from tests.unit.sdk.market import Counter, FakeMarket, Grant, grant_of, line_to, wallet_in


@pytest.fixture
def clock() -> Counter:
    return Counter()


@pytest.fixture
def market(tmp_path: Path) -> FakeMarket:
    return FakeMarket(wallet_in(tmp_path / "buyer"))


@pytest.fixture
def line(market: FakeMarket, clock: Counter) -> MarketLine:
    return line_to(market, clock)


def order(**changes: Any) -> Signed[Order]:
    terms = samples.terms(models=(ModelLimit(model=deal.MODEL.id, price=100_000),))
    return sign(samples.order(**{"terms": terms, "lots": 5, **changes}), BUYER)


async def news(line: MarketLine, of: Signed[Order]) -> list[OrderState | None]:
    return [event.state async for event in line.place(of)]


async def test_the_catalogue_is_what_the_market_signed(line: MarketLine) -> None:
    catalogue = await line.catalogue()
    assert catalogue.model("small-model-q4") == deal.MODEL
    assert catalogue.terms.fee_ppm == 10_000
    assert await line.catalogue() is catalogue, "asked once"
    with pytest.raises(InvalidValue, match=r"'gpt'; it lists: small-model-q4"):
        catalogue.model("gpt")


@pytest.mark.parametrize("what", ["models", "terms"])
async def test_a_catalogue_that_the_market_did_not_sign_is_no_catalogue(
    line: MarketLine, market: FakeMarket, what: str
) -> None:
    if what == "models":
        model = sign(samples.model(sender=STRANGER.key), STRANGER)
        market.models = (deal.MODEL.envelope, model.envelope)
    else:
        market.terms = sign(samples.market_terms(sender=STRANGER.key), STRANGER).envelope
    with pytest.raises(MarketError):
        await line.catalogue()


async def test_the_network_map_is_what_the_market_signed(line: MarketLine) -> None:
    assert await line.network_map() == sign(samples.network_map(), MARKET)


@pytest.mark.parametrize(
    ("changes", "signer"),
    [({"sender": STRANGER.key}, STRANGER), ({"network": "other"}, MARKET), ({"zones": ()}, MARKET)],
    ids=["signed by a stranger", "of another network", "contradicts itself"],
)
async def test_a_network_map_that_is_not_the_markets_or_cannot_be_is_none(
    line: MarketLine, market: FakeMarket, changes: dict[str, Any], signer: Identity
) -> None:
    market.map = sign(samples.network_map(**changes), signer).envelope
    with pytest.raises(MarketError):
        await line.network_map()


async def test_offers_that_nobody_signed_or_that_have_expired_are_left_out(
    line: MarketLine, market: FakeMarket
) -> None:
    good = deal.offer()
    expired = deal.offer(expires_us=NOW_US)
    altered = bytearray(good.envelope)
    altered[-1] ^= 1
    market.listed = (bytes(altered), expired.envelope, good.envelope, b"words")
    assert [offer.id for offer in await line.offers()] == [good.id]


async def test_an_order_is_on_disk_before_it_is_sent(line: MarketLine, market: FakeMarket) -> None:
    assert await news(line, order()) == [OrderState.OPEN, OrderState.FILLED]
    assert market.on_disk == [1]
    assert [each.id for each in market.orders] == [order().id]


async def test_news_of_other_orders_is_not_passed_on(line: MarketLine) -> None:
    events = [event async for event in line.place(order())]
    assert {event.order for event in events} == {order().id}


@pytest.mark.parametrize("failure", [OutcomeUnknown("lost"), Unreachable("down")])
async def test_an_order_whose_answer_was_lost_is_sent_again_as_it_was(
    line: MarketLine, market: FakeMarket, failure: OutcomeUnknown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swatow._market.RETRY_S", 0)
    market.grants = [Grant(fails=failure), Grant()]
    connected = line._connected

    async def again() -> Any:
        if line._client is None:
            line._client = market  # type: ignore[assignment]
        return await connected()

    monkeypatch.setattr(line, "_connected", again)
    assert await news(line, order()) == [OrderState.OPEN, OrderState.FILLED]
    assert [each.id for each in market.orders] == [order().id] * 2
    assert market.closed == 1, "the broken connection was closed"
    assert market.wallet.orders_count() == 1


async def test_an_order_is_given_up_when_it_has_expired(
    line: MarketLine, market: FakeMarket, clock: Counter
) -> None:
    market.grants = [Grant(fails=Unreachable("down"))]
    given = order()
    clock.now_us = given.message.terms.expires_us
    with pytest.raises(Unreachable):
        await news(line, given)
    assert market.wallet.orders_count() == 1, "it can still be asked about"


async def test_a_market_that_breaks_the_protocol_is_told_apart_from_the_network(
    line: MarketLine, market: FakeMarket
) -> None:
    market.grants = [Grant(fails=CallRefused("nonsense"))]
    with pytest.raises(MarketError, match=r"nonsense"):
        await news(line, order())


async def test_an_award_that_answers_the_order_is_held(line: MarketLine) -> None:
    held = await line.held(grant_of(order()), placed_order(order()))
    assert (held.award.lots, held.model, held.left()) == (5, deal.MODEL.message, 5_000)
    assert held.offer.id == held.award.offer


MISMATCHES: dict[str, dict[str, Any]] = {
    "for another order": {"order": digest("other order")},
    "for another buyer": {"buyer": STRANGER.key},
    "of a model that was not ordered": {"model": digest("other model")},
    "above the limit price": {"price": 100_001},
    "in another currency": {"currency": "CNY"},
    "for more lots than ordered": {"lots": 6},
    "on another offer": {"offer": digest("other offer")},
    "with another certificate": {"certificate_sha256": digest("other certificate")},
    "with another sealing key": {"sealing_key": digest("other key")},
}


@pytest.mark.parametrize("name", MISMATCHES)
async def test_an_award_that_does_not_answer_the_order_is_refused(
    line: MarketLine, name: str
) -> None:
    problem = name.replace("sealing key", "certificate")
    with pytest.raises(MarketError, match=f"award: {problem}"):
        await line.held(grant_of(order(), MISMATCHES[name]), placed_order(order()))


LATER = {"from_us": LATER_US, "expires_us": LATER_US + PERIOD_US}
NEXT = {"from_us": LATER_US + PERIOD_US, "expires_us": LATER_US + 2 * PERIOD_US}


def patient(deadline_us: int | None, lots: int = 5) -> Signed[Order]:
    models = (ModelLimit(model=deal.MODEL.id, price=100_000),)
    return order(terms=samples.terms(models=models, deadline_us=deadline_us), lots=lots)


@pytest.mark.parametrize(
    ("award", "deadline_us"),
    [
        (LATER, LATER_US + PERIOD_US),
        (LATER, LATER_US + 5 * PERIOD_US),
        ({"from_us": NOW_US}, LATER_US),
        (NEXT, LATER_US + 2 * PERIOD_US),
    ],
)
async def test_an_award_of_any_period_before_the_deadline_will_do(
    line: MarketLine, award: dict[str, Any], deadline_us: int
) -> None:
    given = patient(deadline_us)
    held = await line.held(grant_of(given, award), placed_order(given))
    assert held.award.from_us == award["from_us"]


@pytest.mark.parametrize(
    ("award", "deadline_us"),
    [
        (LATER, None),
        (LATER, LATER_US + PERIOD_US - 1),
        ({**LATER, "expires_us": LATER_US + PERIOD_US + 1}, LATER_US + PERIOD_US),
        ({"from_us": LATER_US, "expires_us": LATER_US}, LATER_US + PERIOD_US),
        (NEXT, LATER_US + PERIOD_US),
    ],
    ids=["not asked for", "ends too late", "longer", "never", "too late"],
)
async def test_an_award_of_another_time_than_was_ordered_is_refused(
    line: MarketLine, award: dict[str, Any], deadline_us: int | None
) -> None:
    given = patient(deadline_us)
    with pytest.raises(MarketError, match=r"for a time that was not ordered"):
        await line.held(grant_of(given, award), placed_order(given))


@pytest.mark.parametrize(
    ("award", "fits"),
    [
        ({"lots": 60, "node_price": 80_000}, True),
        ({"lots": 61, "node_price": 80_000}, False),
        ({"lots": 100, "node_price": 90_000}, True),
        ({"lots": 1, "node_price": 79_999}, False),
        ({**LATER, "lots": 80, "node_price": 60_000}, True),
        ({**LATER, "lots": 81, "node_price": 60_000}, False),
        ({**NEXT, "lots": 71, "node_price": 50_000}, False),
        ({"from_us": LATER_US + 1, "expires_us": LATER_US + 2}, False),
    ],
)
async def test_an_award_beyond_what_the_offer_states_would_not_be_served(
    line: MarketLine, award: dict[str, Any], fits: bool
) -> None:
    given = patient(LATER_US + 9 * PERIOD_US, lots=100)
    if fits:
        await line.held(grant_of(given, award), placed_order(given))
    else:
        with pytest.raises(MarketError, match=r"beyond what the offer states for its time"):
            await line.held(grant_of(given, award), placed_order(given))


@pytest.mark.parametrize(
    ("award", "offer"),
    [
        ({"sender": STRANGER.key}, {}),
        ({"network": "other"}, {}),
        ({"expires_us": NOW_US}, {}),
        ({"node": STRANGER.key}, {}),
        ({}, {"network": "other"}),
        ({}, {"model": digest("other model")}),
    ],
    ids=[
        "award of a stranger",
        "award of another network",
        "award that is over",
        "offer of another node",
        "offer of another network",
        "offer of another model",
    ],
)
async def test_an_award_or_offer_of_somebody_else_is_refused(
    line: MarketLine, award: dict[str, Any], offer: dict[str, Any]
) -> None:
    granted = grant_of(order(), {} if "sender" in award else award, offer)
    if "sender" in award:
        forged = samples.award(**{**_fields(deal.award().message), **award})
        granted = Granted(award=sign(forged, STRANGER).envelope, offer=granted.offer)
    with pytest.raises(MarketError, match=r"award: "):
        await line.held(granted, placed_order(order()))


def _fields(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


async def test_an_award_of_a_model_that_is_no_longer_listed_is_refused(
    line: MarketLine, market: FakeMarket
) -> None:
    market.models = ()
    with pytest.raises(MarketError, match=r"unlisted model"):
        await line.held(grant_of(order()), placed_order(order()))


async def test_the_limits_of_the_order_are_the_markets_to_keep_but_the_offer_is_shown(
    line: MarketLine,
) -> None:
    """The buyer gets the offer, so that anyone can check the limits afterwards."""
    limited = order(
        terms=samples.terms(
            models=(ModelLimit(model=deal.MODEL.id, price=100_000),),
            limits=Limits(zones=("cn-gd",)),
        )
    )
    held = await line.held(grant_of(limited), placed_order(limited))
    assert held.offer.message.zone == "cn-gd-shantou"


async def test_a_query_is_signed_for_this_market_alone(
    line: MarketLine, market: FakeMarket
) -> None:
    await line.ask(Subject.AWARDS, (digest("award"),))
    await line.ask(Subject.ACCOUNT)
    first, second = market.queries
    assert (first.market, first.sender) == (MARKET.key, BUYER.key)
    assert (first.subject, first.ids) == (Subject.AWARDS, (digest("award"),))
    assert first.nonce != second.nonce


@pytest.mark.parametrize("error", [CallRefused("why"), MessageRefused(Refusal.MALFORMED, "why")])
async def test_an_answer_that_is_none_is_the_markets_fault(
    line: MarketLine, market: FakeMarket, error: RemoteError
) -> None:
    market.answer = market.listed = market.map = error
    with pytest.raises(MarketError, match=r"why"):
        await line.ask(Subject.ACCOUNT)
    with pytest.raises(MarketError, match=r"why"):
        await line.offers()
    with pytest.raises(MarketError, match=r"why"):
        await line.network_map()


@pytest.mark.parametrize("call", ["ask", "offers", "catalogue", "network_map"])
async def test_a_call_that_is_lost_drops_the_connection(
    line: MarketLine, market: FakeMarket, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The market may have come back with another certificate: only a new connection finds it."""

    async def lost() -> Any:
        raise Unreachable("down")

    market.answer = market.listed = market.map = Unreachable("down")
    monkeypatch.setattr(market, "catalogue", lost)
    calls = {
        "ask": lambda: line.ask(Subject.ACCOUNT),
        "offers": line.offers,
        "catalogue": line.catalogue,
        "network_map": line.network_map,
    }
    with pytest.raises(Unreachable):
        await calls[call]()
    assert market.closed == 1
    assert line._client is None
