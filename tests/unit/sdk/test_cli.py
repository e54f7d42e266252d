"""The command line: what it prints where, and the code with which it leaves."""

import json
import stat
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import swatow
from swatow._cli import main

NOWHERE = f"{'00' * 32}@127.0.0.1:1"


class Ran:
    """What a command left behind."""

    def __init__(self, code: Any, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*words: str) -> Ran:
        try:
            main(list(words))
            code: Any = 0
        except SystemExit as left:
            code = left.code or 0
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return command


def test_the_version_and_the_usable_parts_are_told(run: Any) -> None:
    told = run("version", "--json")
    assert told.code == 0
    assert told.json["version"] == swatow.__version__
    assert told.json["python"] == sys.version.split()[0]
    parts = {"market", "node", "embedded engine", "gateway", "recount"}
    assert told.json["usable"].keys() == parts
    assert told.json["usable"]["node"] is True
    assert run("version").out.splitlines()[0] == f"swatow\t{swatow.__version__}"


def test_every_command_that_the_package_mounts_exists() -> None:
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8")
    mounted = tomllib.loads(text)["project"]["entry-points"]["swatow.commands"]
    assert {"market", "node", "up", "check"} == mounted.keys()
    for place in mounted.values():
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(module), name))


def test_the_version_is_also_an_option(run: Any) -> None:
    assert run("--version").out.strip() == swatow.__version__


@pytest.mark.parametrize("words", [[], ["--help"], ["chat", "--help"], ["node", "run", "--help"]])
def test_help_is_no_error(run: Any, words: list[str]) -> None:
    told = run(*words)
    assert told.code == 0
    assert "swatow" in told.out.lower()


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["chat", "hello", "--no-such-option"],
        ["order", "--lots", "many"],
        ["keys", "show", "--role", "nobody"],
        ["wallet", "a", "b"],
    ],
)
def test_a_command_line_that_cannot_be_used_leaves_with_2(run: Any, words: list[str]) -> None:
    told = run(*words)
    assert told.code == 2
    assert told.out == "", "errors go to standard error"
    assert told.err


@pytest.mark.parametrize(
    "command", [["chat", "hello"], ["order"], ["wallet"], ["map"], ["gateway"]]
)
def test_without_a_market_there_is_nothing_to_do(run: Any, command: list[str]) -> None:
    told = run(*command)
    assert told.code == 2
    assert told.err.startswith("swatow: market: which one?")
    assert told.out == ""


def test_an_error_is_json_where_json_was_asked_for(run: Any) -> None:
    told = run("chat", "hello", "--json")
    assert told.code == 2
    assert told.json["error"].startswith("market: which one?")


def test_a_setting_that_cannot_be_leaves_with_2_and_is_named(run: Any) -> None:
    told = run("chat", "hello", "--market", NOWHERE, "--max-price", "cheap")
    assert told.code == 2
    assert "max_price (flag --max-price)" in told.err


def test_a_market_that_cannot_be_reached_leaves_with_1(run: Any) -> None:
    told = run("order", "--market", NOWHERE, "--max-price", "0.20", "--json")
    assert told.code == 1
    assert "127.0.0.1:1" in told.json["error"]


def test_a_limit_that_cannot_be_leaves_with_2(run: Any) -> None:
    told = run("order", "--market", NOWHERE, "--max-price", "0.20", "--zones", "Shantou")
    assert told.code == 2
    assert "zones" in told.err


def test_a_deadline_that_cannot_be_leaves_with_2_and_is_named(run: Any) -> None:
    told = run("order", "--market", NOWHERE, "--max-price", "0.20", "--deadline", "soon")
    assert told.code == 2
    assert "deadline: 'soon'" in told.err


def test_a_key_is_made_shown_and_never_overwritten(run: Any, tmp_path: Path) -> None:
    where = ["--directory", str(tmp_path / "wallet")]
    made = run("keys", "new", *where)
    assert made.code == 0
    path = tmp_path / "wallet" / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_text()
    assert secret.strip() not in made.out
    assert run("keys", "show", *where).out == made.out
    again = run("keys", "new", *where)
    assert again.code == 2
    assert "never overwritten" in again.err
    assert path.read_text() == secret
    shown = run("keys", "show", *where, "--json").json
    assert shown == {"role": "buyer", "key": made.out.strip(), "file": str(path)}


def test_a_key_that_is_not_there_leaves_with_2(run: Any) -> None:
    told = run("keys", "show", "--role", "node", "--json")
    assert told.code == 2
    assert "key" in told.json["error"]


def test_a_key_that_others_can_read_leaves_with_2(run: Any, tmp_path: Path) -> None:
    where = ["-d", str(tmp_path)]
    run("keys", "new", *where)
    (tmp_path / "key").chmod(0o644)
    told = run("keys", "show", *where)
    assert told.code == 2
    assert "chmod 600" in told.err


def test_settings_are_shown_with_their_origins(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('max_price = "0.20"\norder_lots = 5\n')
    monkeypatch.setenv("SWATOW_BUYER_ORDER_LOTS", "7")
    shown = run("config", "show", "--directory", str(tmp_path), "--origin", "--json").json
    file = f"file {tmp_path / 'config.toml'}"
    assert shown["max_price"] == {"value": "0.20", "origin": file}
    assert shown["order_lots"] == {"value": 7, "origin": "environment SWATOW_BUYER_ORDER_LOTS"}
    assert shown["network"] == {"value": "local", "origin": "default"}
    assert shown["market"] == {"value": None, "origin": "default"}
    lines = run("config", "show", "--directory", str(tmp_path), "--origin").out.splitlines()
    assert lines[0] == "setting\tvalue\torigin"
    assert f"max_price\t0.20\t{file}" in lines
    assert "origin" not in run("config", "show", "--directory", str(tmp_path)).out


@pytest.mark.parametrize("role", ["buyer", "node", "market"])
def test_every_role_has_settings(run: Any, role: str) -> None:
    shown = run("config", "show", "--role", role, "--json")
    assert shown.code == 0
    assert "network" in shown.json


def test_what_a_node_needs_is_shown_as_missing(run: Any) -> None:
    shown = run("config", "show", "--role", "node", "--json").json
    assert shown["market"] == {"value": None, "origin": "missing"}
    assert shown["zone"] == {"value": None, "origin": "missing"}


def test_a_file_that_cannot_be_used_leaves_with_2(run: Any, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("order_lots = 0\nmax_prize = 1\n")
    told = run("config", "show", "--directory", str(tmp_path))
    assert told.code == 2
    for name in ("order_lots", "max_prize"):
        assert f"{name} (file {tmp_path / 'config.toml'})" in told.err


def test_a_part_that_is_not_installed_says_how_to_get_it(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "swatow.gateway.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    told = run("gateway", "--market", NOWHERE)
    assert told.code == 2
    assert told.err == "swatow: gateway needs uvicorn: pip install 'swatow[gateway]'\n"


def test_an_interrupt_leaves_with_130(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def read(self) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    assert run("chat", "--market", NOWHERE).code == 130


def test_a_wallet_is_not_made_for_a_command_line_that_cannot_be(run: Any, tmp_path: Path) -> None:
    run("chat", "hello", "--directory", str(tmp_path / "wallet"), "--no-such-option")
    assert not (tmp_path / "wallet").exists()
