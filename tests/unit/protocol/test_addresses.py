"""KEY@host:port: the right key and the right address, or a refusal that shows what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.addresses import parse_market, without_password
from swatow_protocol.errors import InvalidValue

KEY = bytes(range(32))

hosts = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,30}|\[[0-9a-f:]{2,20}\]", fullmatch=True)


@given(st.binary(min_size=32, max_size=32), hosts, st.integers(1, 65_535))
def test_key_and_address_come_back_as_written(key: bytes, host: str, port: int) -> None:
    assert parse_market(f"{key.hex()}@{host}:{port}") == (key, f"{host}:{port}")
    assert parse_market(f"{key.hex().upper()}@{host}:{port}") == (key, f"{host}:{port}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "host:7700",
        "@host:7700",
        f"{KEY.hex()}",
        f"{KEY.hex()}host:7700",
        f"{KEY.hex()}@",
        f"{KEY.hex()}@host",
        f"{KEY.hex()[:-2]}@host:7700",
        f"{KEY.hex()}00@host:7700",
        f"{'zz' * 32}@host:7700",
        f"{KEY.hex()[:-1]}@host:7700",
        f"0x{KEY.hex()}@host:7700",
    ],
)
def test_anything_else_is_refused_and_shown(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_market(text)
    assert refused.value.field == "market"
    assert repr(text) in refused.value.problem


@pytest.mark.parametrize("address", [":", "host:", ":7700", "host:http", "host:70000", "a b:1"])
def test_an_address_that_nothing_can_connect_to_is_refused(address: str) -> None:
    """A typing error shows here, with what was written, and not as an unreachable market."""
    with pytest.raises(InvalidValue):
        parse_market(f"{KEY.hex()}@{address}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtts://user:secret@host:8883?ca=a", "mqtts://user:***@host:8883?ca=a"),
        ("mqtts://user@host", "mqtts://user@host"),
        ("mqtt://127.0.0.1", "mqtt://127.0.0.1"),
        ("memory:name", "memory:name"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
