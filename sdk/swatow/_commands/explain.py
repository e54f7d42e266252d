"""`swatow explain`: what keeps an order from being filled. Heavy imports stay inside."""

from typing import TYPE_CHECKING

from swatow._commands.common import Directory, Json, ask

if TYPE_CHECKING:
    from swatow._evidence import OrderExplanation
    from swatow_protocol.shell.terminal import Terminal


def explain(
    order: str,
    *,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Say what keeps an order from being filled, by the offers that are live now.

    Example: swatow explain 1a2b3c4d

    The order may be open or ended, or one that the market has rejected.

    Parameters
    ----------
    order
        The first digits of its id, as swatow orders shows it.
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell.terminal import Terminal

    terminal = Terminal(as_json=json)
    found = ask(market, directory, lambda client: client.explain(order))
    if json:
        terminal.data({"explanation": found.as_dict()})
    else:
        _show(terminal, found)


def _show(terminal: "Terminal", found: "OrderExplanation") -> None:
    from swatow_protocol.units import format_price

    def price(nanos: int | None) -> str:
        return "none" if nanos is None else f"{format_price(nanos)} {found.currency} a million"

    terminal.facts(
        "Order",
        [
            ("order", found.id),
            ("state", found.state),
            ("lots open", found.lots_open),
            ("live offers for its models", found.offers),
            ("that may serve it", found.eligible),
            ("pays at most", price(found.limit_price)),
            ("last price", price(found.last_price)),
            ("cheapest free lot", price(found.least_ask)),
            ("free lots within its limit", found.lots_within),
        ],
    )
    if found.limits:
        terminal.table(
            "Limits that keep offers away",
            ("limit", "offers", "by it alone"),
            [(each.limit, str(each.offers), str(each.alone)) for each in found.limits],
        )
    terminal.text(_verdict(found))


def _verdict(found: "OrderExplanation") -> str:
    """Say in a sentence what is missing."""
    from swatow_protocol.units import format_price

    if not found.lots_open:
        return "Nothing of it is open."
    if not found.offers:
        return "There is no offer for its models."
    if not found.eligible:
        return f"No offer may serve it; the nearest fail: {', '.join(found.nearest)}."
    if found.missing == "price":
        more = f"{format_price(found.price_short)} {found.currency} a million"
        return f"Its price is too low, by {more}."
    if found.missing == "capacity":
        return f"{found.lots_short} lots are missing at a price within its limit."
    return "As things stand, the next round would fill it."
