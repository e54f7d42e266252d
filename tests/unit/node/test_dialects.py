"""Counting tokens by what servers report, on streams as llama.cpp's own server sent them.

recorded/*.sse are whole answers of xllamacpp 2026.10 with SmolLM2-135M-Instruct to "Repeat
exactly: <llama><llama> <two Chinese characters>", asked with timings_per_token and logprobs: each
llama is one glyph of three tokens, each Chinese character one of two.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from swatow_node.engines.dialects import Counted, LlamaCpp, Plain
from swatow_protocol.messages import Service, Usage

RECORDED = Path(__file__).parent / "recorded"
END_TOKEN = 2


def recorded(name: str) -> list[dict[str, Any]]:
    lines = (RECORDED / f"{name}.sse").read_text("utf-8").splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def count(events: list[dict[str, Any]], **asked: Any) -> list[Counted]:
    """Count a stream; what was asked for our sake is taken out of the events."""
    counter = LlamaCpp("b1", END_TOKEN).counter(asked)
    return [counter.read(event) for event in events]


def test_every_token_of_a_chat_is_counted_when_it_is_told() -> None:
    events = recorded("llamacpp_chat")
    counted = count(events)
    assert [each.tokens for each in counted] == [3, 3, 1, 2, 2, 1, 0, 0]
    finish = [each.finish_reason for each in counted]
    assert finish == [None] * 6 + ["stop", None]


def test_a_glyph_of_three_tokens_has_text_but_not_all_of_its_ids() -> None:
    """The server tells only the last id, so the text is handed on to be tokenized."""
    glyph, _, space, character, *_ = count(recorded("llamacpp_chat"))
    assert (glyph.tokens, glyph.token_ids, glyph.lost_text) == (3, (), "\U0001f999")
    assert (character.tokens, character.token_ids, character.lost_text) == (2, (), "你")
    assert (space.tokens, space.token_ids, space.lost_text) == (1, (216,), "")


def test_the_final_usage_is_read_where_the_event_has_one() -> None:
    usages = [LlamaCpp("b1", END_TOKEN).usage(event) for event in recorded("llamacpp_chat")]
    assert usages[:-1] == [None] * 7
    assert usages[-1] == Usage(prompt_tokens=44, output_tokens=13)


def test_the_end_token_of_a_completion_is_counted_with_its_id() -> None:
    counted = count(recorded("llamacpp_completion"))
    assert [each.tokens for each in counted] == [3, 3, 1, 2, 2, 1, 1, 0]
    assert counted[-2] == Counted(1, (END_TOKEN,))
    assert counted[-1] == Counted(0, (), "stop")
    assert sum(each.tokens for each in counted) == 13


def test_an_end_token_that_comes_with_the_stop_has_the_id_that_the_server_said() -> None:
    """As from builds that count it in their last event and tell no id."""
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stop = {**last, "timings": {"predicted_n": 1}}
    assert count([stop]) == [Counted(1, (END_TOKEN,), "stop")]
    unknown = LlamaCpp("b1", None).counter({})
    assert unknown.read({**last, "timings": {"predicted_n": 1}}) == Counted(1, (), "stop")


def test_two_choices_are_counted_apart() -> None:
    events = recorded("llamacpp_two_choices")
    counted = count(events)
    by_choice = [0, 0]
    for event, each in zip(events, counted, strict=True):
        for choice in event["choices"]:
            by_choice[choice["index"]] += each.tokens
    assert by_choice == [12, 12]
    assert [each.finish_reason for each in counted].count("stop") == 2
    assert all(each.tokens >= 0 for each in counted)


def test_the_usage_of_two_choices_is_their_sum_over_one_prompt() -> None:
    counter = LlamaCpp("b1", END_TOKEN).counter({"n": 2})
    ends: list[dict[str, Any]] = [
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}}
        for tokens in (12, 5)
    ]
    assert [counter.usage(end) for end in ends] == [
        Usage(prompt_tokens=7, output_tokens=12),
        Usage(prompt_tokens=7, output_tokens=17),
    ]
    assert ends[1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 17, "total_tokens": 24}


def test_choices_that_go_on_at_different_speeds_are_counted_apart() -> None:
    told = [(0, 1), (0, 2), (1, 1), (0, 5), (1, 2)]
    events: list[dict[str, Any]] = [
        {"choices": [{"index": index, "delta": {}}], "timings": {"predicted_n": made}}
        for index, made in told
    ]
    assert [each.tokens for each in count(events)] == [1, 1, 1, 3, 1]


@pytest.mark.parametrize("name", ["chat", "completion", "two_choices"])
def test_what_was_asked_for_our_sake_is_taken_out(name: str) -> None:
    events = recorded(f"llamacpp_{name}")
    assert any("timings" in event for event in events)
    count(events)
    for event in events:
        assert "timings" not in event
        assert all("logprobs" not in choice for choice in event["choices"])


@pytest.mark.parametrize("name", ["chat", "completion"])
def test_what_the_buyer_asked_for_stays(name: str) -> None:
    events, before = recorded(f"llamacpp_{name}"), recorded(f"llamacpp_{name}")
    counted = count(events, logprobs=True, timings_per_token=True)
    assert events == before
    assert sum(each.tokens for each in counted) >= 12


def test_one_thing_asked_for_does_not_keep_the_other() -> None:
    logprobs, timings = recorded("llamacpp_chat"), recorded("llamacpp_chat")
    count(logprobs, logprobs=True)
    count(timings, timings_per_token=True)
    assert "logprobs" in logprobs[0]["choices"][0]
    assert "timings" not in logprobs[0]
    assert "logprobs" not in timings[0]["choices"][0]
    assert "timings" in timings[0]


def test_llamacpp_is_asked_for_counts_and_ids() -> None:
    dialect = LlamaCpp("b1", END_TOKEN)
    chat: dict[str, Any] = {}
    dialect.prepare(Service.CHAT, chat)
    assert chat == {"timings_per_token": True, "logprobs": True, "top_logprobs": 1}
    text: dict[str, Any] = {}
    dialect.prepare(Service.COMPLETIONS, text)
    assert text == {"timings_per_token": True, "logprobs": 1}


def test_a_buyers_own_logprobs_are_not_changed() -> None:
    body: dict[str, Any] = {"logprobs": True, "top_logprobs": 5}
    LlamaCpp("b1", END_TOKEN).prepare(Service.CHAT, body)
    assert body == {"logprobs": True, "top_logprobs": 5, "timings_per_token": True}


def test_no_logprobs_are_asked_for_beside_tools() -> None:
    """The server: 400 "logprobs is not supported with tools + stream", so no tool could be used."""
    body: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "weather"}}]}
    LlamaCpp("b1", END_TOKEN).prepare(Service.CHAT, body)
    assert not body.get("logprobs")


async def found(props: Any, tokens: Any) -> tuple[LlamaCpp | None, list[tuple[Any, ...]]]:
    asked: list[tuple[Any, ...]] = []

    async def ask(*call: Any) -> Any:
        asked.append(call)
        return props if call[1] == "/props" else tokens

    return await LlamaCpp.find(ask), asked


async def test_llamacpp_is_known_by_its_properties() -> None:
    props = {"default_generation_settings": {}, "build_info": "B42-ABC", "eos_token": "<end>"}
    dialect, asked = await found(props, {"tokens": [END_TOKEN]})
    assert dialect is not None
    assert dialect.name == "llama.cpp/b42-abc"
    assert asked[1] == ("POST", "/tokenize", {"content": "<end>", "parse_special": True})
    stop = {"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": {"predicted_n": 1}}
    assert dialect.counter({}).read(stop).token_ids == (END_TOKEN,)


@pytest.mark.parametrize("tokens", [None, {"tokens": [1, 2]}, "odd"])
async def test_an_end_token_that_is_not_one_token_is_not_known(tokens: Any) -> None:
    props = {"default_generation_settings": {}, "eos_token": "<end>"}
    dialect, _ = await found(props, tokens)
    assert dialect is not None
    stop = {"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": {"predicted_n": 1}}
    assert dialect.counter({}).read(stop).token_ids == ()


@pytest.mark.parametrize("props", [None, {}, [], {"error": "not found"}])
async def test_any_other_server_is_not_taken_for_llamacpp(props: Any) -> None:
    dialect, _ = await found(props, None)
    assert dialect is None


def test_only_chat_prompts_are_counted_by_llamacpp() -> None:
    dialect = LlamaCpp("b1", END_TOKEN)
    assert dialect.count_path(Service.CHAT) == "/v1/chat/completions/input_tokens"
    assert dialect.count_path(Service.COMPLETIONS) is None
    assert dialect.count({"input_tokens": 33, "object": "response.input_tokens"}) == 33
    for odd in ({}, {"input_tokens": "33"}, {"input_tokens": None}):
        assert dialect.count(odd) is None


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def test_a_plain_server_has_a_token_in_each_event_with_text() -> None:
    counter = Plain().counter({})
    assert counter.read(chunk(role="assistant", content="")) == Counted(0)
    assert counter.read(chunk(content="word")) == Counted(1)
    assert counter.read(chunk(reasoning_content="hm")) == Counted(1)
    assert counter.read({"choices": [{"text": "word"}]}) == Counted(1)
    call = {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}
    assert counter.read(chunk(**call)) == Counted(1)
    two = {"choices": [*chunk(content="a")["choices"], *chunk(content="b")["choices"]]}
    assert counter.read(two) == Counted(2)
    stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    assert counter.read(stop) == Counted(0, (), "length")
    assert counter.read({"choices": [], "usage": {}}) == Counted(0)


async def test_a_plain_server_is_asked_for_nothing_more() -> None:
    plain = Plain()
    body: dict[str, Any] = {"messages": []}
    plain.prepare(Service.CHAT, body)
    assert body == {"messages": []}
    assert plain.count_path(Service.CHAT) is None
    assert plain.count({"input_tokens": 3}) is None

    async def never(*_: Any) -> Any:
        raise AssertionError("a plain server cannot be asked for ids")

    assert await plain.tokenize(never, "text") == []


def test_usage_is_read_with_and_without_its_details() -> None:
    plain = Plain()
    assert plain.usage({"choices": []}) is None
    assert plain.usage({"usage": None}) is None
    bare = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    assert plain.usage({"usage": bare}) == Usage(prompt_tokens=5, output_tokens=7)
    assert plain.usage({"usage": {"prompt_tokens": 5}}) == Usage(prompt_tokens=5), "embeddings"
    detailed = {
        **bare,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert plain.usage({"usage": detailed}) == Usage(
        prompt_tokens=5, cached_tokens=4, output_tokens=7, reasoning_tokens=3
    )
    nothing = {**bare, "prompt_tokens_details": None, "completion_tokens_details": None}
    assert plain.usage({"usage": nothing}) == plain.usage({"usage": bare})
