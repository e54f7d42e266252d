"""Addresses as people write them: host:port, and KEY@host:port for a market."""

import re

from swatow_protocol.errors import InvalidValue
from swatow_protocol.identity import KEY_BYTES

PORT_MAX = 65_535

_PASSWORD = re.compile(r"(//[^/@:]*:)[^/@]*(?=@)")
_HOST_AND_PORT = re.compile(r"([^\s:@/\[\]]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", re.ASCII)


def parse_address(text: str, field: str = "address") -> tuple[str, int]:
    """Read host:port or [IPv6]:port; return the host without brackets, and the port.

    Raises:
        InvalidValue: it is not written so, or no machine has such a port.
    """
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None or int(found[2]) > PORT_MAX:
        raise InvalidValue(field, f"{text!r} is not host:port, port at most {PORT_MAX}")
    return found[1].strip("[]"), int(found[2])


def parse_market(text: str) -> tuple[bytes, str]:
    """Read KEY@host:port; return the key and host:port.

    Raises:
        InvalidValue: it is not written so.
    """
    key, _, address = text.partition("@")
    try:
        market = bytes.fromhex(key)
        parse_address(address)
    except (ValueError, InvalidValue):
        market = b""
    if len(market) != KEY_BYTES:
        digits = 2 * KEY_BYTES
        raise InvalidValue("market", f"{text!r} is not KEY@host:port, KEY in {digits} hex digits")
    return market, address


def without_password(url: str) -> str:
    """Return a URL as it may be shown: `***` in place of its password."""
    return _PASSWORD.sub(r"\1***", url)
