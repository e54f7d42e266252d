"""Settings of the whole test run; nothing of the user who runs it is touched."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the settings and wallets of whoever runs them."""
    monkeypatch.setenv("SWATOW_HOME", str(tmp_path / "home"))
    for name in list(os.environ):
        if name.startswith(("SWATOW_MARKET", "SWATOW_NODE", "SWATOW_BUYER")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logs_on_standard_error() -> Iterator[None]:
    """Keep standard output for what commands print, whichever service logs beside them."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    yield
    structlog.reset_defaults()
