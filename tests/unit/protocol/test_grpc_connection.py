"""Connections know their server by its key, and nobody between the two can stand in for it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any

import grpc
import grpc.aio
import pytest

from swatow_protocol import limits
from swatow_protocol.carriers.grpc.connection import Connection, ask_endpoint, connect
from swatow_protocol.carriers.grpc.server import Server
from swatow_protocol.carriers.grpc.tls import SERVER_NAME, fetch_certificate, make_certificate
from swatow_protocol.envelope import verify
from swatow_protocol.errors import (
    CallRefused,
    ConfigError,
    MessageRefused,
    NetworkError,
    OutcomeUnknown,
    Refusal,
    Unreachable,
    WrongCertificate,
)
from swatow_protocol.messages import Endpoint
from swatow_protocol.shell.clock import now_us
from tests.support.samples import NETWORK, NODE, STRANGER, digest
from tests.unit.protocol.loopback import LISTEN, Clock, clock_before_renewal, connected, serving

WAIT_S = 10.0


async def refused(address: str, **options: Any) -> Exception:
    """Try to connect to NODE, as it is known here; return why it failed."""
    arguments: dict[str, Any] = {"server": NODE.key, "network": NETWORK, **options}
    with pytest.raises(Exception) as why:  # noqa: PT011 - the caller looks at its type
        await connect(address, now_us=now_us, **arguments)
    return why.value


class Counting(Server):
    """A server that counts how often it is asked who it is."""

    asked = 0

    async def _hello(self, body: bytes) -> bytes:
        self.asked += 1
        return await super()._hello(body)


class Hanging(Server):
    """A server that takes calls and never answers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.called = asyncio.Event()

    async def _hello(self, _: bytes) -> bytes:
        self.called.set()
        await asyncio.Event().wait()
        return b""


@pytest.fixture
async def hanging() -> AsyncIterator[tuple[Hanging, Connection]]:
    async with serving(kind=Hanging) as server:
        assert isinstance(server, Hanging)
        shown = await fetch_certificate(server.address, WAIT_S)
        connection = Connection(server.address, shown)
        yield server, connection
        await connection.close()


