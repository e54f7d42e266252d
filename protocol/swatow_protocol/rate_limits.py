"""How much of something each of many may do, in integers: token buckets."""

from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from swatow_protocol.units import MICROS_PER_SECOND

NAMES_MAX: Final = 65_536
"""Names whose buckets are remembered; that of the one used longest ago is forgotten, as if full."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once after a pause."""

    per_second: int
    burst: int


class Bucket:
    """What is left of a rate, in millionths of one; full at the beginning."""

    __slots__ = ("_at_us", "_left", "_rate")

    def __init__(self, rate: Rate, now_us: int) -> None:
        self._rate = rate
        self._left = rate.burst * MICROS_PER_SECOND
        self._at_us = now_us

    def take(self, now_us: int) -> bool:
        """Take one; return whether there was one. A clock that goes back gives nothing."""
        since_us = max(now_us - self._at_us, 0)
        full = self._rate.burst * MICROS_PER_SECOND
        self._left = min(self._left + since_us * self._rate.per_second, full)
        self._at_us = now_us
        if self._left < MICROS_PER_SECOND:
            return False
        self._left -= MICROS_PER_SECOND
        return True


class RateLimits:
    """A bucket for each name."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: LRUCache[bytes, Bucket] = LRUCache(NAMES_MAX)

    def take(self, name: bytes, now_us: int) -> bool:
        """Take one from the bucket of a name; return whether there was one."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._rate, now_us)
        return bucket.take(now_us)
