"""What the buyer's commands share. Heavy imports stay inside them."""

import asyncio
import contextlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from swatow._limit_flags import LimitFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from swatow._client import AsyncClient
    from swatow_protocol.shell.terminal import Terminal

T = TypeVar("T")

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


def ask(
    market: str | None,
    directory: Path | None,
    question: "Callable[[AsyncClient], Coroutine[Any, Any, T]]",
) -> "T":
    """Ask a client something; awards of the wallet stay as they are."""

    async def run() -> "T":
        client = open_client(market, directory, None)
        try:
            return await question(client)
        finally:
            await client.aclose(release=False)

    return asyncio.run(run())


def waiting(terminal: "Terminal", what: str) -> AbstractContextManager[Any]:
    """Show what is being waited for, where a person watches."""
    return terminal.err.status(what) if terminal.watched else contextlib.nullcontext()


def show_awards(terminal: "Terminal", awards: "Sequence[Mapping[str, Any]]") -> None:
    """Print awards, from plain values."""
    from swatow_protocol.units import format_price, format_time

    heads = ("award", "model", "lots", "price a million", "zone", "node", "from", "until")
    rows = [
        (
            each["id"][:16],
            each["model"],
            str(each["lots"]),
            f"{format_price(each['price'])} {each['currency']}",
            each["zone"],
            each["node"][:16],
            format_time(each["from_us"]),
            format_time(each["expires_us"]),
        )
        for each in awards
    ]
    terminal.table("Awards", heads, rows)


def models_of(model: str, price: str | None, others: tuple[str, ...]) -> "str | Mapping[str, str]":
    """Return the model, or all acceptable models with the limit price of each."""
    from swatow.errors import InvalidValue

    if not others:
        return model
    if price is None:
        raise InvalidValue("price", f"how much at most for {model}? Each of several models has its")
    models = {model: price}
    for each in others:
        name, _, limit = each.partition("=")
        if not name or not limit:
            raise InvalidValue("or", f"{each!r} is not NAME=PRICE")
        if name in models:
            raise InvalidValue("or", f"{name} is named twice")
        models[name] = limit
    return models
