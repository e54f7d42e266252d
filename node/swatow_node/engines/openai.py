"""Any OpenAI-compatible server, by URL.

The request goes through untouched but for what must be ours: model name, streaming, the cap on
output, and what the server needs to be told to report tokens as it makes them. What was added for
our sake is taken out of the events again.

Servers differ in what they report (`dialects.py`); which one it is, is found out at the start.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from swatow_node.engines.dialects import Dialect, LlamaCpp, Plain
from swatow_node.engines.engine import EngineEvent, EngineFacts, EngineFailed, EngineRefused
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import Service

CONNECT_S = 10
SILENCE_S = 300
"""An engine that says nothing for so long has failed; a long prefill is shorter."""
EVENT_BYTES_MAX = 1 << 20
"""One line of a stream."""

_PATHS = {
    Service.CHAT: "/v1/chat/completions",
    Service.COMPLETIONS: "/v1/completions",
    Service.EMBEDDINGS: "/v1/embeddings",
}

_REFUSED = {400, 413, 422}
"""Statuses that are about the request; all others are the engine's or its owner's affair."""
_BROKEN = (
    aiohttp.ClientError,
    HttpProcessingError,
    TimeoutError,
    ValueError,
    RuntimeError,  # the session was closed under the request
)

_encode = msgspec.json.Encoder().encode


class OpenAIEngine:
    """An OpenAI-compatible server as an engine."""

    def __init__(
        self, *, url: str, key: str | None, engine_model: str | None, served_name: str
    ) -> None:
        """Prepare to use the server at `url`.

        Args:
            url: base URL, with or without /v1.
            key: API key, where the server wants one.
            engine_model: what the server calls the model; None takes its first.
            served_name: what the market calls it.
        """
        self._base = url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._engine_model = engine_model
        self._served_name = served_name
        self._dialect: Dialect = Plain()
        self._session: aiohttp.ClientSession | None = None

    @property
    def healthy(self) -> bool:
        """Whether it has been started."""
        return self._session is not None

    @property
    def address(self) -> tuple[str, str]:
        """Base URL of the server, without /v1, and the API key that it wants."""
        return self._base, self._key or ""

    async def start(self) -> EngineFacts:
        """Connect, and find out what kind of server it is. Errors as in `Engine`."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        # llama.cpp's server mishandles a second request on a connection after a stream.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=timeout, connector=connector, read_bufsize=EVENT_BYTES_MAX
        )
        try:
            return await self._look()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close all connections; requests under way end."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def count_prompt(self, service: Service, request: bytes) -> int | None:
        """Return the tokens of the prompt, where the server can tell. Errors as in `Engine`."""
        path = self._dialect.count_path(service)
        if path is None:
            return None
        return self._dialect.count(await self._ask(path, self._body(request)))

    async def run(
        self, service: Service, request: bytes, output_tokens_max: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """Run a request. Errors as in `Engine`."""
        asked = self._body(request)
        body = dict(asked)
        if service is Service.EMBEDDINGS:
            answer = await self._ask(_PATHS[service], body)
            answer["model"] = self._served_name
            yield EngineEvent(
                _encode(answer), 0, finish_reason="stop", usage=self._dialect.usage(answer)
            )
            return
        _cap_output(body, output_tokens_max)
        body["stream"] = True
        body["stream_options"] = {**(asked.get("stream_options") or {}), "include_usage": True}
        self._dialect.prepare(service, body)
        counter = self._dialect.counter(asked)
        async with self._post(_PATHS[service], body) as response:
            async for event in _events(response):
                event["model"] = self._served_name
                counted = counter.read(event)
                if counted.lost_text:
                    counted.token_ids = await self._token_ids(counted.lost_text, counted.tokens)
                usage = counter.usage(event)
                yield EngineEvent(
                    _encode(event), counted.tokens, counted.token_ids, counted.finish_reason, usage
                )

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make a plain call to the server; None where it answers with an error, or no JSON."""
        session = self._open_session()
        data = None if body is None else _encode(body)
        try:
            async with session.request(method, self._base + path, data=data) as response:
                return msgspec.json.decode(await response.read()) if response.ok else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # a page for people, say: not what was asked for
        except _BROKEN as error:
            raise EngineFailed(f"engine at {self._base}: {_describe(error)}") from None

    async def _look(self) -> EngineFacts:
        listed = await self.ask("GET", "/v1/models")
        if not isinstance(listed, dict):
            raise ConfigError(
                f"engine at {self._base}: /v1/models gives no list; is it an OpenAI-compatible "
                "server, and is the key right?"
            )
        models = listed.get("data") or []
        names = [str(each["id"]) for each in models if isinstance(each, dict) and "id" in each]
        if self._engine_model is None:
            if not names:
                raise ConfigError(f"engine at {self._base}: lists no model")
            self._engine_model = names[0]
        elif names and self._engine_model not in names:
            raise ConfigError(
                f"engine_model: {self._engine_model!r} is not among {', '.join(names)}"
            )
        self._dialect = await LlamaCpp.find(self.ask) or Plain()
        return EngineFacts(self._dialect.name, None, None, self._dialect.features)

    async def _token_ids(self, text: str, tokens: int) -> tuple[int, ...]:
        """Return ids of text that came as several tokens at once, if their number fits."""
        found = await self._dialect.tokenize(self.ask, text)
        return tuple(found) if len(found) == tokens else ()

    def _body(self, request: bytes) -> dict[str, Any]:
        try:
            body = msgspec.json.decode(request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise EngineRefused(f"the request is not JSON: {error}") from None
        if not isinstance(body, dict):
            raise EngineRefused("the request is not a JSON object")
        if not isinstance(body.get("stream_options") or {}, dict):
            raise EngineRefused("stream_options is not a JSON object")
        body["model"] = self._engine_model
        return body

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise EngineFailed(f"engine at {self._base}: not running")
        return self._session

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._post(path, body) as response:
            answer = msgspec.json.decode(await response.read())
        if not isinstance(answer, dict):
            raise EngineFailed(f"engine at {self._base}: {path} gave no JSON object")
        return answer

    @asynccontextmanager
    async def _post(self, path: str, body: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        session = self._open_session()
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(
                self._base + path, data=_encode(body), headers=headers
            ) as response:
                if not response.ok:
                    detail = _error_message(await response.content.read(EVENT_BYTES_MAX))
                    raise (EngineRefused if response.status in _REFUSED else EngineFailed)(detail)
                yield response
        except _BROKEN as error:
            raise EngineFailed(f"engine at {self._base}: {_describe(error)}") from None


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON objects of a server-sent event stream."""
    async for line in response.content:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        event = msgspec.json.decode(data)
        if not isinstance(event, dict):
            raise EngineFailed("the engine's stream has an event that is no JSON object")
        if "error" in event:
            raise EngineFailed(_error_message(data))
        yield event
    raise EngineFailed("the engine's stream ended before its last event")


def _cap_output(body: dict[str, Any], output_tokens_max: int) -> None:
    """Keep the engine from making more than the job may have, all choices together."""
    choices = body.get("n")
    count = choices if isinstance(choices, int) and choices > 0 else 1
    share = max(1, output_tokens_max // count)
    names = [name for name in ("max_completion_tokens", "max_tokens") if name in body]
    for name in names or ["max_tokens"]:
        asked = body.get(name)
        body[name] = min(asked, share) if isinstance(asked, int) and asked >= 0 else share


def _error_message(data: bytes) -> str:
    try:
        message = msgspec.json.decode(data)["error"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return "the engine answered with an error that is no OpenAI error object"
    text = message.get("message") if isinstance(message, dict) else message
    return str(text)[:512]


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
