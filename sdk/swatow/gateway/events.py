"""Events of an answer as the gateway sends them: the engine's own, the last with the cost. Pure.

The cost of a job is known when its receipt is there. So the last event of the answer is held back
until then: the usage event where the client asked for one, else the event that ends the choice.
"""

from decimal import Decimal
from typing import Any

import msgspec

from swatow._answers import JobReceipt
from swatow_protocol.openai_events import choices_of

_encoder = msgspec.json.Encoder(decimal_format="number")
_NANO = Decimal("1e-9")


def encode(value: Any) -> bytes:
    """Encode JSON; Decimals become numbers, exactly."""
    return _encoder.encode(value)


def sse(event: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return b"data: " + encode(event) + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Tail:
    """Holds back what can only be sent when the receipt is there."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._held: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None

    def pass_on(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the events that may be sent now."""
        if event.get("usage"):
            self._usage = {name: value for name, value in event.items() if name != "choices"}
            if not choices_of(event):
                return []
        ready = [] if self._held is None else [self._held]
        ends = any(choice.get("finish_reason") for choice in choices_of(event))
        self._held = event if ends else None
        return ready if ends else [*ready, event]

    def finish(self, receipt: JobReceipt | None) -> list[dict[str, Any]]:
        """Return the last events, with what the job came to."""
        last = [] if self._held is None else [self._held]
        whole = {**(self._usage or {}), **cost_fields(receipt, self._usage)}
        if self._include_usage or not last:
            return [*last, {"choices": [], **whole}]
        return [{**last[0], **{name: whole[name] for name in ("usage", "swatow") if name in whole}}]


def cost_fields(receipt: JobReceipt | None, answer: dict[str, Any] | None) -> dict[str, Any]:
    """Return `usage` with its cost, and the receipt, as fields of an answer."""
    if receipt is None:
        return {}
    told = (answer or {}).get("usage")
    usage = dict(told) if isinstance(told, dict) else {}
    usage.setdefault("prompt_tokens", receipt.prompt_tokens)
    usage.setdefault("completion_tokens", receipt.output_tokens)
    usage.setdefault("total_tokens", receipt.prompt_tokens + receipt.output_tokens)
    usage["cost"] = receipt.cost * _NANO
    return {"usage": usage, "swatow": receipt.as_dict()}
