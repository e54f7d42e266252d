"""What a hostile or broken peer sends is refused with a clear error, and costs nobody anything."""

import ssl
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from swatow import AsyncClient
from swatow._recount import Recount
from swatow.errors import MarketError, NodeCheated, NodeLost, NodeRefused
from swatow_node.jobs import NodeJob
from swatow_protocol import codec
from swatow_protocol.carriers.grpc._calls import OPTIONS
from swatow_protocol.carriers.grpc._generated.exchange_pb2 import Frames
from swatow_protocol.carriers.grpc.connection import connect
from swatow_protocol.carriers.grpc.tls import SERVER_NAME, fetch_certificate
from swatow_protocol.errors import CallRefused, MessageRefused
from swatow_protocol.messages import Frame, FrameKind, JobRefusal, Service
from swatow_protocol.shell.clock import now_us
from tests.support.engines import SimulatedEngine
from tests.support.samples import STRANGER
from tests.support.world import MODEL, Clock, World, soon, world

MESSAGES = [{"role": "user", "content": "count"}]


async def test_a_market_with_another_key_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        _, _, address = here.address.partition("@")
        impostor = f"{STRANGER.key.hex()}@{address}"
        client = AsyncClient(market=impostor, directory=tmp_path / "buyer", max_price="0.20")
        with pytest.raises(MarketError, match="wrong_sender"):
            await client.chat(model=MODEL, messages=MESSAGES)
        await client.aclose()


async def test_a_node_with_another_key_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        node = await here.node()
        with pytest.raises(MessageRefused, match="wrong_sender"):
            await connect(node.address, server=STRANGER.key, network="local", now_us=now_us)


async def test_an_award_for_another_buyer_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node()
        owner, thief = await here.client("owner"), await here.client("thief")
        (award,) = await owner.order(model=MODEL)
        stolen = award._held
        with pytest.raises(NodeRefused) as refused:
            await thief.run_on(stolen, {"messages": MESSAGES}, service=Service.CHAT)
        assert refused.value.refusal is JobRefusal.WRONG_BUYER
        assert refused.value.paid is None
        answer = await (await award.run({"messages": MESSAGES})).completion()
        assert answer.receipt.countersigned, "its owner can still use it"


async def test_an_expired_award_is_refused(tmp_path: Path) -> None:
    ahead = Clock(ahead_us=0)
    async with world(tmp_path) as here:
        await here.node(clock=ahead)
        client = await here.client(award_life_s=60)
        (award,) = await client.order(model=MODEL)
        ahead.ahead_us = 61_000_000
        with pytest.raises(NodeRefused) as refused:
            await award.run({"messages": MESSAGES})
        assert refused.value.refusal is JobRefusal.EXPIRED
        ahead.ahead_us = 0


async def test_a_tampered_chunk_is_refused_and_not_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = NodeJob._sealed
    chunks = 0

    def tamper(job: NodeJob, kind: FrameKind, body: bytes) -> Frame:
        """Flip one bit of the third chunk on its way."""
        nonlocal chunks
        frame = sealed(job, kind, body)
        chunks += kind is FrameKind.CHUNK
        if kind is FrameKind.CHUNK and chunks == 3:
            altered = bytearray(frame.body)
            altered[len(altered) // 2] ^= 1
            return Frame(job=frame.job, kind=frame.kind, body=bytes(altered))
        return frame

    monkeypatch.setattr(NodeJob, "_sealed", tamper)
    engine = SimulatedEngine(tokens=5_000)
    async with world(tmp_path) as here:
        await here.node(engine=engine)
        client = await here.client()
        with pytest.raises(NodeCheated, match="sealed body 3 does not open") as error:
            await client.chat(model=MODEL, messages=MESSAGES)
        assert error.value.paid is not None
        arrived = error.value.text.count("t")
        assert error.value.paid.received_tokens == arrived
        signed = error.value.paid.standard_tokens
        await client.release_all()
        await soon(engine.stopped.wait())
        await _settled(here)
        assert await here.balance("buyer") == 5_000_000_000 - error.value.paid.nanos
        assert signed <= 10 + arrived


async def test_a_frame_of_two_mebibytes_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        node = await here.node()
        certificate = await fetch_certificate(node.address, 5)
        options: list[tuple[str, Any]] = [
            ("grpc.ssl_target_name_override", SERVER_NAME),
            ("grpc.max_send_message_length", -1),
        ]
        credentials = grpc.ssl_channel_credentials(ssl.DER_cert_to_PEM_cert(certificate).encode())
        frame = codec.encode(Frame(job=1, kind=FrameKind.OPEN, body=bytes(2 << 20)))
        async with grpc.aio.secure_channel(node.address, credentials, options=options) as channel:
            method: Any = channel.stream_stream(
                "/swatow.v1.Node/Jobs", request_serializer=Frames.SerializeToString
            )
            call = method([Frames(frame=[frame])])
            with pytest.raises(grpc.aio.AioRpcError, match="larger than max") as error:
                await call.read()
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_our_own_client_does_not_send_such_a_frame(tmp_path: Path) -> None:
    assert ("grpc.max_send_message_length", 1 << 20) in OPTIONS
    async with world(tmp_path) as here:
        node = await here.node()
        key = bytes.fromhex(await _node_key(here))
        connection, _ = await connect(node.address, server=key, network="local", now_us=now_us)
        with pytest.raises(CallRefused, match="larger than max"):
            await connection.call("Identity", "Hello", bytes(2 << 20))
        await connection.close()


async def test_a_frame_that_is_no_frame_ends_the_stream_with_a_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client()
        stream = await client.chat(model=MODEL, messages=MESSAGES, stream=True)
        line = next(iter(client._nodes._lines.values()))
        line._stream._outbox._frames.append(b"\xc1 this is no frame")
        line._stream._rouse()
        with pytest.raises(NodeLost, match="malformed"):
            await stream.completion()


async def test_a_replayed_opening_is_refused(tmp_path: Path) -> None:
    """The very bytes of an accepted opening, sent again on another stream."""
    async with world(tmp_path) as here:
        await here.node()
        client = await here.client()
        (award,) = await client.order(model=MODEL)
        held = award._held
        line = await client._nodes.line(held.award, held.offer.message)
        pushed: list[Frame] = []
        push = line._stream.push

        def recorded(frame: Frame) -> None:
            pushed.append(frame)
            push(frame)

        line._stream.push = recorded  # type: ignore[method-assign]
        await (await award.run({"messages": MESSAGES})).completion()
        opening = next(frame for frame in pushed if frame.kind is FrameKind.OPEN)

        fresh = await client._nodes.line(held.award, held.offer.message, stale=line)
        live = fresh.open(
            award=held,
            service=Service.CHAT,
            request=b"{}",
            recount=Recount(None, []),
            output_tokens_max=10,
            prompt_tokens_most=100,
            silence_s=5,
        )
        fresh._stream._outbox._frames.clear()
        fresh._stream.push(opening)
        with pytest.raises(NodeRefused) as refused:
            await live.opened()
        assert refused.value.refusal is JobRefusal.REPEATED


async def _settled(here: World) -> None:
    async def nothing_held() -> bool:
        return await here.held() == 0

    await here.until(nothing_held)


async def _node_key(here: World) -> str:
    (offer,) = here.market.state.book.offers()
    return offer.offer.sender.hex()
