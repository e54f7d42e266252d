"""Golden vectors: the exact bytes of every message, kept in protocol/vectors/.

    python -m tests.support.vectors            write them
    python -m tests.support.vectors --check    fail if any differs

They are made from the samples and from keys that are no secret, so they come out the same every
time. In the JSON, bytes are `"0x"` and hexadecimal digits, an enumeration is its value, and fields
stand in the order of the wire: replacing every object by the list of its values, and every `0x`
string by its bytes, gives the array that MessagePack encodes.
"""

import enum
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from swatow_protocol import codec
from swatow_protocol.envelope import COUNTERSIGN_DOMAIN, Signed, countersign, domain, sign
from swatow_protocol.identity import Identity
from swatow_protocol.messages import (
    Accepted,
    Body,
    Chunk,
    Close,
    Countersigned,
    Credit,
    FinishReason,
    Frame,
    FrameKind,
    JobRefusal,
    Message,
    OpenBody,
    Refused,
    Release,
)
from swatow_protocol.sealing import SealingKey, Seals, Side
from swatow_protocol.transcript import Transcript
from tests.support import samples

DIRECTORY = Path(__file__).parents[2] / "protocol" / "vectors"

SEEDS = {Identity(bytes([n]) * 32).key: bytes([n]) * 32 for n in (1, 2, 3)}
"""Public key -> seed of market, node and buyer of the samples."""

JOB = samples.digest("job")
EVENTS = ('{"choices":[{"delta":{"content":"汕"}}]}', '{"choices":[{"delta":{"content":"头"}}]}')

Vector = dict[str, Any]

DESCRIPTIONS = {
    "model": "A model with a public tokenizer and no public chat template, for two services.",
    "market_terms": "Terms of a market that takes one hundredth.",
    "network_map": "Three zones, two paths and two corridors; what may be left out is, once.",
    "endpoint": "A node's endpoint with a sealing key and one address.",
    "offer": "An offer in two price steps now and in two later periods, with every promise and "
    "attribute stated.",
    "order": "An order for one of two models, with every hard limit set.",
    "order_batch": "A batch of three orders under two sets of terms.",
    "order_cancel": "The cancellation of one order.",
    "round_head": "A market's word on the record of a round.",
    "award": "An award of five lots, delivered over a path that has a charge.",
    "job_open": "The opening of job 1 of a stream.",
    "voucher": "A voucher for 72 standard tokens.",
    "receipt": "The receipt of a job of 72 standard tokens, with its energy measured.",
    "redemption": "The last claim of a node on an award.",
    "contest": "A buyer lets go of an award.",
    "query": "A buyer's query for two of its orders.",
    "frame": "A frame of job 7 whose body is a Credit.",
    "open_body": "Body of an OPEN frame: three signed envelopes.",
    "accepted": "Body of an ACCEPTED frame before it is sealed, with a voucher to go on from.",
    "chunk": "Body of a CHUNK frame before it is sealed, with one token.",
    "close": "Body of a CLOSE frame before it is sealed.",
    "refused": "Body of a REFUSED frame that asks to try again.",
    "credit": "Body of a CREDIT frame.",
    "release": "Body of a RELEASE frame.",
    "countersigned": "A receipt with both signatures. Tag and seed are those of the buyer's.",
    "transcript": "The running hash of a job: at its start, and after each of two chunks.",
    "sealing": "Bodies sealed between buyer and node. `number` counts those of one job and "
    "direction; it is not sent.",
}
"""Kind -> what the sample is, in words that are no part of the protocol."""


