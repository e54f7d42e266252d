"""Calls of an ASGI application, by hand: no HTTP client, no socket."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message


@dataclass
class Call:
    """One request; `gone` is the client going away."""

    app: ASGIApp
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False
    """The client goes away before it has sent the whole body."""
    unread: bool = False
    """The client takes nothing, so nothing can be sent to it."""
    status: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    """Headers of the answer."""
    body: bytearray = field(default_factory=bytearray)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> "Call":
        """Make the call and wait for its end."""
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in self._headers()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        await self.app(scope, self._receive, self._send)
        return self

    async def until(self, text: bytes) -> None:
        """Wait until the answer holds this."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: text in self.body)

    @property
    def json(self) -> Any:
        """The answer's JSON."""
        return json.loads(bytes(self.body))

    @property
    def events(self) -> list[Any]:
        """The answer's server-sent events; `[DONE]` as text."""
        lines = bytes(self.body).decode().split("\n\n")
        assert lines.pop() == "", "an event ends with an empty line"
        data = [line.removeprefix("data: ") for line in lines]
        return [each if each == "[DONE]" else json.loads(each) for each in data]

    def _headers(self) -> list[tuple[str, str]]:
        return [("host", "127.0.0.1"), *self.headers.items()]

    async def _receive(self) -> Message:
        if self.parts:
            part = self.parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.parts) or self.cut}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.unread:
                await asyncio.get_running_loop().create_future()
            self.status = message["status"]
            self.answered = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            async with self.arrived:
                self.body += message.get("body", b"")
                self.arrived.notify_all()
