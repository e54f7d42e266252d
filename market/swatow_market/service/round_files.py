"""Rounds as files: `<shard>-<epoch>-<number>.swatow` in one directory, for others to check.

Every call does disk I/O and is made in a thread. A file is whole or not there: it is written under
another name, forced to disk, and then renamed.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

Key = tuple[int, int]
"""(epoch, number) of a round of the shard."""

SUFFIX = ".swatow"
_UNDER_WAY = ".part"


class RoundFiles:
    """The files of one shard's rounds."""

    def __init__(self, directory: Path, shard: str) -> None:
        self._directory = directory
        self._shard = quote(shard, safe="")  # a shard's name may hold a slash

    def path(self, key: Key) -> Path:
        """Return where the file of a round is, or would be."""
        epoch, number = key
        return self._directory / f"{self._shard}-{epoch}-{number}{SUFFIX}"

    def write(self, key: Key, data: bytes) -> None:
        """Write the file of a round; one that is there already gives way.

        Raises:
            OSError: it cannot be written; then nothing of it is there.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self.path(key)
        under_way = path.with_name(path.name + _UNDER_WAY)
        try:
            with under_way.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            under_way.replace(path)
        except BaseException:
            under_way.unlink(missing_ok=True)
            raise
        self._force_names()

    def forget(self, keys: Iterable[Key]) -> None:
        """Remove the files of rounds, where they are.

        Raises:
            OSError: one cannot be removed.
        """
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    def present(self) -> set[Key]:
        """Return the rounds that have files. What was left under way is removed.

        Raises:
            OSError: the directory cannot be read.
        """
        return set(self._present())

    def _present(self) -> Iterator[Key]:
        if not self._directory.is_dir():
            return
        for entry in os.scandir(self._directory):
            if not entry.name.startswith(f"{self._shard}-"):
                continue
            if entry.name.endswith(SUFFIX + _UNDER_WAY):
                Path(entry.path).unlink(missing_ok=True)
                continue
            numbers = entry.name[len(self._shard) + 1 :].removesuffix(SUFFIX).split("-")
            if len(numbers) == 2 and all(each.isdecimal() for each in numbers):
                key = int(numbers[0]), int(numbers[1])
                if self.path(key).name == entry.name:
                    yield key

    def _force_names(self) -> None:
        """Have the renaming on disk too."""
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
