"""Nobody gets more than the burst and the rate, and everybody gets that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import rate_limits
from swatow_protocol.rate_limits import Bucket, Rate, RateLimits
from swatow_protocol.units import MICROS_PER_SECOND as SECOND

RATES = st.builds(Rate, per_second=st.integers(1, 1_000), burst=st.integers(1, 100))


@given(RATES, st.lists(st.integers(0, 2 * SECOND), max_size=300))
def test_in_any_time_at_most_burst_and_rate_are_taken(rate: Rate, pauses: list[int]) -> None:
    bucket, now, taken = Bucket(rate, 0), 0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
        assert taken <= rate.burst + now * rate.per_second // SECOND


@given(RATES, st.integers(0, 2**60))
def test_who_keeps_to_the_rate_is_never_refused(rate: Rate, start: int) -> None:
    bucket = Bucket(rate, start)
    pause = -(-SECOND // rate.per_second)
    assert all(bucket.take(start + turn * pause) for turn in range(3 * rate.burst))


def test_a_burst_is_there_again_after_a_pause_and_never_more() -> None:
    bucket = Bucket(Rate(per_second=2, burst=3), 0)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(SECOND) for _ in range(3)] == [True, True, False]
    assert sum(bucket.take(10**6 * SECOND) for _ in range(9)) == 3


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(Rate(per_second=1, burst=1), 10 * SECOND)
    assert bucket.take(10 * SECOND)
    assert not bucket.take(5 * SECOND)
    assert bucket.take(6 * SECOND)


def test_names_have_buckets_of_their_own_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limits, "NAMES_MAX", 2)
    limits = RateLimits(Rate(per_second=1, burst=1))
    assert limits.take(b"a", 0)
    assert limits.take(b"b", 0)
    assert not limits.take(b"a", 0)
    assert limits.take(b"c", 0), "b is forgotten"
    assert not limits.take(b"a", 0)
    assert limits.take(b"b", 0)
