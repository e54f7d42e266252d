"""One whole answer from its events: whatever an engine tells, known or not, is in it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow._assemble import assemble

RECORDED = Path(__file__).parents[1] / "node" / "recorded"
ANSWER = "\U0001f999\U0001f999 你好."


def recorded(name: str) -> list[dict[str, Any]]:
    lines = (RECORDED / f"llamacpp_{name}.sse").read_text("utf-8").splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def chat(delta: dict[str, Any], index: int = 0, **choice: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "small-model-q4",
        "choices": [{"index": index, "delta": delta, "finish_reason": None, **choice}],
    }


def test_a_recorded_chat_becomes_a_chat_completion() -> None:
    whole = assemble(recorded("chat"))
    assert whole["object"] == "chat.completion"
    (choice,) = whole["choices"]
    assert choice["message"] == {"role": "assistant", "content": ANSWER}
    assert choice["finish_reason"] == "stop"
    assert len(choice["logprobs"]["content"]) == 6
    assert whole["usage"]["completion_tokens"] == 13
    assert whole["system_fingerprint"] == "b0-unknown"


def test_a_recorded_completion_becomes_a_text_completion() -> None:
    whole = assemble(recorded("completion"))
    assert whole["object"] == "text_completion"
    (choice,) = whole["choices"]
    assert (choice["text"], choice["finish_reason"]) == (ANSWER, "stop")
    assert whole["usage"]["prompt_tokens"] == 44


def test_choices_are_told_apart_and_stand_in_order() -> None:
    whole = assemble(recorded("two_choices"))
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
    assert [choice["message"]["content"] for choice in whole["choices"]] == [ANSWER, ANSWER]
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["stop", "stop"]


def test_tool_calls_are_put_together_by_their_index() -> None:
    first = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": ""},
    }
    second = {**first, "index": 1, "id": "call_2", "function": {"name": "time", "arguments": "{"}}
    events = [
        chat({"role": "assistant", "content": None}),
        chat({"tool_calls": [first]}),
        chat({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
        chat({"tool_calls": [second]}),
        chat({"tool_calls": [{"index": 0, "function": {"arguments": '"Shantou"}'}}]}),
        chat({"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}),
        chat({}, finish_reason="tool_calls"),
    ]
    (choice,) = assemble(events)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {**first, "function": {"name": "weather", "arguments": '{"city":"Shantou"}'}},
            {**second, "function": {"name": "time", "arguments": "{}"}},
        ],
    }


def test_reasoning_refusal_and_content_are_put_together_apart() -> None:
    events = [
        chat({"role": "assistant", "content": ""}),
        chat({"reasoning_content": "I "}),
        chat({"reasoning_content": "think"}),
        chat({"content": "Yes"}),
        chat({"content": "!"}),
        chat({"refusal": "no"}),
    ]
    (choice,) = assemble(events)["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Yes!",
        "reasoning_content": "I think",
        "refusal": "no",
    }


def test_log_probabilities_are_listed_in_order() -> None:
    entries = [{"token": each, "logprob": -0.5, "top_logprobs": []} for each in "abc"]
    events = [chat({"content": e["token"]}, logprobs={"content": [e]}) for e in entries]
    events.append(chat({}, logprobs=None, finish_reason="stop"))
    assert assemble(events)["choices"][0]["logprobs"] == {"content": entries}


def test_log_probabilities_of_completions_keep_their_columns() -> None:
    columns = ("tokens", "token_logprobs", "text_offset")
    events = [
        {"object": "text_completion", "choices": [{"index": 0, "text": each, "logprobs": logprobs}]}
        for each, logprobs in (
            ("a", dict(zip(columns, (["a"], [-1.0], [0]), strict=True))),
            ("b", dict(zip(columns, (["b"], [-2.0], [1]), strict=True))),
        )
    ]
    (choice,) = assemble(events)["choices"]
    assert choice["text"] == "ab"
    assert choice["logprobs"] == {
        "tokens": ["a", "b"],
        "token_logprobs": [-1.0, -2.0],
        "text_offset": [0, 1],
    }


def test_fields_that_only_one_engine_knows_survive_at_every_depth() -> None:
    events = [
        {**chat({"content": "a", "mood": {"glad": 1}}, seed_used=7), "timings": {"n": 1}},
        {**chat({"content": "b", "mood": {"sure": 2}}, parts=[1]), "timings": {"n": 2}},
        {"choices": [], "usage": {"total_tokens": 3}, "swarm": [1, 2]},
    ]
    whole = assemble(events)
    assert whole["timings"] == {"n": 2}, "the last word counts"
    assert (whole["usage"], whole["swarm"]) == ({"total_tokens": 3}, [1, 2])
    (choice,) = whole["choices"]
    assert choice["message"]["mood"] == {"glad": 1, "sure": 2}
    assert (choice["seed_used"], choice["parts"]) == (7, [1])


def test_nothing_replaces_something() -> None:
    events = [
        {**chat({"content": "a"}, finish_reason="stop"), "service_tier": "default"},
        {**chat({"content": None}), "service_tier": None, "new": None},
    ]
    whole = assemble(events)
    assert (whole["service_tier"], whole["new"]) == ("default", None)
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["choices"][0]["message"]["content"] == "a"


def test_an_embedding_is_returned_as_it_is() -> None:
    answer = {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 1}}
    assert assemble([answer]) is answer


def test_no_events_are_an_answer_without_choices() -> None:
    assert assemble([]) == {"object": None, "choices": []}


@pytest.mark.parametrize("name", ["chat", "completion", "two_choices"])
def test_the_events_themselves_are_not_changed(name: str) -> None:
    """They are the caller's: a stream hands them out before they are put together."""
    events = recorded(name)
    assemble(events)
    assert events == recorded(name)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.text(max_size=5)), min_size=1, max_size=30),
    st.booleans(),
)
def test_the_text_of_every_choice_is_what_its_events_said(
    pieces: list[tuple[int, str]], is_chat: bool
) -> None:
    events = [
        chat({"content": text}, index) if is_chat else {"choices": [{"index": index, "text": text}]}
        for index, text in pieces
    ]
    choices = assemble(events)["choices"]
    said = {index: "" for index, _ in sorted(pieces)}
    for index, text in pieces:
        said[index] += text
    texts = [each["message"]["content"] if is_chat else each["text"] for each in choices]
    assert dict(zip([each["index"] for each in choices], texts, strict=True)) == said


