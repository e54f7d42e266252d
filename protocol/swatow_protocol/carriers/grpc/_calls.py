"""What servers and clients share: options, method tables from the descriptors, errors as statuses.

Handlers and callers deal in plain bytes (the body of a Packet) or in lists of frames; protobuf
objects exist only inside the serialisers of this module.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from swatow_protocol import limits
from swatow_protocol.carriers.grpc._generated import exchange_pb2
from swatow_protocol.carriers.grpc._generated.exchange_pb2 import Frames, Packet
from swatow_protocol.errors import (
    CallRefused,
    NetworkError,
    OutcomeUnknown,
    SwatowError,
    Unreachable,
)

OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", limits.FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", limits.FRAME_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
]
"""Both ends: bounded messages, and a dead peer is noticed within half a minute."""

Handler = Callable[..., Any]
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

log = structlog.get_logger("swatow.grpc")


def service(name: str) -> ServiceDescriptor:
    """Return the descriptor of a service of exchange.proto."""
    found: ServiceDescriptor = exchange_pb2.DESCRIPTOR.services_by_name[name]
    return found


def path(method: MethodDescriptor) -> str:
    """Return the HTTP/2 path of a method."""
    return f"/{method.containing_service.full_name}/{method.name}"


def coders(message: Any) -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    """Return (decode, encode) between the wire and what handlers see, for a message descriptor."""
    if message.name == "Frames":
        return _decode_frames, _encode_frames
    return _decode_packet, _encode_packet


def method_handlers(name: str, handlers: dict[str, Handler]) -> grpc.GenericRpcHandler:
    """Bind handlers to the methods of a service; every method must have one.

    A unary handler is `async (body) -> body`; one that streams its answer is an async generator
    function; one whose request streams gets an async iterator of bodies, or, for the job stream,
    the raw (read, write, name of the peer).
    """
    descriptor = service(name)
    assert set(handlers) == set(descriptor.methods_by_name), handlers.keys()
    bound = {
        method.name: _bind(method, handlers[method.name])
        for method in descriptor.methods_by_name.values()
    }
    return grpc.method_handlers_generic_handler(descriptor.full_name, bound)


def error_of(status: grpc.aio.AioRpcError, address: str) -> SwatowError:
    """Return the error that a failed call stands for."""
    detail = f"{address}: {status.details() or status.code().name}"
    if status.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in detail:
        return Unreachable(detail)
    if status.code() in _LOST:
        return OutcomeUnknown(detail)
    return CallRefused(detail)


_LOST = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
}


def _bind(method: MethodDescriptor, handler: Handler) -> "grpc.RpcMethodHandler[Any, Any]":
    decode, _ = coders(method.input_type)
    _, encode = coders(method.output_type)
    guarded: Handler
    if method.input_type.name == "Frames":
        guarded = _guard_raw_stream(handler)
        make: Any = grpc.stream_stream_rpc_method_handler
    elif method.client_streaming:
        guarded, make = _guard_stream(handler), grpc.stream_stream_rpc_method_handler
    elif method.server_streaming:
        guarded, make = _guard_stream(handler), grpc.unary_stream_rpc_method_handler
    else:
        guarded, make = _guard_unary(handler), grpc.unary_unary_rpc_method_handler
    result: grpc.RpcMethodHandler[Any, Any] = make(
        guarded, request_deserializer=decode, response_serializer=encode
    )
    return result


def _guard_unary(handler: Handler) -> Handler:
    async def guarded(request: bytes, context: Context) -> bytes:
        answer = b""
        try:
            answer = await handler(request)
        except Exception as error:  # noqa: BLE001 - becomes a status of the call
            await _abort(context, error)
        return answer

    return guarded


def _guard_stream(handler: Handler) -> Handler:
    async def guarded(request: Any, context: Context) -> AsyncIterator[bytes]:
        try:
            async for answer in handler(request):
                yield answer
        except Exception as error:  # noqa: BLE001 - becomes a status of the call
            await _abort(context, error)

    return guarded


def _guard_raw_stream(handler: Handler) -> Handler:
    async def guarded(_: Any, context: Context) -> None:
        try:
            await handler(context.read, context.write, context.peer())
        except Exception as error:  # noqa: BLE001 - becomes a status of the call
            await _abort(context, error)

    return guarded


async def _abort(context: Context, error: Exception) -> Any:
    """End a call with what the caller may know of an error: never words of its content."""
    if isinstance(error, NetworkError):
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
    if isinstance(error, SwatowError):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    log.error("call_failed", error=type(error).__name__, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"internal error ({type(error).__name__})")


def _decode_packet(data: bytes) -> bytes:
    return Packet.FromString(data).body


def _encode_packet(body: bytes) -> bytes:
    return Packet(body=body).SerializeToString()


def _decode_frames(data: bytes) -> list[bytes]:
    return list(Frames.FromString(data).frame)


def _encode_frames(frames: Iterable[bytes]) -> bytes:
    return Frames(frame=frames).SerializeToString()


Read = Callable[[], Awaitable[Any]]
Write = Callable[[list[bytes]], Awaitable[None]]
Finish = Callable[[], Awaitable[None]]
