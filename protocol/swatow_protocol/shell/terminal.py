"""What commands print: tables and progress for a person, plain lines in a pipe, JSON on request.

Data goes to standard output; progress, warnings and errors go to standard error. Answers and names
come from strangers: on a terminal their control characters are left out, in a pipe they are data.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

EXIT_OK = 0
EXIT_FAILED = 1
"""The other side, or the way to it, did not do what was asked."""
EXIT_USAGE = 2
"""The command line or a setting cannot be used."""

_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")})
"""C0 and C1 without tab and newline: what moves a cursor, or starts a sequence that does more."""


class Terminal:
    """The way of a command to its user."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Console(soft_wrap=True, highlight=False, emoji=False)
        self.err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

    @property
    def watched(self) -> bool:
        """Whether a person sees the output as it comes."""
        return self.out.is_terminal and not self.as_json

    def data(self, value: dict[str, Any]) -> None:
        """Print one JSON object on a line; for --json only."""
        print(json.dumps(value, ensure_ascii=False), flush=True)

    def text(self, text: str, *, end: str = "\n") -> None:
        """Print text without markup, and without wrapping it."""
        if self.out.is_terminal:
            text = text.translate(_CONTROLS)
        self.out.file.write(text + end)
        self.out.file.flush()

    def note(self, text: str) -> None:
        """Tell progress, on standard error; silent with --json."""
        if not self.as_json:
            self.err.print(text.translate(_CONTROLS), markup=False)

    def facts(self, title: str, rows: Iterable[tuple[str, object]]) -> None:
        """Print names and values: a table for a person, `name<TAB>value` in a pipe."""
        self.table(title, ("", ""), [(name, str(value)) for name, value in rows])

    def table(self, title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows: a table for a person, tab-separated lines in a pipe."""
        if not self.watched:
            lines = ["\t".join(row) for row in rows]
            if any(heads):
                lines.insert(0, "\t".join(heads))
            self.text("\n".join(lines))
            return
        table = Table(title=title, title_justify="left", show_header=any(heads))
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*(cell.translate(_CONTROLS) for cell in row))
        self.out.print(table, markup=False)

    def fail(self, message: str, code: int = EXIT_FAILED) -> NoReturn:
        """Print an error and leave with `code`."""
        if self.as_json:
            self.data({"error": message})
        self.err.print(f"swatow: {message}".translate(_CONTROLS), markup=False)
        sys.exit(code)
