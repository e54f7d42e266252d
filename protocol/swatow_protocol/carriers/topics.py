"""Names of topics: what is published where, and which of them a pattern means."""

import re
from typing import Final

from swatow_protocol.identity import KEY_BYTES

OFFERS: Final = "swatow/1/offers"
MARKETS: Final = "swatow/1/markets"
TOPIC_BYTES_MAX: Final = 256

_ONE, _REST = "+", "#"
_KEY = re.compile(f"[0-9a-f]{{{2 * KEY_BYTES}}}", re.ASCII)


def offer_topic(zone: str, node: bytes) -> str:
    """Return the topic on which a node keeps its offer."""
    return f"{OFFERS}/{zone}/{node.hex()}"


def node_of(topic: str) -> bytes | None:
    """Return the node whose offers belong on a topic; None if it is no topic of offers."""
    prefix, _, rest = topic.rpartition("/")
    if _KEY.fullmatch(rest) is None or not matches(f"{OFFERS}/{_ONE}", prefix):
        return None
    return bytes.fromhex(rest)


def offers_pattern(zone: str = _ONE) -> str:
    """Return the pattern of the offers of a zone, or of all."""
    return f"{OFFERS}/{zone}/{_ONE}"


def head_topic(market: bytes, shard: str) -> str:
    """Return the topic on which a market keeps the head of a shard's last round."""
    return f"{MARKETS}/{market.hex()}/heads/{shard}"


def heads_pattern(market: bytes) -> str:
    """Return the pattern of the heads of a market."""
    return head_topic(market, _REST)


def matches(pattern: str, topic: str) -> bool:
    """Tell whether a topic is one that a pattern means.

    As MQTT has it (OASIS MQTT 3.1.1, section 4.7): `+` is any one level, a last `#` any levels.
    """
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == _REST:
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        each in (_ONE, level) for each, level in zip(wanted, levels, strict=True)
    )
