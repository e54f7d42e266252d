"""Carriers over an MQTT broker: one that fans out to any number of readers and keeps last values.

What a broker kept may be lost when it restarts without a disk, so what is retained is published
again on every connection. A broker can read, drop and repeat; what it carries is signed.
"""

import asyncio
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from aiomqtt import Client, MqttError, Will

from swatow_protocol.carriers.carrier import Carrier, Heard
from swatow_protocol.errors import InvalidValue

RETRY_S_MIN, RETRY_S_MAX = 0.2, 30.0
"""Pause before the broker is tried again; doubles from the one to the other."""
KEEPALIVE_S = 20
CONNECT_S = 10.0
"""A broker that does not answer within this time is lost."""
DRAIN_S = 2.0
"""What waits when the carrier ends gets this long to be sent."""
CANCEL_S = 0.1
"""A task that goes on after it was cancelled is cancelled again after this time."""
INCOMING_MAX = 16_384
"""Messages that wait to be judged; further ones are lost."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PORTS = {"mqtt": 1_883, "mqtts": 8_883}
_OPTIONS = frozenset({"ca", "cert", "key"})

log = structlog.get_logger("swatow.mqtt")


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is, and how it knows us."""

    scheme: str
    host: str
    port: int
    username: str | None
    password: str | None
    ca: str | None
    """File of the authority that signed the broker's certificate; None is the system's."""
    cert: str | None
    key: str | None
    """Files of our own certificate and its key, if the broker asks for one."""

    @property
    def name(self) -> str:
        """Return the URL without what is secret."""
        return f"{self.scheme}://{self.host}:{self.port}"


def parse_broker(url: str) -> Broker:
    """Read mqtt://[user:password@]host[:port] or mqtts://...[?ca=FILE][&cert=FILE&key=FILE].

    Raises:
        InvalidValue: it is not written so, or would send plain text to another machine.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except (ValueError, KeyError):
        port, options = 0, {}
    shown = f"{parts.scheme}://{parts.hostname or ''}"
    if not port or not parts.hostname or parts.path.strip("/") or set(options) - _OPTIONS:
        written = "mqtt://host[:port] or mqtts://[user:password@]host[:port][?ca=FILE]"
        raise InvalidValue("carriers", f"{shown}: not written as {written}")
    if parts.scheme == "mqtt" and parts.hostname not in LOOPBACK:
        raise InvalidValue("carriers", f"{shown}: plain mqtt stays on this machine; use mqtts")
    if ("cert" in options) != ("key" in options):
        raise InvalidValue("carriers", f"{shown}: cert and key need each other")
    files = {name: values[-1] for name, values in options.items()}
    return Broker(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        ca=files.get("ca"),
        cert=files.get("cert"),
        key=files.get("key"),
    )


class MqttCarrier(Carrier):
    """`mqtt://...` on this machine, `mqtts://...` anywhere. MQTT 3.1.1."""

    def __init__(self, url: str, *, identifier: str, last_will: str | None = None) -> None:
        """Prepare a connection; the broker takes away what is kept on the topic `last_will` when it
        loses us.

        Raises:
            InvalidValue: the URL or a file that it names cannot be used.
        """
        self._broker = parse_broker(url)
        super().__init__(self._broker.name)
        self._identifier = identifier
        self._will = Will(last_will, b"", qos=1, retain=True) if last_will else None
        self._tls = _context(self._broker) if self._broker.scheme == "mqtts" else None

    def peers(self) -> tuple[str, ...]:
        """Return the broker."""
        return (self.name,) if self.statistics.connected else ()

    async def run(self) -> None:
        """As for every carrier."""
        pause_s = RETRY_S_MIN
        while True:
            before = self.statistics.connections
            try:
                async with self._client() as client:
                    await self._carry(client)
            except (MqttError, OSError) as error:
                self.statistics.failures += 1
                if self.statistics.connections > before:  # it was there
                    pause_s = RETRY_S_MIN
                log.warning("broker_lost", broker=self.name, error=str(error), retry_s=pause_s)
            finally:
                self.statistics.connected = False
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S_MAX)

    def _client(self) -> Client:
        return Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.username,
            password=self._broker.password,
            identifier=self._identifier,
            will=self._will,
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_S,
            tls_context=self._tls,
            max_queued_incoming_messages=INCOMING_MAX,
        )

    async def _carry(self, client: Client) -> None:
        for pattern in dict.fromkeys(pattern for pattern, _ in self._handlers):
            await client.subscribe(pattern, qos=1)
        _check_cancelled()
        self._outbox.again()
        self.statistics.connected = True
        self.statistics.connections += 1
        log.info("broker_reached", broker=self.name)
        try:
            await _first_of(self._read(client), self._write(client))
        except asyncio.CancelledError:
            await self._drain(client)
            raise

    async def _drain(self, client: Client) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self._outbox.is_empty:
                    await self._send(client)
        except (MqttError, TimeoutError) as error:
            log.warning("not_all_sent", broker=self.name, error=str(error) or "no time left")

    async def _read(self, client: Client) -> None:
        async for message in client.messages:
            self._hear(Heard(message.topic.value, message.payload))

    async def _write(self, client: Client) -> None:
        while True:
            await self._outbox.wait()
            await self._send(client)

    async def _send(self, client: Client) -> None:
        topic, payload, retained = self._outbox.peek()
        await client.publish(topic, payload, qos=int(retained), retain=retained)
        self._outbox.sent(topic, payload, retained=retained)
        self.statistics.published += 1


def _context(broker: Broker) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=broker.ca)
        if broker.cert is not None:
            context.load_cert_chain(broker.cert, broker.key)
    except OSError as error:  # of TLS too
        raise InvalidValue("carriers", f"{broker.name}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _check_cancelled() -> None:
    """Raise a cancellation that was swallowed.

    aiomqtt waits with asyncio.wait_for, which on Python 3.11 swallows one that comes at the same
    time as what it waits for.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _first_of(*work: Awaitable[None]) -> None:
    """Run until one ends or fails; end the others with it."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        while left := [task for task in tasks if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=CANCEL_S)
        await asyncio.gather(*tasks, return_exceptions=True)
