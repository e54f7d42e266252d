"""A fake OpenAI-compatible server on loopback: it answers what a test tells it to.

It is no engine and makes no words. What it is asked is kept, so that a test can look at it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    authorization: str | None
    body: Any


@dataclass
class Answer:
    """What a path answers: JSON with a status, or a stream."""

    status: int = 200
    json: Any = None
    text: str | None = None
    """Sent instead of JSON."""
    stream: list[bytes] | None = None
    """Sent as it is, piece by piece."""
    then: str = "end"
    """What follows a stream: `end`, `drop` the connection, or `hang` until the client goes."""


@dataclass
class FakeOpenAI:
    """The server. Paths that are not in `answers` are not found."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went away while its answer hung."""
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep a request and give its answer."""
        data = await request.read()
        body = json.loads(data) if data else None
        authorization = request.headers.get("Authorization")
        self.asked.append(Asked(request.method, request.path, authorization, body))
        answer = self.answers.get(request.path)
        if answer is None:
            return web.json_response({"error": {"message": "not found"}}, status=404)
        if answer.stream is not None:
            return await self._stream(request, answer)
        if answer.text is not None:
            return web.Response(text=answer.text, status=answer.status, content_type="text/html")
        return web.json_response(answer.json, status=answer.status)

    def last(self, path: str) -> Asked:
        """Return the last request for a path."""
        return next(asked for asked in reversed(self.asked) if asked.path == path)

    async def _stream(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(
            status=answer.status, headers={"Content-Type": "text/event-stream"}
        )
        await response.prepare(request)
        for piece in answer.stream or ():
            await response.write(piece)
        if answer.then == "drop":
            assert request.transport is not None
            request.transport.close()
        elif answer.then == "hang":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.gone.set()
                raise
        return response


def sse(*events: Any, done: bool = True) -> list[bytes]:
    """Return server-sent events, and the mark of the end."""
    pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return [*pieces, b"data: [DONE]\n\n"] if done else pieces


def models(*names: str) -> Answer:
    """Return an answer of /v1/models."""
    return Answer(json={"object": "list", "data": [{"id": name} for name in names]})


@asynccontextmanager
async def serving(**answers: Answer) -> AsyncIterator[FakeOpenAI]:
    """Serve on a free port of loopback; `answers` as `v1_models` for /v1/models."""
    fake = FakeOpenAI({f"/{path.replace('_', '/')}": answer for path, answer in answers.items()})
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        fake.url = f"http://{host}:{port}"
        yield fake
    finally:
        await runner.cleanup()
