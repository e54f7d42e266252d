"""What every carrier of hints does: take what is published there, hand over what is heard.

A carrier may lose, repeat and reorder. So publishing never waits and never fails, and what it
carries is signed, is told again, or may be lost. It says what it did in its statistics.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from swatow_protocol import limits
from swatow_protocol.carriers.outbox import Outbox
from swatow_protocol.carriers.topics import TOPIC_BYTES_MAX, matches
from swatow_protocol.messages.answers import Decision


class Heard(NamedTuple):
    """Something that came over a carrier."""

    topic: str
    payload: bytes
    """Empty where what was kept on the topic is gone."""


Handler = Callable[[Heard], Decision]
"""Judges what was heard. It does not wait: changes of state are synchronous."""


@dataclass(slots=True)
class Statistics:
    """What a carrier did since it was opened."""

    connected: bool = False
    connections: int = 0
    failures: int = 0
    """Connections that were lost or could not be made, and crashes."""
    published: int = 0
    dropped: int = 0
    """Published, but never sent: too much was waiting."""
    accepted: int = 0
    ignored: int = 0
    rejected: int = 0


class Carrier(ABC):
    """One way on which hints travel. Not safe for threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Its URL, without what is secret in it."""
        self.statistics = Statistics()
        self._handlers: list[tuple[str, Handler]] = []
        self._outbox = Outbox()

    def subscribe(self, pattern: str, handler: Handler) -> None:
        """Let a handler judge what is heard on the topics of a pattern; before `run`."""
        self._handlers.append((pattern, handler))

    def publish(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Send a payload to whoever listens, as soon as there is a connection.

        What is retained is kept on its topic for those who come later, until the next one there
        takes its place; an empty one takes it away. Of several that wait for a connection, the last
        one on a topic is sent.
        """
        if not self._outbox.put(topic, payload, retained=retained):
            self.statistics.dropped += 1

    @abstractmethod
    def peers(self) -> tuple[str, ...]:
        """Return whom it is connected to."""

    @abstractmethod
    async def run(self) -> None:
        """Carry until cancelled; then send what waits, for a moment. Connections that are lost are
        made again."""

    def _hear(self, heard: Heard) -> None:
        """Have something judged by every handler whose pattern means its topic."""
        for pattern, handler in self._handlers:
            if matches(pattern, heard.topic):
                self._count(self._judge(handler, heard))

    def _judge(self, handler: Handler, heard: Heard) -> Decision:
        if len(heard.payload) > limits.ENVELOPE_BYTES_MAX or len(heard.topic) > TOPIC_BYTES_MAX:
            return Decision.REJECT
        return handler(heard)

    def _count(self, decision: Decision) -> None:
        match decision:
            case Decision.ACCEPT:
                self.statistics.accepted += 1
            case Decision.IGNORE:
                self.statistics.ignored += 1
            case Decision.REJECT:
                self.statistics.rejected += 1
