"""How OpenAI-compatible servers tell how many tokens an event holds.

llama.cpp   `timings_per_token` counts exactly, `logprobs` tells ids (llama.cpp, tools/server)
plain       nothing: an event with text counts one token until the final usage says otherwise
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from swatow_protocol.messages import Service, Usage
from swatow_protocol.openai_events import choices_of, text_of

Ask = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class Counted:
    """What one event holds."""

    tokens: int
    token_ids: tuple[int, ...] = ()
    finish_reason: str | None = None
    lost_text: str = ""
    """Text of several tokens whose ids the event does not tell."""


class Counter(Protocol):
    """Counts the tokens of one answer, event by event."""

    def read(self, event: dict[str, Any]) -> Counted:
        """Count an event, and take out of it what was asked for our sake only."""
        ...

    def usage(self, event: dict[str, Any]) -> Usage | None:
        """Return the final counts of all choices so far, where an event reports any."""
        ...


class Dialect(Protocol):
    """What a kind of server needs to be asked, and how its answers are read."""

    name: str
    features: tuple[str, ...]

    def prepare(self, service: Service, body: dict[str, Any]) -> None:
        """Ask for what counting needs."""
        ...

    def counter(self, asked: dict[str, Any]) -> Counter:
        """Return a counter for the answer to what the buyer asked."""
        ...

    def count_path(self, service: Service) -> str | None:
        """Return where prompts are counted."""
        ...

    def count(self, answer: dict[str, Any]) -> int | None:
        """Read the answer from there."""
        ...

    def usage(self, event: dict[str, Any]) -> Usage | None:
        """Read the final counts, where an event has them."""
        ...

    async def tokenize(self, ask: Ask, text: str) -> list[int]:
        """Return the ids of a text; [] where the server cannot tell."""
        ...


class Plain:
    """A server of which nothing is known but that it speaks the OpenAI API."""

    name = "openai-compatible"
    features: tuple[str, ...] = ()

    def prepare(self, service: Service, body: dict[str, Any]) -> None:
        """Nothing more can be asked for."""

    def counter(self, asked: dict[str, Any]) -> Counter:
        """Count one token for an event with text."""
        return _PlainCounter()

    def count_path(self, service: Service) -> str | None:
        """Prompts are counted by the final usage only."""
        return None

    def count(self, answer: dict[str, Any]) -> int | None:
        """See `count_path`."""
        return None

    def usage(self, event: dict[str, Any]) -> Usage | None:
        """Read `usage` of the OpenAI API."""
        return read_usage(event)

    async def tokenize(self, ask: Ask, text: str) -> list[int]:
        """Ids are not known."""
        return []


class LlamaCpp(Plain):
    """llama.cpp's own server."""

    features = ("logprobs", "seed", "json-schema")

    def __init__(self, build: str, end_token: int | None) -> None:
        self.name = f"llama.cpp/{build}"
        self._end_token = end_token

    @classmethod
    async def find(cls, ask: Ask) -> "LlamaCpp | None":
        """Return the dialect if the server is llama.cpp's, else None."""
        props = await ask("GET", "/props")
        if not isinstance(props, dict) or "default_generation_settings" not in props:
            return None
        dialect = cls(str(props.get("build_info", "unknown")).lower(), None)
        end = await dialect.tokenize(ask, str(props.get("eos_token", "")), parse_special=True)
        dialect._end_token = end[0] if len(end) == 1 else None
        return dialect

    def prepare(self, service: Service, body: dict[str, Any]) -> None:
        """Ask for counts with each event, and for the id of each token."""
        body["timings_per_token"] = True
        if body.get("logprobs") or body.get("tools"):  # it refuses both together in a stream
            return
        if service is Service.CHAT:
            body["logprobs"], body["top_logprobs"] = True, 1
        else:
            body["logprobs"] = 1

    def counter(self, asked: dict[str, Any]) -> Counter:
        """Count by the server's own timings."""
        return _LlamaCppCounter(
            keep_logprobs=bool(asked.get("logprobs")),
            keep_timings=bool(asked.get("timings_per_token")),
            end_token=self._end_token,
        )

    def count_path(self, service: Service) -> str | None:
        """Chat prompts are counted with their template."""
        return "/v1/chat/completions/input_tokens" if service is Service.CHAT else None

    def count(self, answer: dict[str, Any]) -> int | None:
        """Read `input_tokens`."""
        tokens = answer.get("input_tokens")
        return tokens if isinstance(tokens, int) else None

    async def tokenize(self, ask: Ask, text: str, *, parse_special: bool = False) -> list[int]:
        """Ask the server's tokenizer."""
        body = {"content": text, "parse_special": parse_special}
        answer = await ask("POST", "/tokenize", body) if text else None
        return list(answer["tokens"]) if isinstance(answer, dict) else []


class _PlainCounter:
    def usage(self, event: dict[str, Any]) -> Usage | None:
        return read_usage(event)

    def read(self, event: dict[str, Any]) -> Counted:
        choices = choices_of(event)
        finish = next((c["finish_reason"] for c in choices if c.get("finish_reason")), None)
        return Counted(sum(bool(text_of(choice)) for choice in choices), finish_reason=finish)


class _LlamaCppCounter:
    def __init__(self, *, keep_logprobs: bool, keep_timings: bool, end_token: int | None) -> None:
        self._keep_logprobs = keep_logprobs
        self._keep_timings = keep_timings
        self._end_token = end_token
        self._made: dict[int, int] = {}  # choice -> tokens so far
        self._ended = 0  # output tokens of the choices whose usage was reported

    def usage(self, event: dict[str, Any]) -> Usage | None:
        """Sum up: the server reports usage once for each choice, each with the whole prompt."""
        own = read_usage(event)
        if own is None:
            return None
        self._ended += own.output_tokens
        event["usage"]["completion_tokens"] = self._ended
        event["usage"]["total_tokens"] = own.prompt_tokens + self._ended
        return Usage(
            prompt_tokens=own.prompt_tokens,
            cached_tokens=own.cached_tokens,
            output_tokens=self._ended,
        )

    def read(self, event: dict[str, Any]) -> Counted:
        timings = event.get("timings") or {}
        if not self._keep_timings:
            event.pop("timings", None)
        choices = choices_of(event)
        if not choices:
            return Counted(0)
        choice = choices[0]
        index = choice.get("index", 0)
        made = timings.get("predicted_n", self._made.get(index, 0))
        tokens = made - self._made.get(index, 0)
        self._made[index] = made
        ids = _logprob_ids(choice)
        if not self._keep_logprobs:
            choice.pop("logprobs", None)
        counted = Counted(tokens, ids, choice.get("finish_reason"))
        if len(ids) != tokens:
            counted.token_ids = ()
            counted.lost_text = text_of(choice)
            ended = counted.finish_reason == "stop" and tokens == 1 and not counted.lost_text
            if ended and self._end_token is not None:
                counted.token_ids = (self._end_token,)
        return counted


def read_usage(event: dict[str, Any]) -> Usage | None:
    """Read the `usage` object of the OpenAI API; None where the event has none."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("prompt_tokens_details") or {}
    output = usage.get("completion_tokens_details") or {}
    return Usage(
        prompt_tokens=usage.get("prompt_tokens") or 0,
        cached_tokens=prompt.get("cached_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        reasoning_tokens=output.get("reasoning_tokens") or 0,
    )


def _logprob_ids(choice: dict[str, Any]) -> tuple[int, ...]:
    content = (choice.get("logprobs") or {}).get("content") or []
    return tuple(entry["id"] for entry in content if isinstance(entry.get("id"), int))
