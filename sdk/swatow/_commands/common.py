"""What the buyer's commands share. Heavy imports stay inside them."""

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from swatow._limit_flags import LimitFlags

if TYPE_CHECKING:
    from swatow._client import AsyncClient
    from swatow_protocol.shell.terminal import Terminal

Directory = Annotated[Path | None, Parameter(name=["--directory", "-d"])]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Role = Literal["buyer", "node", "market"]

DEFAULT_MODEL = "smollm2-135m-instruct-q4_1"
NO_LIMIT_FLAGS = LimitFlags()


def open_client(
    market: str | None, directory: Path | None, max_price: str | None, **settings: Any
) -> "AsyncClient":
    """Open the client that the options of a command ask for."""
    from swatow._client import AsyncClient

    return AsyncClient(market=market, directory=directory, max_price=max_price, **settings)


def waiting(terminal: "Terminal", what: str) -> AbstractContextManager[Any]:
    """Show what is being waited for, where a person watches."""
    return terminal.err.status(what) if terminal.watched else contextlib.nullcontext()
