"""The gateway's HTTP side: keys, statuses, errors in OpenAI's shape, streams and their end.

The client behind it is a fake that answers as it is told to; the streams it returns are real.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from swatow._answers import CompletionStream
from swatow._client import AsyncClient
from swatow._market import Catalogue
from swatow.errors import (
    BuyerError,
    ConfigError,
    InsufficientFunds,
    InvalidRequest,
    InvalidValue,
    LimitsUnmet,
    MarketError,
    NodeCheated,
    NodeFailed,
    NodeLost,
    NodeRefused,
    OrderRejected,
    OutcomeUnknown,
    SwatowError,
    Unreachable,
)
from swatow.gateway import server
from swatow.gateway.events import Tail
from swatow.gateway.server import Gateway
from swatow_protocol import limits as bounds
from swatow_protocol.messages import FinishReason, JobRefusal, Limits
from swatow_protocol.messages.answers import AdmissionReason, LimitName
from tests.support import samples
from tests.support.samples import NODE, NOW_US, digest
from tests.unit.node import deal
from tests.unit.sdk.asgi import Call
from tests.unit.sdk.live import Live

KEY = "sk-swatow-test"
HELLO = {"model": "small-model-q4", "messages": [{"role": "user", "content": "hello"}]}


class FakeClient:
    """In the place of `AsyncClient`: keeps what it is asked, returns or raises what it is given."""

    def __init__(self, *answers: Live | SwatowError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[dict[str, Any], str, str | None, Limits]] = []
        self.hold: asyncio.Event | None = None
        self.given_up = asyncio.Event()
        self.on_answer: Callable[[], None] = lambda: None
        """Called when an answer is returned."""

    async def run(
        self, request: dict[str, Any], *, model: str, max_price: str | None, limits: Limits
    ) -> CompletionStream:
        """Return the next answer."""
        self.asked.append((request, model, max_price, limits))
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.given_up.set()
                raise
        answer = self.answers.pop(0)
        if isinstance(answer, SwatowError):
            raise answer
        self.on_answer()
        return answer.stream

    async def catalogue(self) -> Catalogue:
        """Return two models, or raise what is given."""
        if self.answers:
            raise cast("SwatowError", self.answers.pop(0))
        return Catalogue(samples.market_terms(), {"small-model-q4": deal.MODEL, "a": deal.MODEL})


def answered(*texts: str, reason: FinishReason = FinishReason.STOP) -> Live:
    """Return an answer that is there as a whole."""
    live = Live()
    live.accept()
    for text in texts:
        live.give(live.pair.chunk(text))
    live.close(len(texts), reason)
    return live


def call(
    client: FakeClient,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    *,
    key: str | None = f"Bearer {KEY}",
    body: Any = HELLO,
    parts: list[bytes] | None = None,
) -> Call:
    app = Gateway(cast("AsyncClient", client), KEY).app()
    headers = {} if key is None else {"Authorization": key}
    return Call(app, method, path, headers, parts or [json.dumps(body).encode()])


async def test_whoever_asks_is_told_that_the_process_serves() -> None:
    asked = await call(FakeClient(), "/healthz", "GET", key=None).run()
    assert (asked.status, bytes(asked.body)) == (200, b"ok\n")


@pytest.mark.parametrize(
    "key", [None, "", "Bearer ", "Bearer wrong", f"Bearer {KEY}x", f"Basic {KEY}", f"Bearer é{KEY}"]
)
@pytest.mark.parametrize(
    ("path", "method"), [("/v1/chat/completions", "POST"), ("/v1/models", "GET")]
)
async def test_without_the_key_nothing_is_served(key: str | None, path: str, method: str) -> None:
    client = FakeClient(answered("no"))
    asked = await call(client, path, method, key=key).run()
    assert asked.status == 401
    assert asked.answered["www-authenticate"] == "Bearer"
    assert asked.json["error"]["code"] == "invalid_api_key"
    assert asked.json["error"].keys() == {"message", "type", "param", "code"}
    assert client.asked == []


async def test_models_are_listed_as_openai_lists_them() -> None:
    asked = await call(FakeClient(), "/v1/models", "GET").run()
    assert asked.status == 200
    assert asked.json["object"] == "list"
    assert [model["id"] for model in asked.json["data"]] == ["a", "small-model-q4"]
    assert asked.json["data"][1] == {
        "id": "small-model-q4",
        "object": "model",
        "created": NOW_US // 1_000_000,
        "owned_by": "swatow",
        "context_length": 4_096,
        "quantization": "q4_1",
    }


@pytest.mark.parametrize(
    ("path", "method"), [("/v1/nothing", "GET"), ("/v1/models", "POST"), ("/", "GET")]
)
async def test_what_is_not_served_says_so_in_openais_shape(path: str, method: str) -> None:
    asked = await call(FakeClient(), path, method).run()
    assert asked.status == 404
    assert asked.json["error"]["message"] == f"{method} {path} is not served here"
    assert asked.json["error"]["code"] == "not_found"


async def test_an_answer_comes_whole_with_its_cost_as_an_exact_number() -> None:
    asked = await call(FakeClient(answered("one ", "two"))).run()
    assert asked.status == 200
    assert asked.answered["content-type"] == "application/json"
    assert asked.json["choices"][0]["message"]["content"] == "one two"
    assert asked.json["object"] == "chat.completion"
    exact = json.loads(bytes(asked.body), parse_float=Decimal)
    assert exact["usage"]["cost"] == Decimal("0.000000984")
    assert exact["usage"]["completion_tokens"] == 2
    assert exact["swatow"]["node"] == NODE.key.hex()


async def test_routing_goes_to_the_order_and_the_rest_to_the_engine() -> None:
    client = FakeClient(answered("one"))
    routing = {"max_price": "0.20", "zones": ["sg"]}
    await call(client, body={**HELLO, "temperature": 0, "swatow": routing}).run()
    assert client.asked == [
        (
            {"messages": HELLO["messages"], "temperature": 0},
            "small-model-q4",
            "0.20",
            Limits(zones=("sg",)),
        )
    ]


@pytest.mark.parametrize("include_usage", [True, False])
async def test_a_stream_is_framed_and_ends_with_its_cost_and_done(include_usage: bool) -> None:
    body = {**HELLO, "stream": True, "stream_options": {"include_usage": include_usage}}
    asked = await call(FakeClient(answered("one ", "two")), body=body).run()
    assert asked.status == 200
    assert asked.answered["content-type"].startswith("text/event-stream")
    *events, last, done = asked.events
    assert done == "[DONE]"
    texts = [choice["delta"]["content"] for event in events for choice in event["choices"]]
    assert texts == ["one ", "two"]
    assert last["usage"]["cost"] == pytest.approx(984e-9)
    assert last["swatow"]["countersigned"] is True


ERRORS: list[tuple[SwatowError, int, str]] = [
    (InvalidValue("max_tokens", "too many"), 400, "invalid_request_error"),
    (InvalidRequest("messages must be an array"), 400, "invalid_request_error"),
    (
        InsufficientFunds(AdmissionReason.INSUFFICIENT_FUNDS, "needed 1, free 0"),
        402,
        "insufficient_funds",
    ),
    (OrderRejected(AdmissionReason.TOO_MANY, "1000 open orders"), 400, "order_rejected"),
    (LimitsUnmet((LimitName.PRICE,), 10), 503, "limits_unmet"),
    (LimitsUnmet((LimitName.CAPACITY, LimitName.PRICE), 10), 503, "limits_unmet"),
    (LimitsUnmet((LimitName.ZONES,), 10), 422, "limits_unmet"),
    (BuyerError("no"), 400, "invalid_request_error"),
    (NodeRefused(NODE.key, JobRefusal.BUSY, "4 jobs run", 1_000), 502, "node_error"),
    (NodeFailed(NODE.key, "its engine failed"), 502, "node_error"),
    (NodeLost(NODE.key, "gone"), 502, "node_error"),
    (NodeCheated(NODE.key, "altered"), 502, "node_error"),
    (OutcomeUnknown("lost"), 504, "outcome_unknown"),
    (Unreachable("down"), 503, "unreachable"),
    (MarketError("not who it should be"), 500, "internal_error"),
    (ConfigError("market"), 500, "internal_error"),
]


@pytest.mark.parametrize(
    ("error", "status", "kind"), ERRORS, ids=[type(error).__name__ for error, _, _ in ERRORS]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_has_its_status_and_openais_shape(
    error: SwatowError, status: int, kind: str, stream: bool
) -> None:
    asked = await call(FakeClient(error), body={**HELLO, "stream": stream}).run()
    assert asked.status == status
    details = asked.json["error"]
    assert (details["message"], details["type"], details["code"]) == (str(error), kind, kind)
    assert details["param"] == (error.field if isinstance(error, InvalidValue) else None)
    assert ("retry-after" in asked.answered) == (status in {503, 504})
    if isinstance(error, LimitsUnmet):
        assert details["unmet"] == [limit.value for limit in error.limits]


async def test_models_of_a_market_that_cannot_be_reached_are_an_error_too() -> None:
    asked = await call(FakeClient(Unreachable("down")), "/v1/models", "GET").run()
    assert (asked.status, asked.json["error"]["code"]) == (503, "unreachable")


@pytest.mark.parametrize(
    ("data", "param"),
    [(b"words", "body"), (b"{}", "model"), (b'{"model":"m","swatow":{"zone":1}}', "swatow.zone")],
)
async def test_a_body_that_cannot_be_read_names_what_is_wrong(data: bytes, param: str) -> None:
    asked = await call(FakeClient(), parts=[data]).run()
    assert asked.status == 400
    assert asked.json["error"]["param"] == param


async def test_a_body_beyond_the_bound_is_refused_in_whatever_parts_it_comes() -> None:
    part = b"x" * (bounds.REQUEST_BYTES_MAX // 4 + 1)
    asked = call(FakeClient(), parts=[part] * 8)
    await asked.run()
    assert asked.status == 400
    assert asked.json["error"]["param"] == "body"
    assert len(asked.parts) == 4, "what is beyond the bound was not read"


async def test_an_error_in_the_middle_of_a_stream_is_an_event_before_the_end() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.job.lost("the cable was cut")
    asked = await call(FakeClient(live), body={**HELLO, "stream": True}).run()
    assert asked.status == 200
    first, error, done = asked.events
    assert first["choices"][0]["delta"]["content"] == "one "
    assert error["error"]["type"] == "node_error"
    assert "the cable was cut" in error["error"]["message"]
    assert done == "[DONE]"


async def test_an_error_in_the_middle_of_a_whole_answer_is_the_answer() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.job.lost("the cable was cut")
    asked = await call(FakeClient(live)).run()
    assert (asked.status, asked.json["error"]["code"]) == (502, "node_error")


async def test_a_client_that_goes_away_while_it_sends_is_nobodys_error() -> None:
    client = FakeClient()
    asked = call(client, parts=[b'{"model":'])
    asked.cut = True
    asked.gone.set()
    await asked.run()
    assert client.asked == []


async def test_a_client_that_goes_away_before_the_answer_is_no_longer_served() -> None:
    client = FakeClient(answered("one"))
    client.hold = asyncio.Event()
    asked = call(client)
    running = asyncio.create_task(asked.run())
    asked.gone.set()
    await client.given_up.wait()
    await running
    assert asked.status == 499


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_in_the_middle_stops_the_engine(stream: bool) -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    asked = call(FakeClient(live), body={**HELLO, "stream": stream})
    running = asyncio.create_task(asked.run())
    if stream:
        await asked.until(b"one ")
    asked.gone.set()
    await live.line.cancelled.wait()
    live.close(1, FinishReason.CANCELLED)
    await running
    await live.stream.aclose()
    assert live.ended == [live.pair.job]


async def test_a_stream_that_the_server_gives_up_between_two_events_stops_the_engine() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    events = cast(
        "AsyncGenerator[bytes, None]", server._events(live.stream, Tail(include_usage=False))
    )
    assert b"one " in await anext(events)
    closing = asyncio.create_task(events.aclose())
    await live.line.cancelled.wait()
    live.close(1, FinishReason.CANCELLED)
    await closing
    assert live.ended == [live.pair.job]


async def test_a_client_that_leaves_just_before_its_stream_starts_stops_the_engine() -> None:
    live = answered("one")
    client = FakeClient(live)
    asked = call(client, body={**HELLO, "stream": True})
    asked.unread, client.on_answer = True, asked.gone.set
    await asked.run()
    assert live.ended == [live.pair.job], "nothing stays set aside for it"


async def test_pieces_are_sent_as_they_come() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    asked = call(FakeClient(live), body={**HELLO, "stream": True})
    running = asyncio.create_task(asked.run())
    await asked.until(b"one ")
    assert not running.done()
    live.give(live.pair.chunk("two "))
    await asked.until(b"two ")
    live.close(2)
    await running
    assert asked.events[-1] == "[DONE]"


async def test_a_cheating_node_is_reported_in_the_stream() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.give(live.pair.chunk("two ", transcript=digest("another")))
    asked = await call(FakeClient(live), body={**HELLO, "stream": True}).run()
    assert asked.events[-2]["error"]["type"] == "node_error"
