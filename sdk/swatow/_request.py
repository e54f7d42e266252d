"""An OpenAI request body, measured: what it may cost, and where the node must stop. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from swatow.errors import InvalidValue
from swatow_protocol import limits
from swatow_protocol.messages import Model, Service, Usage
from swatow_protocol.metering import standard_tokens
from swatow_protocol.sealing import OVERHEAD_BYTES

TEMPLATE_TOKENS_MAX = 256
"""Tokens that a chat template may add to a prompt for each of its messages, and once more."""
REQUEST_BYTES_MAX = limits.REQUEST_BYTES_MAX - OVERHEAD_BYTES


class Request(msgspec.Struct, frozen=True):
    """A request body, measured."""

    body: bytes
    service: Service
    stops: list[str]
    """Its stop sequences."""
    choices: int
    """Answers that it asks for."""
    prompt_tokens_most: int
    """A claim of more prompt tokens than this is refused."""
    output_tokens: int
    """The node stops after so many."""
    tokens: int
    """Standard tokens to set aside."""

    def within(self, tokens: int) -> "Request":
        """Return the request with its answer cut to what `tokens` standard tokens allow."""
        if self.tokens <= tokens:
            return self
        output = max(1, self.output_tokens - (self.tokens - tokens))
        return msgspec.structs.replace(self, output_tokens=output, tokens=tokens)


def measure(
    request: Mapping[str, Any], model: Model, service: Service, output_tokens_max: int
) -> Request:
    """Measure a request for `model`.

    Args:
        output_tokens_max: longest answer, where the request does not say.

    Raises:
        InvalidValue: a field is outside its limits.
    """
    if service not in model.services:
        raise InvalidValue("service", f"{model.name} does not offer {service.value}")
    body = msgspec.json.encode({**request, "model": model.name})
    if len(body) > REQUEST_BYTES_MAX:
        raise InvalidValue("request", f"{len(body)} bytes, {REQUEST_BYTES_MAX} fit")
    messages = request.get("messages")
    parts = len(messages) if isinstance(messages, list) else 0
    choices = _choices(request)
    most = min(output_tokens_max, model.context_tokens)
    output = _output_tokens(request, service, choices, most)
    # The most that the prompt can come to: a token is at least one byte of the request.
    prompt = min(len(body), model.context_tokens)
    estimate = Usage(prompt_tokens=prompt, output_tokens=output)
    return Request(
        body=body,
        service=service,
        stops=_stops(request),
        choices=choices,
        prompt_tokens_most=len(body) + TEMPLATE_TOKENS_MAX * (parts + 1),
        output_tokens=output,
        tokens=standard_tokens(estimate, model),
    )


def _output_tokens(request: Mapping[str, Any], service: Service, choices: int, default: int) -> int:
    if service is Service.EMBEDDINGS:
        return 0
    names = ("max_completion_tokens", "max_tokens")
    asked = next((request[name] for name in names if request.get(name) is not None), None)
    if asked is None:
        return default * choices
    if not isinstance(asked, int) or not 1 <= asked <= limits.STANDARD_TOKENS_MAX // choices:
        raise InvalidValue("max_tokens", f"{asked!r} is not a whole number above 0 that fits")
    return asked * choices


def _stops(request: Mapping[str, Any]) -> list[str]:
    stop = request.get("stop") or []
    if isinstance(stop, str):
        return [stop]
    if not isinstance(stop, list) or not all(isinstance(each, str) for each in stop):
        raise InvalidValue("stop", "is neither text nor a list of texts")
    return stop


def _choices(request: Mapping[str, Any]) -> int:
    choices = request.get("n") or 1
    if not isinstance(choices, int) or not 1 <= choices <= limits.LIST_ITEMS_MAX:
        raise InvalidValue("n", f"{choices!r} is outside 1 to {limits.LIST_ITEMS_MAX}")
    return choices
