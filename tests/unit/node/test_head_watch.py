"""What a node does with what may be heads of its market."""

from pathlib import Path

import msgspec
import pytest

from swatow_node import head_watch
from swatow_node.head_watch import HeadWatch
from swatow_protocol.carriers.carrier import Heard
from swatow_protocol.envelope import sign
from swatow_protocol.identity import Identity
from swatow_protocol.messages import RoundHead, RoundNumber
from swatow_protocol.messages.answers import Decision

MARKET, OTHER = Identity(bytes([1] * 32)), Identity(bytes([2] * 32))


def envelope(number: int, record: int, *, of: Identity = MARKET, network: str = "local") -> bytes:
    head = RoundHead(
        network=network,
        sender=of.key,
        issued_us=1,
        round=RoundNumber(shard="main", epoch=1, number=number),
        record=bytes([record] * 32),
    )
    return sign(head, of).envelope


@pytest.fixture
def watch(tmp_path: Path) -> HeadWatch:
    return HeadWatch(market=MARKET.key, network="local", directory=tmp_path)


def proofs(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_heads_of_its_market_are_taken_and_nothing_else(watch: HeadWatch, tmp_path: Path) -> None:
    assert watch.hear(Heard("topic", b"")) is Decision.IGNORE
    assert watch.hear(Heard("topic", b"no envelope")) is Decision.REJECT
    assert watch.hear(Heard("topic", envelope(1, 1))) is Decision.ACCEPT
    for forged in (envelope(1, 2, of=OTHER), envelope(1, 2, network="other")):
        assert watch.hear(Heard("topic", forged)) is Decision.REJECT
    assert watch.hear(Heard("topic", envelope(2, 2))) is Decision.ACCEPT
    assert proofs(tmp_path) == []


def test_a_contradiction_is_kept_as_a_file(watch: HeadWatch, tmp_path: Path) -> None:
    both = [envelope(3, 1), envelope(3, 2)]
    for each in both:
        assert watch.hear(Heard("topic", each)) is Decision.ACCEPT
    assert proofs(tmp_path) == ["split-view-main-1-3.msgpack"]
    assert msgspec.msgpack.decode((tmp_path / "split-view-main-1-3.msgpack").read_bytes()) == both


def test_a_market_that_never_stops_lying_does_not_fill_the_disk(
    watch: HeadWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_watch, "PROOFS_MAX", 2)
    for number in range(1, 5):
        for record in (1, 2):
            watch.hear(Heard("topic", envelope(number, record)))
    assert len(proofs(tmp_path)) == 2
