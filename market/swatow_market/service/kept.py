"""What is kept of rounds for others to check: rows of the database, and a file for each round.

The database is the fact. A file that cannot be written or removed fails no round: it is logged,
and the next start writes what is missing and removes what is over.
"""

import asyncio
from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.offers import BookOffer
from swatow_market.published import PublishedRound, decompress
from swatow_market.service import records
from swatow_market.service.publication import Publication
from swatow_market.service.round_files import Key, RoundFiles
from swatow_market.service.state import MarketState
from swatow_protocol import codec
from swatow_protocol.messages import RoundNumber

KEYS_PER_QUERY = 1_000
READS_MAX = 2
"""Rounds that are read for others at the same time; each is held in memory whole."""

log = structlog.get_logger("swatow.rounds")


class KeptRounds:
    """Keeps and forgets what the rounds of a shard leave behind."""

    def __init__(self, state: MarketState) -> None:
        self._state = state
        self._reads = asyncio.Semaphore(READS_MAX)
        self._offers: set[bytes] = set()  # of the last round that traded: these are kept
        directory = state.rounds_directory
        self._files = None if directory is None else RoundFiles(directory, state.shard)

    async def keep_offers(self, connection: AsyncConnection, offers: Sequence[BookOffer]) -> None:
        """In a round's transaction: keep the envelopes of its offers."""
        new = [entry for entry in offers if entry.id not in self._offers]
        await records.add_offers(connection, new)

    async def forget(self, connection: AsyncConnection, now_us: int) -> list[Key]:
        """In a round's transaction: drop what is too old, and return of which rounds."""
        state = self._state
        return await records.forget_records(connection, state.shard, now_us - state.records_us)

    async def written(
        self,
        number: int,
        publication: Publication | None,
        offers: Sequence[BookOffer],
        forgotten: Sequence[Key],
    ) -> None:
        """After the transaction: write the file of the round, and remove those of forgotten ones.

        Args:
            number: of the round.
            publication: nothing where it did not trade.
            offers: that took part in it.
            forgotten: what `forget` has returned.
        """
        if publication is not None:
            self._offers = {entry.id for entry in offers}
        files = self._files
        if files is None or (publication is None and not forgotten):
            return
        key = self._state.epoch, number
        try:
            if publication is not None:
                await asyncio.to_thread(lambda: files.write(key, publication.file))
            await asyncio.to_thread(files.forget, forgotten)
        except OSError as error:
            log.warning("round_file_failed", epoch=key[0], number=number, error=str(error))

    async def catch_up(self) -> None:
        """After a start: write the files that are missing, remove those of forgotten rounds.

        Rounds of the epoch that has just begun write their own.
        """
        if self._files is None:
            return
        try:
            await self._catch_up(self._files)
        except OSError as error:
            log.warning("round_files_failed", error=str(error))

    async def file_of(self, number: RoundNumber) -> bytes:
        """Return what the file of a round says, from the database; nothing if it is not kept."""
        if number.shard != self._state.shard:
            return b""
        async with self._reads:
            return await self._read(number.epoch, number.number) or b""

    async def _catch_up(self, files: RoundFiles) -> None:
        state = self._state
        over = {key for key in await asyncio.to_thread(files.present) if key[0] < state.epoch}
        there, last = frozenset(over), (0, 0)
        while True:
            async with state.database.reading() as connection:
                keys = await records.kept_rounds(connection, state.shard, last, KEYS_PER_QUERY)
            keys = [key for key in keys if key[0] < state.epoch]
            if not keys:
                break
            last = keys[-1]
            over.difference_update(keys)
            for key in keys:
                if key not in there:
                    await self._write_again(files, key)
        await asyncio.to_thread(files.forget, sorted(over))

    async def _write_again(self, files: RoundFiles, key: Key) -> None:
        data = await self._read(*key)
        if data is not None:  # else it was forgotten in the meantime
            await asyncio.to_thread(files.write, key, data)

    async def _read(self, epoch: int, number: int) -> bytes | None:
        async with self._state.database.reading() as connection:
            row = await records.read_round(connection, self._state.shard, epoch, number)
        if row is None or row["record"] is None:
            return None
        head, record = row["head"], row["record"]
        return await asyncio.to_thread(
            lambda: codec.encode(PublishedRound(head=head, record=decompress(record)))
        )
