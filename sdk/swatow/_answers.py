"""What a buyer gets for a job: the answer, as a whole or piece by piece, and its receipt."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

from swatow._assemble import assemble
from swatow._job import BuyerJob
from swatow._nodes import LiveJob
from swatow_protocol.openai_events import choices_of, text_of
from swatow_protocol.units import format_money, format_price


@dataclass(frozen=True, slots=True)
class JobReceipt:
    """What one job was: the node's signed record, as this buyer has checked it."""

    job: str
    award: str
    node: str
    """Key of the node, in hexadecimal like all keys and ids here."""
    zone: str
    """Where the tokens were made, as the award says."""
    model: str
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    standard_tokens: int
    """What the tokens count by the model's weights; an output token is 1."""
    price: int
    """Nanos a lot, which is millionths of a unit for a million standard tokens."""
    cost: int
    """Nanos."""
    currency: str
    opened_us: int
    first_token_us: int | None
    closed_us: int
    """The node's clock."""
    transcript: str
    """Hash over everything that the node sent."""
    countersigned: bool
    """Whether this buyer found the same counts and signed them too."""
    signed_output_tokens: int
    """Output tokens that this buyer has found and signed for."""
    recounted: bool
    """Whether the model's own tokenizer did the counting here."""

    @property
    def cost_text(self) -> str:
        """The cost with its currency."""
        return f"{format_money(self.cost)} {self.currency}"

    @property
    def price_text(self) -> str:
        """The price for a million standard tokens with its currency."""
        return f"{format_price(self.price)} {self.currency}"

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a person."""
        whole_ms = (self.closed_us - self.opened_us) / 1_000
        first = self.first_token_us
        first_text = f"{(first - self.opened_us) / 1_000:.0f} ms" if first else "none"
        return [
            ("tokens", f"{self.prompt_tokens} in, {self.output_tokens} out"),
            ("standard tokens", str(self.standard_tokens)),
            ("price a million", self.price_text),
            ("cost", self.cost_text),
            ("node", f"{self.node[:16]} in {self.zone}"),
            ("first token, whole", f"{first_text}, {whole_ms:.0f} ms"),
            ("ended by", self.finish_reason),
            ("signed by", "node and buyer" if self.countersigned else "node alone"),
            ("counted again", "with the model's tokenizer" if self.recounted else "by length"),
            ("transcript", self.transcript[:32]),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the receipt as plain values."""
        return asdict(self)


class Completion:
    """A whole answer."""

    def __init__(self, raw: dict[str, Any], receipt: JobReceipt) -> None:
        self.raw = raw
        """The answer in the shape of the OpenAI API."""
        self.receipt = receipt

    @property
    def text(self) -> str:
        """Text of the first choice."""
        first = next(iter(choices_of(self.raw)), {})
        message = first.get("message")
        said = message.get("content") if isinstance(message, dict) else None
        return str(said or first.get("text") or "")

    def __repr__(self) -> str:
        return f"Completion({self.text!r}, {self.receipt.cost_text})"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer as it comes."""

    text: str
    """What the model wrote in this piece; empty for pieces that carry only bookkeeping."""
    event: dict[str, Any]
    """The stream event in the shape of the OpenAI API."""


class CompletionStream:
    """An answer piece by piece: `async for piece in stream`. Close it to stop the engine."""

    def __init__(
        self, live: LiveJob, model: str, on_end: Callable[[BuyerJob], Awaitable[None]]
    ) -> None:
        self._live = live
        self._model = model
        self._on_end = on_end
        self._events = self._read()
        self._closing: asyncio.Future[None] | None = None

    @property
    def receipt(self) -> JobReceipt | None:
        """The receipt; None until the answer has ended, or if the node gave none."""
        return receipt_of(self._live.core, self._model)

    @property
    def text(self) -> str:
        """Everything that the model has written so far."""
        return self._live.core.recount.text

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self._events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the engine, if the answer has not ended; what was made is still paid for.

        Safe to cancel: the engine is told to stop at once, and the rest goes on by itself.
        """
        self._live.stop()
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def completion(self) -> Completion:
        """Read to the end and return the whole answer.

        Raises:
            InvalidRequest, NodeError: the job did not end well; see there for what was paid.
        """
        events = [piece.event async for piece in self]
        receipt = self.receipt
        assert receipt is not None, "an answer that ends well ends with a receipt"
        return Completion(assemble(events), receipt)

    async def _read(self) -> AsyncIterator[Piece]:
        try:
            async for event in self._live.events():
                text = "".join(text_of(choice) for choice in choices_of(event))
                yield Piece(text, event)
        finally:
            await self.aclose()

    async def _close(self) -> None:
        await self._live.cancel()
        await self._on_end(self._live.core)


def receipt_of(job: BuyerJob, model: str) -> JobReceipt | None:
    """Return the receipt of a job in the buyer's terms; None if the node gave none."""
    if job.receipt is None:
        return None
    receipt, award = job.receipt.message, job.award.award
    return JobReceipt(
        job=receipt.job.hex(),
        award=receipt.award.hex(),
        node=receipt.sender.hex(),
        zone=award.zone,
        model=model,
        finish_reason=receipt.finish_reason.value,
        prompt_tokens=receipt.usage.prompt_tokens,
        cached_tokens=receipt.usage.cached_tokens,
        output_tokens=receipt.usage.output_tokens,
        standard_tokens=receipt.standard_tokens,
        price=receipt.price,
        cost=receipt.cost,
        currency=receipt.currency,
        opened_us=receipt.opened_us,
        first_token_us=receipt.first_token_us,
        closed_us=receipt.closed_us,
        transcript=receipt.transcript.hex(),
        countersigned=job.countersignature is not None,
        signed_output_tokens=job.usage.output_tokens,
        recounted=job.recount.is_exact,
    )
