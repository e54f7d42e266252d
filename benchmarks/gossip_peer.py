"""Peers of benchmarks/gossip.py: each publishes signed offers and checks those of the others.

    python -m benchmarks.gossip_peer URL PEERS FIRST OFFERS PAUSE_S

It writes one line when all its peers are connected, waits for a line, is idle for a while, then
lets each peer publish, and writes what they heard as one line of JSON: the milliseconds of each
delivery from publishing to checked, CPU seconds, idle share of a core, memory.
"""

import asyncio
import json
import os
import sys
import time

from tests.support import samples
from tests.support.oracles import peak_bytes

from swatow_protocol.carriers.carrier import Carrier, Heard
from swatow_protocol.carriers.several import open_carriers
from swatow_protocol.carriers.topics import offer_topic, offers_pattern
from swatow_protocol.envelope import sign, verify
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Offer
from swatow_protocol.messages.answers import Decision

IDLE_S = 2.0
GOLDEN = 0.618  # multiples of it spread evenly
SETTLE_S = 3.0
"""After the last offer; what has not come by then is lost."""


class Peer:
    """Publishes offers of its own and times those of the others."""

    def __init__(self, url: str, number: int) -> None:
        self._number = number
        self.identity = Identity(number.to_bytes(32, "big"))
        (self.carrier,) = open_carriers([url], identifier=f"peer-{os.getpid()}-{number}").each
        self.carrier.subscribe(offers_pattern(), self._hear)
        self.latencies_ms: list[float] = []

    def _hear(self, heard: Heard) -> Decision:
        offer = verify(heard.payload, Offer, network=samples.NETWORK, now_us=None).message
        if offer.sender != self.identity.key:
            self.latencies_ms.append((time.time_ns() // 1_000 - offer.issued_us) / 1_000)
        return Decision.ACCEPT

    async def publish(self, offers: int, pause_s: float) -> None:
        """Publish so many offers, not at the same times as the other peers."""
        await asyncio.sleep(pause_s * (self._number * GOLDEN % 1))
        for sequence in range(1, offers + 1):
            now_us = time.time_ns() // 1_000
            offer = samples.offer(sender=self.identity.key, sequence=sequence, issued_us=now_us)
            topic = offer_topic(offer.zone, self.identity.key)
            self.carrier.publish(topic, sign(offer, self.identity).envelope)
            await asyncio.sleep(pause_s)


async def connected(carriers: list[Carrier]) -> None:
    """Return when all are."""
    while not all(carrier.statistics.connected for carrier in carriers):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def main(url: str, count: int, first: int, offers: int, pause_s: float) -> None:
    """Run the peers."""
    peers = [Peer(url, first + number) for number in range(count)]
    running = [asyncio.ensure_future(peer.carrier.run()) for peer in peers]
    await connected([peer.carrier for peer in peers])
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begun = time.process_time()
    await asyncio.sleep(IDLE_S)
    idle_s = time.process_time() - begun
    begun = time.process_time()
    await asyncio.gather(*(peer.publish(offers, pause_s) for peer in peers))
    await asyncio.sleep(SETTLE_S)
    found = {
        "latencies_ms": [round(each, 3) for peer in peers for each in peer.latencies_ms],
        "cpu_s": time.process_time() - begun,
        "idle_share": idle_s / IDLE_S,
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(found), flush=True)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    )
