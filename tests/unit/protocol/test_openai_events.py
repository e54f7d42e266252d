"""Where the model's words are in a stream event of the OpenAI API."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.openai_events import choices_of, text_of

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["delta", "content", "tool_calls", "function"]), inner)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"delta": {"content": "Hello"}}, "Hello"),
        ({"delta": {"content": "汕头"}}, "汕头"),
        ({"delta": {"reasoning_content": "Hm. "}}, "Hm. "),
        ({"delta": {"reasoning_content": "Hm. ", "content": "Yes"}}, "Hm. Yes"),
        ({"text": "a completion"}, "a completion"),
        ({"delta": {"role": "assistant", "content": ""}}, ""),
        ({"delta": {"content": None}, "finish_reason": "stop"}, ""),
        ({"delta": {}}, ""),
        ({"delta": None, "text": None}, ""),
        ({}, ""),
        ({"delta": {"tool_calls": None}}, ""),
        ({"delta": {"tool_calls": [{"index": 0, "id": "call_1", "type": "function"}]}}, ""),
        ({"delta": {"tool_calls": [{"function": None}, {"function": {}}]}}, ""),
    ],
)
def test_everything_that_the_model_wrote_and_nothing_else(
    choice: dict[str, Any], text: str
) -> None:
    assert text_of(choice) == text


def test_a_tool_call_is_its_name_and_the_pieces_of_its_arguments() -> None:
    opening = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": ""}}
    pieces = ['{"city": ', '"Shantou"}']
    calls = [opening, *({"index": 0, "function": {"arguments": piece}} for piece in pieces)]
    apart = "".join(text_of({"delta": {"tool_calls": [call]}}) for call in calls)
    assert apart == 'weather{"city": "Shantou"}'
    assert text_of({"delta": {"tool_calls": calls}}) == apart, "however they are cut into events"


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ({"choices": [{"index": 0}, {"index": 1}]}, 2),
        ({"choices": []}, 0),
        ({"usage": {"completion_tokens": 3}}, 0),
        ({"choices": None}, 0),
        ({"choices": {"index": 0}}, 0),
        ({"choices": ["text", None, 7, {"index": 0}]}, 1),
    ],
)
def test_choices_are_what_is_shaped_like_one(event: dict[str, Any], count: int) -> None:
    assert len(choices_of(event)) == count


@given(st.dictionaries(st.sampled_from(["delta", "text", "choices"]), json_values))
def test_whatever_an_engine_sends_is_read_without_an_accident(event: dict[str, Any]) -> None:
    """The other side wrote it: a number where words belong must not stop who counts them."""
    assert isinstance(text_of(event), str)
    assert all(isinstance(text_of(choice), str) for choice in choices_of(event))


def test_counting_text_leaves_the_event_as_it_is() -> None:
    choice = {"delta": {"content": "a", "tool_calls": [{"function": {"arguments": "{}"}}]}}
    text_of(choice)
    assert choice == {"delta": {"content": "a", "tool_calls": [{"function": {"arguments": "{}"}}]}}
