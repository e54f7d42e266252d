"""Model: the exact product, as its market lists it.

The market that lists a model signs it, so that all offers and orders of one market name the same
thing and compare. The id of the model is the id of that signed message.
"""

from typing import Annotated, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Message
from swatow_protocol.messages.fields import Name, Service, Sha256, Weight


class Model(Message, frozen=True, kw_only=True):
    """An exact product. Sent by the market that lists it."""

    kind: Literal["model"] = "model"
    name: Name
    """What buyers call it, unique in the market: `smollm2-135m-instruct-q4_1`."""
    weights_sha256: Sha256
    """Hash of the weights file; of several files, the hash of their sorted `hash  name` lines."""
    precision: Name
    """Numeric format of the weights as served: `bf16`, `fp8`, `q4_1`. Never `unknown`."""
    tokenizer_sha256: Sha256 | None
    """Hash of the tokenizer file with which both sides count; None where it is not public."""
    template_sha256: Sha256 | None
    """Hash of the chat template that turns messages into the prompt; None where not public."""
    context_tokens: Annotated[int, Meta(ge=1, le=limits.CONTEXT_TOKENS_MAX)]
    """Longest prompt plus answer, in the model's own tokens."""
    prompt_weight: Weight
    """Thousandths of a standard token that one prompt token counts."""
    cached_weight: Weight
    """Thousandths of a standard token that one cached prompt token counts."""
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=len(Service))]
    """What it can be asked for."""
