"""Admission: every way in which an opening can be wrong is refused, and by the first that applies.

The wrongs stand in the order of JobRefusal, so that each can be combined with every later one.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from swatow_node.admission import JobRefused, Opening, agree_on_seals, judge_opening
from swatow_protocol import codec, limits
from swatow_protocol.envelope import sign
from swatow_protocol.messages import (
    Frame,
    FrameKind,
    JobRefusal,
    OpenBody,
    PriceStep,
    Service,
)
from swatow_protocol.sealing import SealingKey
from tests.support import samples
from tests.support.samples import (
    BUYER,
    LATER_US,
    MARKET,
    NOW_US,
    PERIOD_US,
    SECOND,
    STRANGER,
    digest,
)
from tests.unit.node import deal


@dataclass(frozen=True)
class Brought:
    """What a buyer brings, by its differences from what is right."""

    offer: dict[str, Any]
    award: dict[str, Any]
    open: dict[str, Any]
    number: int = 1

    def clashes_with(self, other: "Brought") -> bool:
        """Whether both say something of the same field, so that they cannot be combined."""
        mine, theirs = (
            {(part.name, name) for part in fields(each)[:3] for name in getattr(each, part.name)}
            for each in (self, other)
        )
        return bool(mine & theirs)

    def and_also(self, other: "Brought") -> "Brought":
        """Return both differences together."""
        return Brought(
            {**self.offer, **other.offer},
            {**self.award, **other.award},
            {**self.open, **other.open},
            max(self.number, other.number),
        )


def wrong(**parts: Any) -> Brought:
    return Brought(**{"offer": {}, "award": {}, "open": {}, **parts})


NOTHING = wrong()
OVER = wrong(award={"expires_us": NOW_US})
EARLIER = list(JobRefusal)[: list(JobRefusal).index(JobRefusal.EXPIRED)]


def judge(brought: Brought, now_us: int = NOW_US) -> Opening:
    """Sign what the buyer brings, with whatever key it says, and have it judged."""
    keys = {each.key: each for each in (MARKET, samples.NODE, BUYER, STRANGER)}
    node = brought.offer.get("sender", samples.NODE.key)
    offer_fields = {"model": deal.MODEL.id, "sealing_key": deal.NODE_SEALING.public}
    offer = sign(samples.offer(**{**offer_fields, **brought.offer}), keys[node])
    right = deal.award(deal.offer()).message
    award_fields = {name: getattr(right, name) for name in right.__struct_fields__}
    award_fields |= {"offer": offer.id, **brought.award}
    award = sign(type(right)(**award_fields), keys[award_fields["sender"]])
    right_open = deal.opening(award, job=brought.number).message
    open_fields = {name: getattr(right_open, name) for name in right_open.__struct_fields__}
    open_fields |= brought.open
    opened = sign(type(right_open)(**open_fields), keys[open_fields["sender"]])
    body = OpenBody(award=award.envelope, offer=offer.envelope, open=opened.envelope)
    frame = Frame(job=1, kind=FrameKind.OPEN, body=codec.encode(body))
    return judge_opening(frame, deal.house(), now_us)


def refusal_of(brought: Brought, now_us: int = NOW_US) -> JobRefusal:
    with pytest.raises(JobRefused) as refused:
        judge(brought, now_us)
    return refused.value.refusal


WRONGS: dict[str, tuple[JobRefusal, Brought]] = {
    "award of a stranger": (JobRefusal.WRONG_MARKET, wrong(award={"sender": STRANGER.key})),
    "award of another network": (JobRefusal.WRONG_MARKET, wrong(award={"network": "other"})),
    "award for another node": (JobRefusal.WRONG_NODE, wrong(award={"node": STRANGER.key})),
    "opening of another buyer": (JobRefusal.WRONG_BUYER, wrong(open={"sender": STRANGER.key})),
    "opening for another award": (
        JobRefusal.WRONG_CONNECTION,
        wrong(open={"award": digest("other award")}),
    ),
    "opening for another job number": (JobRefusal.WRONG_CONNECTION, wrong(number=2)),
    "opening for another certificate": (
        JobRefusal.WRONG_CONNECTION,
        wrong(open={"certificate_sha256": digest("other certificate")}),
    ),
    "award on another offer": (
        JobRefusal.UNKNOWN_OFFER,
        wrong(award={"offer": digest("other offer")}),
    ),
    "offer of another node": (JobRefusal.UNKNOWN_OFFER, wrong(offer={"sender": STRANGER.key})),
    "offer of another network": (JobRefusal.UNKNOWN_OFFER, wrong(offer={"network": "other"})),
    "a price below the offer's": (JobRefusal.UNKNOWN_OFFER, wrong(award={"node_price": 79_999})),
    "more lots than the offer's": (JobRefusal.UNKNOWN_OFFER, wrong(award={"lots": 101})),
    "award of another model": (
        JobRefusal.UNKNOWN_OFFER,
        wrong(award={"model": digest("other model")}),
    ),
    "award and offer of another model": (
        JobRefusal.UNKNOWN_OFFER,
        wrong(
            award={"model": digest("other model")},
            offer={"model": digest("other model")},
        ),
    ),
    "another currency": (JobRefusal.UNKNOWN_OFFER, wrong(award={"currency": "CNY"})),
    "an offer that had expired": (
        JobRefusal.UNKNOWN_OFFER,
        wrong(
            offer={
                "valid_from_us": NOW_US - 2 * SECOND,
                "issued_us": NOW_US - 2 * SECOND,
                "expires_us": NOW_US,
            }
        ),
    ),
    "a service that is not offered": (
        JobRefusal.UNSUPPORTED,
        wrong(open={"service": Service.COMPLETIONS}),
    ),
}


def test_what_is_right_is_taken() -> None:
    taken = judge(NOTHING)
    assert taken.award.message.buyer == taken.open.message.sender == BUYER.key
    assert taken.open.message.award == taken.award.id


@pytest.mark.parametrize("name", WRONGS)
def test_each_wrong_has_its_refusal(name: str) -> None:
    refusal, brought = WRONGS[name]
    assert refusal_of(brought) is refusal


@pytest.mark.parametrize("name", list(WRONGS)[:-1])
def test_the_first_refusal_that_applies_is_given(name: str) -> None:
    """Whatever is wrong further on, the answer is that of the earlier check."""
    refusal, brought = WRONGS[name]
    rest = [WRONGS[later] for later in list(WRONGS)[list(WRONGS).index(name) + 1 :]]
    both = [brought.and_also(other) for _, other in rest if not brought.clashes_with(other)]
    assert both, "each can be combined with some later one"
    assert {refusal_of(each) for each in both} == {refusal}


def test_an_award_that_is_over_is_refused() -> None:
    assert refusal_of(OVER) is JobRefusal.EXPIRED


def test_an_award_that_is_over_is_refused_before_its_offer_is_looked_at() -> None:
    later = [each for refusal, each in WRONGS.values() if refusal is JobRefusal.UNKNOWN_OFFER]
    assert {refusal_of(OVER.and_also(each)) for each in later} == {JobRefusal.EXPIRED}


def test_whose_an_award_is_comes_before_whether_it_is_over() -> None:
    """The checks are made in the order of JobRefusal, which puts EXPIRED behind these."""
    earlier = {
        name: (refusal, brought.and_also(OVER))
        for name, (refusal, brought) in WRONGS.items()
        if refusal in EARLIER
    }
    expected = {name: refusal for name, (refusal, _) in earlier.items()}
    assert {name: refusal_of(both) for name, (_, both) in earlier.items()} == expected


@pytest.mark.parametrize("cut", ["frame", "award", "offer", "open"])
def test_what_cannot_be_read_is_malformed(cut: str) -> None:
    award, offer = deal.award(), deal.offer()
    opened = deal.opening(award)
    envelopes = {"award": award.envelope, "offer": offer.envelope, "open": opened.envelope}
    body = codec.encode(OpenBody(**{**envelopes, cut: b"\xc1"} if cut != "frame" else envelopes))
    frame = Frame(job=1, kind=FrameKind.OPEN, body=body[:-1] if cut == "frame" else body)
    with pytest.raises(JobRefused) as refused:
        judge_opening(frame, deal.house(), NOW_US)
    expected = JobRefusal.UNKNOWN_OFFER if cut == "offer" else JobRefusal.MALFORMED
    assert refused.value.refusal is expected
    assert refused.value.detail


def test_a_forged_signature_on_the_award_is_no_award_of_the_market() -> None:
    forged = deal.award(lots=6)
    altered = bytearray(forged.envelope)
    altered[-1] ^= 1
    body = OpenBody(
        award=bytes(altered),
        offer=deal.offer().envelope,
        open=deal.opening(forged).envelope,
    )
    frame = Frame(job=1, kind=FrameKind.OPEN, body=codec.encode(body))
    with pytest.raises(JobRefused) as refused:
        judge_opening(frame, deal.house(), NOW_US)
    assert refused.value.refusal is JobRefusal.WRONG_MARKET


def test_a_stale_or_early_opening_is_refused() -> None:
    too_old = wrong(open={"issued_us": NOW_US - limits.MESSAGE_AGE_US - 1})
    too_new = wrong(open={"issued_us": NOW_US + limits.CLOCK_SKEW_US + 1})
    for brought in (too_old, too_new):
        with pytest.raises(JobRefused, match=r"opening: ") as refused:
            judge(brought)
        assert refused.value.refusal is JobRefusal.MALFORMED
    judge(wrong(open={"issued_us": NOW_US - limits.MESSAGE_AGE_US}))


def test_the_award_is_taken_until_the_moment_of_its_expiry() -> None:
    expires = wrong(award={"expires_us": NOW_US + SECOND})
    judge(expires, NOW_US + SECOND - 1)
    assert refusal_of(expires, NOW_US + SECOND) is JobRefusal.EXPIRED


PERIOD = {"from_us": LATER_US, "expires_us": LATER_US + PERIOD_US}
"""What an award of the next period has of its own."""


def test_a_later_award_is_taken_from_the_moment_of_its_beginning() -> None:
    later = wrong(award={**PERIOD, "node_price": 60_000}, open={"issued_us": LATER_US})
    with pytest.raises(JobRefused) as refused:
        judge(later, LATER_US - 1)
    assert (refused.value.refusal, refused.value.retry_after_ms) == (JobRefusal.NOT_YET, 1)
    assert judge(later, LATER_US).award.message.from_us == LATER_US


def test_how_long_to_wait_is_told_as_far_as_the_wire_can_tell_it() -> None:
    late = {"from_us": NOW_US + 5 * PERIOD_US, "expires_us": NOW_US + 6 * PERIOD_US}
    for early_us, told_ms in (
        (1_001, 2),
        (PERIOD_US - 1, 3_600_000),
        (PERIOD_US + 1, 3_600_000),
    ):
        with pytest.raises(JobRefused) as refused:
            judge(wrong(award=late), NOW_US + 5 * PERIOD_US - early_us)
        assert refused.value.retry_after_ms == told_ms


def test_an_award_of_now_is_taken_although_the_markets_clock_is_ahead() -> None:
    judge(wrong(award={"from_us": NOW_US}), NOW_US - SECOND)
    ahead = {"issued_us": NOW_US + SECOND, "from_us": NOW_US + SECOND}
    judge(wrong(award=ahead, offer={"expires_us": NOW_US + 60 * SECOND}))


def test_that_an_award_has_not_begun_is_told_before_what_else_is_wrong() -> None:
    begins = list(JobRefusal).index(JobRefusal.NOT_YET)
    early = wrong(award=PERIOD)
    later = [each for refusal, each in WRONGS.values() if list(JobRefusal).index(refusal) > begins]
    assert {refusal_of(early.and_also(each)) for each in later} == {JobRefusal.NOT_YET}
    for name in ("award of a stranger", "award of another network"):
        assert refusal_of(early.and_also(WRONGS[name][1])) is JobRefusal.WRONG_MARKET


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"node_price": 60_000, "lots": 80}, True),
        ({"node_price": 59_999, "lots": 80}, False),
        ({"node_price": 60_000, "lots": 81}, False),
        ({"from_us": LATER_US + PERIOD_US, "node_price": 50_000, "lots": 100}, True),
        ({"from_us": LATER_US + PERIOD_US, "node_price": 50_000, "lots": 101}, False),
        ({"from_us": LATER_US + PERIOD_US, "node_price": 49_999}, False),
        ({"from_us": LATER_US + 1}, False),
        ({"from_us": LATER_US + 2 * PERIOD_US}, False),
    ],
)
def test_a_later_award_must_fit_what_the_offer_states_for_its_period(
    changes: dict[str, Any], fits: bool
) -> None:
    from_us = changes.get("from_us", LATER_US)
    award = {**PERIOD, "expires_us": from_us + PERIOD_US, **changes}
    brought = wrong(award=award, open={"issued_us": from_us})
    if fits:
        judge(brought, from_us)
    else:
        assert refusal_of(brought, from_us) is JobRefusal.UNKNOWN_OFFER


def test_a_node_that_serves_only_later_does_not_serve_now() -> None:
    assert refusal_of(wrong(offer={"steps": ()})) is JobRefusal.UNKNOWN_OFFER


def test_an_offer_that_expired_since_the_award_still_covers_it() -> None:
    """The award lives longer than the offer that it was made from."""
    short = wrong(offer={"expires_us": NOW_US + 1})
    judge(short, NOW_US + 30 * SECOND)


def test_the_bounds_of_the_offer_are_inclusive() -> None:
    judge(wrong(award={"lots": 100, "node_price": 80_000}))
    one_step = {"steps": (PriceStep(price=0, lots=1),)}
    judge(wrong(offer=one_step, award={"lots": 1, "node_price": 0}))


def test_a_rotated_certificate_is_still_good_while_its_connections_live() -> None:
    judge(wrong(open={"certificate_sha256": digest("older certificate")}))


def test_the_details_of_a_refusal_fit_the_wire() -> None:
    assert len(JobRefused(JobRefusal.MALFORMED, "x" * 5_000).detail) == 1_024


def seals_refusal(opening: Opening, keys: Callable[[], tuple[SealingKey, ...]]) -> JobRefusal:
    with pytest.raises(JobRefused) as refused:
        agree_on_seals(opening, replace(deal.house(), sealing_keys=keys))
    return refused.value.refusal


def test_seals_are_agreed_with_the_key_that_the_buyer_chose() -> None:
    opening = judge(NOTHING)
    for keys in ((deal.NODE_SEALING,), (SealingKey(bytes([7]) * 32), deal.NODE_SEALING)):
        house = deal.house(sealing_keys=lambda keys=keys: keys)
        seals = agree_on_seals(opening, house)
        assert deal.NodeSide().buyer_seals.open(1, 4, seals.seal(1, 4, b"words")) == b"words"


def test_a_key_that_has_rotated_out_is_refused_as_retired() -> None:
    newer = (SealingKey(bytes([7]) * 32), SealingKey(bytes([8]) * 32))
    assert seals_refusal(judge(NOTHING), lambda: newer) is JobRefusal.SEALING_KEY_RETIRED


@pytest.mark.parametrize("point", [bytes(32), bytes([1]) + bytes(31)], ids=["zero", "one"])
def test_a_buyers_key_of_small_order_is_refused(point: bytes) -> None:
    """With such a key the shared secret would be one that everybody knows."""
    opening = judge(wrong(open={"stream_key": point}))
    assert seals_refusal(opening, lambda: (deal.NODE_SEALING,)) is JobRefusal.UNSEALED
