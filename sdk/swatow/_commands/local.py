"""`swatow keys`, `config` and `version`: what stands on this machine."""

import sys
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from swatow._commands.common import Directory, Json, Role

if TYPE_CHECKING:
    from swatow_protocol.shell.terminal import Terminal

keys = App(name="keys", help="Show or make the key of a role.")


@keys.command(name="show")
def show_key(*, role: Role = "buyer", directory: Directory = None, json: Json = False) -> None:
    """Show the public key of a role.

    Example: swatow keys show --role node
    """
    from swatow_protocol.shell.keyfile import load_key
    from swatow_protocol.shell.settings import role_directory
    from swatow_protocol.shell.terminal import Terminal

    path = role_directory(role, directory) / "key"
    _tell_key(Terminal(as_json=json), role, path, load_key(path).key)


@keys.command(name="new")
def new_key(*, role: Role = "buyer", directory: Directory = None, json: Json = False) -> None:
    """Make the key of a role; one that exists is never overwritten.

    Example: swatow keys new --role buyer --directory ./wallet
    """
    from swatow_protocol.shell.keyfile import create_key
    from swatow_protocol.shell.settings import role_directory
    from swatow_protocol.shell.terminal import Terminal

    path = role_directory(role, directory) / "key"
    _tell_key(Terminal(as_json=json), role, path, create_key(path).key)


config = App(name="config", help="Show the settings of a role.")


@config.command(name="show")
def show_config(
    *,
    role: Role = "buyer",
    directory: Directory = None,
    origin: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Show every setting of a role: default < config.toml < environment < flag.

    Example: swatow config show --role node --origin

    Parameters
    ----------
    origin
        Also show where each one comes from.
    """
    from importlib.metadata import entry_points

    from swatow_protocol.shell.settings import role_directory, show
    from swatow_protocol.shell.terminal import Terminal

    (entry,) = entry_points(group="swatow.settings", name=role)
    shown = show(entry.load(), role_directory(role, directory))
    terminal = Terminal(as_json=json)
    if json:
        terminal.data(
            {name: {"value": value, "origin": where} for name, (value, where) in shown.items()}
        )
        return
    heads = ("setting", "value", "origin") if origin else ("setting", "value")
    rows = [
        (name, "" if value is None else str(value), where)[: len(heads)]
        for name, (value, where) in shown.items()
    ]
    terminal.table(f"Settings of the {role}", heads, rows)


def version(*, json: Json = False) -> None:
    """Show the version, and which parts are usable."""
    from importlib.util import find_spec

    from swatow_protocol.shell.terminal import Terminal

    number = distribution_version("swatow")
    needs = {
        "market": "sqlalchemy",
        "node": "aiohttp",
        "embedded engine": "xllamacpp",
        "gateway": "starlette",
        "recount": "tokenizers",
    }
    usable = {part: find_spec(module) is not None for part, module in needs.items()}
    terminal = Terminal(as_json=json)
    if json:
        terminal.data({"version": number, "python": sys.version.split()[0], "usable": usable})
    else:
        rows = [(part, "yes" if is_usable else "no") for part, is_usable in usable.items()]
        terminal.facts(f"swatow {number}", [("swatow", number), *rows])


def _tell_key(terminal: "Terminal", role: str, path: Path, key: bytes) -> None:
    if terminal.as_json:
        terminal.data({"role": role, "key": key.hex(), "file": str(path)})
    else:
        terminal.text(key.hex())
