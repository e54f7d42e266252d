"""Hearing offers over carriers, where anybody may publish anything at any rate.

What is cheap is checked first: whose topic it is, and how much that node has said of late. Whoever
never had an offer accepted shares one budget with all others like it, so that a flood of made-up
nodes costs a bounded share of the processor, and nodes that are known are heard all the same.
"""

from collections.abc import Callable

from cachetools import LRUCache

from swatow_market.service.intake import Intake
from swatow_protocol.carriers.carrier import Heard
from swatow_protocol.carriers.topics import node_of
from swatow_protocol.messages.answers import Decision
from swatow_protocol.rate_limits import Bucket, Rate, RateLimits

NODE_RATE = Rate(per_second=2, burst=20)
"""Offers of one node; it renews one every few seconds. More are not looked at."""
STRANGERS_RATE = Rate(per_second=100, burst=16_384)
"""Offers of all nodes together that never had one accepted: at about 0.1 ms each, a hundredth of a
core. The burst is for a market that starts and hears all that a broker keeps."""
KNOWN_MAX = 65_536
"""Nodes that are remembered as known; the one heard longest ago is a stranger again."""


class OfferHearing:
    """Judges what is heard on the topics of offers."""

    def __init__(self, intake: Intake, now_us: Callable[[], int]) -> None:
        self._intake = intake
        self._now_us = now_us
        self._nodes = RateLimits(NODE_RATE)
        self._strangers = Bucket(STRANGERS_RATE, now_us())
        self._known: LRUCache[bytes, None] = LRUCache(KNOWN_MAX)

    def hear(self, heard: Heard) -> Decision:
        """Take an offer into the book, or say why not. That one is gone proves nothing."""
        if not heard.payload:
            return Decision.IGNORE
        node, now_us = node_of(heard.topic), self._now_us()
        if node is None:
            return Decision.REJECT
        if not self._has_budget(node, now_us):
            return Decision.IGNORE
        decision = self._intake.submit_offer(heard.payload, sender=node).decision
        if decision is not Decision.REJECT:
            self._known[node] = None
        return decision

    def _has_budget(self, node: bytes, now_us: int) -> bool:
        if node in self._known:
            return self._nodes.take(node, now_us)
        return self._strangers.take(now_us)
