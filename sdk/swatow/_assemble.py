"""One whole answer from the events of a stream, in the shape of the OpenAI API.

Events are merged as they are, field by field, so that tool calls, log probabilities and fields
that only one engine knows survive. They come from somebody else's engine: where a field is not
shaped as it was before, the last word counts, and nothing raises. Pure.
"""

from typing import Any

from swatow_protocol.openai_events import choices_of

_OBJECTS = {
    "chat.completion.chunk": "chat.completion",
    "text_completion": "text_completion",
}
_CONCATENATED = {"content", "reasoning_content", "refusal", "text", "arguments", "name"}


def assemble(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the events of an answer; a single whole answer (embeddings) is returned as it is."""
    if len(events) == 1 and "data" in events[0]:
        return events[0]
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        for key, value in event.items():
            if key == "choices":
                for choice in choices_of(event):
                    index = choice.get("index")
                    place = index if isinstance(index, int) else 0
                    _merge_choice(choices.setdefault(place, {}), choice)
            elif value is not None or key not in whole:
                whole[key] = value
    whole["object"] = _OBJECTS.get(str(whole.get("object")), whole.get("object"))
    whole["choices"] = [choices[index] for index in sorted(choices)]
    return whole


def _merge_choice(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key == "delta":
            message = whole.setdefault("message", {"role": "assistant", "content": None})
            _merge(message, _object(value))
        elif key == "message":
            whole[key] = {}
            _merge(whole[key], _object(value))
        elif key == "logprobs" and isinstance(value, dict):
            whole[key] = _object(whole.get(key))
            _merge(whole[key], value)
        elif key in _CONCATENATED and isinstance(value, str):
            whole[key] = _text(whole.get(key)) + value
        elif value is not None or key not in whole:
            whole[key] = value


def _merge(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        old = whole.get(key)
        if key in _CONCATENATED and isinstance(value, str):
            whole[key] = _text(old) + value
        elif isinstance(value, dict):
            whole[key] = _object(old)
            _merge(whole[key], value)
        elif isinstance(value, list):
            whole[key] = old if isinstance(old, list) else []
            _merge_list(whole[key], value)
        elif value is not None or key not in whole:
            whole[key] = value


def _merge_list(whole: list[Any], part: list[Any]) -> None:
    """Merge by the items' own `index` where they have one (tool calls), else append."""
    for item in part:
        if isinstance(item, dict) and "index" in item:
            places = (old for old in whole if isinstance(old, dict) and "index" in old)
            same = next((old for old in places if old["index"] == item["index"]), None)
            if same is None:
                whole.append(same := {})
            _merge(same, item)
        else:
            whole.append(item)


def _object(value: Any) -> dict[str, Any]:
    """Return the value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Return the value where it is text, else none."""
    return value if isinstance(value, str) else ""
