"""A gRPC server that is known by its Ed25519 identity."""

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from swatow_protocol import limits
from swatow_protocol.addresses import parse_address
from swatow_protocol.carriers.grpc._calls import OPTIONS, method_handlers
from swatow_protocol.carriers.grpc.tls import Certificate, make_certificate
from swatow_protocol.envelope import sign
from swatow_protocol.errors import ConfigError, InvalidValue
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Endpoint

STREAMS_PER_CONNECTION_MAX = 32
HANDSHAKE_MS_MAX = 5_000

_OPTIONS: list[tuple[str, Any]] = [
    *OPTIONS,
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS_MAX),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
]


class Server:
    """Serves one or more services on one address, with a certificate of its own.

    The certificate is renewed at half of its life; it is never written to disk, so a restart makes
    a new one and clients learn of it from the signed Endpoint.
    """

    address: str
    """host:port that it listens on; the port is the one that was given out for port 0."""

    def __init__(
        self,
        *,
        identity: Identity,
        network: str,
        now_us: Callable[[], int],
        sealing_key: Callable[[], bytes | None] = lambda: None,
        advertised: tuple[str, ...] = (),
    ) -> None:
        self._identity = identity
        self._network = network
        self._now_us = now_us
        self._sealing_key = sealing_key
        self._advertised = advertised
        self._certificate = self._previous = make_certificate(now_us())
        self._server = grpc.aio.server(options=_OPTIONS)
        self.add("Identity", {"Hello": self._hello})

    @property
    def certificate_sha256(self) -> bytes:
        """Hash of the certificate that new connections are shown."""
        return self._current().sha256

    @property
    def live_certificates(self) -> tuple[bytes, ...]:
        """Hashes of the certificates that open connections may have been shown."""
        return (self.certificate_sha256, self._previous.sha256)

    def add(self, service: str, handlers: dict[str, Callable[..., Any]]) -> None:
        """Add a service before the server starts."""
        self._server.add_generic_rpc_handlers((method_handlers(service, handlers),))

    async def start(self, listen: str) -> None:
        """Listen on host:port; port 0 takes a free one.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        certificate = self._current()
        credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(certificate), lambda: _configuration(self._current())
        )
        try:
            parse_address(listen)  # gRPC listens somewhere else where a port is too large
            port = self._server.add_secure_port(listen, credentials)
        except (InvalidValue, RuntimeError) as error:
            raise ConfigError(f"listen {listen}: {error}") from None
        self.address = f"{listen.rpartition(':')[0]}:{port}"
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, give running ones `grace_s` seconds, then end them."""
        await self._server.stop(grace_s)

    def _current(self) -> Certificate:
        if self._now_us() >= self._certificate.renew_at_us:
            self._previous, self._certificate = self._certificate, make_certificate(self._now_us())
        return self._certificate

    async def _hello(self, _: bytes) -> bytes:
        now_us = self._now_us()
        endpoint = Endpoint(
            network=self._network,
            sender=self._identity.key,
            issued_us=now_us,
            certificate_sha256=self.certificate_sha256,
            sealing_key=self._sealing_key(),
            addresses=self._advertised or (self.address,),
            expires_us=now_us + limits.CERTIFICATE_LIFE_US // 2,
        )
        return sign(endpoint, self._identity).envelope


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    pair = (certificate.key_pem, certificate.certificate_pem)
    return grpc.ssl_server_certificate_configuration([pair])
