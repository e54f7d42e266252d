"""The client of OpenAI-compatible servers: what it asks, and what becomes of the answer."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from swatow_node.engines.engine import EngineEvent, EngineFacts
from swatow_node.engines.openai import OpenAIEngine
from swatow_protocol.messages import Service, Usage
from tests.support.fake_openai import Answer, FakeOpenAI, models, serving, sse

RECORDED = Path(__file__).parent / "recorded"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
LLAMA = "\U0001f999"


def part(**delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {"model": "engine-model", "object": "chat.completion.chunk", "choices": [choice]}


STOP: dict[str, Any] = {
    "model": "engine-model",
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
}
USAGE: dict[str, Any] = {
    "model": "engine-model",
    "choices": [],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
HELLO = Answer(stream=sse(part(role="assistant"), part(content="Hello"), STOP, USAGE))


@asynccontextmanager
async def engine_on(fake: FakeOpenAI, **arguments: Any) -> AsyncIterator[OpenAIEngine]:
    given = {"url": fake.url, "key": None, "engine_model": None, "served_name": "served-name"}
    engine = OpenAIEngine(**{**given, **arguments})
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def run(
    engine: OpenAIEngine, most: int = 256, service: Service = Service.CHAT, **body: Any
) -> list[EngineEvent]:
    request = json.dumps({"messages": [], "model": "small-model-q4", **body}).encode()
    return [event async for event in engine.run(service, request, most)]


async def sent_body(most: int = 256, service: Service = Service.CHAT, **body: Any) -> Any:
    """Return what a plain server is sent for a request."""
    async with serving(v1_models=models("engine-model")) as fake:
        path = CHAT if service is Service.CHAT else COMPLETIONS
        fake.answers[path] = HELLO
        async with engine_on(fake) as engine:
            await run(engine, most, service, **body)
        return fake.last(path).body


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
async def test_the_base_url_is_taken_with_and_without_its_version(path: str) -> None:
    async with serving(v1_models=models("engine-model", "second")) as fake:
        engine = OpenAIEngine(
            url=fake.url + path, key=None, engine_model=None, served_name="served-name"
        )
        assert await engine.start() == EngineFacts("openai-compatible", None, None, ())
        assert engine.healthy
        await engine.stop()
        assert [asked.path for asked in fake.asked] == ["/v1/models", "/props"]


async def test_the_api_key_is_sent_with_every_request() -> None:
    async with serving(v1_models=models("engine-model")) as fake:
        fake.answers[CHAT] = HELLO
        async with engine_on(fake, key="sk-test") as engine:
            await run(engine)
        assert {asked.authorization for asked in fake.asked} == {"Bearer sk-test"}
        fake.asked.clear()
        async with engine_on(fake) as engine:
            await run(engine)
        assert {asked.authorization for asked in fake.asked} == {None}


async def test_a_request_goes_through_untouched_but_for_what_must_be_ours() -> None:
    options: dict[str, Any] = {
        "messages": [{"role": "user", "content": "你好"}],
        "temperature": 0,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "an_engines_own_option": {"deep": [1, 2.5, None]},
    }
    assert await sent_body(**options) == {
        **options,
        "model": "engine-model",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 256,
    }


async def test_it_is_always_asked_for_a_stream_with_usage() -> None:
    body = await sent_body(stream=False, stream_options={"include_usage": False, "more": 1})
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True, "more": 1}


async def test_the_engines_own_model_is_the_one_that_was_chosen() -> None:
    async with serving(v1_models=models("first", "second")) as fake:
        fake.answers[CHAT] = HELLO
        async with engine_on(fake, engine_model="second") as engine:
            await run(engine)
        assert fake.last(CHAT).body["model"] == "second"


@pytest.mark.parametrize(
    ("most", "asked", "expected"),
    [
        (100, {}, {"max_tokens": 100}),
        (100, {"max_tokens": 7}, {"max_tokens": 7}),
        (100, {"max_tokens": 700}, {"max_tokens": 100}),
        (100, {"max_tokens": -1}, {"max_tokens": 100}),
        (100, {"max_tokens": None}, {"max_tokens": 100}),
        (100, {"max_tokens": "many"}, {"max_tokens": 100}),
        (100, {"max_completion_tokens": 700}, {"max_completion_tokens": 100}),
        (
            100,
            {"max_completion_tokens": 50, "max_tokens": 700},
            {"max_completion_tokens": 50, "max_tokens": 100},
        ),
        (100, {"n": 3}, {"max_tokens": 33}),
        (100, {"n": 3, "max_tokens": 20}, {"max_tokens": 20}),
        (100, {"n": 3, "max_tokens": 90}, {"max_tokens": 33}),
        (2, {"n": 3}, {"max_tokens": 1}),
        (100, {"n": None}, {"max_tokens": 100}),
        (100, {"n": 0}, {"max_tokens": 100}),
    ],
)
async def test_an_answer_is_capped_with_all_its_choices(
    most: int, asked: dict[str, Any], expected: dict[str, int]
) -> None:
    body = await sent_body(most, **asked)
    names = ("max_tokens", "max_completion_tokens")
    assert {name: body[name] for name in names if name in body} == expected


async def test_events_are_the_engines_own_under_the_markets_name() -> None:
    async with serving(v1_models=models("engine-model")) as fake:
        fake.answers[CHAT] = HELLO
        async with engine_on(fake) as engine:
            events = await run(engine)
    renamed = [{**event, "model": "served-name"} for event in _events_of(HELLO)]
    assert [json.loads(event.body) for event in events] == renamed
    assert [event.tokens for event in events] == [0, 1, 0, 0]
    assert [event.finish_reason for event in events] == [None, None, "stop", None]
    assert events[-1].usage == Usage(prompt_tokens=9, output_tokens=3)
    assert all(event.usage is None for event in events[:-1])


def _events_of(answer: Answer) -> list[dict[str, Any]]:
    pieces = [piece[6:] for piece in answer.stream or ()]
    return [json.loads(piece) for piece in pieces if piece.startswith(b"{")]


async def test_comments_and_other_lines_of_a_stream_are_passed_over() -> None:
    noise = [b": keep-alive\n\n", b"event: message\nid: 3\n", b"\r\n"]
    async with serving(v1_models=models("engine-model")) as fake:
        fake.answers[CHAT] = Answer(stream=[*noise, *sse(part(content="Hello"), STOP)])
        async with engine_on(fake) as engine:
            assert [event.tokens for event in await run(engine)] == [1, 0]


async def test_what_comes_after_the_end_of_a_stream_is_not_read() -> None:
    async with serving(v1_models=models("engine-model")) as fake:
        fake.answers[CHAT] = Answer(stream=[*sse(part(content="Hello")), *sse(part(content="!"))])
        async with engine_on(fake) as engine:
            assert len(await run(engine)) == 1


@asynccontextmanager
async def llamacpp(recording: str) -> AsyncIterator[tuple[FakeOpenAI, OpenAIEngine]]:
    """Serve a recorded answer of llama.cpp, and what else its server is asked."""
    async with serving(v1_models=models("embedded")) as fake:
        stream = [(RECORDED / f"{recording}.sse").read_bytes()]
        fake.answers |= {
            "/props": Answer(json={"default_generation_settings": {}, "build_info": "b1"}),
            "/tokenize": Answer(json={"tokens": [10_813, 116, 243]}),
            CHAT: Answer(stream=stream),
            COMPLETIONS: Answer(stream=stream),
            "/v1/chat/completions/input_tokens": Answer(json={"input_tokens": 44}),
        }
        async with engine_on(fake) as engine:
            yield fake, engine


async def test_llamacpp_is_found_out_at_the_start() -> None:
    async with serving(v1_models=models("embedded")) as fake:
        fake.answers["/props"] = Answer(json={"default_generation_settings": {}})
        engine = OpenAIEngine(url=fake.url, key=None, engine_model=None, served_name="served-name")
        facts = await engine.start()
        await engine.stop()
    assert facts.name == "llama.cpp/unknown"
    assert facts.features == ("logprobs", "seed", "json-schema")


async def test_a_glyph_of_three_tokens_gets_its_ids_from_the_servers_tokenizer() -> None:
    async with llamacpp("llamacpp_chat") as (fake, engine):
        events = await run(engine)
        assert fake.last("/tokenize").body["parse_special"] is False
        asked = [each.body["content"] for each in fake.asked if each.path == "/tokenize"]
    assert asked == [LLAMA, LLAMA, "你", "好"]
    assert [event.token_ids for event in events[:3]] == [(10_813, 116, 243)] * 2 + [(216,)]
    assert events[3].token_ids == (), "two tokens, and the tokenizer says three: not known"
    assert [event.tokens for event in events] == [3, 3, 1, 2, 2, 1, 0, 0]


async def test_what_was_added_for_our_sake_is_taken_out_of_the_events() -> None:
    async with llamacpp("llamacpp_chat") as (fake, engine):
        events = await run(engine)
        body = fake.last(CHAT).body
        assert (body["timings_per_token"], body["logprobs"]) == (True, True)
        assert b"timings" not in b"".join(event.body for event in events)
        assert b"logprobs" not in b"".join(event.body for event in events)
        events = await run(engine, logprobs=True, top_logprobs=3, timings_per_token=True)
        assert fake.last(CHAT).body["top_logprobs"] == 3
        assert b"timings" in events[0].body
        assert b"logprobs" in events[0].body


async def test_the_final_usage_of_two_choices_counts_both() -> None:
    """llama.cpp sends a usage event for each choice; the job's last word is on all of them."""
    async with llamacpp("llamacpp_two_choices") as (_, engine):
        events = await run(engine, n=2)
    last_word = [event.usage for event in events if event.usage is not None][-1]
    assert sum(event.tokens for event in events) == 24
    assert last_word == Usage(prompt_tokens=44, output_tokens=26)


