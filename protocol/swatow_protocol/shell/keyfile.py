"""Key files: 32 secret bytes as 64 hexadecimal digits, readable by their owner alone."""

import os
import stat
from pathlib import Path

from swatow_protocol.errors import KeyFileError
from swatow_protocol.identity import SEED_BYTES, Identity
from swatow_protocol.shell.clock import random_bytes

_MODE = 0o600


def create_key(path: Path) -> Identity:
    """Make a new key and write it to `path`, mode 0600.

    Raises:
        KeyFileError: the file exists, or cannot be written.
    """
    seed = random_bytes(SEED_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    except FileExistsError:
        problem = "exists; a key is never overwritten"
        if not path.parent.is_dir():
            problem = f"{path.parent} is not a directory"
        raise KeyFileError(f"{path}: {problem}") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(seed.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return Identity(seed)


def load_key(path: Path) -> Identity:
    """Read a key file.

    Raises:
        KeyFileError: missing, not a regular file, readable by group or others, or no key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise KeyFileError(f"{path}: not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(status.st_mode)
        if mode & ~_MODE:
            raise KeyFileError(
                f"{path}: mode {mode:04o} lets others at the key; run: chmod 600 {path}"
            )
        text = file.read(2 * SEED_BYTES + 2)
    try:
        seed = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise KeyFileError(f"{path}: not a key file of {2 * SEED_BYTES} hexadecimal digits")
    return Identity(seed)


def load_or_create_key(path: Path) -> Identity:
    """Read the key at `path`, or make one there. Errors as in the two."""
    if not path.exists():
        try:
            return create_key(path)
        except KeyFileError:
            if not path.exists():  # else another process made it just now
                raise
    return load_key(path)
