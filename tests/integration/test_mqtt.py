"""MQTT with a real mosquitto: what survives its restart, what its shipped configuration allows."""

import asyncio
import datetime
import gc
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import msgpack
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from swatow_market.service.market import open_market, serve_market
from swatow_protocol.carriers.carrier import Carrier
from swatow_protocol.carriers.several import open_carriers
from swatow_protocol.carriers.topics import head_topic, heads_pattern, offer_topic, offers_pattern
from swatow_protocol.envelope import sign, verify
from swatow_protocol.messages import Offer, RoundHead
from swatow_protocol.shell.clock import random_bytes
from tests.support.brokers import Mosquitto, needs_mosquitto
from tests.support.listeners import Listener, carrying, reached, running
from tests.support.processes import Swatow
from tests.support.world import MODEL, run_service, soon, world

pytestmark = needs_mosquitto

SHIPPED = Path(__file__).parents[2] / "protocol" / "mosquitto"
MOSQUITTO_SUB = shutil.which("mosquitto_sub")
NODE, OTHER = bytes(32), bytes([1] * 32)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def opened(url: str, identifier: str, last_will: str | None = None) -> Carrier:
    return open_carriers([url], identifier=identifier, last_will=last_will).each[0]


async def test_state_converges_after_the_broker_forgot_everything(broker: Mosquitto) -> None:
    """Without a restart of ours: what is retained is published again."""
    speaker, listener, late = (opened(broker.url, name) for name in ("speaker", "listener", "late"))
    heard, heard_late = Listener(listener, "kept/#"), Listener(late, "kept/#")
    speaker.publish("kept/a", b"1", retained=True)
    async with carrying(speaker, listener):
        assert await heard.next() == ("kept/a", b"1")
        broker.stop()
        speaker.publish("kept/b", b"2", retained=True)
        broker.start()
        assert {await heard.next(), await heard.next()} == {("kept/a", b"1"), ("kept/b", b"2")}
        async with carrying(late):
            found = {await heard_late.next(), await heard_late.next()}
            assert found == {("kept/a", b"1"), ("kept/b", b"2")}
        assert (speaker.statistics.connections, listener.statistics.connections) == (2, 2)


SPEAKS_UNTIL_KILLED = """
import asyncio, sys
from swatow_protocol.carriers.several import open_carriers
carriers = open_carriers([sys.argv[1]], identifier="speaker", last_will="kept/a")
carriers.publish("kept/a", b"1", retained=True)
asyncio.run(carriers.run())
"""


async def test_the_broker_takes_away_what_a_killed_process_kept(broker: Mosquitto) -> None:
    listener = opened(broker.url, "listener")
    heard = Listener(listener, "kept/#")
    async with carrying(listener):
        command = (sys.executable, "-c", SPEAKS_UNTIL_KILLED, broker.url)
        speaker = await asyncio.create_subprocess_exec(*command)
        try:
            assert await heard.next() == ("kept/a", b"1")
        finally:
            speaker.kill()
            await speaker.wait()
        assert await heard.next() == ("kept/a", b"")


