"""Advertising: the node's offer to its market and over its carriers, renewed for as long as the
engine is healthy."""

import asyncio
from collections.abc import Callable

import structlog

from swatow_node.market_link import MarketLink
from swatow_protocol.carriers.several import Carriers
from swatow_protocol.envelope import Signed
from swatow_protocol.errors import ConfigError, SwatowError
from swatow_protocol.messages import Offer
from swatow_protocol.messages.answers import Decision

log = structlog.get_logger("swatow.advertiser")

RENEWALS_PER_LIFE = 3
"""An offer is renewed so often in its life, so that two losses in a row do no harm."""


class Advertiser:
    """Keeps an offer standing."""

    def __init__(
        self,
        *,
        link: MarketLink,
        make: Callable[[], Signed[Offer]],
        is_healthy: Callable[[], bool],
        life_s: float,
        carriers: Carriers,
        topic: str,
    ) -> None:
        """Prepare; `topic` is where the carriers keep the offer."""
        self._link = link
        self._make = make
        self._is_healthy = is_healthy
        self._life_s = life_s
        self._carriers = carriers
        self._topic = topic

    async def run(self, on_standing: Callable[[], None]) -> None:
        """Advertise until cancelled; `on_standing` is called once, when the first offer stands.

        Raises:
            ConfigError: the market rejects the first offer.
        """
        stands = False
        while True:
            if self._is_healthy():
                try:
                    await self._send()
                    if not stands:
                        stands = True
                        on_standing()
                except ConfigError as error:
                    if not stands:
                        raise
                    log.warning("offer_rejected", error=str(error))
                except SwatowError as error:
                    log.warning("offer_not_sent", error=str(error))
            await asyncio.sleep(self._life_s / RENEWALS_PER_LIFE)

    def withdraw(self) -> None:
        """Take the offer off the carriers."""
        self._carriers.publish(self._topic, b"", retained=True)

    async def _send(self) -> None:
        envelope = self._make().envelope
        self._carriers.publish(self._topic, envelope, retained=True)
        verdict = await self._link.submit_offer(envelope)
        if verdict.decision is Decision.REJECT:
            raise ConfigError(f"offer rejected: {verdict.reason}: {verdict.detail}")
