"""The gateway as a process serves it: this machine only, with a key that nobody else can read."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest

from swatow._client import AsyncClient
from swatow._market import Catalogue
from swatow.errors import ConfigError, KeyFileError, SwatowError
from swatow.gateway.server import read_or_make_key, serve_gateway
from tests.support import samples
from tests.unit.node import deal


@dataclass
class FakeClient:
    """In the place of `AsyncClient`: settings, a wallet's directory, and whether it was closed."""

    directory: Path
    listen: str = "127.0.0.1:0"
    gateway_key_file: Path | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> SimpleNamespace:
        """Return what the gateway reads of the settings."""
        return SimpleNamespace(listen=self.listen, gateway_key_file=self.gateway_key_file)

    @property
    def wallet(self) -> SimpleNamespace:
        """Return what the gateway reads of the wallet."""
        return SimpleNamespace(directory=self.directory)

    async def catalogue(self) -> Catalogue:
        """Return one model."""
        return Catalogue(samples.market_terms(), {"small-model-q4": deal.MODEL})

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed.set()


async def serve(client: FakeClient) -> None:
    await serve_gateway(cast("AsyncClient", client), asyncio.Event(), lambda _: None)


@asynccontextmanager
async def serving(client: FakeClient) -> AsyncIterator[str]:
    """Serve, give the base URL, and stop."""
    stop, url = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve_gateway(cast("AsyncClient", client), stop, url.set_result))
    try:
        yield await url
    finally:
        stop.set()
        await task


async def test_it_serves_over_http_until_it_is_stopped(tmp_path: Path) -> None:
    client = FakeClient(tmp_path)
    async with serving(client) as url, aiohttp.ClientSession() as session:
        assert url.startswith("http://127.0.0.1:")
        async with session.get(f"{url}/models") as answer:
            assert answer.status == 401
        key = (tmp_path / "gateway.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        async with session.get(f"{url}/models", headers=headers) as answer:
            assert [each["id"] for each in (await answer.json())["data"]] == ["small-model-q4"]
        assert not client.closed.is_set()
    assert client.closed.is_set(), "what is left of its awards was released"
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as session, session.get(f"{url}/models"):
            pass


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:8800",
        "[::]:8800",
        "192.168.1.5:8800",
        "example.org:8800",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        ":8800",
        "127.0.0.1.example.org:8800",
    ],
)
async def test_what_is_no_loopback_address_is_refused(tmp_path: Path, listen: str) -> None:
    client = FakeClient(tmp_path, listen=listen)
    with pytest.raises(ConfigError, match=r"^listen: "):
        await serve(client)
    assert client.closed.is_set()
    assert not (tmp_path / "gateway.key").exists()


async def test_a_port_that_cannot_be_is_refused_and_leaves_no_socket_open(tmp_path: Path) -> None:
    client = FakeClient(tmp_path, listen="127.0.0.1:99999")
    with pytest.raises(ConfigError, match=r"^listen: "):
        await serve(client)


async def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    async with serving(FakeClient(tmp_path)) as url:
        taken = url.removeprefix("http://").removesuffix("/v1")
        client = FakeClient(tmp_path, listen=taken)
        with pytest.raises(ConfigError, match=r"^listen: "):
            await serve(client)
        assert client.closed.is_set()


async def test_a_key_that_others_can_read_keeps_it_from_serving(tmp_path: Path) -> None:
    path = tmp_path / "my.key"
    path.write_text("sk-mine\n")
    path.chmod(0o644)
    client = FakeClient(tmp_path, gateway_key_file=path)
    with pytest.raises(KeyFileError, match=r"chmod 600"):
        await serve(client)
    assert client.closed.is_set()


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.key"
    key = read_or_make_key(path)
    assert key.startswith("sk-swatow-")
    assert len(key) == len("sk-swatow-") + 48
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_key(path) == key
    assert read_or_make_key(tmp_path / "other.key") != key


def test_a_key_of_ones_own_is_taken_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "my.key"
    path.touch(0o600)
    path.write_text("  sk-mine \n")
    assert read_or_make_key(path) == "sk-mine"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606])
def test_a_key_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my.key"
    path.write_text("sk-mine")
    path.chmod(mode)
    with pytest.raises(KeyFileError):
        read_or_make_key(path)


@pytest.mark.parametrize("content", ["", "\n", "  "])
def test_an_empty_key_is_refused(tmp_path: Path, content: str) -> None:
    """Else whoever sends no key would be let in."""
    path = tmp_path / "my.key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(KeyFileError, match=r"is empty"):
        read_or_make_key(path)


def test_a_key_is_made_with_its_directory_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "my.key"
    key = read_or_make_key(path)
    assert key.startswith("sk-swatow-")
    assert read_or_make_key(path) == key
    assert [part.stat().st_mode & 0o077 for part in (path.parent, path)] == [0, 0]


@pytest.mark.parametrize("kind", ["in a directory that is a file", "not text"])
def test_a_key_file_that_cannot_be_used_is_an_error_of_ours(tmp_path: Path, kind: str) -> None:
    """Which the command line tells in a line, with exit code 2, and not as a traceback."""
    path = tmp_path / "my.key"
    if kind == "not text":
        path.touch(0o600)
        path.write_bytes(b"\xff\xfe")
    else:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "my.key"
    with pytest.raises(SwatowError):
        read_or_make_key(path)
