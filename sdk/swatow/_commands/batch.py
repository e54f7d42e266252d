"""`swatow batch`: many orders from a file, under one signature."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from swatow._commands.common import (
    NO_LIMIT_FLAGS,
    Directory,
    Json,
    open_client,
    show_awards,
    waiting,
)
from swatow._commands.orders import DIGITS, show_orders, values_of
from swatow._limit_flags import LimitFlags

if TYPE_CHECKING:
    from swatow._award import Award
    from swatow._batches import BatchProgress, BatchResult
    from swatow._commands.batch_file import BatchFile
    from swatow_protocol.shell.terminal import Terminal

STANDARD_INPUT = "-"


def batch(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    *,
    price: Annotated[str | None, Parameter(name=["--price", "--max-price"])] = None,
    all_or_none: Annotated[bool, Parameter(negative="")] = False,
    take_or_pay: str | None = None,
    deadline: str | None = None,
    wait: str | None = None,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
    limits: LimitFlags = NO_LIMIT_FLAGS,
) -> None:
    """Place many orders from a CSV file at once, and wait until all of them have ended.

    Example: swatow batch orders.csv --wait 1h --deadline 6h

    Example: make-orders | swatow batch - --price 0.20 --json

    The first line names the columns: model, lots, price, and any hard limit by the name of its
    option, with spaces between several values. A column `or` takes NAME=PRICE of other models
    that will do. A cell that is empty takes what the command line says:

        model,lots,price,zones,round-trip-ms
        small-model,500,0.20,cn-gd sg,40
        small-model,300,0.12,cn-gd sg,40
        big-model,50,0.35,,

    Rows of equal models and limits are one order with many limit prices: its dearest rows are
    served first. All rows are taken in, or none is; the account must cover all of them. At most
    100,000 rows make 1,024 orders.

    Parameters
    ----------
    file
        The CSV file; - is standard input.
    price
        Most that is paid for a million standard tokens, where a row names no price; else
        max_price of the settings.
    all_or_none
        Fill each row in one round, or not at all.
    take_or_pay
        Share of what is awarded that is paid for even if it is not used, 0 to 1; else the least
        that the market takes.
    deadline
        Delivery may be in any period that ends so soon, as in 90m, 6h or 2d: an award may then
        begin later, at a lower price.
    wait
        How long the orders wait for offers: 30s, 5m, 2h. [order_wait_s of the settings]
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow.errors import InvalidRow
    from swatow_protocol.shell.terminal import EXIT_FAILED, Terminal
    from swatow_protocol.units import MICROS_PER_SECOND, parse_duration

    terminal = Terminal(as_json=json)
    wait_s = None if wait is None else parse_duration(wait, "wait") / MICROS_PER_SECOND
    given = _read(file, limits)
    terminal.note(f"{given.name}: {len(given.rows)} rows")
    progress = _Progress(terminal)

    async def run() -> "BatchResult[Award]":
        client = open_client(market, directory, price)
        try:
            with waiting(terminal, "ordering"):
                return await client.order_batch(
                    given.rows,
                    limits=limits.limits(),
                    all_or_none=all_or_none,
                    take_or_pay=take_or_pay,
                    deadline=deadline,
                    wait_s=wait_s,
                    on_news=progress.tell,
                )
        except InvalidRow as error:
            raise given.wrong_row(error) from None
        finally:
            await client.aclose(release=False)

    result = asyncio.run(run())
    _show(terminal, result)
    if not result.awards:
        sys.exit(EXIT_FAILED)


class _Progress:
    """Tells what becomes of a batch, where something changed."""

    def __init__(self, terminal: "Terminal") -> None:
        self._last: BatchProgress | None = None
        self._terminal = terminal

    def tell(self, progress: "BatchProgress") -> None:
        """Tell where the batch stands now."""
        if progress != self._last:
            self._terminal.note(
                f"batch {progress.id[:DIGITS]}: "
                f"{progress.lots_awarded} of {progress.lots} lots awarded, "
                f"{progress.orders_open} of {progress.orders} orders in the book"
            )
        self._last = progress


def _read(file: str, limits: LimitFlags) -> "BatchFile":
    from swatow._commands.batch_file import read_batch
    from swatow.errors import InvalidValue

    flags = {name: value for name, value in asdict(limits).items() if value is not None}
    if file == STANDARD_INPUT:
        return read_batch("standard input", sys.stdin, flags)
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as text:
            return read_batch(file, text, flags)
    except OSError as error:
        raise InvalidValue(file, error.strerror or str(error)) from None


def _show(terminal: "Terminal", result: "BatchResult[Award]") -> None:
    from swatow_protocol.units import format_money

    told = values_of(result.awards)
    if terminal.as_json:
        terminal.data({"batch": result.as_dict(), "awards": told})
        return
    show_orders(terminal, [order.status for order in result.orders])
    if told:
        show_awards(terminal, told)
        terminal.note(f"draw on them: swatow chat --award {told[0]['id'][:DIGITS]} ...")
    most = f"{format_money(result.money_most)} {result.currency} at most"
    terminal.note(f"{result.lots_awarded} of {result.lots} lots awarded; all would cost {most}")
