"""Admission: every reason that it can give, and which one where several apply."""

from typing import Any

import pytest
from msgspec import structs

from swatow_market.exchange.admission import (
    ACCEPTED,
    Rules,
    entries_of,
    judge_offer,
    judge_terms,
)
from swatow_market.exchange.book import OFFERS_MAX, Book
from swatow_market.exchange.offers import BookOffer
from swatow_protocol import limits
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.messages import (
    LaterSupply,
    ModelLimit,
    Offer,
    PaymentTerms,
    PriceStep,
)
from swatow_protocol.messages.answers import AdmissionReason, Decision, Verdict
from swatow_protocol.periods import later_starts
from tests.support import samples
from tests.support.samples import (
    BUYER,
    LATER_US,
    NODE,
    NOW_US,
    PERIOD_US,
    SECOND,
    STRANGER,
    digest,
)

MODEL, OTHER = digest("model"), digest("other model")
RULES = Rules(
    samples.market_terms(), {MODEL: samples.model(), OTHER: samples.model(name="other-model")}
)
ROOM_FOR_LESS = PaymentTerms(voucher_interval=32, credit_window=31)

REASONS = list(AdmissionReason)


def offer_of(**changes: Any) -> Signed[Offer]:
    return sign(samples.offer(**changes), NODE)


def judged_offer(
    signed: Signed[Offer], book: Book | None = None, now_us: int = NOW_US
) -> tuple[Decision, AdmissionReason | None]:
    verdict = judge_offer(signed, RULES, book or Book(), now_us)
    return verdict.decision, verdict.reason


def book_with(signed: Signed[Offer]) -> Book:
    book = Book()
    book.put_offer(BookOffer(signed.id, signed.message, signed.envelope))
    return book


def full_book() -> Book:
    book = Book()
    for number in range(OFFERS_MAX):
        offer = samples.offer(sender=digest(f"node {number}"))
        book.put_offer(BookOffer(digest(f"offer {number}"), offer, b""))
    return book


STEPS = tuple(PriceStep(price=price, lots=1) for price in (80_000, 80_000))


def later(*starts: int) -> tuple[LaterSupply, ...]:
    """Return supply of one lot in each of these periods."""
    return tuple(LaterSupply(start_us=start_us, steps=STEPS[:1]) for start_us in starts)


OFFER_FAULTS: list[tuple[AdmissionReason, dict[str, Any]]] = [
    (AdmissionReason.NOT_YET_VALID, {"valid_from_us": NOW_US + limits.CLOCK_SKEW_US + 1}),
    (AdmissionReason.LIFE_TOO_LONG, {"expires_us": NOW_US + limits.OFFER_LIFE_US + 1}),
    (AdmissionReason.WRONG_CURRENCY, {"currency": "CNY"}),
    (AdmissionReason.UNKNOWN_MODEL, {"model": digest("unlisted")}),
    (AdmissionReason.STEPS_NOT_RISING, {"steps": STEPS}),
    (AdmissionReason.BAD_PERIODS, {"later": later(LATER_US + 1)}),
    (AdmissionReason.BAD_PAYMENT_TERMS, {"payment": ROOM_FOR_LESS}),
]

ORDER_FAULTS: list[tuple[AdmissionReason, dict[str, Any]]] = [
    (AdmissionReason.REFUSED_MESSAGE, {"expires_us": NOW_US}),
    (AdmissionReason.LIFE_TOO_LONG, {"award_life_us": 3_600 * SECOND + 1}),
    (AdmissionReason.WRONG_CURRENCY, {"currency": "CNY"}),
    (
        AdmissionReason.UNKNOWN_MODEL,
        {"models": (ModelLimit(model=digest("unlisted"), price=1),)},
    ),
    (AdmissionReason.BAD_PAYMENT_TERMS, {"payment": ROOM_FOR_LESS}),
    (AdmissionReason.NOT_SUPPORTED, {"package": digest("package")}),
]


