"""Simulated engines: they make no sense, but exactly as many tokens as they are told to."""

import asyncio
import json
from collections.abc import AsyncGenerator

from swatow_node.engines.engine import EngineEvent, EngineFacts, EngineFailed, EngineRefused
from swatow_protocol.messages import Service, Usage

PROMPT_TOKENS = 40


class SimulatedEngine:
    """An engine that emits one token an event, each the word `t<number> `.

    A test may hold it back with `gate`: it makes a token only when the semaphore lets it.
    """

    def __init__(
        self, tokens: int = 50, *, gated: bool = False, fail_after: int | None = None
    ) -> None:
        self.tokens = tokens
        self.fail_after = fail_after
        self.healthy = False
        self.running = 0
        self.stopped = asyncio.Event()
        """Set when a run was given up before its end."""
        self.gate = asyncio.Semaphore(0) if gated else None
        self.requests: list[bytes] = []

    async def start(self) -> EngineFacts:
        """Become healthy."""
        self.healthy = True
        return EngineFacts("simulated/1", None, None, ("seed",))

    async def stop(self) -> None:
        """Become unhealthy."""
        self.healthy = False

    async def count_prompt(self, service: Service, request: bytes) -> int | None:
        """Every prompt has PROMPT_TOKENS tokens; one with `bad` in it is refused."""
        if json.loads(request).get("bad"):
            raise EngineRefused("the simulated engine was asked for something bad")
        return PROMPT_TOKENS

    async def run(
        self, service: Service, request: bytes, output_tokens_max: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """Emit the tokens, then a last event with the usage."""
        self.requests.append(request)
        self.running += 1
        ended = False
        try:
            count = min(self.tokens, output_tokens_max)
            for number in range(count):
                if number == self.fail_after:
                    raise EngineFailed("the simulated engine broke")
                if self.gate is not None:
                    await self.gate.acquire()
                yield EngineEvent(_event({"content": f"t{number} "}), 1)
                await asyncio.sleep(0)
            finish = "stop" if count == self.tokens else "length"
            yield EngineEvent(_event({}, finish), 0, finish_reason=finish)
            usage = Usage(prompt_tokens=PROMPT_TOKENS, output_tokens=count)
            yield EngineEvent(_usage(usage), 0, usage=usage)
            ended = True
        finally:
            self.running -= 1
            if not ended:
                self.stopped.set()


def _event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return json.dumps({"object": "chat.completion.chunk", "choices": [choice]}).encode()


def _usage(usage: Usage) -> bytes:
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
    }
    return json.dumps({"choices": [], "usage": counts}).encode()
