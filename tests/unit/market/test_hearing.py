"""Offers that come over carriers: who is listened to, and how much of it.

The intake is a fake that counts what it is asked to judge, and accepts what is an honest node's.
"""

from dataclasses import dataclass, field
from typing import cast

import pytest

from swatow_market.service import hearing
from swatow_market.service.hearing import NODE_RATE, STRANGERS_RATE, OfferHearing
from swatow_market.service.intake import Intake
from swatow_protocol.carriers.carrier import Heard
from swatow_protocol.carriers.topics import offer_topic
from swatow_protocol.messages.answers import Decision, Verdict

SECOND = 1_000_000
HONEST = b"honest"


def node(number: int) -> bytes:
    return number.to_bytes(32, "big")


@dataclass
class FakeIntake:
    judged: list[tuple[bytes, bytes | None]] = field(default_factory=list)

    def submit_offer(self, envelope: bytes, sender: bytes | None = None) -> Verdict:
        self.judged.append((envelope, sender))
        decision = Decision.ACCEPT if envelope == HONEST else Decision.REJECT
        return Verdict(decision=decision, reason=None, detail="")


class Ear:
    """A hearing with its fake intake, and a clock."""

    def __init__(self) -> None:
        self.now_us = 0
        self.intake = FakeIntake()
        self.hearing = OfferHearing(cast("Intake", self.intake), lambda: self.now_us)

    def hear(self, number: int, payload: bytes) -> Decision:
        return self.hearing.hear(Heard(offer_topic("sg", node(number)), payload))


def test_an_offer_is_judged_as_that_of_the_node_whose_topic_it_is() -> None:
    ear = Ear()
    assert ear.hear(1, HONEST) is Decision.ACCEPT
    assert ear.intake.judged == [(HONEST, node(1))]
    assert ear.hear(1, b"") is Decision.IGNORE
    assert ear.hearing.hear(Heard("swatow/1/offers/sg/nobody", HONEST)) is Decision.REJECT
    assert len(ear.intake.judged) == 1


def test_a_flood_of_made_up_nodes_costs_a_bounded_share_and_known_nodes_are_heard() -> None:
    ear = Ear()
    assert ear.hear(0, HONEST) is Decision.ACCEPT
    seconds, flood = 10, 4_000
    for second in range(1, seconds + 1):
        ear.now_us = second * SECOND
        for number in range(flood):
            ear.hear(1 + second * flood + number, b"forged")
        assert ear.hear(0, HONEST) is Decision.ACCEPT
    forged = sum(envelope != HONEST for envelope, _ in ear.intake.judged)
    assert forged <= STRANGERS_RATE.burst + seconds * STRANGERS_RATE.per_second
    assert forged < seconds * flood // 2


def test_a_known_node_that_floods_is_held_to_its_rate_and_others_are_not() -> None:
    ear = Ear()
    for number in (1, 2):
        ear.hear(number, HONEST)
    decisions = [ear.hear(1, HONEST) for _ in range(10 * NODE_RATE.burst)]
    assert decisions.count(Decision.ACCEPT) == NODE_RATE.burst
    assert ear.hear(2, HONEST) is Decision.ACCEPT
    ear.now_us = SECOND
    assert [ear.hear(1, HONEST) for _ in range(3)].count(Decision.ACCEPT) == NODE_RATE.per_second


def test_a_market_that_starts_hears_all_that_a_broker_keeps() -> None:
    ear = Ear()
    offers = 10_000
    assert {ear.hear(number, HONEST) for number in range(offers)} == {Decision.ACCEPT}


def test_known_nodes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "KNOWN_MAX", 2)
    ear = Ear()
    for number in (1, 2, 3):
        ear.hear(number, HONEST)
    assert [node(number) in ear.hearing._known for number in (1, 2, 3)] == [False, True, True]
