"""Watching the market: the heads of its rounds, as they are heard, must not contradict each other.

A contradiction is kept as a file, which proves it to anyone: two signed envelopes, one after the
other, as MessagePack.
"""

from pathlib import Path

import structlog

from swatow_protocol import codec
from swatow_protocol.carriers.carrier import Heard
from swatow_protocol.envelope import verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.heads import Heads, SplitView
from swatow_protocol.messages import RoundHead
from swatow_protocol.messages.answers import Decision

PROOFS_MAX = 64
"""Contradictions that are kept as files; one is enough."""

log = structlog.get_logger("swatow.head_watch")


class HeadWatch:
    """Listens for heads of one market."""

    def __init__(self, *, market: bytes, network: str, directory: Path) -> None:
        """Prepare; proofs go into the directory."""
        self._market = market
        self._network = network
        self._directory = directory
        self._heads = Heads()
        self._proofs = 0

    def hear(self, heard: Heard) -> Decision:
        """Judge what may be a RoundHead."""
        if not heard.payload:
            return Decision.IGNORE
        try:
            head = verify(
                heard.payload, RoundHead, network=self._network, now_us=None, sender=self._market
            ).message
        except MessageRefused:
            return Decision.REJECT
        split = self._heads.hear(head, heard.payload)
        if split is not None:
            self._keep(head, split)
        return Decision.ACCEPT

    def _keep(self, head: RoundHead, split: SplitView) -> None:
        if self._proofs == PROOFS_MAX:
            return
        self._proofs += 1
        number = head.round
        shard = number.shard.replace("/", "-")
        path = self._directory / f"split-view-{shard}-{number.epoch}-{number.number}.msgpack"
        path.write_bytes(codec.encode(split))
        log.error(
            "split_view",
            market=head.sender,
            shard=number.shard,
            epoch=number.epoch,
            number=number.number,
            proof=str(path),
        )
