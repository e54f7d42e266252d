"""Names of topics: what is published where, and which of them a pattern means."""

from typing import Final

OFFERS: Final = "swatow/1/offers"
MARKETS: Final = "swatow/1/markets"
TOPIC_BYTES_MAX: Final = 256

_ONE, _REST = "+", "#"


def offer_topic(zone: str, node: bytes) -> str:
    """Return the topic on which a node keeps its offer."""
    return f"{OFFERS}/{zone}/{node.hex()}"


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
