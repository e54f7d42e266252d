"""`swatow order`, `orders`, `cancel` and `contest`: lots to draw on later, and where they stand."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from swatow._commands.common import (
    DEFAULT_MODEL,
    NO_LIMIT_FLAGS,
    Directory,
    Json,
    ask,
    models_of,
    open_client,
    show_awards,
    waiting,
)
from swatow._limit_flags import LimitFlags

if TYPE_CHECKING:
    from swatow._award import Award
    from swatow._status import OrderStatus
    from swatow_protocol.shell.terminal import Terminal

DIGITS = 16
"""First digits of an id that are shown; so many name one order or award of a wallet."""


def order(
    model: str = DEFAULT_MODEL,
    lots: int = 1,
    *,
    price: Annotated[str | None, Parameter(name=["--price", "--max-price"])] = None,
    or_model: Annotated[
        tuple[str, ...], Parameter(name="--or", negative="", show_default=False)
    ] = (),
    all_or_none: Annotated[bool, Parameter(negative="")] = False,
    now: Annotated[bool, Parameter(negative="")] = False,
    take_or_pay: str | None = None,
    deadline: str | None = None,
    wait: str | None = None,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
    limits: LimitFlags = NO_LIMIT_FLAGS,
) -> None:
    """Buy lots of a model, to be drawn upon later.

    Example: swatow order smollm2-135m-instruct-q4_1 10 --price 0.20 --zones cn-gd --wait 30s

    Example: swatow order small-model 10 --price 0.20 --or big-model=0.35 --all-or-none

    Example: swatow order small-model 500 --price 0.20 --deadline 6h

    Example: swatow order small-model 10 --price 0.20 --now

    A lot is 1,000 standard tokens. What is not used when the award ends is not paid for, except
    for the take-or-pay share. Awards are drawn upon with swatow chat --award AWARD.

    Parameters
    ----------
    model
        Name of the model, as the market lists it.
    lots
        How many.
    price
        Most that is paid for a million standard tokens; else max_price of the settings.
    or_model
        NAME=PRICE, once for each: this model will do too, for that price at most. The order is
        served where it gains most.
    all_or_none
        Take the whole quantity in one round, or nothing.
    now
        Do not wait for a round: take what there is at the posted price, or nothing. See swatow
        prices.
    take_or_pay
        Share of what is awarded that is paid for even if it is not used, 0 to 1; else the least
        that the market takes.
    deadline
        Delivery may be in any period that ends so soon, as in 90m, 6h or 2d: the award may then
        begin later, at a lower price.
    wait
        How long the order waits for offers: 30s, 5m, 2h. [order_wait_s of the settings]
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import MICROS_PER_SECOND, parse_duration

    terminal = Terminal(as_json=json)
    models = models_of(model, price, or_model)
    wait_s = None if wait is None else parse_duration(wait, "wait") / MICROS_PER_SECOND
    progress = _Progress(terminal)

    async def run() -> "list[Award]":
        client = open_client(market, directory, None if or_model else price)
        try:
            with waiting(terminal, "ordering"):
                return await client.order(
                    model=models,
                    lots=lots,
                    limits=limits.limits(),
                    all_or_none=all_or_none,
                    immediate=now,
                    take_or_pay=take_or_pay,
                    deadline=deadline,
                    wait_s=wait_s,
                    on_news=progress.tell,
                )
        finally:
            await client.aclose(release=False)

    _show_bought(terminal, asyncio.run(run()), progress.last, later=deadline is not None)


def orders(
    *,
    last: int = 20,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """List the orders of the wallet and where they stand in the market, newest first.

    Example: swatow orders --last 5

    Parameters
    ----------
    last
        How many of the latest orders.
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell.terminal import Terminal

    terminal = Terminal(as_json=json)
    found = ask(market, directory, lambda client: client.orders(last))
    if json:
        terminal.data({"orders": [each.as_dict() for each in found]})
    else:
        show_orders(terminal, found)


def cancel(
    order: str,
    *,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Take an order out of the market's book; what was awarded stays awarded.

    Example: swatow cancel 1a2b3c4d

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
    status = ask(market, directory, lambda client: client.cancel(order))
    if json:
        terminal.data({"order": status.as_dict()})
    else:
        show_orders(terminal, [status])


def contest(
    award: str,
    *,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Let go of an award whose node does not serve it, before it expires.

    Example: swatow contest 9f8e7d6c

    Its take-or-pay share is owed only for the part of its life that has passed. No more jobs can
    be run on it; what was signed for by then stays owed.

    Parameters
    ----------
    award
        The first digits of its id.
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell.terminal import Terminal

    terminal = Terminal(as_json=json)
    status = ask(market, directory, lambda client: client.contest(award)).as_dict()
    if json:
        terminal.data({"award": status})
    else:
        terminal.facts("Award", [(name, value) for name, value in status.items()])


class _Progress:
    """Tells what becomes of an order, where something changed."""

    def __init__(self, terminal: "Terminal") -> None:
        self.last: OrderStatus | None = None
        self._terminal = terminal

    def tell(self, status: "OrderStatus") -> None:
        """Tell where the order stands now."""
        before, self.last = self.last, status
        name, wait_s = status.id[:DIGITS], (status.expires_us - status.placed_us) / 1e6
        if before is None and status.is_open:
            self._terminal.note(f"order {name}: in the book for {wait_s:g} s at most")
        unmet = f"; unmet: {', '.join(status.unmet)}" if status.unmet else ""
        news = (status.lots_open, status.state, status.unmet)
        if before is not None and news != (before.lots_open, before.state, before.unmet):
            got = status.lots - status.lots_open
            self._terminal.note(
                f"order {name}: {status.state}, {got} of {status.lots} lots awarded{unmet}"
            )


def values_of(awards: "Sequence[Award]") -> list[dict[str, Any]]:
    """Return awards as plain values."""
    fields = ("id", "model", "node", "zone", "lots", "price", "currency", "from_us", "expires_us")
    return [{name: getattr(each, name) for name in fields} for each in awards]


def _show_bought(
    terminal: "Terminal", awards: "list[Award]", status: "OrderStatus | None", *, later: bool
) -> None:
    from swatow_protocol.units import format_time

    told = values_of(awards)
    if terminal.as_json:
        ids = [each.id for each in awards]
        order = {**status.as_dict(), "awards": ids} if status is not None else None
        terminal.data({"order": order, "awards": told})
        return
    show_awards(terminal, told)
    first = min(awards, key=lambda each: each.from_us)
    begins = f", from {format_time(first.from_us)} on" if later else ""
    terminal.note(f"draw on it{begins}: swatow chat --award {first.id[:DIGITS]} ...")


def show_orders(terminal: "Terminal", found: "Sequence[OrderStatus]") -> None:
    """Print where orders stand."""
    from swatow_protocol.units import format_price, format_time

    rows = [
        (
            each.id[:DIGITS],
            each.state,
            f"{each.lots - each.lots_open} of {each.lots}",
            ", ".join(f"{name} {format_price(limit)}" for name, limit in each.models.items()),
            format_time(each.placed_us),
            " ".join(award[:DIGITS] for award in each.awards),
        )
        for each in found
    ]
    heads = ("order", "state", "lots awarded", "models, most a million", "placed", "awards")
    terminal.table("Orders", heads, rows)
