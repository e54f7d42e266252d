"""The node's daemon: builds its parts, advertises, serves, drains and stops."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import structlog

from swatow_node.admission import House
from swatow_node.advertiser import Advertiser
from swatow_node.awards import AwardBook
from swatow_node.config import EngineKind, NodeSettings
from swatow_node.desk import Desk
from swatow_node.engines.embedded import EmbeddedEngine
from swatow_node.engines.engine import Engine, EngineFacts
from swatow_node.engines.openai import OpenAIEngine
from swatow_node.head_watch import HeadWatch
from swatow_node.journal import Journal
from swatow_node.market_link import MarketLink
from swatow_node.offers import check_model, make_offer
from swatow_node.redeemer import Redeemer
from swatow_node.sealing_keys import SealingKeys
from swatow_node.session import Session
from swatow_node.slots import Slots
from swatow_node.standby import StandbyWatch
from swatow_protocol.addresses import parse_market
from swatow_protocol.carriers.grpc.frames import FrameStream
from swatow_protocol.carriers.grpc.node import add_node
from swatow_protocol.carriers.grpc.server import Server
from swatow_protocol.carriers.several import Carriers, open_carriers
from swatow_protocol.carriers.topics import heads_pattern, offer_topic
from swatow_protocol.envelope import Signed
from swatow_protocol.errors import ConfigError, SwatowError
from swatow_protocol.identity import Identity
from swatow_protocol.messages import MarketTerms, Model, Offer
from swatow_protocol.shell.service import ended, unless_stopped

DRAIN_S = 8.0
"""Jobs that run when the node stops get this long to close with their receipts."""
STOP_S = 1.0

EngineMaker = Callable[[NodeSettings, Path, Model], Engine]

log = structlog.get_logger("swatow.node")


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a node needs before it can serve."""

    link: MarketLink
    engine: Engine
    facts: EngineFacts
    journal: Journal
    terms: Signed[MarketTerms]
    model: Signed[Model]
    carriers: Carriers
    topic: str
    """Where they keep the node's offer."""


def make_engine(settings: NodeSettings, directory: Path, model: Model) -> Engine:
    """Return the engine that the settings ask for, not yet started.

    Raises:
        ConfigError: the settings do not say enough.
    """
    if settings.engine is EngineKind.EMBEDDED:
        return EmbeddedEngine(
            directory=directory / "engine",
            served_name=model.name,
            slots=settings.slots,
            context_tokens=model.context_tokens,
        )
    if settings.engine_url is None:
        raise ConfigError("engine_url: needed for engine = openai, as in http://127.0.0.1:8000/v1")
    key = None
    if settings.engine_key_file is not None:
        try:
            key = settings.engine_key_file.expanduser().read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"engine_key_file: {error}") from None
    return OpenAIEngine(
        url=settings.engine_url,
        key=key,
        engine_model=settings.engine_model,
        served_name=model.name,
    )


