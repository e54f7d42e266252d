"""Logs of a service: one JSON object a line, with keys and ids readable."""

import json
from typing import Any

import pytest
import structlog

from swatow_protocol.shell.logs import configure

KEY = bytes(range(32))

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == "", "standard output is for data"
    return [json.loads(line) for line in captured.err.splitlines()]


def test_each_fact_is_a_json_object_on_a_line_of_standard_error(capsys: Capture) -> None:
    configure(json=True)
    log = structlog.get_logger("swatow.test")
    log.info("first", lots=5, zone="汕头\nsg")
    log.warning("second")
    first, second = lines(capsys)
    assert (first["lots"], first["zone"]) == (5, "汕头\nsg")
    assert {"event", "level", "timestamp"} <= second.keys()


def test_keys_and_ids_are_hexadecimal(capsys: Capture) -> None:
    configure(json=True)
    structlog.get_logger().info("event", node=KEY, award=b"\xff\x00", empty=b"")
    (line,) = lines(capsys)
    assert KEY.hex().startswith(line["node"])
    assert len(line["node"]) >= 16, "enough to tell two apart"
    assert (line["award"], line["empty"]) == ("ff00", "")


def test_without_a_person_watching_it_is_json_unless_asked_otherwise(capsys: Capture) -> None:
    configure()
    structlog.get_logger().info("event", node=KEY)
    assert lines(capsys)[0]["node"]
    configure(json=False)
    structlog.get_logger().info("event", node=KEY)
    err = capsys.readouterr().err
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        json.loads(err)
    assert KEY.hex()[:16] in err


def test_what_is_below_the_level_is_not_written(capsys: Capture) -> None:
    configure("warning", json=True)
    log = structlog.get_logger()
    log.debug("no")
    log.info("no")
    log.warning("yes")
    log.error("yes")
    assert len(lines(capsys)) == 2


def test_an_exception_stays_on_its_line(capsys: Capture) -> None:
    configure(json=True)
    try:
        int("no number")
    except ValueError:
        structlog.get_logger().exception("event", node=KEY)
    (line,) = lines(capsys)
    assert "ValueError" in line["exception"]
    assert KEY.hex().startswith(line["node"])
