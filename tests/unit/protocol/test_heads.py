"""A market that tells two things of one round is seen by whoever hears both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import heads as module
from swatow_protocol.envelope import sign
from swatow_protocol.heads import Heads, SplitView
from swatow_protocol.identity import Identity
from swatow_protocol.messages import RoundHead, RoundNumber

MARKET, OTHER = Identity(bytes([1] * 32)), Identity(bytes([2] * 32))


def head(number: int, record: int, market: Identity = MARKET, *, shard: str = "main") -> RoundHead:
    return RoundHead(
        network="local",
        sender=market.key,
        issued_us=1,
        round=RoundNumber(shard=shard, epoch=1, number=number),
        record=bytes([record] * 32),
    )


def hear(heads: Heads, message: RoundHead, market: Identity = MARKET) -> SplitView | None:
    return heads.hear(message, sign(message, market).envelope)


def test_two_records_of_one_round_are_a_split_view_with_its_proof() -> None:
    heads = Heads()
    assert hear(heads, head(1, 1)) is None
    assert hear(heads, head(1, 1)) is None, "told again"
    split = hear(heads, head(1, 2))
    assert split is not None
    first, second = (sign(head(1, record), MARKET).envelope for record in (1, 2))
    assert split == SplitView(first, second)


def test_other_rounds_shards_and_markets_do_not_contradict() -> None:
    heads = Heads()
    assert hear(heads, head(1, 1)) is None
    assert hear(heads, head(2, 2)) is None
    assert hear(heads, head(1, 2, shard="other")) is None
    assert hear(heads, head(1, 2, OTHER), OTHER) is None


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1)), max_size=20))
def test_in_any_order_a_contradiction_is_found(told: list[tuple[int, int]]) -> None:
    heads = Heads()
    found = {number for number, record in told if hear(heads, head(number, record)) is not None}
    assert found == {number for number, _ in told if {(number, 0), (number, 1)} <= set(told)}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADS_MAX", 2)
    heads = Heads()
    for number in (1, 2, 3):
        hear(heads, head(number, 1))
    assert hear(heads, head(3, 2)) is not None
    assert hear(heads, head(1, 2)) is None, "forgotten"
