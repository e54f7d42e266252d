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
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = {}
    calls = delta.get("tool_calls")
    parts = [delta.get("reasoning_content"), delta.get("content")]
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        parts += function.values() if isinstance(function, dict) else []
    return "".join(part for part in [*parts, choice.get("text")] if isinstance(part, str))
