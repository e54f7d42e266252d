"""A market without a network: real database, real signatures, a clock that moves when told."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from swatow_market import admin
from swatow_market.config import MarketSettings
from swatow_market.ledger import accounts
from swatow_market.service.market import Market, open_market
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.identity import Identity
from swatow_protocol.messages import (
    Award,
    ModelLimit,
    Offer,
    Order,
    OrderBatch,
    OrderCancel,
    PriceStep,
    Query,
    Redemption,
    Subject,
    Usage,
    Voucher,
)
from swatow_protocol.messages.answers import (
    AdmissionReason,
    Decision,
    OrderEvent,
    OrderEvents,
    QueryAnswer,
    Verdict,
)
from tests.support import samples
from tests.support.market_ledger import STUCK_S, check_books, read_rows
from tests.support.samples import BUYER, MARKET, NETWORK, NODE, NOW_US, SECOND

UNIT = 1_000_000_000
"""Nanos of one unit of the currency."""

_NUMBERS = itertools.count()
"""No two messages and no two rounds of a test run share one, whichever world they are of."""


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now_us: int = NOW_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += int(seconds * SECOND)


class Placed:
    """An order or batch that was sent, and the stream of its news."""

    def __init__(self, signed: Signed[Any], stream: AsyncIterator[OrderEvents]) -> None:
        self.signed = signed
        self._stream = stream
        self.events: list[OrderEvent] = []

    @property
    def id(self) -> bytes:
        return self.signed.id

    async def next(self) -> list[OrderEvent]:
        """Return the next message of the stream."""
        async with asyncio.timeout(STUCK_S):
            news = list((await anext(self._stream)).events)
        self.events += news
        return news

    async def rest(self) -> list[OrderEvent]:
        """Return everything until the stream ends by itself."""
        async with asyncio.timeout(STUCK_S):
            news = [event async for events in self._stream for event in events.events]
        self.events += news
        return news

    async def leave(self) -> None:
        """Go away, as a client does that has seen enough."""
        await self._stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    @property
    def verdict(self) -> Verdict:
        verdict = self.events[0].verdict
        assert verdict is not None
        return verdict

    @property
    def awards(self) -> list[Signed[Award]]:
        """Return the awards that were told so far."""
        return [
            verify(granted.award, Award, network=NETWORK, now_us=None, sender=MARKET.key)
            for event in self.events
            for granted in event.granted
        ]


class World:
    """One market, its clock, and hands to deal with it."""

    def __init__(self, market: Market, clock: Clock, settings: MarketSettings, home: Path) -> None:
        self.market = market
        self.clock = clock
        self.settings = settings
        self.home = home
        self._placed: list[Placed] = []

    @property
    def model(self) -> bytes:
        """Id of the model that is traded unless another is named."""
        return next(iter(self.market.state.models))

    async def close(self) -> None:
        for placed in self._placed:
            await placed.leave()
        await self.market.state.database.close()

    async def deposit(self, nanos: int, buyer: Identity = BUYER, reference: bytes = b"1") -> bool:
        return await admin.deposit(
            self.settings,
            self.home,
            buyer=buyer.key,
            amount=nanos,
            reference=reference,
            now_us=self.clock,
        )

    def offer(
        self, *steps: tuple[int, int], node: Identity = NODE, life_s: int = 60, **changes: Any
    ) -> Signed[Offer]:
        """Make an offer; it takes the place of all that were made before it."""
        now_us = self.clock()
        fields: dict[str, Any] = {
            "sender": node.key,
            "issued_us": now_us,
            "valid_from_us": now_us,
            "expires_us": now_us + life_s * SECOND,
            "sequence": next(_NUMBERS) + 1,
            "model": self.model,
            "later": (),
            "steps": tuple(PriceStep(price=price, lots=lots) for price, lots in steps),
        }
        return sign(samples.offer(**{**fields, **changes}), node)

    async def supply(self, *steps: tuple[int, int], **changes: Any) -> Signed[Offer]:
        """Put an offer into the book."""
        signed = self.offer(*steps, **changes)
        verdict = await self.market.submit_offer(signed.envelope)
        assert verdict.decision is Decision.ACCEPT, verdict
        return signed

    def terms(self, price: int = 0, *, life_s: float = 10, **changes: Any) -> Any:
        fields: dict[str, Any] = {
            "models": (ModelLimit(model=self.model, price=price),),
            "expires_us": self.clock() + int(life_s * SECOND),
        }
        return samples.terms(**{**fields, **changes})

    def order(
        self, lots: int, price: int, *, buyer: Identity = BUYER, **changes: Any
    ) -> Signed[Order]:
        order = samples.order(
            sender=buyer.key,
            issued_us=self.clock(),
            nonce=self._nonce(),
            lots=lots,
            terms=self.terms(price, **changes),
        )
        return sign(order, buyer)

    def batch(
        self, rows: list[tuple[int, int, int]], *, buyer: Identity = BUYER, **changes: Any
    ) -> Signed[OrderBatch]:
        fields: dict[str, Any] = {
            "sender": buyer.key,
            "issued_us": self.clock(),
            "nonce": self._nonce(),
            "terms": (self.terms(),),
        }
        return sign(samples.order_batch(rows, **{**fields, **changes}), buyer)

    async def send(self, signed: Signed[Any]) -> Placed:
        """Send an order or a batch and read the first answer."""
        placed = Placed(signed, self.market.place_orders(signed.envelope))
        self._placed.append(placed)
        await placed.next()
        return placed

    async def place(self, lots: int, price: int, **changes: Any) -> Placed:
        return await self.send(self.order(lots, price, **changes))

    async def refused(self, signed: Signed[Any]) -> tuple[AdmissionReason | None, str]:
        """Send what must be rejected; return why it was, and see that its stream ends."""
        placed = await self.send(signed)
        assert {event.state for event in placed.events} == {None}
        assert await placed.rest() == []
        assert placed.verdict.decision is Decision.REJECT
        return placed.verdict.reason, placed.verdict.detail

    async def round(self) -> None:
        await self.market.rounds.run_once()

    async def bought(self, lots: int, price: int, **changes: Any) -> Signed[Award]:
        """Return an award of so many lots at about this price."""
        await self.supply((price, 1_000), **changes)
        placed = await self.place(lots, price)
        await self.round()
        await placed.rest()
        (award,) = placed.awards
        return award

    async def cancel(self, *orders: bytes, buyer: Identity = BUYER) -> Verdict:
        message = OrderCancel(
            network=NETWORK, sender=buyer.key, issued_us=self.clock(), orders=orders
        )
        return await self.market.cancel_orders(sign(message, buyer).envelope)

    def voucher(
        self, award: Signed[Award], tokens: int, /, *, buyer: Identity = BUYER, **changes: Any
    ) -> bytes:
        fields: dict[str, Any] = {
            "sender": buyer.key,
            "issued_us": self.clock(),
            "award": award.id,
            "node": award.message.node,
            "standard_tokens": tokens,
            "usage": Usage(output_tokens=tokens),
        }
        voucher: Signed[Voucher] = sign(samples.voucher(**{**fields, **changes}), buyer)
        return voucher.envelope

    def redemption(
        self, award: Signed[Award], tokens: int, /, *, node: Identity = NODE, **changes: Any
    ) -> Signed[Redemption]:
        """Make a claim of `tokens` on a voucher of as many."""
        fields: dict[str, Any] = {
            "sender": node.key,
            "issued_us": self.clock(),
            "award": award.id,
            "voucher": self.voucher(award, tokens) if "voucher" not in changes else None,
            "standard_tokens": tokens,
            "final": False,
            "stood_ready": False,
        }
        return sign(samples.redemption(**{**fields, **changes}), node)

    async def redeem(self, award: Signed[Award], tokens: int, /, **changes: Any) -> Verdict:
        return await self.market.redeem(self.redemption(award, tokens, **changes).envelope)

    async def contest(self, award: Signed[Award], *, buyer: Identity = BUYER) -> Verdict:
        message = samples.contest(sender=buyer.key, issued_us=self.clock(), award=award.id)
        return await self.market.contest(sign(message, buyer).envelope)

    async def ask(
        self, subject: Subject, *ids: bytes, who: Identity = BUYER, **changes: Any
    ) -> QueryAnswer:
        query = Query(
            network=NETWORK,
            sender=who.key,
            issued_us=self.clock(),
            market=MARKET.key,
            subject=subject,
            ids=ids,
            nonce=self._nonce(),
            **{"round": None, "order": None, **changes},
        )
        return await self.market.ask(sign(query, who).envelope)

    async def balances(self) -> dict[str, tuple[int, int]]:
        """Return account -> (balance with its held part, held part)."""
        async with self.market.state.database.reading() as connection:
            rows = await accounts.read_accounts(connection)
        return {row["id"]: (accounts.balance(row), row["held"]) for row in rows}

    async def money(self, account: str | Identity) -> tuple[int, int]:
        """Return (free, held) of an account, or of a buyer."""
        name = account if isinstance(account, str) else accounts.buyer_account(account.key)
        balance, held = (await self.balances())[name]
        return balance - held, held

    async def earned(self, node: Identity = NODE) -> int:
        balance, _ = (await self.balances()).get(accounts.node_account(node.key), (0, 0))
        return balance

    async def check_books(self) -> None:
        """Check that money is neither made nor lost, and is held for something."""
        async with self.market.state.database.reading() as connection:
            await check_books(connection)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the database from outside the process's own connections."""
        return read_rows(self.home / "market.sqlite", query, *values)

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table."""
        tables = self.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return {name: sorted(self.rows(f"SELECT * FROM {name}"), key=repr) for (name,) in tables}

    def _nonce(self) -> bytes:
        return next(_NUMBERS).to_bytes(16, "big")


async def open_world(
    home: Path, clock: Clock | None = None, *, identity: Identity = MARKET, **settings: Any
) -> World:
    """Open a market in `home`, over what an earlier one left there."""
    chosen = MarketSettings(**{"network": NETWORK, "shard": "main", **settings})
    clock = clock or Clock()

    def random_bytes(count: int) -> bytes:
        return blake2b(next(_NUMBERS).to_bytes(8, "big"), digest_size=count).digest()

    market = await open_market(chosen, home, identity, now_us=clock, random_bytes=random_bytes)
    return World(market, clock, chosen, home)


async def settle_down(rounds: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def lots_of(awards: Iterable[Signed[Award]]) -> int:
    """Return the lots of all these awards."""
    return sum(award.message.lots for award in awards)