def plain(value: object) -> Any:
    """Return a value of a message as JSON has it."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return _hex(value)
    if isinstance(value, enum.Enum):
        return value.value
    assert not (isinstance(value, str) and value.startswith("0x")), "it would read as bytes"
    return value


def signed_vector(message: Message, signer: Identity) -> Vector:
    """Return the vector of a signed message."""
    signed: Signed[Message] = sign(message, signer)
    payload, signature = msgspec.msgpack.decode(signed.envelope)
    assert payload == signed.payload
    return {
        "kind": message.kind,
        "description": DESCRIPTIONS[message.kind],
        "signer_seed": _hex(SEEDS[signer.key]),
        "domain_tag": _hex(domain(type(message))),
        "payload": _hex(signed.payload),
        "signature": _hex(signature),
        "envelope": _hex(signed.envelope),
        "id": _hex(signed.id),
        "fields": plain(message),
    }


def bodies() -> list[Body]:
    """Return one of each frame and of each body that travels in one."""
    opening = sign(samples.job_open(), samples.BUYER)
    receipt = sign(samples.receipt(), samples.NODE)
    return [
        Frame(job=7, kind=FrameKind.CREDIT, body=codec.encode(Credit(granted_bytes=131_072))),
        OpenBody(
            award=sign(samples.award(), samples.MARKET).envelope,
            offer=sign(samples.offer(), samples.NODE).envelope,
            open=opening.envelope,
        ),
        Accepted(
            prompt_tokens=32,
            cached_tokens=8,
            prompt_due=False,
            voucher=sign(samples.voucher(), samples.BUYER).envelope,
        ),
        _chunks()[0],
        Close(finish_reason=FinishReason.STOP, detail="", receipt=receipt.envelope),
        Refused(refusal=JobRefusal.BUSY, detail="all 4 slots are taken", retry_after_ms=250),
        Credit(granted_bytes=131_072),
        Release(award=samples.digest("award")),
        Countersigned(
            receipt=receipt.envelope, countersignature=countersign(receipt, samples.BUYER)
        ),
    ]


def body_vector(body: Body) -> Vector:
    """Return the vector of what carries no signature of its own."""
    kind = _snake(type(body).__name__)
    vector = {
        "kind": kind,
        "description": DESCRIPTIONS[kind],
        "payload": _hex(codec.encode(body)),
        "fields": plain(body),
    }
    if isinstance(body, Countersigned):
        vector |= {
            "signer_seed": _hex(SEEDS[samples.BUYER.key]),
            "domain_tag": _hex(COUNTERSIGN_DOMAIN),
        }
    return vector


def transcript_vector() -> Vector:
    """Return the running hash of a job of two chunks, after each step."""
    steps = [{"chunk": None, "hash": _hex(Transcript(JOB).hash)}]
    steps += [{"chunk": plain(chunk), "hash": _hex(chunk.transcript)} for chunk in _chunks()]
    return {
        "kind": "transcript",
        "description": DESCRIPTIONS["transcript"],
        "job": _hex(JOB),
        "steps": steps,
    }


def sealing_vector() -> Vector:
    """Return bodies of two jobs sealed in both directions."""
    secrets = {side: bytes([number]) * 32 for side, number in ((Side.BUYER, 5), (Side.NODE, 6))}
    keys = {side: SealingKey(secret) for side, secret in secrets.items()}
    ends = {
        Side.BUYER: Seals(Side.BUYER, keys[Side.BUYER], keys[Side.NODE].public),
        Side.NODE: Seals(Side.NODE, keys[Side.NODE], keys[Side.BUYER].public),
    }
    sent = (
        (Side.BUYER, 1, 0, FrameKind.OPEN, b'{"messages":[]}'),
        (Side.NODE, 1, 0, FrameKind.ACCEPTED, b"accepted"),
        (Side.NODE, 1, 1, FrameKind.CHUNK, b"chunk"),
        (Side.BUYER, 2**32 - 1, 0, FrameKind.OPEN, b""),
    )
    return {
        "kind": "sealing",
        "description": DESCRIPTIONS["sealing"],
        "buyer_secret": _hex(secrets[Side.BUYER]),
        "buyer_key": _hex(keys[Side.BUYER].public),
        "node_secret": _hex(secrets[Side.NODE]),
        "node_key": _hex(keys[Side.NODE].public),
        "bodies": [
            {
                "sender": side.value.decode(),
                "job": job,
                "number": number,
                "frame_kind": kind.value,
                "body": _hex(body),
                "sealed": _hex(ends[side].seal(job, kind, body)),
            }
            for side, job, number, kind, body in sent
        ],
    }


def vectors() -> dict[str, str]:
    """Return the files of protocol/vectors/ by name, as this code makes them."""
    made = [signed_vector(message, signer) for message, signer in samples.one_of_each()]
    made += [body_vector(body) for body in bodies()]
    made += [transcript_vector(), sealing_vector()]
    return {f"{vector['kind']}.json": _json(vector) for vector in made}


def differing(directory: Path) -> list[str]:
    """Return the names of files that are missing, left over or different in a directory."""
    made = vectors()
    found = {file.name: file.read_text("utf-8") for file in directory.glob("*.json")}
    return sorted(name for name in made.keys() | found.keys() if made.get(name) != found.get(name))


def main(arguments: Sequence[str], directory: Path = DIRECTORY) -> int:
    """Write the vectors, or check them; return the exit code."""
    if "--check" in arguments:
        wrong = differing(directory)
        for name in wrong:
            print(f"{directory / name}: not what the code makes", file=sys.stderr)
        return 1 if wrong else 0
    for name in differing(directory):
        (directory / name).unlink(missing_ok=True)
    for name, text in vectors().items():
        (directory / name).write_text(text, "utf-8")
    return 0


def _chunks() -> list[Chunk]:
    transcript, made = Transcript(JOB), []
    for position, event in enumerate(EVENTS):
        fields: dict[str, Any] = {
            "position": position,
            "tokens": 1,
            "token_ids": (3_000_000_000 + position,),
            "events": (event.encode(),),
        }
        made.append(Chunk(**fields, transcript=transcript.extend(**fields)))
    return made


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def _json(vector: Vector) -> str:
    return json.dumps(vector, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
