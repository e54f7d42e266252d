"""Several carriers as one: what is published goes over all, what is heard twice is heard once."""

import asyncio
from collections.abc import Iterable
from hashlib import blake2b

import structlog
from cachetools import LRUCache

from swatow_protocol.carriers.carrier import Carrier, Handler, Heard
from swatow_protocol.carriers.memory import MemoryCarrier
from swatow_protocol.errors import InvalidValue
from swatow_protocol.messages.answers import Decision

CARRIERS_MAX = 8
KNOWN_MAX = 65_536
"""Payloads that are remembered; one that was heard longer ago is judged again."""

RESTART_S = 5.0
"""Pause before a carrier that failed is started again."""

_SCHEMES = ("memory", "mqtt", "mqtts")

log = structlog.get_logger("swatow.carriers")


class Carriers:
    """All carriers of one process."""

    def __init__(self, carriers: Iterable[Carrier] = ()) -> None:
        self.each = tuple(carriers)

    def publish(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Publish over all of them. Never waits, never fails."""
        for carrier in self.each:
            carrier.publish(topic, payload, retained=retained)

    def subscribe(self, pattern: str, handler: Handler) -> None:
        """Let a handler judge what is heard over any of them, once; before `run`."""
        once = _Once(handler)
        for carrier in self.each:
            carrier.subscribe(pattern, once)

    async def run(self) -> None:
        """Carry until cancelled. A carrier that fails is started again."""
        async with asyncio.TaskGroup() as group:
            for carrier in self.each:
                group.create_task(_keep_running(carrier))


async def _keep_running(carrier: Carrier) -> None:
    while True:
        try:
            await carrier.run()
        except Exception:  # hints only: whatever it is, rounds and jobs go on without them
            carrier.statistics.failures += 1
            log.exception("carrier_failed", carrier=carrier.name, retry_s=RESTART_S)
        await asyncio.sleep(RESTART_S)


class _Once:
    """Lets a handler judge what it has not judged already."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._known: LRUCache[bytes, None] = LRUCache(KNOWN_MAX)

    def __call__(self, heard: Heard) -> Decision:
        if not heard.payload:
            return self._handler(heard)
        digest = blake2b(heard.topic.encode() + b"\0" + heard.payload, digest_size=16).digest()
        if digest in self._known:
            self._known[digest] = None  # the latest now
            return Decision.IGNORE
        decision = self._handler(heard)
        if decision is not Decision.REJECT:
            self._known[digest] = None
        return decision


def open_carriers(
    urls: Iterable[str], *, identifier: str, last_will: str | None = None
) -> Carriers:
    """Return the carriers that URLs name, not connected yet.

    Args:
        urls: `memory:NAME`, `mqtt://host[:port]`, `mqtts://[user:password@]host[:port][?ca=FILE]`.
        identifier: by which a broker tells us from others.
        last_will: topic from which a broker takes what we kept there when it loses us.

    Raises:
        InvalidValue: a URL cannot be used, or there are more than CARRIERS_MAX.
    """
    named = tuple(urls)
    if len(named) > CARRIERS_MAX:
        raise InvalidValue("carriers", f"{len(named)} of them, at most {CARRIERS_MAX}")
    return Carriers(_open(url, identifier, last_will) for url in named)


def _open(url: str, identifier: str, last_will: str | None) -> Carrier:
    scheme, _, rest = url.partition(":")
    match scheme:
        case "memory":
            return MemoryCarrier(rest)
        case "mqtt" | "mqtts":
            from swatow_protocol.carriers.mqtt import MqttCarrier

            return MqttCarrier(url, identifier=identifier, last_will=last_will)
        case _:
            known = ", ".join(f"{each}:" for each in _SCHEMES)
            raise InvalidValue("carriers", f"{scheme!r} is none of {known}")
