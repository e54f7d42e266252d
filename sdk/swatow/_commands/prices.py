"""`swatow prices`: what lots cost now."""

import asyncio
from typing import TYPE_CHECKING

from swatow._commands.common import Directory, Json, open_client

if TYPE_CHECKING:
    from swatow._status import ModelPrice


def prices(
    model: str | None = None,
    *,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Show what lots cost and how many are left, by model and zone.

    Example: swatow prices smollm2-135m-instruct-q4_1

    The posted price is what swatow order --now pays; what the path to you charges comes on top.

    Parameters
    ----------
    model
        Name of the model, as the market lists it. [all]
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import format_price

    def priced(price: int | None) -> str:
        return "-" if price is None else format_price(price)

    async def run() -> "list[ModelPrice]":
        client = open_client(market, directory, None)
        try:
            return await client.prices(model)
        finally:
            await client.aclose(release=False)

    terminal = Terminal(as_json=json)
    found = asyncio.run(run())
    if json:
        terminal.data({"prices": [each.as_dict() for each in found]})
        return
    rows = [
        (each.model, each.zone, priced(each.cleared), priced(each.posted), str(each.lots))
        for each in found
    ]
    unit = f", {found[0].currency} a million" if found else ""
    heads = ("model", "zone", f"last round{unit}", f"posted{unit}", "lots left")
    terminal.table("Prices", heads, rows)
