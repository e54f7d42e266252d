"""Child processes of a mesh: started in order, watched, and stopped in the opposite order."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from swatow_protocol.errors import NetworkError

READY_S = 120.0
"""A child has so long to print its first line, which says that it is ready."""
STOP_S = 20.0
"""A child has so long to stop after SIGTERM; then it is killed."""


class ChildFailed(NetworkError):
    """A child process ended, or did not get ready; its log says why."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running `swatow` command."""

    name: str
    process: asyncio.subprocess.Process
    first_line: str
    """What it printed when it was ready."""
    log: Path


class Children:
    """The child processes of a mesh."""

    def __init__(self, log_directory: Path) -> None:
        self._logs = log_directory
        self._children: dict[str, Child | None] = {}  # in the order in which they were asked for

    async def start(self, name: str, *arguments: str) -> Child:
        """Start `swatow <arguments>` and wait until it is ready.

        The child leaves when this process is gone, however it went: its stdin closes then.

        Raises:
            ChildFailed: it ended, or READY_S have passed; carries the last lines of its log.
        """
        self._children[name] = None
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "swatow",
                *arguments,
                "--until-stdin-closes",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # an interrupt at the terminal is handled here, in order
            )
        assert process.stdout is not None
        self._children[name] = Child(name, process, "", log)
        try:
            async with asyncio.timeout(READY_S):
                line = await process.stdout.readline()
        except TimeoutError:
            raise ChildFailed(f"{name} was not ready in {READY_S:g} s; see {log}") from None
        if not line:
            await process.wait()
            raise ChildFailed(f"{name} did not start: {_last_lines(log)}")
        self._children[name] = ready = Child(name, process, line.decode().strip(), log)
        return ready

    async def wait_for_any(self) -> Child:
        """Wait until a child ends, which none should; return it."""
        waiting = {asyncio.ensure_future(each.process.wait()): each for each in self._started()}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        return waiting[done.pop()]

    async def stop(self) -> None:
        """Stop all children, the last first, so that each finds those it needs still there."""
        for child in reversed(self._started()):
            if child.process.returncode is None:
                child.process.send_signal(signal.SIGTERM)
                try:
                    async with asyncio.timeout(STOP_S):
                        await child.process.wait()
                except TimeoutError:
                    child.process.kill()
                    await child.process.wait()

    def _started(self) -> list[Child]:
        return [child for child in self._children.values() if child is not None]


def explain(child: Child) -> str:
    """Say how a child ended."""
    code = child.process.returncode
    return f"{child.name} ended with {code}: {_last_lines(child.log)}"


def _last_lines(log: Path, count: int = 3) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return " | ".join(lines[-count:]) or f"it said nothing; see {log}"
