"""What waits to be sent over one connection, bounded."""

import asyncio
from collections import deque

RETAINED_MAX = 4_096
"""Topics on which one carrier keeps something; beyond it, nothing is kept on further ones."""
WAITING_MAX = 1_024
"""Payloads that wait for a connection, what is retained not counted; then the oldest is dropped."""


class Outbox:
    """Keeps the last retained payload of each topic, and a queue of the others."""

    def __init__(self) -> None:
        self._retained: dict[str, bytes] = {}
        self._due: dict[str, None] = {}
        self._queue: deque[tuple[str, bytes]] = deque()
        self._filled = asyncio.Event()

    def put(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Let a payload wait; return whether nothing had to give way to it."""
        kept = True
        if not retained:
            if len(self._queue) == WAITING_MAX:
                self._queue.popleft()
                kept = False
            self._queue.append((topic, payload))
        elif topic in self._retained or len(self._retained) < RETAINED_MAX:
            self._retained[topic] = payload
            self._due[topic] = None
        else:
            return False
        self._filled.set()
        return kept

    def again(self) -> None:
        """Let all that is retained wait once more: the other end may have lost it."""
        self._due = dict.fromkeys(self._retained)
        self._filled.set()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self._due and not self._queue

    async def wait(self) -> None:
        """Return when something waits."""
        while self.is_empty:
            self._filled.clear()
            await self._filled.wait()

    def peek(self) -> tuple[str, bytes, bool]:
        """Return (topic, payload, retained) of what is to be sent next; something must wait."""
        if self._due:
            topic = next(iter(self._due))
            return topic, self._retained[topic], True
        topic, payload = self._queue[0]
        return topic, payload, False

    def sent(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Strike out what was sent, unless something newer took its place meanwhile."""
        if not retained:
            if self._queue and self._queue[0] == (topic, payload):
                self._queue.popleft()
            return
        if self._retained.get(topic) != payload:
            return
        self._due.pop(topic, None)
        if not payload:
            del self._retained[topic]
