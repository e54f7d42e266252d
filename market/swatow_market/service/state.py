"""What the parts of a market process share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.admission import Rules
from swatow_market.exchange.book import Book
from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.posted import PostedPrices
from swatow_market.ledger.database import Database
from swatow_market.service import store
from swatow_market.service.feed import Feed
from swatow_protocol import messages
from swatow_protocol.carriers.several import Carriers
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import ConfigError
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Award, MarketTerms, Model


class NotLeading(ConfigError):
    """Another process leads the shard by now; this one may write nothing that its book decides."""


@dataclass(slots=True)
class MarketState:
    """One market: who it is, what it keeps, and the book that its rounds clear."""

    identity: Identity
    network: str
    shard: str
    terms: Signed[MarketTerms]
    models: Mapping[bytes, Signed[Model]]
    signed_map: Signed[messages.NetworkMap]
    database: Database
    now_us: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    records_us: int
    """How long records of rounds are kept."""
    rounds_directory: Path | None = None
    """Where rounds are written as files; None is nowhere."""
    carriers: Carriers = field(default_factory=Carriers)
    book: Book = field(default_factory=Book)
    feed: Feed = field(default_factory=Feed)
    posted: PostedPrices = field(default_factory=PostedPrices)
    round_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a round runs, and by what may not happen during one: cancelling, expiring, buying
    at once."""
    epoch: int = 0
    node_prices: Mapping[tuple[bytes, int], int] = field(default_factory=dict)
    """(offer id, start of a later period, or 0 for now) -> nanos a lot, in the last round."""
    network_map: NetworkMap = field(init=False)
    """What rounds look up in the map."""
    rules: Rules = field(init=False)
    """What admission holds messages against."""

    def __post_init__(self) -> None:
        models = {model: signed.message for model, signed in self.models.items()}
        self.network_map = NetworkMap.of(self.signed_map)
        self.rules = Rules(self.terms.message, models)

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction that writes, as the leader of the shard: nobody takes the lead in it.

        Raises:
            NotLeading: another process leads; nothing is written.
        """
        async with self.database.writing() as connection:
            if not await store.leads(connection, self.shard, self.epoch):
                raise self.not_leading()
            yield connection

    def not_leading(self) -> NotLeading:
        """Return the error of a leader that leads no more."""
        return NotLeading(f"shard {self.shard}: another process leads it by now")

    def award_of(self, row: Mapping[str, Any]) -> Award:
        """Return the award of a row, which this market has signed."""
        key = self.identity.key
        signed = verify(row["envelope"], Award, network=self.network, now_us=None, sender=key)
        return signed.message

    @property
    def currency(self) -> str:
        """Currency of all money in this market."""
        return self.terms.message.currency
