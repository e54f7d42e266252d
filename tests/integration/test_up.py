"""`swatow up`: everything in one command, the real model, an unchanged OpenAI client."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.processes import COMMAND, READY_S, needs_engine, until

pytestmark = [needs_engine, pytest.mark.engine]
MODEL = "smollm2-135m-instruct-q4_1"
Report = dict[str, Any]
QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """A running `swatow up`; returns what it reported."""
    at = tmp_path_factory.mktemp("up")
    process = subprocess.Popen(
        [*COMMAND, "up", "--directory", str(at), "--gateway-port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    report = json.loads(process.stdout.readline())
    children = _descendants(process.pid)
    assert len(children) == 4, "market, node, its engine, gateway"
    yield report
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=READY_S)
    assert process.returncode == 0, errors.decode()
    assert not [pid for pid in children if _alive(pid)], "no process is left behind"


@pytest.fixture
def client(up: Report) -> Iterator[openai.OpenAI]:
    """An OpenAI client pointed at the gateway."""
    key = Path(up["gateway_key_file"]).read_text().strip()
    with openai.OpenAI(base_url=up["gateway"], api_key=key, max_retries=0) as made:
        yield made


def test_the_first_completion_is_paid_and_the_books_add_up(up: Report) -> None:
    report = up
    assert "Paris" in report["text"]
    receipt = report["receipt"]
    assert receipt["countersigned"]
    assert receipt["recounted"]
    assert report["cash_nanos"] == report["claims_nanos"] == 5_000_000_000
    change = {
        account.partition(":")[0]: after - report["before"].get(account, 0)
        for account, after in report["after"].items()
    }
    assert change["buyer"] == -receipt["cost"]
    assert change["node"] + change["fee"] == receipt["cost"]
    assert change["cash"] == change["carrier"] == 0


def test_openai_lists_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list().data] == [MODEL]


def test_openai_gets_a_plain_completion(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=32, temperature=0
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    usage, ours = answer.usage.model_extra or {}, answer.model_extra or {}
    assert usage["cost"] == ours["swatow"]["cost"] / 1e9


def test_openai_gets_a_streamed_completion(client: openai.OpenAI) -> None:
    events = list(
        client.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=32, temperature=0, stream=True
        )
    )
    text = "".join(event.choices[0].delta.content or "" for event in events)
    assert "Paris" in text
    assert events[-1].choices[0].finish_reason == "stop"
    assert events[-1].usage is not None, "usage and cost come with the last event"
    assert (
        events[-1].usage.completion_tokens
        == sum(bool(event.choices[0].delta.content) for event in events) + 1
    ), "the token that ends the answer counts too"


def test_openai_gets_usage_in_an_event_of_its_own_when_it_asks(client: openai.OpenAI) -> None:
    events = list(
        client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert events[-1].choices == []
    assert events[-1].usage is not None
    assert all(event.usage is None for event in events[:-1])


def test_extras_of_the_engine_survive_the_way(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=3, logprobs=True, top_logprobs=2, seed=7
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 3
    assert len(logprobs.content[0].top_logprobs) == 2


def test_two_answers_to_one_request_are_both_whole(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=6, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content for choice in answer.choices)


def test_errors_have_openais_shape(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="does not list 'gpt-9'") as bad:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert bad.value.param == "model"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.UnprocessableEntityError, match="zones"):
        client.with_options(timeout=30).chat.completions.create(
            model=MODEL, messages=QUESTION, extra_body={"swatow": {"zones": ["sg"]}}
        )


def test_a_client_that_goes_away_frees_the_engine(client: openai.OpenAI) -> None:
    for _ in range(8):  # twice as many as the node has slots: they would all be taken
        stream = client.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=1_000, temperature=1.5, stream=True
        )
        next(iter(stream))
        stream.close()
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=4)
    assert answer.usage is not None


def test_once_stops_by_itself_and_is_killed_with_its_parent(tmp_path: Path) -> None:
    arguments = [*COMMAND, "up", "-d", str(tmp_path), "--gateway-port", "0"]
    ended = subprocess.run(
        [*arguments, "--once"], capture_output=True, text=True, timeout=READY_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Paris" in ended.stdout
    assert "cash 5.00 = all other accounts 5.00" in ended.stdout

    with subprocess.Popen(arguments, stdout=subprocess.PIPE, start_new_session=True) as serving:
        assert serving.stdout is not None
        while b"Ctrl-C" not in serving.stdout.readline():
            assert serving.poll() is None
        children = _descendants(serving.pid)
        serving.kill()
    until(lambda: not [pid for pid in children if _alive(pid)])


def _descendants(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
