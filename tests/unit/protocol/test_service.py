"""Running a service: what stops it, how it is ended if it does not stop, and what it leaves."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from swatow_protocol.shell import service
from swatow_protocol.shell.service import run_until_stopped, unless_stopped
from tests.unit.protocol.loopback import soon

DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
SIGNALS = tuple(DEFAULTS)


@pytest.fixture(autouse=True)
def handlers_are_taken_away_again() -> Iterator[None]:
    """A process that has stopped its service can be interrupted like any other."""
    before = {number: signal.signal(number, DEFAULTS[number]) for number in SIGNALS}
    yield
    left = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        signal.signal(number, handler)  # coverage has one of its own
    assert left == DEFAULTS


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Put a pipe in place of standard input; return the parent's end of it."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield theirs


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_asks_the_service_to_stop(number: signal.Signals) -> None:
    stopped = False

    async def serve(stop: asyncio.Event) -> None:
        nonlocal stopped
        assert not stop.is_set()
        signal.raise_signal(number)
        await stop.wait()
        stopped = True

    await soon(run_until_stopped(serve))
    assert stopped


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
async def test_a_second_signal_ends_a_service_that_does_not_stop(
    first: signal.Signals, second: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SHUTDOWN_S", 10_000)  # so that nothing else ends it
    cleaned_up = False

    async def serve(stop: asyncio.Event) -> None:
        nonlocal cleaned_up
        signal.raise_signal(first)
        await stop.wait()
        signal.raise_signal(second)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up = True

    await soon(run_until_stopped(serve))
    assert cleaned_up


async def test_a_service_that_does_not_stop_in_time_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "SHUTDOWN_S", 0)
    cancelled = False

    async def serve(stop: asyncio.Event) -> None:
        nonlocal cancelled
        signal.raise_signal(signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = stop.is_set()
            raise

    await soon(run_until_stopped(serve))
    assert cancelled


async def test_a_service_that_ends_by_itself_is_over() -> None:
    async def serve(stop: asyncio.Event) -> None:
        assert not stop.is_set()

    await soon(run_until_stopped(serve))


async def test_a_failure_of_the_service_is_raised() -> None:
    async def serve(stop: asyncio.Event) -> None:
        raise LookupError("no such engine")

    with pytest.raises(LookupError, match="no such engine"):
        await soon(run_until_stopped(serve))


async def test_the_end_of_standard_input_asks_the_service_to_stop(parent: int) -> None:
    """How a child of `swatow up` notices that its parent is gone, however it went."""

    async def serve(stop: asyncio.Event) -> None:
        os.close(parent)
        await stop.wait()

    await soon(run_until_stopped(serve, until_stdin_closes=True))


async def test_words_on_standard_input_stop_nothing(parent: int) -> None:
    woken = asyncio.Event()

    async def serve(stop: asyncio.Event) -> None:
        os.write(parent, b"hello\n" * 10)
        asyncio.get_running_loop().call_soon(woken.set)
        await woken.wait()  # a turn of the loop, in which the words are read
        assert not stop.is_set()
        os.close(parent)
        await stop.wait()

    await soon(run_until_stopped(serve, until_stdin_closes=True))


async def test_standard_input_is_nobodys_business_unless_asked(parent: int) -> None:
    async def serve(stop: asyncio.Event) -> None:
        os.close(parent)

    await soon(run_until_stopped(serve))
    assert sys.stdin.read() == "", "and it is still open for others"


async def test_work_that_ends_first_gives_its_result() -> None:
    async def work() -> int:
        return 42

    assert await soon(unless_stopped(asyncio.Event(), work())) == 42


async def test_work_is_given_up_when_the_service_stops() -> None:
    stop, given_up = asyncio.Event(), False

    async def work() -> int:
        nonlocal given_up
        stop.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up = True
            raise
        return 42

    assert await soon(unless_stopped(stop, work())) is None
    assert given_up, "before it returns, so nothing runs on behind the service"


async def test_work_that_fails_raises() -> None:
    async def work() -> int:
        raise LookupError("no such engine")

    with pytest.raises(LookupError):
        await soon(unless_stopped(asyncio.Event(), work()))


async def test_giving_up_the_waiting_gives_up_the_work() -> None:
    started, given_up = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    waiting = asyncio.ensure_future(unless_stopped(asyncio.Event(), work()))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(waiting)
    assert given_up.is_set()
