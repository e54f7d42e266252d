"""The lines to all nodes: which are kept, which are closed, and that one waits for no other."""

import asyncio
from typing import Any, cast

import pytest

from swatow import _nodes
from swatow._nodes import NodeLine, NodeLines
from swatow.errors import Unreachable
from swatow_protocol.messages import Award
from tests.support import samples
from tests.support.samples import BUYER, NETWORK, digest
from tests.unit.node import deal


class FakeLine:
    """A line that is idle or not."""

    def __init__(self) -> None:
        self.idle = True
        self.broken = self.closed = False

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class Lines:
    """The lines of a buyer, which are made of fakes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = NodeLines(
            identity=BUYER, network=NETWORK, now_us=lambda: 0, random_bytes=bytes
        )
        self.asked: list[bool] = []
        """Whether the node was asked for its keys, for each line made."""
        self.hold: dict[bytes, asyncio.Event] = {}
        """Nodes that answer only when this is set."""
        self.down: set[bytes] = set()
        monkeypatch.setattr(_nodes, "LINES_MAX", 3)
        monkeypatch.setattr(self.lines, "_connect", self._connect)

    async def to(self, name: str, stale: FakeLine | None = None) -> FakeLine:
        """Return the line to a node."""
        line = await self.lines.line(
            award_at(name), deal.offer().message, stale=cast("NodeLine | None", stale)
        )
        return cast("FakeLine", line)

    async def _connect(self, award: Award, _offer: Any, *, ask: bool) -> FakeLine:
        self.asked.append(ask)
        if award.node in self.hold:
            await self.hold[award.node].wait()
        if award.node in self.down:
            raise Unreachable("down")
        return FakeLine()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    return Lines(monkeypatch)


def award_at(name: str) -> Award:
    return samples.award(node=digest(name))


async def test_a_line_is_made_once_and_again_when_it_is_broken(lines: Lines) -> None:
    first = await lines.to("a")
    assert await lines.to("a") is first
    first.broken = True
    second = await lines.to("a")
    assert second is not first
    assert (first.closed, second.closed) == (True, False)
    assert lines.asked == [False, False]


async def test_a_stale_line_is_replaced_once_and_the_node_asked_for_its_keys(lines: Lines) -> None:
    first = await lines.to("a")
    second = await lines.to("a", stale=first)
    assert (second is not first, first.closed) == (True, True)
    assert await lines.to("a", stale=first) is second, "somebody has replaced it already"
    assert lines.asked == [False, True]


async def test_beyond_the_bound_the_line_that_was_idle_longest_is_closed(lines: Lines) -> None:
    first, second, third = [await lines.to(name) for name in "abc"]
    await lines.to("a")  # used again
    await lines.to("d")
    assert [line.closed for line in (first, second, third)] == [False, True, False]
    assert await lines.to("a") is first


async def test_a_line_with_a_job_on_it_is_not_closed_for_another(lines: Lines) -> None:
    first, second, third = [await lines.to(name) for name in "abc"]
    first.idle = second.idle = False
    await lines.to("d")
    assert [line.closed for line in (first, second, third)] == [False, False, True]
    third.idle = (await lines.to("d")).idle = False
    fifth = await lines.to("e")
    assert not fifth.closed, "all have jobs: there are more than that for a while"
    first.idle = second.idle = True
    await lines.to("f")
    assert (first.closed, second.closed) == (True, True), "and then no longer"


async def test_a_node_that_does_not_answer_keeps_nobody_from_the_others(lines: Lines) -> None:
    lines.hold[digest("slow")] = asyncio.Event()
    waiting = [asyncio.create_task(lines.to("slow")) for _ in range(2)]
    await asyncio.wait(waiting, timeout=0)
    other = asyncio.create_task(lines.to("a"))
    await asyncio.wait([other], timeout=0)
    assert [task.done() for task in (*waiting, other)] == [False, False, True]
    lines.hold[digest("slow")].set()
    one, same = await asyncio.gather(*waiting)
    assert one is same, "and is connected to once"


async def test_a_node_that_is_down_is_tried_again(lines: Lines) -> None:
    lines.down = {digest("a")}
    with pytest.raises(Unreachable):
        await lines.to("a")
    lines.down = set()
    assert not (await lines.to("a")).closed


async def test_all_lines_are_closed_at_the_end(lines: Lines) -> None:
    made = [await lines.to(name) for name in "ab"]
    await lines.lines.close()
    assert [line.closed for line in made] == [True, True]
