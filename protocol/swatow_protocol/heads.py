"""Round heads side by side: whether a market told everybody the same of each round.

A market that shows two records of one round to different people has signed two heads that differ.
Whoever hears both holds the proof, which anyone can check.
"""

from cachetools import FIFOCache
from msgspec import Struct

from swatow_protocol.messages import RoundHead

HEADS_MAX = 65_536
"""Rounds that are remembered; the ones heard longest ago are forgotten."""


class SplitView(Struct, frozen=True, array_like=True):
    """Two envelopes of one market, whose heads name different records of one round."""

    first: bytes
    second: bytes


class Heads:
    """The heads that were heard, whose signatures were checked before."""

    def __init__(self) -> None:
        self._heard: FIFOCache[tuple[bytes, str, int, int], tuple[bytes, bytes]] = FIFOCache(
            HEADS_MAX
        )

    def hear(self, head: RoundHead, envelope: bytes) -> SplitView | None:
        """Take note of a head; return the proof if it contradicts an earlier one."""
        of = head.round
        round_ = (head.sender, of.shard, of.epoch, of.number)
        record, first = self._heard.setdefault(round_, (head.record, envelope))
        return SplitView(first, envelope) if record != head.record else None