async def test_prompts_are_counted_where_the_server_can() -> None:
    async with llamacpp("llamacpp_chat") as (fake, engine):
        request = b'{"messages":[{"role":"user","content":"hi"}],"model":"small-model-q4"}'
        assert await engine.count_prompt(Service.CHAT, request) == 44
        asked = fake.last("/v1/chat/completions/input_tokens").body
        assert asked == {"messages": [{"role": "user", "content": "hi"}], "model": "embedded"}
        assert await engine.count_prompt(Service.COMPLETIONS, b'{"prompt":"hi"}') is None
    async with serving(v1_models=models("engine-model")) as fake, engine_on(fake) as plain:
        assert await plain.count_prompt(Service.CHAT, request) is None


async def test_an_embedding_is_one_event_with_its_usage() -> None:
    answer = {
        "object": "list",
        "model": "engine-model",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    async with serving(v1_models=models("engine-model")) as fake:
        fake.answers["/v1/embeddings"] = Answer(json=answer)
        async with engine_on(fake) as engine:
            request = b'{"input":"hi","model":"small-model-q4","dimensions":2}'
            events = [event async for event in engine.run(Service.EMBEDDINGS, request, 0)]
        asked = fake.last("/v1/embeddings").body
    assert asked == {"input": "hi", "model": "engine-model", "dimensions": 2}
    (event,) = events
    assert json.loads(event.body) == {**answer, "model": "served-name"}
    assert (event.tokens, event.finish_reason) == (0, "stop")
    assert event.usage == Usage(prompt_tokens=4)