def test_log_probabilities_may_begin_with_nothing() -> None:
    """As vLLM's do: its first event has the role, and null beside it."""
    entry = {"token": "a", "logprob": -0.5, "top_logprobs": []}
    events = [
        chat({"role": "assistant", "content": ""}, logprobs=None),
        chat({"content": "a"}, logprobs={"content": [entry]}),
    ]
    assert assemble(events)["choices"][0]["logprobs"] == {"content": [entry]}


NAMES = st.sampled_from(
    ["choices", "index", "delta", "message", "content", "text", "logprobs", "tool_calls", "data"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
CHOICES = st.fixed_dictionaries({}, optional={"index": JSON, "delta": JSON, "logprobs": JSON})
EVENTS = st.dictionaries(NAMES, JSON, max_size=3) | st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, max_size=2)}
)


@given(st.lists(EVENTS, min_size=2, max_size=4))
def test_events_in_whatever_shape_are_put_together(events: list[dict[str, Any]]) -> None:
    """They come from somebody else's engine: an odd one must not cost the buyer the answer."""
    before = json.dumps(events)
    whole = assemble(events)
    assert all(isinstance(choice, dict) for choice in whole["choices"])
    assert json.dumps(events) == before, "the events are the caller's"


def test_an_odd_event_in_the_middle_loses_no_words() -> None:
    odd: list[dict[str, Any]] = [
        {"choices": 5},
        {"choices": [5]},
        {"choices": [{"delta": 5}]},
        chat({"content": None}),
    ]
    events = [chat({"content": "a"}), *odd, chat({"content": "b"})]
    (choice,) = assemble(events)["choices"]
    assert choice["message"]["content"] == "ab"
