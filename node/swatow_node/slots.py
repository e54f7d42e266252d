"""Places at the engine: so many jobs run, so many wait in line, the rest are refused.

The node owns the queue because engines answer queued requests out of order and keep working for
clients that have gone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from swatow_node.admission import JobRefused
from swatow_protocol.messages import JobRefusal

RETRY_AFTER_MS = 1_000


class Slots:
    """Places for jobs, first come, first served."""

    def __init__(self, running_max: int, waiting_max: int) -> None:
        self._running_max = running_max
        self._waiting_max = waiting_max
        self._free = asyncio.Semaphore(running_max)
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Jobs in line."""
        return self._waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it.

        Raises:
            JobRefused: BUSY, the line is full.
        """
        if self._free.locked() and self._waiting >= self._waiting_max:
            detail = f"{self._running_max} jobs run, {self._waiting} wait"
            raise JobRefused(JobRefusal.BUSY, detail, RETRY_AFTER_MS)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()
