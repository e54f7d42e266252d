"""The gateway's HTTP side: routes, keys, errors in OpenAI's shape."""

import asyncio
import hmac
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from swatow._answers import CompletionStream
from swatow._client import AsyncClient
from swatow.errors import (
    BuyerError,
    ConfigError,
    InsufficientFunds,
    InvalidRequest,
    InvalidValue,
    KeyFileError,
    LimitsUnmet,
    NetworkError,
    NodeError,
    OrderRejected,
    OutcomeUnknown,
    SwatowError,
)
from swatow.gateway.events import DONE, Tail, cost_fields, encode, sse
from swatow.gateway.requests import Asked, read_request
from swatow_protocol import limits
from swatow_protocol.addresses import parse_address
from swatow_protocol.shell.service import unless_stopped
from swatow_protocol.units import MICROS_PER_SECOND

T = TypeVar("T")

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
RETRY_AFTER_S = 1
STOP_S = 5

log: Any = structlog.get_logger("swatow.gateway")


class Gateway:
    """Handlers of the gateway's routes."""

    def __init__(self, client: AsyncClient, key: str) -> None:
        self._client = client
        self._key = key.encode()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
        ]
        return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})

    async def health(self, _: Request) -> Response:
        """Tell that the process serves."""
        return Response(b"ok\n", media_type="text/plain")

    async def models(self, request: Request) -> Response:
        """List the market's models."""
        if not self._is_allowed(request):
            return _unauthorized()
        try:
            catalogue = await self._client.catalogue()
        except SwatowError as error:
            return _failure(error)
        listed = [
            {
                "id": name,
                "object": "model",
                "created": signed.message.issued_us // MICROS_PER_SECOND,
                "owned_by": "swatow",
                "context_length": signed.message.context_tokens,
                "quantization": signed.message.precision,
            }
            for name, signed in sorted(catalogue.models.items())
        ]
        return _json({"object": "list", "data": listed})

    async def chat(self, request: Request) -> Response:
        """Buy the answer to a conversation."""
        if not self._is_allowed(request):
            return _unauthorized()
        try:
            asked = read_request(await _body(request))
        except ClientDisconnect:
            return Response(status_code=_GONE)
        except SwatowError as error:
            return _failure(error)
        try:
            running = await _unless_gone(request, self._run(asked))
            if running is None:
                return Response(status_code=_GONE)
            if asked.stream:
                events = _events(running, Tail(include_usage=asked.include_usage))
                return _Stream(running, events)
            whole = await _unless_gone(request, running.completion())
            if whole is None:
                await running.aclose()
                return Response(status_code=_GONE)
        except SwatowError as error:
            return _failure(error)
        return _json({**whole.raw, **cost_fields(whole.receipt, whole.raw)})

    async def _run(self, asked: Asked) -> CompletionStream:
        return await self._client.run(
            asked.body, model=asked.model, max_price=asked.max_price, limits=asked.limits
        )

    def _is_allowed(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        return hmac.compare_digest(given, self._key)


async def serve_gateway(
    client: AsyncClient, stop: asyncio.Event, on_ready: Callable[[str], None]
) -> None:
    """Serve until `stop` is set; `on_ready` is told the base URL. Closes the client.

    Raises:
        ConfigError: the address is no loopback address, or cannot be listened on.
        KeyFileError: the file of the API key cannot be used safely.
    """
    try:
        listening = _listen(client.settings.listen)
        with listening:
            path = client.settings.gateway_key_file or client.wallet.directory / "gateway.key"
            app = Gateway(client, read_or_make_key(path.expanduser())).app()
            config = uvicorn.Config(
                app, log_config=None, access_log=False, timeout_graceful_shutdown=STOP_S
            )
            server = _Server(config)
            host, port = listening.getsockname()[:2]
            on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1")
            serving = asyncio.ensure_future(server.serve([listening]))
            await unless_stopped(stop, _until(serving))
            server.should_exit = True
            await serving
    finally:
        await client.aclose()
        log.info("stopped")


def _listen(address: str) -> socket.socket:
    try:
        host, port = parse_address(address, "listen")
    except InvalidValue as error:
        raise ConfigError(str(error)) from None
    if host not in LOOPBACK:
        raise ConfigError(
            f"listen: {address!r} is not on the loopback; the gateway has no TLS, so it serves "
            "this machine only"
        )
    try:
        return socket.create_server((host, port), family=_FAMILIES.get(host, socket.AF_INET))
    except OSError as error:
        raise ConfigError(f"listen: {address}: {error}") from None


async def _until(serving: "asyncio.Future[None]") -> None:
    await asyncio.shield(serving)


def read_or_make_key(path: Path) -> str:
    """Return the API key in a file, or put a new one there, mode 0600.

    Raises:
        KeyFileError: the file is no key file, or others may read it.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(f"sk-swatow-{secrets.token_hex(24)}\n", encoding="ascii")
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path}: others may read it; run: chmod 600 {path}")
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: {error}") from None
    if not key:
        raise KeyFileError(f"{path}: is empty")
    return key


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class _Stream(StreamingResponse):
    """An answer as it comes; its engine is stopped even if the client left before its start."""

    def __init__(self, running: CompletionStream, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._running.aclose()


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limits.REQUEST_BYTES_MAX:
            raise InvalidValue("body", f"more than {limits.REQUEST_BYTES_MAX} bytes")
    return bytes(body)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """Do `work`, but give it up when the client goes away; None if it was given up."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(running: CompletionStream, tail: Tail) -> AsyncIterator[bytes]:
    """Yield the answer as server-sent events; closing this stops the engine."""
    try:
        async for piece in running:
            for event in tail.pass_on(piece.event):
                yield sse(event)
        for event in tail.finish(running.receipt):
            yield sse(event)
    except SwatowError as error:
        _, body = _error_body(error)
        yield sse(body)
    finally:
        await running.aclose()
    yield DONE


def _failure(error: SwatowError) -> Response:
    status, body = _error_body(error)
    headers = {"retry-after": str(RETRY_AFTER_S)} if status in _RETRIED else {}
    return _json(body, status, headers)


def _error_body(error: SwatowError) -> tuple[int, dict[str, Any]]:
    """Return the status and OpenAI's error object for an error."""
    status, kind = next(
        (status, kind) for cause, status, kind in _STATUSES if isinstance(error, cause)
    )
    if isinstance(error, LimitsUnmet) and not error.may_pass:
        status = 422  # asking again changes nothing, so clients should not
    details: dict[str, Any] = {"message": str(error), "type": kind, "param": None, "code": kind}
    if isinstance(error, InvalidValue):
        details["param"] = error.field
    if isinstance(error, LimitsUnmet):
        details["unmet"] = [limit.value for limit in error.limits]
    return status, {"error": details}


_GONE = 499
"""nginx's status for a client that has left; nobody sees it."""
_FAMILIES = {"::1": socket.AF_INET6}
_RETRIED = {503, 504}
_STATUSES: list[tuple[type[SwatowError], int, str]] = [
    (InvalidValue, 400, "invalid_request_error"),
    (InvalidRequest, 400, "invalid_request_error"),
    (InsufficientFunds, 402, "insufficient_funds"),
    (OrderRejected, 400, "order_rejected"),
    (LimitsUnmet, 503, "limits_unmet"),
    (BuyerError, 400, "invalid_request_error"),
    (NodeError, 502, "node_error"),
    (OutcomeUnknown, 504, "outcome_unknown"),
    (NetworkError, 503, "unreachable"),
    (SwatowError, 500, "internal_error"),
]


def _unauthorized() -> Response:
    details = {
        "message": "no or wrong API key",
        "type": "authentication_error",
        "param": None,
        "code": "invalid_api_key",
    }
    return _json({"error": details}, 401, {"www-authenticate": "Bearer"})


async def _not_found(request: Request, _: Exception) -> Response:
    details = {
        "message": f"{request.method} {request.url.path} is not served here",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }
    return _json({"error": details}, 404)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(value), status, headers, media_type="application/json")
