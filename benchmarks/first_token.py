"""Time to first token, and tokens a second: through Swatow, and straight to the same engine.

    python benchmarks/first_token.py [--rounds 15] [--tokens 64] [--json]

One engine (the embedded one) serves all ways: straight over HTTP; through the SDK, a node and its
job stream; and through the gateway in front of that. Market and node are processes of their own,
on this machine. The award is bought before the clock starts, as it is for all but the first request
of a program. Each round takes every way once, in turn.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from swatow import AsyncClient
from swatow_market.admin import deposit
from swatow_market.config import MarketSettings
from swatow_mesh.processes import Children
from swatow_node.engines.embedded import EmbeddedEngine
from swatow_protocol.shell import logs
from swatow_protocol.shell.clock import now_us
from swatow_protocol.shell.terminal import Terminal

MODEL = "smollm2-135m-instruct-q4_1"
CONTEXT_TOKENS = 4_096
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Write a long story about a harbour and the ships in it."},
]


@dataclass
class Way:
    """One way to the engine, and what was measured on it."""

    name: str
    ask: Callable[[], Awaitable[tuple[float, float, int]]]
    first_ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    async def measure(self) -> None:
        """Send the request once."""
        first_s, whole_s, tokens = await self.ask()
        self.first_ms.append(first_s * 1_000)
        self.rates.append((tokens - 1) / (whole_s - first_s))


async def main() -> None:
    """Set up, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=64, help="output tokens of a request")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logs.configure("warning")
    terminal = Terminal(as_json=options.json)
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        async for ways in set_up(at, options.tokens):
            for number in range(options.rounds + 1):
                terminal.note(f"round {number} of {options.rounds}" if number else "warming up")
                for way in ways:
                    await way.measure()
                if not number:
                    for way in ways:
                        way.first_ms.clear()
                        way.rates.clear()
            report(terminal, ways, options.rounds, options.tokens)


async def set_up(at: Path, tokens: int) -> AsyncIterator[list[Way]]:
    """Start engine, market, node and gateway; yield the ways to the engine."""
    engine = EmbeddedEngine(
        directory=at / "engine", served_name=MODEL, slots=2, context_tokens=CONTEXT_TOKENS
    )
    await engine.start()
    url, key = engine.server
    (at / "engine.key").write_text(key)
    children = Children(at / "logs")
    try:
        market = await children.start(
            "market",
            *("market", "run", "-d", str(at / "market"), "--listen", "127.0.0.1:0"),
            *("--round-ms", "200"),
        )
        await children.start(
            "node",
            *("node", "run", "-d", str(at / "node"), "--listen", "127.0.0.1:0"),
            *("--market", market.first_line, "--zone", "cn-gd-shantou", "--engine", "openai"),
            *("--engine-url", url, "--engine-key-file", str(at / "engine.key")),
        )
        client = AsyncClient(
            market=market.first_line, directory=at / "buyer", max_price="0.20", order_lots=100
        )
        await deposit(
            MarketSettings(),
            at / "market",
            buyer=client.wallet.identity.key,
            amount=10**9,
            reference=b"benchmark",
            now_us=now_us,
        )
        gateway = await children.start(
            "gateway",
            *("gateway", "-d", str(at / "buyer"), "--market", market.first_line),
            *("--max-price", "0.20", "--listen", "127.0.0.1:0", "--order-lots", "100"),
        )
        gateway_key = (at / "buyer" / "gateway.key").read_text().strip()
        body = {
            "model": MODEL,
            "messages": MESSAGES,
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
        }
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True)
        ) as session:
            direct = over_http(session, f"{url}/v1", key, {**body, "model": "embedded"})
            through = over_http(session, gateway.first_line, gateway_key, body)
            yield [
                Way("straight to the engine", direct),
                Way("Swatow: SDK, node", over_sdk(client, tokens)),
                Way("Swatow: gateway, node", through),
            ]
        await client.aclose()
    finally:
        await children.stop()
        await engine.stop()


def over_http(
    session: aiohttp.ClientSession, base: str, key: str, body: dict[str, object]
) -> Callable[[], Awaitable[tuple[float, float, int]]]:
    """Return a request to an OpenAI API."""

    async def ask() -> tuple[float, float, int]:
        headers = {"Authorization": f"Bearer {key}"}
        begun, first, tokens = time.perf_counter(), 0.0, 0
        async with session.post(f"{base}/chat/completions", json=body, headers=headers) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                if not line.startswith(b"data: {"):
                    continue
                choices = json.loads(line[6:]).get("choices") or [{}]
                if (choices[0].get("delta") or {}).get("content"):
                    first = first or time.perf_counter() - begun
                    tokens += 1
        return first, time.perf_counter() - begun, tokens

    return ask


def over_sdk(client: AsyncClient, tokens: int) -> Callable[[], Awaitable[tuple[float, float, int]]]:
    """Return a request through the SDK."""

    async def ask() -> tuple[float, float, int]:
        begun, first, received = time.perf_counter(), 0.0, 0
        stream = await client.chat(
            model=MODEL, messages=MESSAGES, max_tokens=tokens, temperature=0, stream=True
        )
        async for piece in stream:
            if piece.text:
                first = first or time.perf_counter() - begun
                received += 1
        return first, time.perf_counter() - begun, received

    return ask


def report(terminal: Terminal, ways: list[Way], rounds: int, tokens: int) -> None:
    """Print medians, and the ratio of each way to the first."""
    peer = ways[0]
    measured = [
        {
            "way": way.name,
            "first_token_ms": statistics.median(way.first_ms),
            "first_token_ratio": statistics.median(
                mine / theirs for mine, theirs in zip(way.first_ms, peer.first_ms, strict=True)
            ),
            "tokens_per_second": statistics.median(way.rates),
            "rate_ratio": statistics.median(
                mine / theirs for mine, theirs in zip(way.rates, peer.rates, strict=True)
            ),
            "first_token_ms_all": [round(value, 1) for value in way.first_ms],
        }
        for way in ways
    ]
    if terminal.as_json:
        terminal.data({"rounds": rounds, "tokens": tokens, "ways": measured})
        return
    heads = ("way", "first token ms", "ratio", "min to max", "tokens/s", "ratio")
    rows = [
        (
            str(row["way"]),
            f"{row['first_token_ms']:.0f}",
            f"{row['first_token_ratio']:.2f}",
            f"{min(way.first_ms):.0f} to {max(way.first_ms):.0f}",
            f"{row['tokens_per_second']:.1f}",
            f"{row['rate_ratio']:.2f}",
        )
        for row, way in zip(measured, ways, strict=True)
    ]
    terminal.table(f"{rounds} rounds, {tokens} tokens each, medians", heads, rows)


if __name__ == "__main__":
    asyncio.run(main())
