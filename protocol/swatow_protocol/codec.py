"""Strict positional MessagePack: one value has one encoding, and only that one is accepted.

A message is an array whose positions are its fields, so there are no keys to reorder or to
repeat. MessagePack still allows padded integers and other second spellings, and a decoder accepts
them; therefore every decoded value is encoded again and must give the same bytes.
"""

from typing import Any, TypeVar, cast

import msgspec

from swatow_protocol.errors import MessageRefused, Refusal

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()


def encode(value: msgspec.Struct) -> bytes:
    """Return the one encoding of `value`."""
    return _encoder.encode(value)


def decode(kind: type[T], data: bytes) -> T:
    """Decode `data` as `kind` and insist that it is the one encoding of that value.

    The caller bounds len(data) first; memory stays within a small multiple of it.

    Raises:
        MessageRefused: MALFORMED, with the path of the bad field, or NOT_CANONICAL.
    """
    try:
        value = decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageRefused(Refusal.MALFORMED, f"{kind.__name__}: {error}") from None
    if _encoder.encode(value) != data:
        raise MessageRefused(Refusal.NOT_CANONICAL, f"{kind.__name__}: bytes are not canonical")
    return value


def decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    """Return the decoder of `kind`, built once. The number of kinds bounds the cache."""
    found = _decoders.get(kind)
    if found is None:
        found = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    return cast("msgspec.msgpack.Decoder[T]", found)


_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}
