"""What stands in the market for a buyer. The market is a fake; line, wallet and checks are real."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from swatow._standing import ORDERS_PER_QUERY, Standing
from swatow.errors import BuyerError, InvalidValue, MarketError
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.messages import Award, ModelLimit, Order, RoundNumber, Subject
from swatow_protocol.messages.answers import (
    AdmissionReason,
    AwardStatement,
    Decision,
    Explanation,
    Granted,
    KeptAway,
    LimitName,
    OrderEvent,
    OrderProof,
    OrderState,
    QueryAnswer,
    Verdict,
)
from tests.support import samples
from tests.support.samples import BUYER, MARKET, NODE, NOW_US, STRANGER
from tests.unit.node import deal
from tests.unit.sdk.market import Counter, FakeMarket, line_to, wallet_in

NO = Verdict(decision=Decision.REJECT, reason=AdmissionReason.NOTHING_TO_CONTEST, detail="why")


EARLIER = RoundNumber(shard="main", epoch=1, number=1)


class Here:
    """A buyer with a wallet and a fake market."""

    def __init__(self, directory: Path) -> None:
        self.market = FakeMarket(wallet_in(directory))
        self.standing = Standing(line_to(self.market, Counter()), self.market.wallet)

    def order(self, number: int = 1, **changes: Any) -> Signed[Order]:
        """Put an order into the wallet."""
        models = (ModelLimit(model=deal.MODEL.id, price=100_000),)
        message = samples.order(
            nonce=number.to_bytes(16, "big"),
            issued_us=NOW_US + number,
            terms=samples.terms(models=models),
            **changes,
        )
        signed = sign(message, BUYER)
        self.market.wallet.keep_order(signed.id, signed.envelope, message.issued_us)
        return signed

    def award(self, order: Signed[Order], **changes: Any) -> Signed[Award]:
        """Put an award into the wallet."""
        award = deal.award(order=order.id, take_or_pay_ppm=200_000, **changes)
        self.market.wallet.keep_awards([(award.id, order.id, award.envelope, b"offer")])
        return award

    def answer(
        self, *events: OrderEvent, awards: tuple[AwardStatement, ...] = (), **more: Any
    ) -> None:
        """Let the market answer so."""
        self.market.answer = QueryAnswer(accounts=(), orders=events, awards=awards, round=1, **more)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "buyer")


def event(
    order: Signed[Order], state: OrderState, *awards: Signed[Award], **more: Any
) -> OrderEvent:
    granted = tuple(Granted(award=each.envelope, offer=b"offer") for each in awards)
    fields: dict[str, Any] = {"verdict": None, "lots_open": 2, "unmet": (), **more}
    return OrderEvent(order=order.id, state=state, granted=granted, **fields)


def statement(award: Signed[Award], **changes: Any) -> AwardStatement:
    fields: dict[str, Any] = {
        "award": award.id,
        "lots": award.message.lots,
        "held": 410_000,
        "paid": 82_000,
        "released": 0,
        "standard_tokens": 300,
        "closed": False,
        "from_us": award.message.from_us,
        "expires_us": award.message.expires_us,
        "settle_by_us": award.message.settle_by_us,
        "paid_unused": 57_400,
        "contested_us": None,
    }
    return AwardStatement(**{**fields, **changes})


async def test_orders_are_listed_newest_first_with_where_they_stand(here: Here) -> None:
    old, lost, new = (here.order(number) for number in (1, 2, 3))
    award = here.award(old)
    here.answer(
        event(old, OrderState.EXPIRED, award),
        event(new, OrderState.OPEN, unmet=(LimitName.PRICE,), lots_open=5),
    )
    first, second, third = await here.standing.orders()
    assert [each.id for each in (first, second, third)] == [
        each.id.hex() for each in (new, lost, old)
    ]
    assert (first.state, first.lots, first.lots_open) == ("open", 5, 5)
    assert (first.unmet, first.awards, first.is_open) == (("price",), (), True)
    assert (second.state, second.awards) == ("unknown", ()), "the market never took it in"
    assert (third.state, third.lots_open, third.awards) == ("expired", 2, (award.id.hex(),))
    assert third.models == {deal.MODEL.message.name: 100_000}
    assert len(await here.standing.orders(1)) == 1


async def test_the_market_is_asked_about_so_many_orders_at_a_time(here: Here) -> None:
    for number in range(ORDERS_PER_QUERY + 1):
        here.order(number)
    here.answer()
    assert len(await here.standing.orders(1_000)) == ORDERS_PER_QUERY + 1
    assert [len(query.ids) for query in here.market.queries] == [ORDERS_PER_QUERY, 1]


async def test_an_award_that_the_market_did_not_sign_is_not_shown(here: Here) -> None:
    order = here.order()
    forged = sign(samples.award(sender=STRANGER.key), STRANGER)
    here.answer(event(order, OrderState.FILLED, forged))
    with pytest.raises(MarketError, match="award"):
        await here.standing.orders()


async def test_an_order_is_cancelled_by_its_first_digits(here: Here) -> None:
    order = here.order()
    here.order(2)
    here.answer(event(order, OrderState.CANCELLED))
    status = await here.standing.cancel(order.id.hex()[:10])
    assert here.market.cancelled == (order.id,)
    assert (status.id, status.state) == (order.id.hex(), "cancelled")


async def test_what_cannot_be_cancelled_says_why(here: Here) -> None:
    order = here.order()
    for prefix in ("", "zz", "0" * 64):
        with pytest.raises(InvalidValue, match=r"^order: "):
            await here.standing.cancel(prefix)
    here.market.verdict = Verdict(
        decision=Decision.REJECT, reason=AdmissionReason.NOT_YOURS, detail=""
    )
    with pytest.raises(BuyerError, match=r"is not cancelled: not_yours$"):
        await here.standing.cancel(order.id.hex())


async def test_an_award_is_contested_by_its_first_digits(here: Here) -> None:
    award = here.award(here.order())
    here.answer(awards=(statement(award, contested_us=NOW_US),))
    status = await here.standing.contest(award.id.hex()[:10])
    assert here.market.contested == [award.id]
    assert (status.id, status.contested, status.node) == (award.id.hex(), True, NODE.key.hex())


async def test_what_cannot_be_contested_says_why(here: Here) -> None:
    award = here.award(here.order())
    with pytest.raises(InvalidValue, match=r"^award: "):
        await here.standing.contest("00")
    here.market.verdict = NO
    with pytest.raises(BuyerError, match=r"is not contested: nothing_to_contest: why$"):
        await here.standing.contest(award.id.hex())
    here.market.verdict = Verdict(decision=Decision.IGNORE, reason=AdmissionReason.KNOWN, detail="")
    here.answer()
    with pytest.raises(MarketError, match="unknown"):
        await here.standing.contest(award.id.hex())


async def test_shares_are_told_with_what_was_paid_for_unused_tokens(here: Here) -> None:
    order = here.order()
    award, unknown = here.award(order), here.award(order, lots=4)
    plain = deal.award(order=order.id)
    here.market.wallet.keep_awards([(plain.id, order.id, plain.envelope, b"offer")])
    here.answer(awards=(statement(award, closed=True),))
    (status,) = await here.standing.shares()
    assert (status.id, status.take_or_pay_ppm, status.lots) == (award.id.hex(), 200_000, 5)
    assert (status.standard_tokens, status.paid, status.paid_unused) == (300, 82_000, 57_400)
    assert (status.closed, status.contested, status.currency) == (True, False, "USD")
    (query,) = here.market.queries
    assert query.subject is Subject.AWARDS
    assert set(query.ids) == {award.id, unknown.id}, "those that have a share"


async def test_without_shares_the_market_is_not_asked(here: Here) -> None:
    here.order()
    assert await here.standing.shares() == []
    assert here.market.queries == []


async def test_the_latest_awards_are_looked_at_first(here: Here) -> None:
    old, new = here.award(here.order(1)), here.award(here.order(2))
    here.answer(awards=(statement(old), statement(new)))
    assert [each.id for each in await here.standing.shares(1)] == [new.id.hex()]


def explanation(order: Signed[Order], **changes: Any) -> Explanation:
    fields: dict[str, Any] = {
        "order": order.id,
        "state": None,
        "lots_open": 2,
        "offers": 3,
        "eligible": 0,
        "limits": (KeptAway(limit=LimitName.ZONES, offers=3, alone=2),),
        "nearest": (LimitName.ZONES,),
        "limit_price": 100_000,
        "last_price": None,
        "least_ask": None,
        "lots_within": 0,
        "missing": None,
        "price_short": 0,
        "lots_short": 0,
    }
    return Explanation(**{**fields, **changes})


async def test_an_order_is_explained_by_what_the_market_says_of_it(here: Here) -> None:
    order = here.order()
    here.answer(explanation=explanation(order))
    found = await here.standing.explain(order.id.hex()[:10])
    assert here.market.queries[-1].order == order.envelope
    assert (found.id, found.state, found.nearest) == (order.id.hex(), "unknown", ("zones",))
    assert found.as_dict()["limits"] == ({"limit": "zones", "offers": 3, "alone": 2},)
    other = explanation(here.order(2), missing=LimitName.PRICE, state=OrderState.OPEN)
    here.answer(explanation=other)
    assert (await here.standing.explain(here.order(2).id.hex())).missing == "price"
    with pytest.raises(MarketError, match="no explanation"):
        await here.standing.explain(order.id.hex())
    here.answer()
    with pytest.raises(MarketError, match="no explanation"):
        await here.standing.explain(order.id.hex())
    with pytest.raises(InvalidValue, match=r"^order: "):
        await here.standing.explain("zz")


async def test_evidence_of_a_round_is_what_was_signed(here: Here) -> None:
    order = here.order()
    award = deal.award(order=order.id)
    earlier = deal.award(order=order.id, round=EARLIER, lots=1)
    stranger = deal.award(order=samples.digest("another"))
    head = sign(samples.round_head(round=award.message.round), MARKET)
    proof = OrderProof(
        order=order.id, head=head.envelope, lots=3, segment=0, index=0, leaves=1, hashes=()
    )
    here.answer(event(order, OrderState.OPEN, award, earlier, stranger), proofs=(proof,))
    found = await here.standing.round_evidence(order.id.hex()[:10], award.message.round)
    assert [each.id for each in found.awards_of_round] == [award.id]
    assert found.lots_before == order.message.lots - 1
    assert (found.round, found.file) == (award.message.round, here.market.file)
    assert here.market.queries[-2].round == award.message.round
    for wrong in (head.payload, sign(samples.round_head(sender=BUYER.key), BUYER).envelope):
        here.answer(proofs=(structs.replace(proof, head=wrong),))
        with pytest.raises(MarketError, match="round"):
            await here.standing.round_evidence(order.id.hex())
    here.answer()
    with pytest.raises(InvalidValue, match="in no such round"):
        await here.standing.round_evidence(order.id.hex())
