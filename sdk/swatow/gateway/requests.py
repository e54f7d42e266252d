"""What the gateway reads of a request body; everything else passes through untouched. Pure."""

from dataclasses import dataclass
from typing import Any

import msgspec

from swatow._limits import limits_of
from swatow.errors import InvalidValue
from swatow_protocol.messages import Limits
from swatow_protocol.units import parse_price


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, its routing taken out."""

    model: str
    stream: bool
    include_usage: bool
    """The client asked for an event of its own that reports usage."""
    max_price: str | None
    limits: Limits
    body: dict[str, Any]
    """The rest, for the engine."""


def read_request(data: bytes) -> Asked:
    """Read a request body.

    `swatow` is this gateway's one field: `{"max_price": "0.20", "zones": ["sg"], ...}`, with the
    hard limits of an order by their names.

    Raises:
        InvalidValue: names the field and what is wrong with it.
    """
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("body", f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidValue("body", "not a JSON object")
    model, stream = body.get("model"), body.get("stream") or False
    if not isinstance(model, str) or not model:
        raise InvalidValue("model", "which one? GET /v1/models lists them")
    if not isinstance(stream, bool):
        raise InvalidValue("stream", f"{stream!r} is neither true nor false")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise InvalidValue("stream_options", "not a JSON object")
    routing = body.get("swatow") or {}
    if not isinstance(routing, dict):
        raise InvalidValue("swatow", "not a JSON object")
    max_price = routing.pop("max_price", None)
    if max_price is not None:
        parse_price(str(max_price), "swatow.max_price")
    ours = {"swatow", "stream", "model"}
    return Asked(
        model=model,
        stream=stream,
        include_usage=bool((options or {}).get("include_usage")),
        max_price=None if max_price is None else str(max_price),
        limits=limits_of(routing, "swatow"),
        body={name: value for name, value in body.items() if name not in ours},
    )
