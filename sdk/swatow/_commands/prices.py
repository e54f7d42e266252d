"""`swatow prices`: what lots cost now."""

from swatow._commands.common import Directory, Json, ask


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

    terminal = Terminal(as_json=json)
    found = ask(market, directory, lambda client: client.prices(model))
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
