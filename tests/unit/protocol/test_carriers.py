"""What carriers share: topics, what waits to be sent, and several of them as one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import limits
from swatow_protocol.carriers import several
from swatow_protocol.carriers.carrier import Carrier, Heard
from swatow_protocol.carriers.memory import MemoryCarrier
from swatow_protocol.carriers.mqtt import parse_broker
from swatow_protocol.carriers.outbox import RETAINED_MAX, WAITING_MAX, Outbox
from swatow_protocol.carriers.several import CARRIERS_MAX, Carriers, open_carriers
from swatow_protocol.carriers.topics import (
    TOPIC_BYTES_MAX,
    matches,
    node_of,
    offer_topic,
    offers_pattern,
)
from swatow_protocol.errors import InvalidValue
from swatow_protocol.messages.answers import Decision

LEVELS = st.lists(st.sampled_from(["a", "b", "offers"]), min_size=1, max_size=4)


@asynccontextmanager
async def carrying(carriers: Carriers | Carrier) -> AsyncIterator[None]:
    task = asyncio.create_task(carriers.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("pattern", "topic", "meant"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/b", "a/b", True),
        ("+/b", "a/c", False),
    ],
)
def test_a_pattern_means_topics(pattern: str, topic: str, meant: bool) -> None:
    assert matches(pattern, topic) is meant


@given(LEVELS)
def test_a_topic_means_itself_and_any_level_may_be_any(levels: list[str]) -> None:
    topic = "/".join(levels)
    assert matches(topic, topic)
    for place in range(len(levels)):
        wider = [*levels[:place], "+", *levels[place + 1 :]]
        assert matches("/".join(wider), topic)
        assert matches("/".join([*levels[:place], "#"]), topic)
    assert not matches(topic, f"{topic}/more")


def test_the_pattern_of_offers_means_those_of_its_zone() -> None:
    topic = offer_topic("cn-gd-shantou", bytes(32))
    assert matches(offers_pattern(), topic)
    assert matches(offers_pattern("cn-gd-shantou"), topic)
    assert not matches(offers_pattern("sg"), topic)
    assert len(topic) <= TOPIC_BYTES_MAX


def test_the_node_of_a_topic_is_read_from_it() -> None:
    key = bytes(range(32))
    assert node_of(offer_topic("sg", key)) == key
    for other in (
        "swatow/1/offers/sg/ab",
        f"swatow/1/offers/{key.hex()}",
        f"a/{key.hex()}",
        "",
        "/",
    ):
        assert node_of(other) is None
    assert node_of(f"swatow/1/offers/sg/{'zz' * 32}") is None


def drain(outbox: Outbox) -> list[tuple[str, bytes, bool]]:
    sent = []
    while not outbox.is_empty:
        sent.append(outbox.peek())
        topic, payload, retained = sent[-1]
        outbox.sent(topic, payload, retained=retained)
    return sent


def test_of_what_is_retained_the_last_is_sent_and_again_after_a_loss() -> None:
    outbox = Outbox()
    for payload in (b"1", b"2"):
        assert outbox.put("a", payload, retained=True)
    outbox.put("b", b"3", retained=True)
    assert drain(outbox) == [("a", b"2", True), ("b", b"3", True)]
    outbox.put("b", b"", retained=True)
    assert drain(outbox) == [("b", b"", True)]
    outbox.again()
    assert drain(outbox) == [("a", b"2", True)], "b is kept no more"


def test_what_comes_while_the_one_before_it_is_sent_is_sent_too() -> None:
    outbox = Outbox()
    outbox.put("a", b"1", retained=True)
    topic, payload, retained = outbox.peek()
    outbox.put("a", b"2", retained=True)
    outbox.sent(topic, payload, retained=retained)
    assert drain(outbox) == [("a", b"2", True)]


def test_what_waits_is_bounded_and_the_oldest_gives_way() -> None:
    outbox = Outbox()
    kept = [outbox.put("a", b"%d" % number, retained=False) for number in range(WAITING_MAX + 2)]
    assert kept == [True] * WAITING_MAX + [False] * 2
    assert [payload for _, payload, _ in drain(outbox)] == [
        b"%d" % number for number in range(2, WAITING_MAX + 2)
    ]
    assert all(outbox.put(f"t/{number}", b"1", retained=True) for number in range(RETAINED_MAX))
    assert not outbox.put("one more", b"1", retained=True)
    assert outbox.put("t/0", b"2", retained=True)


class Deaf(MemoryCarrier):
    """A carrier that fails whenever it is started, until it is well."""

    def __init__(self, bus: str, failures: int) -> None:
        super().__init__(bus)
        self.failures = failures

    async def run(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("library crash")
        await super().run()


def listener(
    carriers: Carriers | Carrier, pattern: str, judge: Callable[[Heard], Decision]
) -> "asyncio.Queue[Heard]":
    heard: asyncio.Queue[Heard] = asyncio.Queue()

    def hear(news: Heard) -> Decision:
        heard.put_nowait(news)
        return judge(news)

    carriers.subscribe(pattern, hear)
    return heard


async def test_what_is_heard_over_two_carriers_is_judged_once_unless_it_was_rejected() -> None:
    here = open_carriers(["memory:left", "memory:right"], identifier="here")
    there = open_carriers(["memory:left", "memory:right"], identifier="there")
    judged = listener(
        here, "a/#", lambda heard: Decision.REJECT if heard.topic == "a/bad" else Decision.ACCEPT
    )
    async with carrying(here), carrying(there):
        there.publish("a/good", b"1")
        there.publish("a/bad", b"1")
        there.publish("a/end", b"")
        topics = [(await judged.get()).topic for _ in range(5)]
    assert sorted(topics) == ["a/bad", "a/bad", "a/end", "a/end", "a/good"]
    counted = [carrier.statistics for carrier in here.each]
    assert sum(each.accepted for each in counted) == 3
    assert sum(each.ignored for each in counted) == 1
    assert sum(each.rejected for each in counted) == 2


async def test_what_is_too_large_is_rejected_before_anyone_judges_it() -> None:
    (here,) = open_carriers(["memory:size"], identifier="here").each
    heard = listener(here, "a", lambda _: Decision.ACCEPT)
    async with carrying(here):
        here.publish("a", bytes(limits.ENVELOPE_BYTES_MAX + 1))
        here.publish("a", bytes(limits.ENVELOPE_BYTES_MAX))
        assert len((await heard.get()).payload) == limits.ENVELOPE_BYTES_MAX
    assert here.statistics.rejected == 1


async def test_a_carrier_that_crashes_is_started_again_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(several, "RESTART_S", 0.0)
    sick, well = Deaf("crash", failures=3), MemoryCarrier("well")
    carriers = Carriers([sick, well])
    heard = listener(carriers, "#", lambda _: Decision.ACCEPT)
    async with carrying(carriers):
        well.publish("a", b"over the one that is well")
        sick.publish("b", b"over the one that crashed")
        topics = {(await heard.get()).topic for _ in range(2)}
    assert topics == {"a", "b"}
    assert (sick.statistics.failures, sick.statistics.connections) == (3, 1)
    assert well.statistics.failures == 0


@pytest.mark.parametrize(
    ("urls", "problem"),
    [
        (["pigeon:coop"], r"carriers: 'pigeon' is none of memory:, mqtt:, mqtts:"),
        (["mqtt://broker.example"], r"plain mqtt stays on this machine"),
        (["mqtt://"], r"not written as"),
        (["mqtt://127.0.0.1:port"], r"not written as"),
        (["mqtts://127.0.0.1/path"], r"not written as"),
        (["mqtts://127.0.0.1?x=1"], r"not written as"),
        (["mqtts://127.0.0.1?cert=a"], r"cert and key need each other"),
        (["mqtts://127.0.0.1?ca=/no/such/file"], r"mqtts://127.0.0.1:8883: "),
        (["memory:a"] * (CARRIERS_MAX + 1), r"carriers: 9 of them, at most 8"),
    ],
)
def test_a_url_that_cannot_be_used_is_named(urls: list[str], problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        open_carriers(urls, identifier="here")


def test_what_is_secret_in_a_url_is_in_no_name_and_no_error() -> None:
    broker = parse_broker("mqtts://node:s3cret%21@broker.example?ca=/etc/ca.pem")
    assert (broker.username, broker.password, broker.port) == ("node", "s3cret!", 8_883)
    assert broker.name == "mqtts://broker.example:8883"
    with pytest.raises(InvalidValue) as refused:
        parse_broker("mqtt://node:s3cret@broker.example")
    assert "s3cret" not in str(refused.value)
