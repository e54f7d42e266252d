"""Every example runs as it is, against a market and a node with a simulated engine."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from swatow.gateway.server import serve_gateway
from tests.support.engines import SimulatedEngine
from tests.support.world import soon, world

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.stem for each in EXAMPLES])
async def test_example(tmp_path: Path, example: Path) -> None:
    async with world(tmp_path) as here:
        await here.node(engine=SimulatedEngine(tokens=40))
        payer = await here.client("buyer")
        env = {
            **os.environ,
            "SWATOW_BUYER_MARKET": here.address,
            "SWATOW_BUYER_DIRECTORY": str(tmp_path / "buyer"),
            "SWATOW_BUYER_MAX_PRICE": "0.20",
        }
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = None
        if example.stem == "openai_client":
            payer = await here.client("buyer", money=0, listen="127.0.0.1:0")
            serving = asyncio.create_task(serve_gateway(payer, stop, ready.set_result))
            env["OPENAI_BASE_URL"] = await soon(ready)
            env["OPENAI_API_KEY"] = (tmp_path / "buyer" / "gateway.key").read_text().strip()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(example),
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = await process.communicate()
        stop.set()
        if serving is not None:
            await soon(serving)
        assert process.returncode == 0, errors.decode()
        expected = "attestations" if example.stem == "limits" else "t0"
        assert expected in printed.decode()
