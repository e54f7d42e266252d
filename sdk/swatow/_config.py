"""Settings of a buyer: `<directory>/config.toml`, SWATOW_BUYER_*, flags."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from swatow_protocol import limits
from swatow_protocol.shell.settings import CarrierSetting, PriceSetting, Settings, ShareSetting

NameSetting = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/:-]{0,95}$")]


class BuyerSettings(Settings):
    """What a buyer decides once, for all its orders."""

    ROLE: ClassVar[str] = "buyer"

    market: str | None = None
    """KEY@host:port, as `swatow market run` prints it."""
    network: NameSetting = "local"
    """Messages of another network are refused."""
    carriers: tuple[CarrierSetting, ...] = ()
    """Where `swatow offers --watch` listens: mqtt://host, mqtts://user:password@host?ca=FILE."""
    max_price: PriceSetting | None = None
    """Most that is paid for a million standard tokens, where a request does not say."""
    order_wait_s: Annotated[float, Field(gt=0, le=3_600)] = 10.0
    """An order that finds no offer waits so long in the book."""
    order_lots: Annotated[int, Field(ge=1, le=limits.LOTS_MAX)] = 1
    """Fewest lots of an order; what is not used is released again."""
    order_now: bool = True
    """Buy for a request at the posted price at once, and only where that cannot be wait for a
    round. No more than the limit price is paid either way."""
    take_or_pay: ShareSetting | None = None
    """Share of an award that is paid for even if it is not used, 0 to 1; the default is the least
    that the market takes. ["0.2"]"""
    award_life_s: Annotated[int, Field(ge=1, le=86_400)] = 600
    """How long an award may be drawn upon."""
    output_tokens_max: Annotated[int, Field(ge=1, le=limits.STANDARD_TOKENS_MAX)] = 2_048
    """Longest answer, where a request does not say."""
    silence_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """A node that sends nothing for so long has failed."""
    listen: str = "127.0.0.1:8800"
    """host:port of the gateway."""
    gateway_key_file: Path | None = None
    """File with the gateway's API key; by default `gateway.key` in the directory."""
    log_level: str = "info"
