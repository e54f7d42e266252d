"""An OpenAI-compatible engine by URL: the embedded engine's own server, used as anybody's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from swatow_node.config import NodeSettings
from swatow_node.engines.dialects import Plain
from swatow_node.engines.embedded import EmbeddedEngine
from swatow_node.engines.engine import EngineFacts
from swatow_node.engines.openai import OpenAIEngine
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import Service
from swatow_protocol.units import cost_nanos
from tests.support.processes import needs_engine
from tests.support.world import MODEL, World, world

pytestmark = [needs_engine, pytest.mark.engine]
QUESTION = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The embedded engine's own HTTP server; returns its URL and API key."""
    embedded = EmbeddedEngine(
        directory=tmp_path / "engine", served_name="x", slots=2, context_tokens=2048
    )
    await embedded.start()
    yield embedded.server
    await embedded.stop()


async def settled(here: World) -> None:
    async def nothing_held() -> bool:
        return await here.held() == 0

    await here.until(nothing_held)


@pytest.mark.parametrize("plain", [False, True], ids=["llama.cpp dialect", "plain dialect"])
async def test_a_job_runs_and_is_paid_by_its_usage(
    tmp_path: Path, server: tuple[str, str], *, plain: bool
) -> None:
    url, key = server
    engine = OpenAIEngine(url=url, key=key, engine_model=None, served_name=MODEL)
    if plain:
        look = engine._look

        async def look_plainly() -> EngineFacts:
            facts = await look()
            engine._dialect = Plain()
            return facts

        engine._look = look_plainly  # type: ignore[method-assign]
    async with world(tmp_path) as here:
        await here.node(engine=engine)
        client = await here.client()
        answer = await client.chat(model=MODEL, messages=QUESTION, temperature=0, max_tokens=40)
        assert "Paris" in answer.text
        receipt = answer.receipt
        usage = answer.raw["usage"]
        assert receipt.countersigned
        assert (receipt.prompt_tokens, receipt.output_tokens) == (
            usage["prompt_tokens"],
            usage["completion_tokens"],
        )
        assert answer.raw["model"] == MODEL
        await client.release_all()
        await settled(here)
        assert await here.balance("buyer") == 5_000_000_000 - cost_nanos(
            receipt.standard_tokens, 80_000
        )


async def test_embeddings_pass_through(tmp_path: Path, server: tuple[str, str]) -> None:
    url, key = server
    async with world(tmp_path) as here:
        engine = OpenAIEngine(url=url, key=key, engine_model=None, served_name=MODEL)
        await here.node(engine=engine)
        client = await here.client()
        stream = await client.run({"input": "the sea"}, model=MODEL, service=Service.EMBEDDINGS)
        answer = await stream.completion()
        assert len(answer.raw["data"][0]["embedding"]) == 576
        assert answer.receipt.output_tokens == 0
        assert answer.receipt.prompt_tokens > 0


async def test_the_daemon_takes_the_engine_from_its_settings(
    tmp_path: Path, server: tuple[str, str]
) -> None:
    from swatow_node.daemon import make_engine
    from swatow_protocol.messages import Model
    from tests.support.samples import model

    listed: Model = model(name=MODEL)
    url, key = server
    (tmp_path / "key").write_text(key + "\n")
    given: dict[str, Any] = {"market": "x", "zone": "sg", "engine": "openai"}
    with pytest.raises(ConfigError, match="engine_url"):
        make_engine(NodeSettings(**given), tmp_path, listed)
    wrong = NodeSettings(**given, engine_url=url, engine_model="no-such")
    with pytest.raises(ConfigError, match="is the key right"):
        await make_engine(wrong, tmp_path, listed).start()
    right = NodeSettings(**given, engine_url=f"{url}/v1/", engine_key_file=tmp_path / "key")
    engine = make_engine(right, tmp_path, listed)
    facts = await engine.start()
    assert facts.name.startswith("llama.cpp/")
    await engine.stop()
