"""A real mosquitto, with a configuration of its own, on a free port."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
READY_S = 20.0

needs_mosquitto = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed (tests/install_servers.sh)"
)

PLAIN = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""


class Mosquitto:
    """A broker that can be stopped and started again on the same port."""

    def __init__(self, directory: Path, configuration: str = PLAIN) -> None:
        """Start it in a directory; `{port}` in the configuration is its port."""
        directory.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.directory = directory
        text = configuration.replace("{port}", str(self.port))
        if os.geteuid() == 0:
            text += "\nuser root\n"  # it would become another user, who may not read here
        (directory / "mosquitto.conf").write_text(text)
        self.start()

    @property
    def url(self) -> str:
        """Its URL without TLS."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; return when it listens."""
        assert MOSQUITTO is not None
        with (self.directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", "mosquitto.conf"],
                cwd=self.directory,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        ends = time.monotonic() + READY_S
        while time.monotonic() < ends:
            assert self._process.poll() is None, (self.directory / "mosquitto.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(READY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
