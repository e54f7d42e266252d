"""Sealing keys: one is offered for an hour, opens requests for another, and is then gone."""

from collections.abc import Iterator

import pytest

from swatow_node.sealing_keys import LIFE_US, SealingKeys
from tests.support.samples import NOW_US


class Clock:
    """A clock that stands until it is set, and secrets that differ each time."""

    def __init__(self) -> None:
        self.now_us = NOW_US
        self._seeds: Iterator[int] = iter(range(1, 200))

    def read(self) -> int:
        """Return the time."""
        return self.now_us

    def secret(self, count: int) -> bytes:
        """Return bytes that were not returned before."""
        return bytes([next(self._seeds)]) * count


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> SealingKeys:
    return SealingKeys(clock.read, clock.secret)


def public(keys: SealingKeys) -> list[bytes]:
    return [key.public for key in keys.live()]


def test_the_key_is_the_same_for_its_life(clock: Clock, keys: SealingKeys) -> None:
    first = keys.offered()
    clock.now_us += LIFE_US
    assert keys.offered() == first
    assert public(keys) == [first]


def test_the_key_before_still_opens_requests(clock: Clock, keys: SealingKeys) -> None:
    first = keys.offered()
    clock.now_us += LIFE_US + 1
    second = keys.offered()
    assert second != first
    assert public(keys) == [second, first]


def test_no_key_opens_requests_for_longer_than_two_lives(clock: Clock, keys: SealingKeys) -> None:
    first = keys.offered()
    clock.now_us += LIFE_US + 1
    second = keys.offered()
    clock.now_us = NOW_US + 2 * LIFE_US
    assert public(keys) == [second, first]
    clock.now_us += 1
    assert public(keys) == [second]


def test_after_a_long_pause_only_a_new_key_is_live(clock: Clock, keys: SealingKeys) -> None:
    first = keys.offered()
    clock.now_us += 10 * LIFE_US
    assert len(public(keys)) == 1
    assert first not in public(keys)


def test_what_is_offered_is_always_live_and_at_most_two_keys_are(
    clock: Clock, keys: SealingKeys
) -> None:
    seen = set()
    for step in range(60):
        clock.now_us += (step % 7) * LIFE_US // 4
        offered = keys.offered()
        seen.add(offered)
        assert public(keys)[0] == offered
        assert len(public(keys)) <= 2
    assert len(seen) > 10
