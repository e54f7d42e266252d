"""The golden vectors: what the code makes, and what libraries that share nothing with it read."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from swatow_protocol import codec
from swatow_protocol import messages as kinds
from swatow_protocol.envelope import Signed, content_id, domain, is_countersigned, verify
from swatow_protocol.messages import Body, Message, Receipt
from swatow_protocol.sealing import SealingKey, Seals, Side
from tests.support import samples, vectors
from tests.support.samples import NETWORK, NOW_US

BODIES: tuple[type[Body], ...] = (
    kinds.Frame,
    kinds.OpenBody,
    kinds.Accepted,
    kinds.Chunk,
    kinds.Close,
    kinds.Refused,
    kinds.Credit,
    kinds.Release,
    kinds.Countersigned,
)


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((vectors.DIRECTORY / name).read_text("utf-8"))
    return found


SIGNED: dict[type[Message], dict[str, Any]] = {
    type(message): read(f"{message.kind}.json") for message, _ in samples.one_of_each()
}
UNSIGNED = {kind: read(f"{vectors._snake(kind.__name__)}.json") for kind in BODIES}
EVERY: list[tuple[type[Body], dict[str, Any]]] = [*SIGNED.items(), *UNSIGNED.items()]

each_signed = pytest.mark.parametrize(
    ("kind", "vector"), list(SIGNED.items()), ids=[kind.__name__ for kind in SIGNED]
)
each = pytest.mark.parametrize(("kind", "vector"), EVERY, ids=[kind.__name__ for kind, _ in EVERY])


def positional(value: Any) -> Any:
    """Turn the JSON of a vector into the plain array that is on the wire, as the README says."""
    if isinstance(value, dict):
        return [positional(item) for item in value.values()]
    if isinstance(value, list):
        return [positional(item) for item in value]
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    return value


def raw(vector: dict[str, Any], key: str) -> bytes:
    value = positional(vector[key])
    assert isinstance(value, bytes)
    return value


def test_the_committed_files_are_what_the_code_makes() -> None:
    assert vectors.differing(vectors.DIRECTORY) == []


def test_checking_finds_changed_missing_and_left_over_files(tmp_path: Path) -> None:
    assert vectors.main([], tmp_path) == 0
    assert vectors.main(["--check"], tmp_path) == 0
    (tmp_path / "offer.json").unlink()
    (tmp_path / "award.json").write_text("{}", "utf-8")
    (tmp_path / "lease.json").write_text("{}", "utf-8")
    assert vectors.differing(tmp_path) == ["award.json", "lease.json", "offer.json"]
    assert vectors.main(["--check"], tmp_path) == 1
    assert vectors.main([], tmp_path) == 0
    assert vectors.differing(tmp_path) == []


@each
class TestPayloads:
    def test_msgpack_reads_and_writes_them(self, kind: type[Body], vector: dict[str, Any]) -> None:
        payload, fields = raw(vector, "payload"), positional(vector["fields"])
        assert msgpack.unpackb(payload) == fields
        assert msgpack.packb(fields) == payload

    def test_msgspec_reads_and_writes_them(self, kind: type[Body], vector: dict[str, Any]) -> None:
        payload = raw(vector, "payload")
        message = codec.decode(kind, payload)
        assert vectors.plain(message) == vector["fields"]
        assert codec.encode(message) == payload

    def test_their_fields_are_named_as_in_the_class(
        self, kind: type[Body], vector: dict[str, Any]
    ) -> None:
        assert tuple(vector["fields"]) == kind.__struct_fields__


@each_signed
class TestSignatures:
    def test_are_accepted_here(self, kind: type[Message], vector: dict[str, Any]) -> None:
        sender = raw(vector["fields"], "sender")
        signed = verify(
            raw(vector, "envelope"), kind, network=NETWORK, now_us=NOW_US, sender=sender
        )
        assert signed.id == raw(vector, "id")
        assert signed.payload == raw(vector, "payload")
        assert domain(kind) == raw(vector, "domain_tag")

    def test_are_accepted_by_libraries_that_share_nothing_with_this_code(
        self, kind: type[Message], vector: dict[str, Any]
    ) -> None:
        payload, signature = msgpack.unpackb(raw(vector, "envelope"))
        tag = f"swatow/1/{vector['kind']}\0".encode()
        assert tag == raw(vector, "domain_tag")
        assert payload == raw(vector, "payload")
        assert signature == raw(vector, "signature")
        assert blake2b(payload, digest_size=32).digest() == raw(vector, "id")
        key = Ed25519PrivateKey.from_private_bytes(raw(vector, "signer_seed"))
        assert key.public_key().public_bytes_raw() == raw(vector["fields"], "sender")
        assert key.sign(tag + payload) == signature


def test_the_countersignature_is_the_buyers() -> None:
    vector = UNSIGNED[kinds.Countersigned]
    countersignature = raw(vector["fields"], "countersignature")
    envelope = raw(vector["fields"], "receipt")
    receipt = verify(envelope, Receipt, network=NETWORK, now_us=None)
    assert is_countersigned(receipt, countersignature)
    buyer = Ed25519PublicKey.from_public_bytes(receipt.message.buyer)
    buyer.verify(countersignature, raw(vector, "domain_tag") + receipt.payload)
    other = Signed(receipt.message, content_id(b""), b"", envelope)
    assert not is_countersigned(other, countersignature)


def test_envelopes_inside_bodies_are_those_of_their_own_vectors() -> None:
    opening = UNSIGNED[kinds.OpenBody]["fields"]
    assert opening["award"] == SIGNED[kinds.Award]["envelope"]
    assert opening["offer"] == SIGNED[kinds.Offer]["envelope"]
    assert opening["open"] == SIGNED[kinds.JobOpen]["envelope"]
    assert UNSIGNED[kinds.Accepted]["fields"]["voucher"] == SIGNED[kinds.Voucher]["envelope"]
    assert UNSIGNED[kinds.Close]["fields"]["receipt"] == SIGNED[Receipt]["envelope"]


def test_the_transcript_is_the_formula() -> None:
    vector = read("transcript.json")
    start, *steps = vector["steps"]
    running = blake2b(b"swatow/1/transcript\0" + raw(vector, "job"), digest_size=32).digest()
    assert running == raw(start, "hash")
    for step in steps:
        chunk = positional(step["chunk"])
        running = blake2b(running + msgpack.packb(chunk[:-1]), digest_size=32).digest()
        assert running == raw(step, "hash") == chunk[-1]
    assert len(steps) == 2


def test_sealed_bodies_open_at_the_other_side_and_by_the_formula() -> None:
    """By the formula with OpenSSL's X25519; the cipher itself is libsodium's in both."""
    vector = read("sealing.json")
    buyer = SealingKey(raw(vector, "buyer_secret"))
    node = SealingKey(raw(vector, "node_secret"))
    assert (buyer.public, node.public) == (raw(vector, "buyer_key"), raw(vector, "node_key"))
    secret = X25519PrivateKey.from_private_bytes(raw(vector, "buyer_secret")).exchange(
        X25519PublicKey.from_public_bytes(node.public)
    )
    receivers = {
        "buyer": Seals(Side.NODE, node, buyer.public),
        "node": Seals(Side.BUYER, buyer, node.public),
    }
    for body in vector["bodies"]:
        sealed, sender = raw(body, "sealed"), body["sender"]
        context = f"swatow/1/seal\0{sender}\0".encode() + buyer.public + node.public
        key = blake2b(context, key=secret, digest_size=32).digest()
        nonce = body["job"].to_bytes(8, "little") + body["number"].to_bytes(16, "little")
        kind = bytes([body["frame_kind"]])
        opened = crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, kind, nonce, key)
        assert opened == raw(body, "body")
        assert receivers[sender].open(body["job"], body["frame_kind"], sealed) == opened
    assert {body["sender"] for body in vector["bodies"]} == set(receivers)
