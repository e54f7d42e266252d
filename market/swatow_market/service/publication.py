"""Publishing a round: from its outcome to its record and the market's signed word on it."""

from dataclasses import dataclass

from swatow_market.exchange.certificate import inputs as given
from swatow_market.exchange.certificate.publish import publish_round, round_of
from swatow_market.exchange.certificate.record import encode, id_of
from swatow_market.exchange.clearing import Outcome
from swatow_market.published import PublishedRound, compress
from swatow_protocol import codec
from swatow_protocol.envelope import sign
from swatow_protocol.identity import Identity
from swatow_protocol.messages import RoundHead, RoundNumber


@dataclass(frozen=True, slots=True)
class Publication:
    """What a market keeps of a round that it has cleared."""

    head: bytes
    """Envelope of the RoundHead."""
    record: bytes
    inputs: bytes

    @property
    def row(self) -> dict[str, bytes]:
        """The columns of the round's row."""
        return {
            "head": self.head,
            "record": compress(self.record),
            "inputs": compress(self.inputs),
        }

    @property
    def file(self) -> bytes:
        """The content of the round's file."""
        return codec.encode(PublishedRound(head=self.head, record=self.record))


def publish(
    outcome: Outcome, identity: Identity, *, network: str, number: RoundNumber, now_us: int
) -> Publication:
    """Make the record of a round, and sign the word on it; slow enough for another thread."""
    inputs = given.inputs_of(outcome.snapshot)
    of = round_of(
        outcome.snapshot,
        network=network,
        shard=number.shard,
        epoch=number.epoch,
        number=number.number,
        inputs=given.id_of(inputs),
    )
    record = encode(publish_round(of, outcome).record)
    head = RoundHead(
        network=network,
        sender=identity.key,
        issued_us=now_us,
        round=number,
        record=id_of(record),
    )
    return Publication(sign(head, identity).envelope, record, inputs)
