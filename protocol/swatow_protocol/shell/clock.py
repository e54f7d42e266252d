"""The one place where a process reads the time or the random source of its machine."""

import secrets
import time


def now_us() -> int:
    """Return microseconds since 1970-01-01 UTC by the system's clock."""
    return time.time_ns() // 1_000


def random_bytes(count: int) -> bytes:
    """Return `count` bytes from the system's cryptographic random source."""
    return secrets.token_bytes(count)
