"""Carriers within one process: those of the same name hear each other."""

import asyncio
from weakref import WeakValueDictionary

from swatow_protocol.carriers.carrier import Carrier, Heard


class _Bus:
    """Whoever is connected, and what is kept."""

    def __init__(self) -> None:
        self.carriers: dict[MemoryCarrier, None] = {}
        self.retained: dict[str, bytes] = {}


_BUSES: WeakValueDictionary[str, _Bus] = WeakValueDictionary()
"""Each for as long as a carrier of its name exists."""


class MemoryCarrier(Carrier):
    """`memory:NAME`. It delivers at once, in order, and loses nothing."""

    def __init__(self, bus: str) -> None:
        super().__init__(f"memory:{bus}")
        self._bus = _BUSES.setdefault(bus, _Bus())

    def peers(self) -> tuple[str, ...]:
        """Return who else is connected, by number."""
        others = [each for each in self._bus.carriers if each is not self]
        return tuple(f"{each.name}/{number}" for number, each in enumerate(others))

    async def run(self) -> None:
        """As for every carrier."""
        self._bus.carriers[self] = None
        self.statistics.connected = True
        self.statistics.connections += 1
        self._outbox.again()
        try:
            for topic, payload in list(self._bus.retained.items()):
                self._hear(Heard(topic, payload))
            while True:
                await self._outbox.wait()
                self._send()
                await asyncio.sleep(0)
        finally:
            while not self._outbox.is_empty:
                self._send()
            self.statistics.connected = False
            del self._bus.carriers[self]

    def _send(self) -> None:
        topic, payload, retained = self._outbox.peek()
        self._outbox.sent(topic, payload, retained=retained)
        self.statistics.published += 1
        if retained and payload:
            self._bus.retained[topic] = payload
        elif retained:
            self._bus.retained.pop(topic, None)
        for carrier in list(self._bus.carriers):
            carrier._hear(Heard(topic, payload))  # noqa: SLF001 - of its own class
