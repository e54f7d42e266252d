"""What goes wrong with an engine is the request's fault or the engine's, and each is told apart."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from swatow_node.engines.engine import EngineFailed, EngineRefused
from swatow_node.engines.openai import EVENT_BYTES_MAX, OpenAIEngine
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import Service
from tests.support.fake_openai import Answer, FakeOpenAI, models, serving, sse

CHAT = "/v1/chat/completions"
REQUEST = b'{"messages":[],"model":"small-model-q4"}'
WORD = {"choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": None}]}


def engine(fake: FakeOpenAI, **arguments: Any) -> OpenAIEngine:
    given = {"url": fake.url, "key": None, "engine_model": None, "served_name": "served-name"}
    return OpenAIEngine(**{**given, **arguments})


@asynccontextmanager
async def started(answer: Answer | None = None) -> AsyncIterator[tuple[FakeOpenAI, OpenAIEngine]]:
    async with serving(v1_models=models("engine-model")) as fake:
        if answer is not None:
            fake.answers[CHAT] = answer
        running = engine(fake)
        await running.start()
        try:
            yield fake, running
        finally:
            await running.stop()


async def failure(answer: Answer, request: bytes = REQUEST) -> tuple[int, Exception]:
    """Return how many events came, and what ended them."""
    events = 0
    async with started(answer) as (_, running):
        try:
            async for _event in running.run(Service.CHAT, request, 256):
                events += 1
        except (EngineRefused, EngineFailed) as error:
            return events, error
    pytest.fail("it ended well")


def error_body(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "code": 400}}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_the_server_does_not_take_is_refused_with_its_words(
    status: int,
) -> None:
    answer = Answer(status=status, json=error_body("messages must be an array"))
    events, error = await failure(answer)
    assert (events, type(error), str(error)) == (0, EngineRefused, "messages must be an array")


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_that_errs_has_failed(status: int) -> None:
    _, error = await failure(Answer(status=status, json=error_body("out of memory")))
    assert (type(error), str(error)) == (EngineFailed, "out of memory")


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_what_is_not_the_buyers_fault_is_no_refusal_of_its_request(status: int) -> None:
    """A wrong key, a wrong model name or too much load are the node's business."""
    _, error = await failure(Answer(status=status, json=error_body("no")))
    assert type(error) is EngineFailed


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=400, text="<html>Bad Request</html>"),
        Answer(status=400, json={"detail": "x"}),
        Answer(status=400, json=["x"]),
        Answer(status=400, text=""),
    ],
)
async def test_an_error_in_another_shape_is_still_an_error(answer: Answer) -> None:
    _, error = await failure(answer)
    assert type(error) is EngineRefused
    assert "no OpenAI error object" in str(error)


async def test_an_error_that_is_plain_text_in_its_object_is_told() -> None:
    _, error = await failure(Answer(status=400, json={"error": "plain words"}))
    assert str(error) == "plain words"


async def test_a_long_error_is_cut() -> None:
    _, error = await failure(Answer(status=400, json=error_body("x" * 10_000)))
    assert len(str(error)) == 512


async def test_a_connection_that_is_dropped_in_the_middle_is_a_failure() -> None:
    events, error = await failure(Answer(stream=sse(WORD, WORD, done=False), then="drop"))
    assert type(error) is EngineFailed
    assert events <= 2


async def test_a_stream_without_its_end_is_a_failure() -> None:
    events, error = await failure(Answer(stream=sse(WORD, WORD, done=False)))
    assert (events, type(error)) == (2, EngineFailed)


async def test_an_error_in_the_middle_of_a_stream_is_a_failure_with_its_words() -> None:
    answer = Answer(stream=sse(WORD, error_body("slot was lost"), WORD))
    events, error = await failure(answer)
    assert (events, type(error), str(error)) == (1, EngineFailed, "slot was lost")


@pytest.mark.parametrize("line", [b"not JSON", b'"text"', b"5", b"null", b"[]", b'"\xff"'])
async def test_an_event_that_is_no_json_object_is_a_failure(line: bytes) -> None:
    answer = Answer(stream=[*sse(WORD, done=False), b"data: " + line + b"\n\n", *sse(WORD)])
    events, error = await failure(answer)
    assert (events, type(error)) == (1, EngineFailed)


async def test_an_event_beyond_the_bound_is_a_failure() -> None:
    huge = b"data: " + b"x" * (3 * EVENT_BYTES_MAX) + b"\n\n"
    events, error = await failure(Answer(stream=[*sse(WORD, done=False), huge]))
    assert (events, type(error)) == (1, EngineFailed)


async def test_closing_the_events_closes_the_connection() -> None:
    """Which is what makes an engine stop."""
    async with started(Answer(stream=sse(WORD, done=False), then="hang")) as (fake, running):
        async with aclosing(running.run(Service.CHAT, REQUEST, 256)) as events:
            assert (await anext(events)).tokens == 1
            assert not fake.gone.is_set()
        await fake.gone.wait()