def merged(faults: list[tuple[AdmissionReason, dict[str, Any]]]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for _, fault in faults:
        changes |= fault
    return changes


class TestOffers:
    def test_a_good_one_is_accepted(self) -> None:
        assert judge_offer(offer_of(), RULES, Book(), NOW_US) == ACCEPTED

    @pytest.mark.parametrize("number", range(len(OFFER_FAULTS)), ids=str)
    def test_of_several_faults_the_first_reason_is_named(self, number: int) -> None:
        reason, fault = OFFER_FAULTS[number]
        for changes in (fault, merged(OFFER_FAULTS[number:])):
            assert judged_offer(offer_of(**changes)) == (Decision.REJECT, reason)

    def test_an_older_offer_is_ignored_whatever_else_is_wrong_with_it(self) -> None:
        faults = merged([each for each in OFFER_FAULTS if "model" not in each[1]])
        signed = offer_of(sequence=6, **faults)
        older = (Decision.IGNORE, AdmissionReason.OLDER)
        assert judged_offer(signed, book_with(offer_of(sequence=7))) == older
        assert judged_offer(signed)[0] is Decision.REJECT

    def test_the_same_again_is_known(self) -> None:
        signed = offer_of()
        known = (Decision.IGNORE, AdmissionReason.KNOWN)
        assert judged_offer(signed, book_with(signed)) == known

    def test_an_equal_sequence_is_older_and_a_higher_one_is_taken(self) -> None:
        book = book_with(offer_of(sequence=7))
        older = (Decision.IGNORE, AdmissionReason.OLDER)
        assert judged_offer(offer_of(sequence=7, rate=401), book) == older
        assert judged_offer(offer_of(sequence=8), book) == (Decision.ACCEPT, None)

    def test_sequences_are_of_one_node_and_model(self) -> None:
        book = book_with(offer_of(sequence=7))
        other_model = offer_of(sequence=1, model=OTHER)
        other_node = sign(samples.offer(sender=STRANGER.key, sequence=1), STRANGER)
        for signed in (other_model, other_node):
            assert judged_offer(signed, book) == (Decision.ACCEPT, None)

    def test_the_bounds_themselves_are_allowed(self) -> None:
        signed = offer_of(
            valid_from_us=NOW_US + limits.CLOCK_SKEW_US,
            expires_us=NOW_US + limits.OFFER_LIFE_US,
            payment=PaymentTerms(voucher_interval=32, credit_window=32),
        )
        assert judged_offer(signed) == (Decision.ACCEPT, None)

    @pytest.mark.parametrize("prices", [(5, 5), (5, 4), (4, 5, 5), (4, 6, 5)])
    def test_steps_must_rise(self, prices: tuple[int, ...]) -> None:
        steps = tuple(PriceStep(price=price, lots=1) for price in prices)
        expected = (Decision.REJECT, AdmissionReason.STEPS_NOT_RISING)
        assert judged_offer(offer_of(steps=steps)) == expected

    def test_a_full_book_takes_renewals_only_and_this_is_judged_last(self) -> None:
        book = full_book()
        too_many = (Decision.REJECT, AdmissionReason.TOO_MANY)
        assert judged_offer(offer_of(), book) == too_many
        faulty = offer_of(payment=ROOM_FOR_LESS)
        assert judged_offer(faulty, book)[1] is AdmissionReason.BAD_PAYMENT_TERMS
        renewed = samples.offer(sender=digest("node 5"), sequence=8)
        signed = Signed(renewed, digest("renewal"), b"", b"")
        assert judged_offer(signed, book) == (Decision.ACCEPT, None)

    def test_supply_may_be_stated_for_all_the_next_periods_and_for_none(self) -> None:
        starts = later_starts(NOW_US, PERIOD_US)
        assert len(starts) == limits.PERIODS_MAX
        for stated in (later(*starts), later(starts[3], starts[-1]), ()):
            assert judge_offer(offer_of(later=stated), RULES, Book(), NOW_US) == ACCEPTED

    def test_a_node_may_serve_only_later(self) -> None:
        assert judge_offer(offer_of(steps=()), RULES, Book(), NOW_US) == ACCEPTED

    def test_a_node_that_serves_at_no_time_has_no_offer(self) -> None:
        nothing = (Decision.REJECT, AdmissionReason.NO_SUPPLY)
        assert judged_offer(offer_of(steps=(), later=())) == nothing

    @pytest.mark.parametrize(
        ("starts", "wrong"),
        [
            ((LATER_US - PERIOD_US,), 0),
            ((LATER_US + 1,), 0),
            ((LATER_US, LATER_US + PERIOD_US // 2), 1),
            ((LATER_US, LATER_US), 1),
            ((LATER_US + PERIOD_US, LATER_US), 1),
            ((LATER_US, LATER_US + limits.PERIODS_MAX * PERIOD_US), 1),
        ],
        ids=["begun", "unaligned", "half", "twice", "falling", "beyond the last"],
    )
    def test_later_supply_that_is_for_no_next_period_is_named(
        self, starts: tuple[int, ...], wrong: int
    ) -> None:
        verdict = judge_offer(offer_of(later=later(*starts)), RULES, Book(), NOW_US)
        assert verdict.reason is AdmissionReason.BAD_PERIODS
        assert verdict.detail == f"later[{wrong}] starts at {starts[wrong]} us, periods are 3600 s"

    def test_steps_of_a_later_period_that_do_not_rise_are_named(self) -> None:
        supply = (*later(LATER_US), LaterSupply(start_us=LATER_US + PERIOD_US, steps=STEPS))
        verdict = judge_offer(offer_of(later=supply), RULES, Book(), NOW_US)
        assert (verdict.reason, verdict.detail) == (AdmissionReason.STEPS_NOT_RISING, "later[1]")

    def test_a_period_that_begins_while_the_offer_is_on_its_way_does_no_harm(self) -> None:
        signed = offer_of(
            issued_us=LATER_US - 1,
            expires_us=LATER_US + 60 * SECOND,
            later=later(*later_starts(LATER_US - 1, PERIOD_US)),
        )
        for now_us in (LATER_US - 1, LATER_US, LATER_US + SECOND):
            assert judge_offer(signed, RULES, Book(), now_us) == ACCEPTED

    def test_details_give_the_limit(self) -> None:
        for fault, detail in (
            ({"expires_us": NOW_US + limits.OFFER_LIFE_US + 1}, "600 s"),
            ({"currency": "CNY"}, "USD"),
            ({"model": digest("unlisted")}, digest("unlisted").hex()),
        ):
            verdict = judge_offer(offer_of(**fault), RULES, Book(), NOW_US)
            assert detail in verdict.detail


def judged(changes: dict[str, Any]) -> Verdict:
    return judge_terms(samples.terms(**changes), BUYER.key, RULES, NOW_US)


class TestOrders:
    def test_good_terms_are_accepted(self) -> None:
        assert judged({}) == ACCEPTED

    @pytest.mark.parametrize("number", range(len(ORDER_FAULTS)), ids=str)
    def test_of_several_faults_the_first_reason_is_named(self, number: int) -> None:
        reason, fault = ORDER_FAULTS[number]
        for changes in (fault, merged(ORDER_FAULTS[number:])):
            verdict = judged(changes)
            assert (verdict.decision, verdict.reason) == (Decision.REJECT, reason)

    def test_reasons_are_listed_in_the_order_in_which_they_are_found(self) -> None:
        for faults in (OFFER_FAULTS, ORDER_FAULTS):
            reasons = [reason for reason, _ in faults]
            assert reasons == sorted(reasons, key=REASONS.index)

    @pytest.mark.parametrize(
        ("changes", "detail"),
        [
            ({"expires_us": NOW_US + limits.ORDER_LIFE_US + 1}, "2592000 s"),
            ({"award_life_us": 3_600 * SECOND + 1}, "3600 s"),
            ({"deadline_us": NOW_US + limits.ORDER_LIFE_US + 1}, "2592000 s"),
            ({"deadline_us": NOW_US + 10 * SECOND - 1}, "expires_us is after deadline_us"),
            ({"deadline_us": NOW_US}, "expires_us is after deadline_us"),
        ],
    )
    def test_lives_have_limits_and_the_detail_gives_them(
        self, changes: dict[str, Any], detail: str
    ) -> None:
        verdict = judged(changes)
        assert verdict.reason is AdmissionReason.LIFE_TOO_LONG
        assert detail in verdict.detail

    def test_the_bounds_themselves_are_allowed(self) -> None:
        assert judged({"expires_us": NOW_US + 1}) == ACCEPTED
        assert judged({"expires_us": NOW_US + limits.ORDER_LIFE_US}) == ACCEPTED
        assert judged({"award_life_us": 3_600 * SECOND}) == ACCEPTED
        assert judged({"award_life_us": 1}) == ACCEPTED

    def test_an_award_of_no_time_is_refused(self) -> None:
        assert judged({"award_life_us": 0}).decision is Decision.REJECT

    def test_every_model_must_be_listed(self) -> None:
        models = tuple(ModelLimit(model=each, price=1) for each in (MODEL, digest("unlisted")))
        verdict = judged({"models": models})
        assert verdict.reason is AdmissionReason.UNKNOWN_MODEL
        assert verdict.detail == digest("unlisted").hex()

    @pytest.mark.parametrize(
        ("feature", "value"),
        [
            ("package", digest("package")),
            ("payer", STRANGER.key),
        ],
    )
    def test_what_the_market_cannot_do_is_named(self, feature: str, value: object) -> None:
        verdict = judged({feature: value})
        assert verdict.decision is Decision.REJECT
        assert (verdict.reason, verdict.detail) == (AdmissionReason.NOT_SUPPORTED, feature)

    def test_all_that_the_market_cannot_do_is_named_at_once(self) -> None:
        verdict = judged({"payer": STRANGER.key, "package": digest("package")})
        assert verdict.detail == "package, payer"

    def test_what_is_immediate_is_an_order_of_its_own(self) -> None:
        models = (ModelLimit(model=MODEL, price=1),)
        terms = samples.terms(models=models, immediate=True)
        assert judge_terms(terms, BUYER.key, RULES, NOW_US) == ACCEPTED
        verdict = judge_terms(terms, BUYER.key, RULES, NOW_US, in_batch=True)
        assert verdict.reason is AdmissionReason.NOT_SUPPORTED
        assert verdict.detail == "immediate in a batch"

    def test_a_take_or_pay_share_is_no_lower_than_the_market_asks_for(self) -> None:
        terms = samples.market_terms(take_or_pay_min_ppm=100_000)
        rules = Rules(terms, RULES.models)
        low = samples.terms(models=(ModelLimit(model=MODEL, price=1),), take_or_pay_ppm=99_999)
        verdict = judge_terms(low, BUYER.key, rules, NOW_US)
        assert verdict.reason is AdmissionReason.SHARE_TOO_LOW
        assert verdict.detail == "take_or_pay_ppm 99999, this market's minimum is 100000"
        for share in (100_000, 100_001, 1_000_000):
            terms_above = structs.replace(low, take_or_pay_ppm=share)
            assert judge_terms(terms_above, BUYER.key, rules, NOW_US) == ACCEPTED

    def test_a_market_without_a_minimum_takes_any_share(self) -> None:
        for share in (0, 1, 1_000_000):
            assert judged({"take_or_pay_ppm": share}) == ACCEPTED

    def test_a_buyer_may_name_itself_as_payer(self) -> None:
        assert judged({"payer": BUYER.key}) == ACCEPTED

    def test_an_order_is_one_entry_under_its_own_id(self) -> None:
        signed = sign(samples.order(), BUYER)
        (entry,) = entries_of(signed)
        assert (entry.id, entry.buyer, entry.lots) == (signed.id, BUYER.key, 5)
        assert entry.terms == signed.message.terms
        assert not entry.carried
        assert entry.limit_price == 100_000, "the most of its models"
