"""What the parts of a market process share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from swatow_market.exchange.admission import Rules
from swatow_market.exchange.book import Book, NetworkMap
from swatow_market.ledger.database import Database
from swatow_market.service.feed import Feed
from swatow_protocol.envelope import Signed
from swatow_protocol.identity import Identity
from swatow_protocol.messages import MarketTerms, Model


@dataclass(slots=True)
class MarketState:
    """One market: who it is, what it keeps, and the book that its rounds clear."""

    identity: Identity
    network: str
    shard: str
    terms: Signed[MarketTerms]
    models: Mapping[bytes, Signed[Model]]
    network_map: NetworkMap
    database: Database
    now_us: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    book: Book = field(default_factory=Book)
    feed: Feed = field(default_factory=Feed)
    round_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a round runs, and by what may not happen during one: cancelling, expiring."""
    epoch: int = 0
    rules: Rules = field(init=False)
    """What admission holds messages against."""

    def __post_init__(self) -> None:
        models = {model: signed.message for model, signed in self.models.items()}
        self.rules = Rules(self.terms.message, models)

    @property
    def currency(self) -> str:
        """Currency of all money in this market."""
        return self.terms.message.currency
