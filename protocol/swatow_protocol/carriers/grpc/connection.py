"""A client's connection to a server that it knows by key, with the certificate pinned."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import grpc
import grpc.aio

from swatow_protocol.carriers.grpc._calls import OPTIONS, coders, error_of, path, service
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.carriers.grpc.tls import SERVER_NAME, fetch_certificate
from swatow_protocol.envelope import verify
from swatow_protocol.errors import OutcomeUnknown, WrongCertificate
from swatow_protocol.messages import Endpoint

CONNECT_S = 10.0
"""Time for a connection to be made and the server to say who it is."""
CALL_S = 30.0
"""Time for a call that has one answer."""

_OPTIONS: list[tuple[str, Any]] = [
    *OPTIONS,
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_retries", 0),
]


class Connection:
    """An open connection; `connect` makes it."""

    def __init__(self, address: str, certificate: bytes) -> None:
        self.address = address
        self.certificate_sha256: bytes = sha256(certificate).digest()
        pem = ssl.DER_cert_to_PEM_cert(certificate).encode()
        credentials = grpc.ssl_channel_credentials(root_certificates=pem)
        self._closed = False
        self._channel = grpc.aio.secure_channel(address, credentials, options=_OPTIONS)

    async def call(self, service_name: str, method: str, body: bytes = b"") -> bytes:
        """Make a call that has one answer.

        Raises:
            Unreachable, OutcomeUnknown: see there.
            CallRefused: the server refused the call.
        """
        stub = self._stub(service_name, method, self._channel.unary_unary)
        try:
            answer: bytes = await stub(body, timeout=CALL_S)
        except grpc.aio.AioRpcError as status:
            raise error_of(status, self.address) from None
        except asyncio.CancelledError:
            self._check_open()
            raise
        return answer

    async def stream(
        self, service_name: str, method: str, parts: list[bytes]
    ) -> AsyncIterator[bytes]:
        """Send the parts of a request; yield the bodies of the answer. Errors as in `call`."""
        streams = service(service_name).methods_by_name[method].client_streaming
        kind = self._channel.stream_stream if streams else self._channel.unary_stream
        call = self._stub(service_name, method, kind)(parts if streams else parts[0])
        try:
            async for body in call:
                yield body
        except grpc.aio.AioRpcError as status:
            raise error_of(status, self.address) from None
        except asyncio.CancelledError:
            self._check_open()
            raise
        finally:
            call.cancel()

    def frames(self, service_name: str, method: str) -> tuple[FrameStream, Callable[[], bool]]:
        """Open a job stream; return it and the function that ends it."""
        call = self._stub(service_name, method, self._channel.stream_stream)()
        stream = FrameStream(call.read, call.write, self.address, call.done_writing)
        return stream, call.cancel

    async def close(self) -> None:
        """Close the connection; calls under way end with OutcomeUnknown."""
        self._closed = True
        await self._channel.close()

    def _check_open(self) -> None:
        """Tell a call that gRPC cancels since the channel closes from a task that is cancelled."""
        task = asyncio.current_task()
        if self._closed and not (task and task.cancelling()):
            raise OutcomeUnknown(f"{self.address}: the connection was closed here") from None

    def _stub(self, service_name: str, method: str, kind: Any) -> Any:
        descriptor = service(service_name).methods_by_name[method]
        _, encode = coders(descriptor.input_type)
        decode, _ = coders(descriptor.output_type)
        return kind(path(descriptor), request_serializer=encode, response_deserializer=decode)


async def connect(
    address: str,
    *,
    server: bytes,
    network: str,
    now_us: Callable[[], int],
    certificate_sha256: bytes | None = None,
) -> tuple[Connection, Endpoint | None]:
    """Connect to the server with this key, or fail.

    Where the hash of its certificate is known from something that it signed and still fits,
    nothing more is asked. Otherwise the server must show an Endpoint, signed by its key, for the
    certificate of this very connection; it is returned, since it also tells the sealing key.

    Args:
        address: host:port.
        server: the Ed25519 key that the server must own.
        network: the network of this process.
        now_us: the clock.
        certificate_sha256: hash signed by the server in an offer.

    Raises:
        Unreachable: no answer in CONNECT_S seconds.
        WrongCertificate: whoever answers is not `server`.
        MessageRefused: its Endpoint is no valid message.
    """
    certificate = await fetch_certificate(address, CONNECT_S)
    connection = Connection(address, certificate)
    if connection.certificate_sha256 == certificate_sha256:
        return connection, None
    try:
        endpoint = await ask_endpoint(connection, server=server, network=network, now_us=now_us)
    except BaseException:
        await connection.close()
        raise
    return connection, endpoint


async def ask_endpoint(
    connection: Connection, *, server: bytes, network: str, now_us: Callable[[], int]
) -> Endpoint:
    """Ask a connected server who it is; it must be `server`. Errors as in `connect`."""
    envelope = await connection.call("Identity", "Hello")
    signed = verify(envelope, Endpoint, network=network, now_us=now_us(), sender=server)
    if signed.message.certificate_sha256 != connection.certificate_sha256:
        raise WrongCertificate(
            f"{connection.address} shows a certificate that {server.hex()} did not sign"
        )
    return signed.message
