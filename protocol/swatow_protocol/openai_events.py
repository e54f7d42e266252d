"""What both ends need to know of the OpenAI API's stream events: where the model's words are.

Swatow passes events through as they are; this is for counting them. An event comes from somebody
else's engine: whatever is not shaped as expected holds no words.
"""

from typing import Any


def choices_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of an event; [] where it has none."""
    choices = event.get("choices")
    return [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []


def text_of(choice: dict[str, Any]) -> str:
    """Return everything in a streamed choice that the model wrote: reasoning, text, tool calls."""
    delta = _object(choice.get("delta"))
    parts = [delta.get("reasoning_content"), delta.get("content")]
    for function in _functions(delta):
        parts += function.values()
    return "".join(part for part in [*parts, choice.get("text")] if isinstance(part, str))


def calls_begun_in(choice: dict[str, Any]) -> int:
    """Return how many calls of tools begin in a streamed choice: each tells its name once."""
    functions = _functions(_object(choice.get("delta")))
    return sum(bool(function.get("name")) for function in functions)


def _functions(delta: dict[str, Any]) -> list[dict[str, Any]]:
    calls = delta.get("tool_calls")
    if not isinstance(calls, list):
        return []
    return [_object(call.get("function")) for call in calls if isinstance(call, dict)]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
