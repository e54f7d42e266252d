"""Slots: so many jobs run, so many wait in line in the order of their coming, the rest is busy."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from swatow_node.admission import JobRefused
from swatow_node.slots import RETRY_AFTER_MS, Slots
from swatow_protocol.messages import JobRefusal


class Line:
    """Jobs that take a place, note it, and leave when they are told to."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.running: list[int] = []
        self.moved = asyncio.Condition()
        self.leave: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, *numbers: int) -> None:
        """Start jobs; the event loop lets them come in this order."""
        for number in numbers:
            self.leave[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._job(number))

    async def end(self, number: int) -> None:
        """Let a running job end."""
        self.leave[number].set()
        await self.tasks[number]

    async def until_running(self, *numbers: int) -> None:
        """Wait until exactly these run, in this order of their starts."""
        async with self.moved:
            await self.moved.wait_for(lambda: self.running == list(numbers))

    async def _job(self, number: int) -> None:
        async with self.slots.place():
            async with self.moved:
                self.running.append(number)
                self.moved.notify_all()
            await self.leave[number].wait()
            self.running.remove(number)


async def test_jobs_start_in_the_order_of_their_coming() -> None:
    line = Line(Slots(2, 10))
    line.start(*range(6))
    await line.until_running(0, 1)
    assert line.slots.waiting == 4
    await line.end(1)
    await line.until_running(0, 2)
    await line.end(0)
    await line.until_running(2, 3)
    for number in (2, 3, 4, 5):
        await line.end(number)
    assert line.slots.waiting == 0


async def test_a_full_line_is_busy_and_says_when_to_come_again() -> None:
    line = Line(Slots(1, 1))
    line.start(0, 1)
    await line.until_running(0)
    with pytest.raises(JobRefused) as refused:
        async with line.slots.place():
            pass
    assert refused.value.refusal is JobRefusal.BUSY
    assert refused.value.retry_after_ms == RETRY_AFTER_MS
    assert refused.value.detail == "1 jobs run, 1 wait"
    for number in (0, 1):
        await line.end(number)
    async with line.slots.place():
        assert line.slots.waiting == 0


async def test_without_a_line_a_free_place_is_given_and_a_taken_one_refused() -> None:
    slots = Slots(1, 0)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(slots.place())
        with pytest.raises(JobRefused):
            await stack.enter_async_context(slots.place())
    async with slots.place():
        pass


async def test_a_job_that_fails_gives_its_place_back() -> None:
    slots = Slots(1, 0)
    with pytest.raises(ZeroDivisionError):
        async with slots.place():
            raise ZeroDivisionError
    async with slots.place():
        pass


async def test_one_who_leaves_the_line_holds_up_nobody() -> None:
    line = Line(Slots(1, 2))
    line.start(0, 1, 2)
    await line.until_running(0)
    line.tasks[1].cancel()
    await asyncio.gather(line.tasks[1], return_exceptions=True)
    assert line.slots.waiting == 1
    line.start(3)
    await line.end(0)
    await line.until_running(2)
    await line.end(2)
    await line.until_running(3)
    await line.end(3)
