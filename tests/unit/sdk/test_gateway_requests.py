"""What the gateway reads of a request: its routing, named where it is wrong, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow.errors import InvalidValue
from swatow.gateway.requests import Asked, read_request
from swatow_protocol.messages import Limits

HELLO = {"model": "small-model-q4", "messages": [{"role": "user", "content": "hello"}]}


def read(**changes: Any) -> Asked:
    return read_request(json.dumps({**HELLO, **changes}).encode())


def test_routing_is_taken_out_and_the_rest_is_for_the_engine() -> None:
    asked = read(
        stream=True,
        stream_options={"include_usage": True, "more": 1},
        temperature=0,
        an_engines_own_option={"deep": [None]},
        swatow={"max_price": "0.20", "zones": ["sg"], "retention": 0},
    )
    assert (asked.model, asked.stream, asked.include_usage) == ("small-model-q4", True, True)
    assert asked.max_price == "0.20"
    assert asked.limits == Limits(zones=("sg",), retention=0)  # type: ignore[arg-type]
    assert asked.body == {
        "messages": HELLO["messages"],
        "stream_options": {"include_usage": True, "more": 1},
        "temperature": 0,
        "an_engines_own_option": {"deep": [None]},
    }


def test_what_is_not_said_has_its_default() -> None:
    asked = read()
    assert (asked.stream, asked.include_usage, asked.max_price) == (False, False, None)
    assert asked.limits == Limits()


@pytest.mark.parametrize("nothing", [None, {}])
def test_empty_routing_is_none(nothing: Any) -> None:
    asked = read(swatow=nothing, stream=None, stream_options=None)
    assert (asked.stream, asked.include_usage, asked.limits) == (False, False, Limits())


@pytest.mark.parametrize("price", ["0.20", 0.2, 1, "0"])
def test_a_price_is_text_or_a_number(price: Any) -> None:
    assert read(swatow={"max_price": price}).max_price == str(price)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": "all"}, "stream_options"),
        ({"stream_options": [1]}, "stream_options"),
        ({"swatow": "sg"}, "swatow"),
        ({"swatow": ["sg"]}, "swatow"),
        ({"swatow": {"zone": ["sg"]}}, "swatow.zone"),
        ({"swatow": {"zones": "sg"}}, "swatow"),
        ({"swatow": {"max_price": "cheap"}}, "swatow.max_price"),
        ({"swatow": {"max_price": -1}}, "swatow.max_price"),
        ({"swatow": {"max_price": "NaN"}}, "swatow.max_price"),
        ({"swatow": {"max_price": "0.0000001"}}, "swatow.max_price"),
        ({"swatow": {"max_price": True}}, "swatow.max_price"),
        ({"swatow": {"max_price": [1]}}, "swatow.max_price"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as error:
        read(**changes)
    assert error.value.field == field


@pytest.mark.parametrize(
    "data",
    [b"", b"words", b"[]", b'"text"', b"5", b"null", b'{"a":"\xff"}', b"{", b"[" * 5_000],
)
def test_a_body_that_is_no_json_object_is_named(data: bytes) -> None:
    with pytest.raises(InvalidValue) as error:
        read_request(data)
    assert error.value.field == "body"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        asked = read_request(data)
    except InvalidValue:
        return
    assert asked.model


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name not in {"model", "stream", "swatow"}),
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        max_size=6,
    )
)
def test_fields_that_are_not_ours_pass_through_untouched(fields: dict[str, Any]) -> None:
    if not isinstance(fields.get("stream_options"), dict | None):
        fields.pop("stream_options")
    assert read_request(json.dumps({"model": "m", **fields}).encode()).body == fields
