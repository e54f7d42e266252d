"""The node's sealing keys: one that is offered, one that has just rotated out."""

from collections.abc import Callable

from swatow_protocol.sealing import SECRET_BYTES, SealingKey
from swatow_protocol.units import MICROS_PER_SECOND

LIFE_US = 3_600 * MICROS_PER_SECOND
"""A key is offered for an hour, and opens requests for another. None is ever written to disk."""


class SealingKeys:
    """Makes a key when it is asked for one and the last is too old."""

    def __init__(self, now_us: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._keys: list[tuple[int, SealingKey]] = []

    def live(self) -> tuple[SealingKey, ...]:
        """Return the key that is offered now, then the one before."""
        now_us = self._now_us()
        if not self._keys or now_us - self._keys[0][0] > LIFE_US:
            self._keys = [(now_us, SealingKey(self._random_bytes(SECRET_BYTES))), *self._keys[:1]]
        return tuple(key for made_us, key in self._keys if now_us - made_us <= 2 * LIFE_US)

    def offered(self) -> bytes:
        """Return the public part of the key that is offered now."""
        return self.live()[0].public
