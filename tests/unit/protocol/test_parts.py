"""Long bodies in parts: nothing is lost, and nothing beyond the bound is kept."""

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import limits, parts
from swatow_protocol.errors import MessageRefused, Refusal

SIZES = (0, 1, limits.PART_BYTES - 1, limits.PART_BYTES, limits.PART_BYTES + 1)


async def sent(bodies: Iterable[bytes], taken: list[int] | None = None) -> AsyncIterator[bytes]:
    for body in bodies:
        if taken is not None:
            taken.append(len(body))
        yield body


@pytest.mark.parametrize("size", [*SIZES, 3 * limits.PART_BYTES, limits.BATCH_BYTES_MAX])
async def test_a_body_survives_splitting_and_joining(size: int) -> None:
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    split = parts.split(body)
    assert b"".join(split) == body
    assert all(len(part) == limits.PART_BYTES for part in split[:-1])
    assert len(split) == max(1, -(-size // limits.PART_BYTES))
    assert await parts.join(sent(split), size) == body


@given(st.lists(st.binary(max_size=20), max_size=20))
async def test_parts_are_joined_however_they_were_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert await parts.join(sent(pieces), len(whole)) == whole


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20), st.data())
async def test_a_body_beyond_the_bound_is_refused_at_the_part_that_passes_it(
    pieces: list[bytes], data: st.DataObject
) -> None:
    total = sum(map(len, pieces))
    bound = data.draw(st.integers(0, total - 1))
    taken: list[int] = []
    with pytest.raises(MessageRefused) as refused:
        await parts.join(sent(pieces, taken), bound)
    assert refused.value.refusal is Refusal.OVERSIZED
    assert sum(taken[:-1]) <= bound < sum(taken)