class Node:
    """Handler of the Node service, and everything behind it."""

    def __init__(
        self,
        settings: NodeSettings,
        directory: Path,
        identity: Identity,
        *,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        engine_of: EngineMaker = make_engine,
    ) -> None:
        """Prepare a node; `engine_of` makes the engine that its settings ask for."""
        self._settings = settings
        self._directory = directory
        self._identity = identity
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._engine_of = engine_of
        self._keys = SealingKeys(now_us, random_bytes)
        self._tokenizers: dict[bytes, bytes] = {}
        self._sessions: set[Session] = set()
        self._desk: Desk

    async def serve(self, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
        """Serve until `stop` is set; `on_ready` is told the address once the offer stands.

        Raises:
            ConfigError: a setting cannot be used.
            SwatowError: the engine does not start, or the market is not who it should be.
        """
        async with AsyncExitStack() as stack:
            parts = await unless_stopped(stop, self._start(stack))
            if parts is not None:
                await self._serve(parts, stop, on_ready)
        log.info("stopped")

    async def jobs(self, stream: FrameStream) -> None:
        """Run the job stream of one buyer."""
        session = Session(self._desk, stream)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    def tokenizer(self, digest: bytes) -> bytes | None:
        """Return the tokenizer file with this SHA-256, if the node has it."""
        return self._tokenizers.get(digest)

    async def _start(self, stack: AsyncExitStack) -> _Parts:
        settings = self._settings
        market, address = parse_market(settings.market)
        topic = offer_topic(settings.zone, self._identity.key)
        carriers = open_carriers(
            settings.carriers,
            identifier=f"swatow-{self._identity.key.hex()}",
            last_will=topic,
        )
        watch = HeadWatch(market=market, network=settings.network, directory=self._directory)
        carriers.subscribe(heads_pattern(market), watch.hear)
        link = MarketLink(
            address=address, market=market, network=settings.network, now_us=self._now_us
        )
        stack.push_async_callback(link.close)
        terms, model = await link.catalogue(settings.model)
        engine = self._engine_of(settings, self._directory, model.message)
        stack.push_async_callback(engine.stop)
        facts = await engine.start()
        check_model(settings, model.message, facts)
        self._keep_tokenizer(model.message, facts)
        journal = Journal(self._directory / "node.sqlite")
        stack.push_async_callback(journal.close)
        return _Parts(link, engine, facts, journal, terms, model, carriers, topic)

    async def _serve(
        self, parts: _Parts, stop: asyncio.Event, on_ready: Callable[[str], None]
    ) -> None:
        settings, awards = self._settings, AwardBook()
        server = Server(
            identity=self._identity,
            network=settings.network,
            now_us=self._now_us,
            sealing_key=self._keys.offered,
            advertised=(settings.advertise,) if settings.advertise else (),
        )
        redeemer = Redeemer(
            journal=parts.journal,
            link=parts.link,
            identity=self._identity,
            network=settings.network,
            now_us=self._now_us,
            is_in_use=awards.is_in_use,
        )
        standby = StandbyWatch(
            journal=parts.journal,
            link=parts.link,
            awards=awards,
            identity=self._identity,
            network=settings.network,
            now_us=self._now_us,
            random_bytes=self._random_bytes,
            on_change=redeemer.wake,
        )
        self._desk = self._make_desk(parts, server, awards, redeemer)
        add_node(server, self)
        await server.start(settings.listen)
        advertiser = Advertiser(
            link=parts.link,
            make=lambda: self._offer(parts, server),
            is_healthy=lambda: parts.engine.healthy,
            life_s=settings.offer_life_s,
            carriers=parts.carriers,
            topic=parts.topic,
        )
        carrying = asyncio.create_task(parts.carriers.run())
        try:
            advertising = advertiser.run(lambda: on_ready(server.address))
            await unless_stopped(stop, _together(advertising, redeemer.run(), standby.run()))
        finally:
            advertiser.withdraw()
            await self._drain()
            await ended(carrying)
            await server.stop(STOP_S)
            await _redeem_last(redeemer)

    def _make_desk(
        self, parts: _Parts, server: Server, awards: AwardBook, redeemer: Redeemer
    ) -> Desk:
        settings = self._settings
        house = House(
            key=self._identity.key,
            network=settings.network,
            market=parts.link.market,
            model=parts.model,
            certificates=lambda: server.live_certificates,
            sealing_keys=self._keys.live,
        )
        return Desk(
            identity=self._identity,
            house=house,
            engine=parts.engine,
            journal=parts.journal,
            awards=awards,
            slots=Slots(settings.slots, settings.waiting_jobs_max),
            now_us=self._now_us,
            voucher_wait_s=settings.voucher_wait_s,
            on_release=redeemer.wake,
        )

    def _offer(self, parts: _Parts, server: Server) -> Signed[Offer]:
        return make_offer(
            settings=self._settings,
            facts=parts.facts,
            model=parts.model,
            terms=parts.terms.message,
            identity=self._identity,
            addresses=(self._settings.advertise or server.address,),
            certificate_sha256=server.certificate_sha256,
            sealing_key=self._keys.offered(),
            now_us=self._now_us(),
        )

    async def _drain(self) -> None:
        """Take no more jobs; let those that run close with their receipts."""
        self._desk.closing = True
        for session in self._sessions:
            session.shut_down()
        idle = [asyncio.ensure_future(session.wait_idle()) for session in self._sessions]
        if idle:
            _, late = await asyncio.wait(idle, timeout=DRAIN_S)
            for task in late:
                task.cancel()

    def _keep_tokenizer(self, model: Model, facts: EngineFacts) -> None:
        """Serve the engine's tokenizer if it is the one that the market pins."""
        if facts.tokenizer is None:
            return
        digest = sha256(facts.tokenizer).digest()
        if digest == model.tokenizer_sha256:
            self._tokenizers[digest] = facts.tokenizer
        else:
            log.warning("tokenizer_differs", engine=digest, market=model.tokenizer_sha256)


async def _together(*work: Awaitable[None]) -> None:
    """Run until one fails; end the others with it."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _redeem_last(redeemer: Redeemer) -> None:
    """Claim what is signed for; what the market does not take now stays in the journal."""
    try:
        async with asyncio.timeout(DRAIN_S):
            await redeemer.redeem_due(everything=True)
    except (SwatowError, TimeoutError) as error:
        log.warning("redemption_left", error=str(error) or "no answer in time")