async def test_a_market_that_starts_hears_the_offers_that_a_broker_keeps(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """Long before nodes renew them."""
    async with world(tmp_path, carriers=(broker.url,)) as here:
        await here.node(carriers=(broker.url,), offer_life_s=600)
        await here.serving.end()
        directory = tmp_path / "market"
        market = await open_market(
            here.settings,
            directory,
            here.market.state.identity,
            now_us=here.clock.now_us,
            random_bytes=random_bytes,
        )
        assert (await market.list_offers()).offers == ()
        here.serving = await run_service(
            lambda stop, on_ready: serve_market(here.settings, market, stop, on_ready)
        )

        async def listed() -> bool:
            return len((await market.list_offers()).offers) == 1

        await here.until(listed)


async def test_the_offer_of_a_node_is_on_the_broker_for_as_long_as_it_runs(
    broker: Mosquitto, tmp_path: Path
) -> None:
    reader = opened(broker.url, "reader")
    heard = Listener(reader, offers_pattern())
    async with world(tmp_path) as here, carrying(reader):
        node = await here.node(carriers=(broker.url,))
        topic, envelope = await heard.next()
        signed = verify(envelope, Offer, network="local", now_us=here.clock.now_us())
        assert topic == offer_topic("cn-gd-shantou", signed.message.sender)
        await node.end()
        assert await heard.next() == (topic, b"")


async def test_a_buyer_watches_offers_without_a_market(broker: Mosquitto, tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(carriers=(broker.url,))
        words = ("offers", "--watch", "--json", "--carrier", broker.url)
        command = await asyncio.to_thread(
            Swatow, *words, "--directory", str(tmp_path / "reader"), log=tmp_path / "offers.log"
        )
        try:
            offer = json.loads(command.first_line)["offer"]
            assert (offer["zone"], offer["steps"]) == (
                "cn-gd-shantou",
                [{"price": 80_000, "lots": 1_000}],
            )
            assert await asyncio.to_thread(command.stop, signal.SIGINT) == 130
        finally:
            command.close()


async def test_a_split_view_is_seen_by_a_node_that_hears_both_heads(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """The market of this test cheats: it signs another head of a round that it has published."""
    liar = opened(broker.url, "liar")
    async with world(tmp_path, carriers=(broker.url,)) as here, carrying(liar):
        identity = here.market.state.identity
        reader = opened(broker.url, "reader")
        heard = Listener(reader, heads_pattern(identity.key))
        async with carrying(reader):
            await here.node(carriers=(broker.url,))
            client = await here.client(order_now=False)
            messages = [{"role": "user", "content": "count"}]
            await soon(client.chat(model=MODEL, messages=messages))
            topic, envelope = await heard.next()
            assert topic == head_topic(identity.key, "main")
            head = verify(envelope, RoundHead, network="local", now_us=None).message
            forged = sign(replace(head, record=bytes(32)), identity).envelope
            liar.publish(topic, forged)
            number = head.round
            proof = tmp_path / "node" / f"split-view-main-{number.epoch}-{number.number}.msgpack"
            await reached(proof.exists)
            assert msgspec.msgpack.decode(proof.read_bytes()) == [envelope, forged]


async def test_a_node_serves_and_a_market_clears_while_their_broker_is_gone(
    broker: Mosquitto, tmp_path: Path
) -> None:
    broker.stop()
    try:
        async with world(tmp_path, carriers=(broker.url,)) as here:
            await here.node(carriers=(broker.url,))
            client = await here.client()
            messages = [{"role": "user", "content": "count"}]
            answer = await soon(client.chat(model=MODEL, messages=messages))
            assert answer.receipt.countersigned
    finally:
        broker.start()


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Mosquitto]:
    """The broker as it is shipped, but for its port, with two nodes, a market and a reader."""
    home = tmp_path / "shipped"
    home.mkdir()
    _make_certificate(home)
    (home / "acl").write_text((SHIPPED / "acl").read_text())
    (home / "passwords").touch(mode=0o600)
    for user in (NODE.hex(), OTHER.hex(), "reader"):
        subprocess.run(
            ["mosquitto_passwd", "-b", "passwords", user, f"password of {user}"],
            cwd=home,
            check=True,
            capture_output=True,
        )
    configuration = (SHIPPED / "mosquitto.conf").read_text()
    assert configuration.count("listener 8883") == 1
    with Mosquitto(home, configuration.replace("listener 8883", "listener {port}")) as running:
        yield running


def _make_certificate(home: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (home / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (home / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (home / "server.key").chmod(0o600)


def secured(broker: Mosquitto, user: str, password: str | None = None) -> Carrier:
    words = (password or f"password of {user}").replace(" ", "%20")
    ca = broker.directory / "server.pem"
    return opened(f"mqtts://{user}:{words}@127.0.0.1:{broker.port}?ca={ca}", user)


async def test_a_node_cannot_publish_as_another_nor_a_reader_at_all(shipped: Mosquitto) -> None:
    node, other, reader = (secured(shipped, user) for user in (NODE.hex(), OTHER.hex(), "reader"))
    heard, own = Listener(reader, "swatow/1/#"), offer_topic("sg", NODE)
    async with carrying(reader):
        async with carrying(other):
            other.publish(own, b"forged", retained=True)
            other.publish(head_topic(NODE, "main"), b"forged", retained=True)
            other.publish(head_topic(OTHER, "main"), b"its own, as a market")
            other.publish(offer_topic("sg", OTHER), b"1")
            reader.publish(own, b"forged", retained=True)
            assert await heard.next() == (head_topic(OTHER, "main"), b"its own, as a market")
            assert await heard.next() == (offer_topic("sg", OTHER), b"1"), "its own it may"
        async with carrying(node):
            node.publish(own, b"2", retained=True)
            assert await heard.next() == (own, b"2")


@pytest.mark.filterwarnings(  # paho leaves a socket to the collector if the handshake fails
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
async def test_whoever_has_no_password_or_another_authority_is_not_connected(
    shipped: Mosquitto, tmp_path: Path
) -> None:
    wrong, reader = secured(shipped, "reader", "a guess"), secured(shipped, NODE.hex())
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    _make_certificate(stranger)
    fooled = opened(
        f"mqtts://reader:x@127.0.0.1:{shipped.port}?ca={stranger / 'server.pem'}", "fooled"
    )
    heard = Listener(reader, "swatow/1/#")
    async with carrying(reader), running(wrong, fooled):
        await reached(lambda: min(wrong.statistics.failures, fooled.statistics.failures) > 0)
        reader.publish(offer_topic("sg", NODE), b"1")
        assert (await heard.next())[1] == b"1", "it serves the others"
    assert wrong.statistics.connections == fooled.statistics.connections == 0
    gc.collect()


async def test_what_is_forged_or_anothers_does_not_enter_the_book(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """Nor does a flood of it keep the honest offer away."""
    attacker = opened(broker.url, "attacker")
    reader = opened(broker.url, "reader")
    heard = Listener(reader, offers_pattern())
    async with world(tmp_path, carriers=(broker.url,)) as here, carrying(attacker, reader):
        node = await here.node(carriers=(broker.url,))
        topic, envelope = await heard.next()
        await node.end()
        assert await heard.next() == (topic, b"")
        market = here.market
        market.state.book.drop_expired_offers(2**62)
        forged = bytes([*envelope[:-1], envelope[-1] ^ 1])
        (ear,) = market.state.carriers.each
        for number in range(500):
            attacker.publish(offer_topic("sg", number.to_bytes(32, "big")), envelope)
            attacker.publish(topic, forged + bytes(number % 2))
        await reached(lambda: ear.statistics.rejected >= 200)  # some may be lost
        assert (await market.list_offers()).offers == ()
        await here.node("honest", carriers=(broker.url,))
        assert len((await market.list_offers()).offers) == 1


@pytest.mark.skipif(MOSQUITTO_SUB is None, reason="mosquitto-clients is not installed")
async def test_another_client_library_reads_market_data_that_another_crypto_library_verifies(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """libmosquitto and OpenSSL, where we use paho and libsodium."""
    async with world(tmp_path, carriers=(broker.url,)) as here:
        await here.node(carriers=(broker.url,))
        client = await here.client(order_now=False)
        await soon(client.chat(model=MODEL, messages=[{"role": "user", "content": "count"}]))
        key = here.market.state.identity.key
        assert MOSQUITTO_SUB is not None
        words = ("-h", "127.0.0.1", "-p", str(broker.port), "-t", f"swatow/1/markets/{key.hex()}/#")
        reader = await asyncio.create_subprocess_exec(
            *(MOSQUITTO_SUB, *words, "-C", "1", "-F", "%t %x"), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await soon(reader.communicate())
    topic, digits = printed.decode().split()
    assert topic == head_topic(key, "main")
    payload, signature = msgpack.unpackb(bytes.fromhex(digits))
    signer = Ed25519PublicKey.from_public_bytes(key)
    signer.verify(signature, b"swatow/1/round_head\0" + payload)
    assert msgpack.unpackb(payload)[:4] == [1, "round_head", "local", key]
