"""Running a service: until a signal, until its parent is gone, or until it fails."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SHUTDOWN_S = 20.0
"""A service that has not stopped this long after the first signal is ended."""


async def run_until_stopped(
    serve: Callable[[asyncio.Event], Awaitable[None]], *, until_stdin_closes: bool = False
) -> None:
    """Run `serve(stop)`; set `stop` on SIGINT, SIGTERM or, if asked, at the end of stdin.

    `serve` should return soon after `stop` is set. It is cancelled by a second signal, or after
    SHUTDOWN_S. Its exceptions are raised here.
    """
    stop = asyncio.Event()
    task = asyncio.ensure_future(serve(stop))
    loop = asyncio.get_running_loop()

    def stop_soon() -> None:
        if not stop.is_set():
            stop.set()
            loop.call_later(SHUTDOWN_S, task.cancel)

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
        stop_soon()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _on_stdin, stop_soon)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if until_stdin_closes:
            loop.remove_reader(sys.stdin.fileno())


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do `work`, but give it up when `stop` is set; None if it was given up."""
    working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


async def ended(task: "asyncio.Task[Any]") -> None:
    """Cancel a task and wait until it has ended, however it does."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _on_stdin(on_close: Callable[[], None]) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        on_close()
