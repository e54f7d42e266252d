"""The address of a market as people write it: KEY@host:port."""

from swatow_protocol.errors import InvalidValue
from swatow_protocol.identity import KEY_BYTES


def parse_market(text: str) -> tuple[bytes, str]:
    """Read KEY@host:port; return the key and host:port.

    Raises:
        InvalidValue: it is not written so.
    """
    key, at, address = text.partition("@")
    try:
        market = bytes.fromhex(key)
    except ValueError:
        market = b""
    if len(market) != KEY_BYTES or not at or ":" not in address:
        digits = 2 * KEY_BYTES
        raise InvalidValue("market", f"{text!r} is not KEY@host:port, KEY in {digits} hex digits")
    return market, address
