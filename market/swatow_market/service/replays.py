"""Replaying rounds from what the database keeps of them."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate import inputs as given
from swatow_market.exchange.certificate.publish import RULE_VERSION, publish_round, round_of
from swatow_market.exchange.certificate.record import Record, Round, decode, encode, id_of
from swatow_market.exchange.certificate.replay import differences, snapshot_of
from swatow_market.exchange.clearing import clear
from swatow_market.exchange.network_map import NetworkMap
from swatow_market.published import PublishedRound, check, decompress
from swatow_market.service import records
from swatow_protocol import codec, messages
from swatow_protocol.envelope import verify
from swatow_protocol.errors import InvalidValue
from swatow_protocol.messages import Model, Offer, RoundHead


@dataclass(frozen=True, slots=True)
class KeptInputs:
    """All that a round was cleared from, as the database has it; nothing of it is checked yet."""

    market: bytes
    """Key of the market, by the head of the round."""
    number: Round
    inputs: bytes
    offers: dict[bytes, bytes]
    """Id -> envelope."""
    models: list[bytes]
    """Envelopes."""
    network_map: bytes | None
    """Envelope."""

    def snapshot(self) -> Snapshot:
        """Return the snapshot that was cleared; slow enough for another thread.

        Raises:
            MessageRefused: something is not what was signed.
            InvalidValue: something is missing, or the inputs do not fit together.
        """
        network = self.number.network
        inputs = codec.decode(given.Inputs, self.inputs)
        if self.network_map is None:
            raise InvalidValue("network_map", f"{self.number.network_map.hex()} is not kept")
        signed_map = verify(
            self.network_map, messages.NetworkMap, network=network, now_us=None, sender=self.market
        )
        models = [
            verify(each, Model, network=network, now_us=None, sender=self.market)
            for each in self.models
        ]
        offers = [
            verify(each, Offer, network=network, now_us=None) for each in self.offers.values()
        ]
        try:
            return snapshot_of(
                self.number,
                inputs,
                offers={signed.id: signed for signed in offers},
                models={signed.id: signed.message for signed in models},
                network_map=NetworkMap.of(signed_map),
            )
        except KeyError as error:
            raise InvalidValue("offers", f"{error.args[0].hex()} is not kept") from None
        except ValueError as error:
            raise InvalidValue("inputs", str(error)) from None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of clearing a round again."""

    head: RoundHead
    record: bytes
    """Id of the record that clearing again gives."""
    differs: tuple[str, ...]
    """Fields in which that is another than the market has published; none if it is the same."""


async def read_inputs(
    connection: AsyncConnection, market: bytes, row: dict[str, Any]
) -> KeptInputs:
    """Read what a round was cleared from; `row` is the round's, with record and inputs.

    Raises:
        MessageRefused: record or inputs cannot be read.
    """
    number, inputs, offers = await asyncio.to_thread(_read, row)
    return KeptInputs(
        market=market,
        number=number,
        inputs=inputs,
        offers=await records.read_offers(connection, offers),
        models=await records.read_models(connection),
        network_map=await records.read_message(connection, number.network_map),
    )


def _read(row: dict[str, Any]) -> tuple[Round, bytes, list[bytes]]:
    """Return the round, its inputs, and the ids of its offers; slow where orders are many."""
    number = decode(decompress(row["record"])).round
    inputs = decompress(row["inputs"], given.INPUTS_BYTES_MAX)
    return number, inputs, given.ids(codec.decode(given.Inputs, inputs).offer_id)


async def replay(connection: AsyncConnection, row: dict[str, Any]) -> Replayed:
    """Clear a round again; `row` is the round's, with record and inputs.

    Raises:
        MessageRefused: what is kept is not what was signed.
        InvalidValue: something is not kept any more, or the round was cleared by other rules.
    """
    published = PublishedRound(head=row["head"], record=decompress(row["record"]))
    found = check(codec.encode(published))
    number = found.record.round
    if number.rule_version != RULE_VERSION:
        problem = f"cleared by rules {number.rule_version}, here are {RULE_VERSION}"
        raise InvalidValue("round", problem)
    kept = await read_inputs(connection, found.head.sender, row)
    again = _cleared_again(kept)
    differs = differences(found.record, again)
    return Replayed(found.head, id_of(encode(again)), differs)


def _cleared_again(kept: KeptInputs) -> Record:
    snapshot, number = kept.snapshot(), kept.number
    of = round_of(
        snapshot,
        network=number.network,
        shard=number.shard,
        epoch=number.epoch,
        number=number.number,
        inputs=given.id_of(kept.inputs),
    )
    return publish_round(of, clear(snapshot)).record
