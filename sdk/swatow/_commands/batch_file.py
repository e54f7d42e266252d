"""Rows of a batch from a CSV file: model, lots, price, and hard limits named as their options."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from swatow._batch import OrderRow
from swatow._commands.common import models_of
from swatow._limit_flags import LimitFlags
from swatow._limits import limits_of
from swatow.errors import InvalidRow, InvalidValue
from swatow_protocol import limits as bounds
from swatow_protocol.messages import Limits

MODEL, LOTS, PRICE, OR = "model", "lots", "price", "or"
_COLUMNS = {"max_price": PRICE, "limits": "limits"}
"""What a row's error names -> the column that it was read from, where they differ."""


@dataclass(slots=True)
class BatchFile:
    """The rows of a file, and where each of them stood."""

    name: str
    rows: list[OrderRow] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """Line of each row, from 1."""

    def wrong(self, line: int, column: str, problem: str) -> InvalidValue:
        """Return an error that names line and column."""
        where = f"{self.name} line {line}"
        return InvalidValue(f"{where}, {column}" if column else where, problem)

    def wrong_row(self, error: InvalidRow) -> InvalidValue:
        """Return the error of a row with its place in this file."""
        column = _COLUMNS.get(error.column, error.column)
        return self.wrong(self.lines[error.row], column, error.problem)


def read_batch(name: str, text: Iterable[str], flags: Mapping[str, object]) -> BatchFile:
    """Read rows; a cell that is empty takes what the command line says.

    Args:
        name: of the file, for errors.
        text: its lines.
        flags: hard limits of rows that say nothing of them, by name.

    Raises:
        InvalidValue: it is no such file; names line and column.
    """
    file = BatchFile(name)
    reader = csv.reader(text, strict=True)
    known: dict[tuple[str, ...], Limits] = {}
    try:
        heads = _heads(file, next(reader, []))
        for cells in reader:
            if not any(cells):
                continue
            if len(file.rows) == bounds.BATCH_ORDERS_MAX:
                problem = f"more rows than a batch takes, {bounds.BATCH_ORDERS_MAX}"
                raise file.wrong(reader.line_num, "", problem)
            if len(cells) != len(heads):
                problem = f"{len(cells)} cells under {len(heads)} heads"
                raise file.wrong(reader.line_num, "", problem)
            named = {
                head: cell.strip() for head, cell in zip(heads, cells, strict=True) if cell.strip()
            }
            own = tuple(named.get(head, "") for head in heads if head in _KINDS)
            if own not in known:
                known[own] = _limits(file, reader.line_num, named, flags)
            file.rows.append(_row(file, reader.line_num, named, known[own]))
            file.lines.append(reader.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        raise file.wrong(max(reader.line_num, 1), "", str(error)) from None
    return file


def _heads(file: BatchFile, cells: list[str]) -> list[str]:
    heads = [cell.strip().lower().replace("-", "_") for cell in cells]
    for needed in (MODEL, LOTS):
        if needed not in heads:
            problem = f"no such column; the first line names model, lots and price, not {heads}"
            raise file.wrong(1, needed, problem)
    for head in heads:
        if head not in (MODEL, LOTS, PRICE, OR, *_KINDS):
            raise file.wrong(1, head, f"no such column; limits are {', '.join(_KINDS)}")
        if heads.count(head) > 1:
            raise file.wrong(1, head, "named twice")
    return heads


def _row(file: BatchFile, line: int, named: Mapping[str, str], limits: Limits) -> OrderRow:
    for needed in (MODEL, LOTS):
        if needed not in named:
            raise file.wrong(line, needed, "nothing stands there")
    lots = _whole(file, line, LOTS, named[LOTS])
    try:
        models = models_of(named[MODEL], named.get(PRICE), tuple(named.get(OR, "").split()))
    except InvalidValue as error:
        raise file.wrong(line, error.field, error.problem) from None
    price = named.get(PRICE) if isinstance(models, str) else None
    return OrderRow(model=models, lots=lots, max_price=price, limits=limits)


def _limits(
    file: BatchFile, line: int, named: Mapping[str, str], flags: Mapping[str, object]
) -> Limits:
    stated: dict[str, object] = {}
    for name, kind in _KINDS.items():
        if name in named:
            cell = named[name]
            is_list = kind not in (int, str)
            stated[name] = cell.split() if is_list else cell
            if kind is int:
                stated[name] = _whole(file, line, name, cell)
            try:
                limits_of({name: stated[name]}, name)
            except InvalidValue as error:
                raise file.wrong(line, name, error.problem) from None
    return limits_of({**flags, **stated}, "limits")


def _whole(file: BatchFile, line: int, column: str, cell: str) -> int:
    if not (cell.isascii() and cell.isdecimal() and len(cell) <= _DIGITS_MAX):
        raise file.wrong(line, column, f"{cell!r} is no whole number")
    return int(cell)


def _kinds() -> Iterator[tuple[str, Any]]:
    """Yield the name of each limit, and whether it is a number, a text, or several texts."""
    hints = get_type_hints(LimitFlags)
    for name in Limits.__struct_fields__:
        yield name, get_args(hints[name])[0]


_DIGITS_MAX = 18
"""Digits of a whole number: as many as fit 63 bits."""
_KINDS: dict[str, Any] = dict(_kinds())
