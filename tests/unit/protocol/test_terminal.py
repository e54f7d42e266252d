"""What commands print: a table for a person, plain lines in a pipe, JSON on request."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from swatow_protocol.shell.terminal import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Terminal

ROWS = [("node-1", "0.08"), ("node-2", "0.10")]
MARKUP = "[red]x[/red] [2001:db8::1]:7710 [bold"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Make a terminal as a person has it: rich asks these variables before it asks the file."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal


def test_in_a_pipe_a_table_is_tab_separated_lines(capsys: Capture) -> None:
    terminal = Terminal()
    assert not terminal.watched
    terminal.table("Offers", ("node", "price"), ROWS)
    assert capsys.readouterr().out == "node\tprice\nnode-1\t0.08\nnode-2\t0.10\n"


def test_in_a_pipe_facts_are_names_and_values(capsys: Capture) -> None:
    Terminal().facts("Node", [("lots", 5), ("zone", "sg"), ("open", True)])
    assert capsys.readouterr().out == "lots\t5\nzone\tsg\nopen\tTrue\n"


def test_a_person_sees_a_table_with_its_title(
    watched: Callable[[], Terminal], capsys: Capture
) -> None:
    terminal = watched()
    assert terminal.watched
    terminal.table("Offers", ("node", "price"), ROWS)
    out = capsys.readouterr().out
    for word in ("Offers", "node", "price", "node-1", "0.10"):
        assert word in out
    assert "\t" not in out


def test_one_long_cell_is_folded_and_not_cut(
    watched: Callable[[], Terminal], capsys: Capture
) -> None:
    """A key that does not fit the width must still be there to copy."""
    watched().table("Keys", ("key",), [("9" * 200,)])
    assert capsys.readouterr().out.count("9") == 200


def test_words_of_others_are_never_markup(watched: Callable[[], Terminal], capsys: Capture) -> None:
    """Names, addresses and answers come from outside, and brackets are ordinary in them."""
    terminal = watched()
    terminal.text(MARKUP)
    terminal.note(MARKUP)
    terminal.table("", ("", ""), [("value", MARKUP)])
    terminal.facts("", [("value", MARKUP)])
    with pytest.raises(SystemExit):
        terminal.fail(MARKUP)
    captured = capsys.readouterr()
    assert captured.out.count(MARKUP) == 3
    assert captured.err.count(MARKUP) == 2


def test_words_of_others_move_no_cursor(watched: Callable[[], Terminal], capsys: Capture) -> None:
    """An answer must not clear the screen, set a title or overwrite the price above it."""
    evil = "before\x1b]0;title\x07\x1b[2J\r\x9b1A\x08after"
    shown = "before]0;title[2J1Aafter"
    terminal = watched()
    terminal.text(evil)
    assert capsys.readouterr().out == f"{shown}\n"
    terminal.note(evil)
    terminal.table("", ("", ""), [("value", evil)])
    with pytest.raises(SystemExit):
        terminal.fail(evil)
    captured = capsys.readouterr()
    assert captured.out.count(shown) == 1
    assert captured.err.count(shown) == 2


def test_in_a_pipe_text_is_data(capsys: Capture) -> None:
    Terminal().text("a\x1b[0mb :smile:")
    assert capsys.readouterr().out == "a\x1b[0mb :smile:\n"


def test_text_is_printed_as_it_is_and_at_once(capsys: Capture) -> None:
    terminal = Terminal()
    terminal.text("汕头 :smile:", end="")
    assert capsys.readouterr().out == "汕头 :smile:"
    terminal.text("a\tb  " + "long " * 100)
    assert capsys.readouterr().out == "a\tb  " + "long " * 100 + "\n", "never wrapped"


def test_notes_go_to_standard_error_and_are_silent_with_json(capsys: Capture) -> None:
    Terminal().note("waiting for a round")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "waiting for a round\n")
    Terminal(as_json=True).note("waiting for a round")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_data_is_one_line_of_json_each(capsys: Capture) -> None:
    terminal = Terminal(as_json=True)
    values: list[dict[str, Any]] = [{"node": "a\nb", "lots": 5}, {"zone": "汕头", "rate": None}]
    for value in values:
        terminal.data(value)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == values


def test_nobody_watches_json(watched: Callable[[], Terminal]) -> None:
    assert watched().watched
    assert not Terminal(as_json=True).watched


@pytest.mark.parametrize("code", [EXIT_FAILED, EXIT_USAGE])
def test_a_failure_leaves_with_its_code_and_says_why_on_standard_error(
    capsys: Capture, code: int
) -> None:
    with pytest.raises(SystemExit) as left:
        Terminal().fail("no such market", code)
    assert left.value.code == code
    captured = capsys.readouterr()
    assert captured.out == "", "a pipe gets data only"
    assert "no such market" in captured.err


def test_a_failure_with_json_is_an_object_too(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        Terminal(as_json=True).fail("no such market")
    assert left.value.code == EXIT_FAILED
    assert json.loads(capsys.readouterr().out) == {"error": "no such market"}


def test_exit_codes_differ() -> None:
    assert EXIT_OK == 0
    assert len({EXIT_OK, EXIT_FAILED, EXIT_USAGE}) == 3
