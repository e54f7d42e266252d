"""One whole answer from the events of a stream, in the shape of the OpenAI API.

Events are merged as they are, field by field, so that tool calls, log probabilities and fields
that only one engine knows survive. Pure.
"""

from typing import Any

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
                for choice in value:
                    _merge_choice(choices.setdefault(choice.get("index", 0), {}), choice)
            elif value is not None or key not in whole:
                whole[key] = value
    whole["object"] = _OBJECTS.get(str(whole.get("object")), whole.get("object"))
    whole["choices"] = [choices[index] for index in sorted(choices)]
    return whole


def _merge_choice(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key == "delta":
            message = whole.setdefault("message", {"role": "assistant", "content": None})
            _merge(message, value)
        elif key == "logprobs" and value is not None:
            _merge(whole.setdefault("logprobs", {}), value)
        elif key in _CONCATENATED and isinstance(value, str):
            whole[key] = whole.get(key, "") + value
        elif value is not None or key not in whole:
            whole[key] = value


def _merge(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        old = whole.get(key)
        if key in _CONCATENATED and isinstance(value, str):
            whole[key] = (old or "") + value
        elif isinstance(value, dict):
            whole[key] = old or {}
            _merge(whole[key], value)
        elif isinstance(value, list):
            whole[key] = old or []
            _merge_list(whole[key], value)
        elif value is not None or key not in whole:
            whole[key] = value


def _merge_list(whole: list[Any], part: list[Any]) -> None:
    """Merge by the items' own `index` where they have one (tool calls), else append."""
    for item in part:
        if isinstance(item, dict) and "index" in item:
            same = next((old for old in whole if old.get("index") == item["index"]), None)
            if same is None:
                whole.append(same := {})
            _merge(same, item)
        else:
            whole.append(item)
