"""What a node asks of an inference engine.

An engine takes an OpenAI request body and gives OpenAI stream events, each with the number of
output tokens in it. It is always asked for a stream, also where the buyer wants a whole answer,
because closing a stream is what makes an engine stop.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from swatow_protocol.errors import LocalError
from swatow_protocol.messages import Service, Usage


class EngineError(LocalError):
    """Root of what engines raise."""


class EngineRefused(EngineError):
    """The engine does not take this request; the message is the engine's."""


class EngineFailed(EngineError):
    """The engine is gone, or failed in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself when it starts."""

    name: str
    """Engine and version, as in `llama.cpp/xllamacpp-2026.10.11549`."""
    weights_sha256: bytes | None
    """Hash of the weights file, where the engine runs from a file that this node can read."""
    tokenizer: bytes | None
    """Tokenizer file (JSON) with which tokens can be counted again; None where not known."""
    features: tuple[str, ...]
    """What it can do beyond plain text."""


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One event of an answer."""

    body: bytes
    """OpenAI stream event (JSON)."""
    tokens: int
    """Output tokens in it."""
    token_ids: tuple[int, ...] = ()
    """Their ids; empty where the engine does not tell all of them."""
    finish_reason: str | None = None
    """Set on the event that ends a choice."""
    usage: Usage | None = None
    """Set on the event that reports the final counts."""


class Engine(Protocol):
    """An inference engine that serves one model."""

    async def start(self) -> EngineFacts:
        """Make the engine ready.

        Raises:
            ConfigError: it cannot be used as configured; the message says what to do.
            EngineFailed: it does not answer.
        """
        ...

    async def stop(self) -> None:
        """Let go of the engine; one that this node started ends. Safe to call twice."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether it is worth sending jobs."""
        ...

    async def count_prompt(self, service: Service, request: bytes) -> int | None:
        """Return the tokens of the request's prompt; None where the engine cannot tell.

        Raises:
            EngineRefused: the request is bad.
            EngineFailed: the engine does not answer.
        """
        ...

    def run(
        self, service: Service, request: bytes, output_tokens_max: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """Run a request; closing the iterator stops the engine.

        Raises:
            EngineRefused: the request is bad.
            EngineFailed: the engine is gone, or failed in the middle.
        """
        ...
