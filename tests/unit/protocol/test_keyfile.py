"""Key files: made once, readable by their owner alone, and refused in any doubt."""

import os
import stat
from pathlib import Path

import pytest

from swatow_protocol.errors import KeyFileError
from swatow_protocol.identity import Identity
from swatow_protocol.shell.keyfile import create_key, load_key, load_or_create_key

SEED = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def refusal_of(path: Path) -> str:
    with pytest.raises(KeyFileError) as refused:
        load_key(path)
    assert str(path) in str(refused.value), "it is named"
    return str(refused.value)


def test_a_new_key_is_its_owners_alone_and_loads_again(path: Path) -> None:
    made = create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path).key == made.key
    assert Identity(bytes.fromhex(path.read_text("ascii").strip())).key == made.key


def test_the_mode_does_not_depend_on_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        create_key(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_new_keys_differ(tmp_path: Path) -> None:
    assert create_key(tmp_path / "a").key != create_key(tmp_path / "b").key


def test_missing_directories_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    create_key(tmp_path / "role" / "key")
    assert stat.S_IMODE((tmp_path / "role").stat().st_mode) & 0o077 == 0


def test_a_file_that_is_there_is_never_overwritten(path: Path) -> None:
    write(path, b"precious", 0o644)
    with pytest.raises(KeyFileError, match="exists"):
        create_key(path)
    assert path.read_bytes() == b"precious"


def test_a_link_is_never_written_through(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "target"
    path.symlink_to(target)
    for make in (create_key, load_or_create_key):
        with pytest.raises(KeyFileError):
            make(path)
    assert not target.exists()


def test_a_key_below_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KeyFileError):
        create_key(tmp_path / "file" / "deeper" / "key")


def test_a_key_in_what_is_no_directory_is_refused_with_that_reason(tmp_path: Path) -> None:
    """No key exists there, and whoever reads that one does would look for it in vain."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KeyFileError) as refused:
        create_key(tmp_path / "file" / "key")
    assert "never overwritten" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        SEED.hex().encode(),
        SEED.hex().encode() + b"\n",
        SEED.hex().upper().encode() + b"\n",
        SEED.hex().encode() + b"\r\n",
    ],
    ids=["bare", "newline", "upper case", "windows"],
)
def test_a_key_file_may_be_written_by_hand(path: Path, content: bytes) -> None:
    write(path, content)
    assert load_key(path).key == Identity(SEED).key


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_modes_of_the_owner_alone_are_taken(path: Path, mode: int) -> None:
    write(path, SEED.hex().encode(), mode)
    assert load_key(path).key == Identity(SEED).key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o666, 0o620, 0o610, 0o601])
def test_wider_modes_are_refused_with_the_remedy(path: Path, mode: int) -> None:
    write(path, SEED.hex().encode(), mode)
    assert f"chmod 600 {path}" in refusal_of(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    refusal_of(path)


def test_a_link_to_a_good_key_is_refused(tmp_path: Path, path: Path) -> None:
    create_key(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    refusal_of(path)


def test_a_directory_is_refused(path: Path) -> None:
    path.mkdir(mode=0o600)
    refusal_of(path)


def test_a_pipe_is_refused(path: Path) -> None:
    """Held open here, because opening one without a writer would wait for ever."""
    os.mkfifo(path, 0o600)
    held = os.open(path, os.O_RDWR)
    try:
        refusal_of(path)
    finally:
        os.close(held)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        SEED,
        SEED.hex().encode()[:-1],
        SEED.hex().encode()[:-2],
        SEED.hex().encode() + b"00",
        SEED.hex().encode() + b"\n" + SEED.hex().encode() + b"\n",
        b"zz" * 32,
        b"0x" + SEED.hex().encode(),
        b"-----BEGIN PRIVATE KEY-----\n",
        "é".encode() * 32,
        b"00" * 1_000_000,
    ],
    ids=[
        "empty",
        "blank",
        "raw bytes",
        "a digit short",
        "a byte short",
        "a byte long",
        "two keys",
        "no digits",
        "prefixed",
        "pem",
        "no ascii",
        "huge",
    ],
)
def test_garbage_is_refused_without_showing_it(path: Path, content: bytes) -> None:
    write(path, content)
    shown = refusal_of(path)
    assert SEED.hex()[:16] not in shown, "a key with a typing error is still a secret"


def test_load_or_create_makes_a_key_once(path: Path) -> None:
    made = load_or_create_key(path)
    assert load_or_create_key(path).key == made.key


def test_load_or_create_does_not_replace_a_key_that_cannot_be_used(path: Path) -> None:
    write(path, SEED.hex().encode(), 0o644)
    with pytest.raises(KeyFileError):
        load_or_create_key(path)
    assert path.read_bytes() == SEED.hex().encode()
