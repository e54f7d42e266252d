"""Long bodies in parts: a signed batch of orders, a tokenizer file."""

from collections.abc import AsyncIterator

from swatow_protocol import limits
from swatow_protocol.errors import MessageRefused, Refusal


def split(body: bytes) -> list[bytes]:
    """Split a body into parts of PART_BYTES; an empty body is one empty part."""
    size = limits.PART_BYTES
    return [body[start : start + size] for start in range(0, max(len(body), 1), size)]


async def join(parts: AsyncIterator[bytes], bytes_max: int) -> bytes:
    """Join the parts of a body, keeping at most `bytes_max` bytes.

    Raises:
        MessageRefused: OVERSIZED, before more than one part beyond the bound was read.
    """
    joined = bytearray()
    async for part in parts:
        joined += part
        if len(joined) > bytes_max:
            raise MessageRefused(Refusal.OVERSIZED, f"more than {bytes_max} bytes in parts")
    return bytes(joined)
