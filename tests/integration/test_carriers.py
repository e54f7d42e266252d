"""Every carrier keeps the same promises; those over a broker keep them with a real one."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swatow_protocol.carriers.carrier import Carrier
from swatow_protocol.carriers.several import open_carriers
from swatow_protocol.messages.answers import Decision
from tests.support.brokers import Mosquitto, needs_mosquitto
from tests.support.listeners import Listener, carrying, reached
from tests.support.world import soon

Opened = Callable[[str], Carrier]


@pytest.fixture(params=["memory", pytest.param("mqtt", marks=needs_mosquitto)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Return what opens carriers that can hear each other."""

    def open_one(identifier: str) -> Carrier:
        return open_carriers([url], identifier=identifier).each[0]

    if request.param == "memory":
        url = f"memory:{tmp_path.name}"
        yield open_one
        return
    with Mosquitto(tmp_path / "broker") as broker:
        url = broker.url
        yield open_one


async def test_what_is_published_is_heard_by_all_who_listen_for_it(opened: Opened) -> None:
    speaker, first, second = opened("speaker"), opened("first"), opened("second")
    hears_all, hears_one = Listener(first, "news/#"), Listener(second, "news/+/b")
    async with carrying(first, second):
        async with carrying(speaker):
            for topic in ("news/1/a", "other", "news/1/b", "news/end", "news/end/b"):
                speaker.publish(topic, topic.encode())
            assert await hears_all.until("news/end") == [
                ("news/1/a", b"news/1/a"),
                ("news/1/b", b"news/1/b"),
            ]
            assert await hears_one.until("news/end/b") == [("news/1/b", b"news/1/b")]
        assert speaker.statistics.published == 5
        assert not speaker.statistics.connected
        assert len(first.peers()) == 1
    assert first.peers() == ()


async def test_what_is_retained_is_heard_by_those_who_come_later(opened: Opened) -> None:
    speaker, late = opened("speaker"), opened("late")
    here = Listener(speaker, "#")
    heard = Listener(late, "kept/+", "end")
    async with carrying(speaker):
        speaker.publish("kept/a", b"1", retained=True)
        speaker.publish("kept/a", b"2", retained=True)
        speaker.publish("kept/b", b"3", retained=True)
        speaker.publish("kept/b", b"", retained=True)
        speaker.publish("kept/c", b"4")
        speaker.publish("said", b"")
        await here.until("said")
        async with carrying(late):
            assert await heard.next() == ("kept/a", b"2"), "nothing else was kept"
            speaker.publish("kept/a", b"", retained=True)
            speaker.publish("end", b"")
            assert await heard.until("end") == [("kept/a", b"")], "that it is gone is heard"


async def test_what_is_published_without_a_connection_waits_for_one(opened: Opened) -> None:
    speaker, listener = opened("speaker"), opened("listener")
    heard = Listener(listener, "#")
    speaker.publish("kept", b"old", retained=True)
    speaker.publish("kept", b"new", retained=True)
    speaker.publish("said", b"1")
    speaker.publish("said", b"2")
    async with carrying(listener), carrying(speaker):
        found = [await heard.next() for _ in range(3)]
    assert sorted(found) == [("kept", b"new"), ("said", b"1"), ("said", b"2")]


async def test_what_waits_when_it_ends_is_sent(opened: Opened) -> None:
    speaker, listener = opened("speaker"), opened("listener")
    heard = Listener(listener, "#")
    async with carrying(listener):
        async with carrying(speaker):
            for number in range(50):
                speaker.publish("said", b"%d" % number)
            speaker.publish("end", b"")
        heard_at_least_once = dict.fromkeys(await heard.until("end"))
    assert list(heard_at_least_once) == [("said", b"%d" % number) for number in range(50)]


async def test_it_ends_whenever_it_is_told_to(opened: Opened) -> None:
    """Even in the middle of connecting or sending."""
    for turn in range(30):
        speaker = opened(f"speaker{turn}")
        speaker.subscribe("#", lambda _: Decision.ACCEPT)
        for number in range(200):
            speaker.publish("said", b"%d" % number)
        task = asyncio.create_task(speaker.run())
        if turn % 2:
            await reached(lambda now=speaker: now.statistics.published > 0)  # type: ignore[misc]
        for _ in range(turn):
            await asyncio.sleep(0)
        task.cancel()
        await soon(asyncio.gather(task, return_exceptions=True))