class TestPinning:
    async def test_a_server_tells_its_certificate_and_sealing_key_under_its_signature(self) -> None:
        options = {"sealing_key": lambda: digest("sealing"), "advertised": ("node.example:1",)}
        async with serving(**options) as server:  # type: ignore[arg-type]
            connection, endpoint = await connect(
                server.address, server=NODE.key, network=NETWORK, now_us=now_us
            )
            await connection.close()
        assert endpoint is not None
        assert endpoint.sender == NODE.key
        assert endpoint.certificate_sha256 == connection.certificate_sha256
        assert endpoint.sealing_key == digest("sealing")
        assert endpoint.addresses == ("node.example:1",)

    async def test_a_certificate_that_is_known_already_is_not_asked_for(self) -> None:
        async with serving(kind=Counting) as server:
            assert isinstance(server, Counting)
            known = server.certificate_sha256
            async with connected(server, certificate_sha256=known) as connection:
                assert server.asked == 0
                assert connection.certificate_sha256 == known
                await ask_endpoint(connection, server=NODE.key, network=NETWORK, now_us=now_us)
                assert server.asked == 1

    async def test_a_certificate_that_has_changed_is_asked_for(self) -> None:
        """As after a restart of the server, when an offer still names the one before."""
        async with (
            serving(kind=Counting) as server,
            connected(server, certificate_sha256=digest("before")) as connection,
        ):
            assert isinstance(server, Counting)
            assert server.asked == 1
            assert connection.certificate_sha256 == server.certificate_sha256

    async def test_another_identity_is_refused(self) -> None:
        async with serving(identity=STRANGER) as server:
            why = await refused(server.address)
        assert isinstance(why, MessageRefused)
        assert why.refusal is Refusal.WRONG_SENDER

    async def test_another_network_is_refused(self) -> None:
        async with serving() as server:
            why = await refused(server.address, network="other")
        assert isinstance(why, MessageRefused)
        assert why.refusal is Refusal.WRONG_NETWORK

    async def test_an_endpoint_that_has_expired_is_refused(self) -> None:
        async with serving(clock=Clock(now_us() - limits.CERTIFICATE_LIFE_US // 2)) as server:
            why = await refused(server.address)
        assert isinstance(why, MessageRefused)
        assert why.refusal is Refusal.EXPIRED

    async def test_a_relay_with_a_certificate_of_its_own_is_refused(self) -> None:
        """It passes on the true server's signed endpoint, which names another certificate."""
        async with serving() as server, connected(server) as connection:
            true = await connection.call("Identity", "Hello")
        verify(true, Endpoint, network=NETWORK, now_us=now_us(), sender=NODE.key)

        class Relay(Server):
            async def _hello(self, _: bytes) -> bytes:
                return true

        async with serving(kind=Relay, identity=STRANGER) as relay:
            assert isinstance(await refused(relay.address), WrongCertificate)

    async def test_only_the_very_certificate_that_was_compared_is_trusted(self) -> None:
        """Whoever takes the place of the server after the comparison gets no call."""
        async with serving() as server:
            other = make_certificate(now_us()).certificate_pem.decode()
            connection = Connection(server.address, ssl.PEM_cert_to_DER_cert(other))
            with pytest.raises(NetworkError):
                await connection.call("Identity", "Hello")
            await connection.close()

    async def test_a_server_takes_no_plain_text(self) -> None:
        async with serving() as server:
            channel = grpc.aio.insecure_channel(server.address)
            call: Any = channel.unary_unary("/swatow.v1.Identity/Hello")
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"")
            await channel.close()


class TestRenewal:
    async def test_half_way_through_its_life_a_certificate_is_replaced(self) -> None:
        clock = clock_before_renewal()
        async with serving(clock=clock) as server:
            first = server.certificate_sha256
            assert set(server.live_certificates) == {first}
            clock.at_us += limits.CERTIFICATE_LIFE_US // 2 - 1
            assert server.certificate_sha256 == first
            clock.at_us += 1
            second = server.certificate_sha256
            assert second != first
            assert server.live_certificates == (second, first)
            assert server.certificate_sha256 == second, "once"

    async def test_new_connections_see_the_new_one_and_open_ones_go_on(self) -> None:
        clock = clock_before_renewal()
        async with serving(clock=clock) as server, connected(server, clock) as before:
            clock.at_us = now_us()
            await before.call("Identity", "Hello")
            async with connected(server, clock) as after:
                assert after.certificate_sha256 == server.certificate_sha256
                assert after.certificate_sha256 != before.certificate_sha256
                assert before.certificate_sha256 in server.live_certificates
                await before.call("Identity", "Hello")

    def test_a_certificate_is_named_by_the_hash_of_its_bytes_and_hides_its_key(self) -> None:
        certificate = make_certificate(now_us())
        der = ssl.PEM_cert_to_DER_cert(certificate.certificate_pem.decode())
        assert certificate.sha256 == sha256(der).digest()
        assert repr(certificate) == f"Certificate({certificate.sha256.hex()})"
        assert make_certificate(now_us()).sha256 != certificate.sha256


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, held so that nobody will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class TestUnreachable:
    async def test_where_nobody_listens(self, closed_port: int) -> None:
        assert isinstance(await refused(f"127.0.0.1:{closed_port}"), Unreachable)

    async def test_where_something_else_listens(self) -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            assert isinstance(await refused(f"127.0.0.1:{port}"), Unreachable)

    async def test_where_nothing_is_ever_said(self) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            with pytest.raises(Unreachable):
                await fetch_certificate(f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)

    @pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1:", "a..b:1", "127.0.0.1:x"])
    async def test_at_an_address_that_is_none(self, address: str) -> None:
        assert isinstance(await refused(address), Unreachable)

    async def test_at_a_port_that_an_offer_may_name_but_no_machine_has(self) -> None:
        """Offers come from strangers, and their addresses may have five digits of port."""
        assert isinstance(await refused("127.0.0.1:99999"), Unreachable)


class TestCalls:
    async def test_an_oversized_call_is_refused_before_it_is_sent(self) -> None:
        async with serving() as server, connected(server) as connection:
            with pytest.raises(CallRefused):
                await connection.call("Identity", "Hello", bytes(limits.FRAME_BYTES_MAX + 1))
            await connection.call("Identity", "Hello")

    async def test_an_oversized_call_of_a_client_without_bounds_is_refused_too(self) -> None:
        async with serving() as server:
            pem = ssl.DER_cert_to_PEM_cert(await fetch_certificate(server.address, WAIT_S))
            channel = grpc.aio.secure_channel(
                server.address,
                grpc.ssl_channel_credentials(pem.encode()),
                [
                    ("grpc.ssl_target_name_override", SERVER_NAME),
                    ("grpc.max_send_message_length", -1),
                ],
            )
            call: Any = channel.unary_unary("/swatow.v1.Identity/Hello")
            with pytest.raises(grpc.aio.AioRpcError) as status:
                await call(bytes(limits.FRAME_BYTES_MAX + 1))
            assert status.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            await channel.close()

    async def test_an_answer_that_is_lost_is_of_unknown_outcome(
        self, hanging: tuple[Hanging, Connection]
    ) -> None:
        server, connection = hanging
        call = asyncio.create_task(connection.call("Identity", "Hello"))
        await server.called.wait()
        await server.stop(0)
        with pytest.raises(OutcomeUnknown):
            await call

    async def test_closing_ends_calls_under_way_with_outcome_unknown(
        self, hanging: tuple[Hanging, Connection]
    ) -> None:
        server, connection = hanging
        call = asyncio.create_task(connection.call("Identity", "Hello"))
        await server.called.wait()
        await connection.close()
        (outcome,) = await asyncio.gather(call, return_exceptions=True)
        assert isinstance(outcome, OutcomeUnknown)

    async def test_a_server_that_has_gone_is_unreachable(self) -> None:
        async with serving() as server, connected(server) as connection:
            await server.stop(0)
            with pytest.raises(NetworkError):
                await connection.call("Identity", "Hello")


class TestListening:
    async def test_port_zero_takes_a_free_port(self) -> None:
        async with serving() as one, serving() as other:
            assert one.address.startswith("127.0.0.1:")
            assert one.address != other.address != LISTEN

    async def test_an_address_in_use_is_a_mistake_of_the_settings(self) -> None:
        async with serving() as server:
            second = Server(identity=NODE, network=NETWORK, now_us=now_us)
            with pytest.raises(ConfigError, match=server.address):
                await second.start(server.address)

    @pytest.mark.parametrize("listen", ["no such host:1", "127.0.0.1:99999"])
    async def test_an_address_that_is_none_is_a_mistake_of_the_settings(self, listen: str) -> None:
        server = Server(identity=NODE, network=NETWORK, now_us=now_us)
        try:
            with pytest.raises(ConfigError):
                await server.start(listen)
        finally:
            await server.stop(0)
