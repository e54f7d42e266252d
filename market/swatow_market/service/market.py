"""The market process: builds its parts, serves, and stops cleanly."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog

from swatow_market.admin import database_of
from swatow_market.config import MarketSettings
from swatow_market.ledger import accounts
from swatow_market.ledger.database import Database
from swatow_market.service.catalogue import list_models
from swatow_market.service.hearing import OfferHearing
from swatow_market.service.intake import Intake
from swatow_market.service.network import publish_map
from swatow_market.service.queries import Queries
from swatow_market.service.rounds import Rounds
from swatow_market.service.settlement import Settlement
from swatow_market.service.state import MarketState
from swatow_protocol.carriers.grpc.market import add_market
from swatow_protocol.carriers.grpc.server import Server
from swatow_protocol.carriers.several import open_carriers
from swatow_protocol.carriers.topics import offers_pattern
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.identity import Identity
from swatow_protocol.messages import MarketTerms, Model, NetworkMap, RoundNumber
from swatow_protocol.messages.answers import Catalogue, OfferList, OrderEvents, QueryAnswer, Verdict
from swatow_protocol.shell.service import ended
from swatow_protocol.units import MICROS_PER_SECOND

STOP_S = 2.0
"""Calls under way get this long to finish when the market stops."""

log = structlog.get_logger("swatow.market")


class Market:
    """Handler of the Market service."""

    def __init__(self, state: MarketState) -> None:
        self.state = state
        self.rounds = Rounds(state)
        self._intake = Intake(state)
        self.hearing = OfferHearing(self._intake, state.now_us)
        self._settlement = Settlement(state)
        self._queries = Queries(state)

    async def catalogue(self) -> Catalogue:
        """Tell what is traded, on which terms."""
        models = sorted(self.state.models.values(), key=lambda signed: signed.message.name)
        return Catalogue(
            terms=self.state.terms.envelope, models=tuple(signed.envelope for signed in models)
        )

    async def list_offers(self) -> OfferList:
        """Tell the live offers."""
        self.state.book.drop_expired_offers(self.state.now_us())
        return OfferList(offers=tuple(entry.envelope for entry in self.state.book.offers()))

    async def network_map(self) -> bytes:
        """Tell the network map, as it was signed."""
        return self.state.signed_map.envelope

    async def published_round(self, number: RoundNumber) -> bytes:
        """Tell the file of a round."""
        return await self.state.database.finish(self.rounds.kept.file_of(number))

    async def submit_offer(self, envelope: bytes) -> Verdict:
        """Take an Offer."""
        return self._intake.submit_offer(envelope)

    def place_orders(self, envelope: bytes) -> AsyncIterator[OrderEvents]:
        """Take an Order or an OrderBatch."""
        return self._intake.place_orders(envelope)

    async def cancel_orders(self, envelope: bytes) -> Verdict:
        """Take an OrderCancel."""
        return await self.state.database.finish(self._intake.cancel_orders(envelope))

    async def redeem(self, envelope: bytes) -> Verdict:
        """Take a Redemption."""
        return await self.state.database.finish(self._settlement.redeem(envelope))

    async def contest(self, envelope: bytes) -> Verdict:
        """Take a Contest."""
        return await self.state.database.finish(self._settlement.contest(envelope))

    async def ask(self, envelope: bytes) -> QueryAnswer:
        """Answer a Query."""
        return await self.state.database.finish(self._queries.answer(envelope))


async def open_market(
    settings: MarketSettings,
    directory: Path,
    identity: Identity,
    *,
    now_us: Callable[[], int],
    random_bytes: Callable[[int], bytes],
) -> Market:
    """Open the database, list the models, sign the network map and take the lead.

    The caller closes the database.

    Raises:
        ConfigError: a model file, the network map or the database cannot be used, or the database
            is another market's.
        InvalidValue: a carrier cannot be used.
    """
    database = database_of(settings, directory)
    try:
        await database.upgrade()
        models = await list_models(
            database, directory / "models", identity, settings.network, now_us()
        )
        signed_map = await publish_map(database, settings, identity, now_us())
        async with database.writing() as connection:
            await accounts.check_currency(connection, settings.currency)
            for account in (accounts.CASH, accounts.CARRIER, accounts.FEE):
                await accounts.open_account(connection, account, settings.currency)
        state = _state(
            settings, directory, identity, models, signed_map, database, now_us, random_bytes
        )
        market = Market(state)
        await market.rounds.lead()
    except BaseException:
        await database.close()
        raise
    return market


def _state(
    settings: MarketSettings,
    directory: Path,
    identity: Identity,
    models: dict[bytes, Signed[Model]],
    signed_map: Signed[NetworkMap],
    database: Database,
    now_us: Callable[[], int],
    random_bytes: Callable[[int], bytes],
) -> MarketState:
    return MarketState(
        identity=identity,
        network=settings.network,
        shard=settings.shard,
        terms=_terms(settings, identity, now_us()),
        models=models,
        signed_map=signed_map,
        database=database,
        now_us=now_us,
        random_bytes=random_bytes,
        records_us=settings.records_days * 86_400 * MICROS_PER_SECOND,
        rounds_directory=directory / "rounds" if settings.round_files else None,
        carriers=open_carriers(
            settings.carriers, identifier=f"swatow-{identity.key.hex()}-{settings.shard}"
        ),
    )


async def serve_market(
    settings: MarketSettings,
    market: Market,
    stop: asyncio.Event,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until `stop` is set; `on_ready` is told the address as KEY@host:port.

    Raises:
        ConfigError: the address cannot be listened on, or another process leads the shard.
    """
    state = market.state
    advertised = (settings.advertise,) if settings.advertise else ()
    server = Server(
        identity=state.identity, network=state.network, now_us=state.now_us, advertised=advertised
    )
    add_market(server, market)
    state.carriers.subscribe(offers_pattern(), market.hearing.hear)
    await server.start(settings.listen)
    on_ready(f"{state.identity.key.hex()}@{settings.advertise or server.address}")
    catching_up = asyncio.create_task(market.rounds.kept.catch_up())
    carrying = asyncio.create_task(state.carriers.run())
    try:
        await market.rounds.run(stop)
    finally:
        await ended(catching_up)
        await ended(carrying)
        await server.stop(STOP_S)
        await state.database.close()
        log.info("stopped")


def _terms(settings: MarketSettings, identity: Identity, now_us: int) -> Signed[MarketTerms]:
    terms = MarketTerms(
        network=settings.network,
        sender=identity.key,
        issued_us=now_us,
        currency=settings.currency,
        fee_ppm=settings.fee_ppm,
        round_us=settings.round_ms * 1_000,
        period_us=settings.period_s * MICROS_PER_SECOND,
        award_life_max_us=settings.award_life_max_s * MICROS_PER_SECOND,
        dispute_us=settings.dispute_s * MICROS_PER_SECOND,
        take_or_pay_min_ppm=settings.take_or_pay_min_ppm,
        orders_open_max=settings.orders_open_max,
        deposit_min=settings.deposit_min,
    )
    return sign(terms, identity)
