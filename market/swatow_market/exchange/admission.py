"""Admission: what the market takes in, and why it does not take the rest.

Messages come here verified (size, types, network, age, signature); what is checked here needs the
market's rules and its book. Money is checked by the ledger, in the transaction that takes the
order in. The checks of a message are made in the order of AdmissionReason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from swatow_market.exchange.book import OFFERS_MAX, Book
from swatow_market.exchange.orders import BookOrder
from swatow_protocol import limits
from swatow_protocol.envelope import Signed
from swatow_protocol.messages import (
    MarketTerms,
    Model,
    Offer,
    Order,
    OrderTerms,
    PriceStep,
)
from swatow_protocol.messages.answers import AdmissionReason, Decision, Verdict
from swatow_protocol.periods import later_starts
from swatow_protocol.units import MICROS_PER_SECOND

ACCEPTED = Verdict(decision=Decision.ACCEPT, reason=None, detail="")


@dataclass(frozen=True, slots=True)
class Rules:
    """What admission holds messages against."""

    terms: MarketTerms
    models: Mapping[bytes, Model]


def rejected(reason: AdmissionReason, detail: str = "") -> Verdict:
    """Return the verdict that rejects for `reason`."""
    return Verdict(decision=Decision.REJECT, reason=reason, detail=detail[:1024])


def ignored(reason: AdmissionReason) -> Verdict:
    """Return the verdict that neither takes nor blames."""
    return Verdict(decision=Decision.IGNORE, reason=reason, detail="")


def judge_offer(signed: Signed[Offer], rules: Rules, book: Book, now_us: int) -> Verdict:
    """Decide about a verified offer."""
    offer = signed.message
    known = book.offer_of(offer.sender, offer.model)
    if known is not None and known.id == signed.id:
        return ignored(AdmissionReason.KNOWN)
    if known is not None and known.offer.sequence >= offer.sequence:
        return ignored(AdmissionReason.OLDER)
    if offer.valid_from_us > now_us + limits.CLOCK_SKEW_US:
        return rejected(AdmissionReason.NOT_YET_VALID)
    if offer.expires_us - offer.issued_us > limits.OFFER_LIFE_US:
        return _life_too_long(limits.OFFER_LIFE_US)
    if offer.currency != rules.terms.currency:
        return rejected(AdmissionReason.WRONG_CURRENCY, f"this market: {rules.terms.currency}")
    if offer.model not in rules.models:
        return rejected(AdmissionReason.UNKNOWN_MODEL, offer.model.hex())
    supply = _judge_supply(offer, rules.terms.period_us)
    if supply.decision is not Decision.ACCEPT:
        return supply
    if offer.payment.credit_window < offer.payment.voucher_interval:
        return rejected(AdmissionReason.BAD_PAYMENT_TERMS)
    if known is None and book.offers_count() >= OFFERS_MAX:
        return rejected(AdmissionReason.TOO_MANY, f"{OFFERS_MAX} offers")
    return ACCEPTED


def judge_terms(
    terms: OrderTerms, sender: bytes, rules: Rules, now_us: int, *, in_batch: bool = False
) -> Verdict:
    """Decide about the terms of verified orders, sent one by one or in a batch."""
    timely = _judge_times(terms, rules, now_us)
    if timely is not ACCEPTED:
        return timely
    if terms.currency != rules.terms.currency:
        return rejected(AdmissionReason.WRONG_CURRENCY, f"this market: {rules.terms.currency}")
    for limit in terms.models:
        if limit.model not in rules.models:
            return rejected(AdmissionReason.UNKNOWN_MODEL, limit.model.hex())
    if terms.payment.credit_window < terms.payment.voucher_interval:
        return rejected(AdmissionReason.BAD_PAYMENT_TERMS)
    if terms.take_or_pay_ppm < rules.terms.take_or_pay_min_ppm:
        least = rules.terms.take_or_pay_min_ppm
        detail = f"take_or_pay_ppm {terms.take_or_pay_ppm}, this market's minimum is {least}"
        return rejected(AdmissionReason.SHARE_TOO_LOW, detail)
    unsupported = _unsupported(terms, sender, in_batch=in_batch)
    if unsupported:
        return rejected(AdmissionReason.NOT_SUPPORTED, unsupported)
    return ACCEPTED


def entries_of(signed: Signed[Order]) -> list[BookOrder]:
    """Return the book's entry of an order."""
    order = signed.message
    return [BookOrder(signed.id, order.sender, order.terms, order.lots)]


def _judge_times(terms: OrderTerms, rules: Rules, now_us: int) -> Verdict:
    """Decide about how long an order waits, and how long its awards last."""
    if terms.expires_us <= now_us:
        return rejected(AdmissionReason.REFUSED_MESSAGE, "expires_us is past")
    if terms.expires_us - now_us > limits.ORDER_LIFE_US:
        return _life_too_long(limits.ORDER_LIFE_US)
    if not 0 < terms.award_life_us <= rules.terms.award_life_max_us:
        return _life_too_long(rules.terms.award_life_max_us)
    if terms.deadline_us is not None:
        if terms.deadline_us - now_us > limits.ORDER_LIFE_US:
            return _life_too_long(limits.ORDER_LIFE_US)
        if terms.expires_us > terms.deadline_us:
            return rejected(AdmissionReason.LIFE_TOO_LONG, "expires_us is after deadline_us")
    return ACCEPTED


def _unsupported(terms: OrderTerms, sender: bytes, *, in_batch: bool) -> str:
    asked = {
        "immediate in a batch": terms.immediate and in_batch,  # it is decided by itself, at once
        "package": terms.package is not None,
        "payer": terms.payer not in (None, sender),
    }
    return ", ".join(name for name, is_asked in asked.items() if is_asked)


def _judge_supply(offer: Offer, period_us: int) -> Verdict:
    """Decide about what an offer states for now and for later periods.

    For which periods it may state supply depends on when it was issued, not on when it comes: on
    its way the first of them may begin, and clearing then leaves that one out.
    """
    if not _rise(offer.steps):
        return rejected(AdmissionReason.STEPS_NOT_RISING)
    for number, supply in enumerate(offer.later):
        if not _rise(supply.steps):
            return rejected(AdmissionReason.STEPS_NOT_RISING, f"later[{number}]")
    if not (offer.steps or offer.later):
        return rejected(AdmissionReason.NO_SUPPLY)
    starts, before_us = later_starts(offer.issued_us, period_us), 0
    for number, supply in enumerate(offer.later):
        if supply.start_us not in starts or supply.start_us <= before_us:
            length = f"periods are {period_us // MICROS_PER_SECOND} s"
            detail = f"later[{number}] starts at {supply.start_us} us, {length}"
            return rejected(AdmissionReason.BAD_PERIODS, detail)
        before_us = supply.start_us
    return ACCEPTED


def _rise(steps: tuple[PriceStep, ...]) -> bool:
    return all(left.price < right.price for left, right in pairwise(steps))


def _life_too_long(limit_us: int) -> Verdict:
    detail = f"the limit is {limit_us // MICROS_PER_SECOND} s"
    return rejected(AdmissionReason.LIFE_TOO_LONG, detail)