async def test_cancelling_whoever_reads_the_events_closes_the_connection() -> None:
    async with started(Answer(stream=sse(WORD, done=False), then="hang")) as (fake, running):
        first = asyncio.Event()

        async def read() -> None:
            async with aclosing(running.run(Service.CHAT, REQUEST, 256)) as events:
                async for _ in events:
                    first.set()

        reader = asyncio.create_task(read())
        await first.wait()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await fake.gone.wait()


async def test_stopping_the_engine_ends_what_runs() -> None:
    """As when the embedded engine's process has died and is started again."""
    async with started(Answer(stream=sse(WORD, done=False), then="hang")) as (fake, running):
        events = running.run(Service.CHAT, REQUEST, 256)
        await anext(events)
        await running.stop()
        await fake.gone.wait()
        with pytest.raises(EngineFailed):
            await anext(events)


async def test_an_engine_that_was_stopped_takes_no_requests() -> None:
    async with started(Answer(stream=sse(WORD))) as (_, running):
        for _ in range(2):
            await running.stop()
            assert not running.healthy
            with pytest.raises(EngineFailed, match=r"not running"):
                await anext(running.run(Service.CHAT, REQUEST, 256))


@pytest.mark.parametrize(
    "request_body",
    [
        b"",
        b"words",
        b"[]",
        b"5",
        b'{"messages":"\xff"}',
        b"[" * 5_000,
        b'{"stream_options":"all","messages":[]}',
    ],
    ids=["empty", "words", "list", "number", "not UTF-8", "deep", "odd stream_options"],
)
async def test_a_request_body_that_cannot_be_is_refused_and_never_sent(request_body: bytes) -> None:
    async with started(Answer(stream=sse(WORD))) as (fake, running):
        with pytest.raises(EngineRefused):
            async for _ in running.run(Service.CHAT, request_body, 256):
                pass
        assert CHAT not in [asked.path for asked in fake.asked]


async def test_nothing_that_listens_is_a_failure() -> None:
    async with serving(v1_models=models("engine-model")) as fake:
        pass
    running = engine(fake)
    with pytest.raises(EngineFailed, match=fake.url):
        await running.start()
    assert not running.healthy


DISCOVERY: dict[str, tuple[dict[str, Any], Answer, str]] = {
    "a key that is refused": ({}, Answer(status=401, json=error_body("no")), "is the key right"),
    "no model": ({}, models(), "lists no model"),
    "no model, as Ollama says it": ({}, Answer(json={"data": None}), "lists no model"),
    "another model": (
        {"engine_model": "wanted"},
        models("first", "second"),
        "'wanted' is not among first, second",
    ),
}


@pytest.mark.parametrize("name", DISCOVERY)
async def test_a_server_that_cannot_be_used_is_a_matter_of_configuration(name: str) -> None:
    arguments, answer, message = DISCOVERY[name]
    async with serving(v1_models=answer) as fake:
        running = engine(fake, **arguments)
        with pytest.raises(ConfigError, match=message):
            await running.start()
        assert not running.healthy


async def test_a_server_that_lists_nothing_serves_the_model_that_is_named() -> None:
    async with serving(v1_models=models()) as fake:
        fake.answers[CHAT] = Answer(stream=sse(WORD))
        running = engine(fake, engine_model="named")
        await running.start()
        async for _ in running.run(Service.CHAT, REQUEST, 256):
            pass
        await running.stop()
        assert fake.last(CHAT).body["model"] == "named"


async def test_a_web_page_in_place_of_the_models_is_a_mistake_of_the_settings() -> None:
    async with serving(v1_models=Answer(text="<html></html>")) as fake:
        with pytest.raises(ConfigError, match="/v1/models"):
            await engine(fake).start()


async def test_a_web_page_for_every_unknown_path_does_not_matter() -> None:
    """Some servers answer any path with their own page, status 200."""
    async with serving(v1_models=models("engine-model")) as fake:
        fake.answers["/props"] = Answer(text="<html></html>")
        running = engine(fake)
        facts = await running.start()
        await running.stop()
        assert facts.name == "openai-compatible"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(status=400, json=error_body("too long")), EngineRefused),
        (Answer(status=500, json=error_body("broken")), EngineFailed),
        (Answer(json=[1]), EngineFailed),
        (Answer(text="<html></html>"), EngineFailed),
    ],
)
async def test_counting_a_prompt_fails_as_running_it_does(
    answer: Answer, expected: type[Exception]
) -> None:
    async with serving(v1_models=models("embedded")) as fake:
        fake.answers["/props"] = Answer(json={"default_generation_settings": {}})
        fake.answers["/v1/chat/completions/input_tokens"] = answer
        running = engine(fake)
        await running.start()
        with pytest.raises(expected):
            await running.count_prompt(Service.CHAT, REQUEST)
        await running.stop()


async def test_what_the_server_is_sent_is_json_also_for_odd_text() -> None:
    async with started(Answer(stream=sse(WORD))) as (fake, running):
        request = json.dumps({"messages": [{"role": "user", "content": "\u0000\U0001f999"}]})
        async for _ in running.run(Service.CHAT, request.encode(), 256):
            pass
        assert fake.last(CHAT).body["messages"][0]["content"] == "\u0000\U0001f999"
