"""Settings of a market: `<directory>/config.toml`, SWATOW_MARKET_*, flags."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from swatow_protocol import limits
from swatow_protocol.messages import DataClass, Retention
from swatow_protocol.shell.settings import CarrierSetting, MoneySetting, PriceSetting, Settings
from swatow_protocol.units import MICROS_PER_SECOND, PARTS_PER_MILLION, format_price

ZoneSetting = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z0-9]{1,24}){0,3}$")]
NameSetting = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/:-]{0,95}$")]


def _within_price_max(charge: int) -> int:
    if charge > limits.PRICE_MAX:
        raise ValueError(f"at most {format_price(limits.PRICE_MAX)}")
    return charge


class PositionSettings(BaseModel):
    """The `position` of a zone, in millionths of a degree; north and east are positive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latitude: Annotated[int, Field(ge=-90_000_000, le=90_000_000)]
    longitude: Annotated[int, Field(ge=-180_000_000, le=180_000_000)]


class ZoneSettings(BaseModel):
    """One `[[zones]]` table: a place; its country is the first part of its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ZoneSetting
    position: PositionSettings | None = None
    """Where to draw it."""


class PathSettings(BaseModel):
    """One `[[paths]]` table: from a buyer's zone to a node's zone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    origin: ZoneSetting
    zone: ZoneSetting
    round_trip_ms: Annotated[int, Field(ge=0, le=3_600_000)] | None = None
    charge: Annotated[PriceSetting, AfterValidator(_within_price_max)] = 0
    """Currency units for a million standard tokens, for the carriers."""


class CorridorSettings(BaseModel):
    """One `[[corridors]]` table: where data of one origin may be processed, and what must be true
    for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: NameSetting
    data_origin: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
    zones: Annotated[tuple[ZoneSetting, ...], Field(min_length=1, max_length=limits.LIST_ITEMS_MAX)]
    """These zones, each with all zones inside it."""
    data_class: DataClass
    """The highest that it admits: 0 public, 1 personal, 2 important."""
    retention: Retention | None = None
    """The longest that an offer may state: 0 nothing, 1 a day, 2 a month, 3 longer."""
    attestation: NameSetting | None = None
    """The kind that an offer must state."""


class MarketSettings(Settings):
    """What the operator of a market decides."""

    ROLE: ClassVar[str] = "market"

    listen: str = "127.0.0.1:7700"
    """host:port of the gRPC server. It speaks TLS only."""
    advertise: str | None = None
    """host:port under which others reach it, where that differs."""
    network: NameSetting = "local"
    """Messages of another network are refused."""
    carriers: tuple[CarrierSetting, ...] = ()
    """Where offers are heard besides: mqtt://host, mqtts://user:password@host?ca=FILE."""
    shard: NameSetting = "main"
    """Part of the market that this process leads."""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"
    database: str | None = None
    """SQLAlchemy URL; the default is market.sqlite in the directory."""
    round_ms: Annotated[int, Field(ge=200, le=15_000)] = 1_000
    """Time between two rounds."""
    period_s: Annotated[
        int,
        Field(
            ge=limits.PERIOD_MIN_US // MICROS_PER_SECOND,
            le=limits.PERIOD_MAX_US // MICROS_PER_SECOND,
        ),
    ] = 3_600
    """Length of the periods for which nodes state later supply. They follow a change only when
    they are started again."""
    fee_ppm: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """The market's part of what nodes earn, in millionths."""
    take_or_pay_min_ppm: Annotated[int, Field(ge=0, le=PARTS_PER_MILLION)] = 0
    """Least share of an award that a buyer pays for even if it is not used, in millionths."""
    award_life_max_s: Annotated[int, Field(ge=1, le=limits.AWARD_LIFE_US // MICROS_PER_SECOND)] = (
        3_600
    )
    """Longest time in which an award may be drawn upon."""
    dispute_s: Annotated[int, Field(ge=0, le=30 * 86_400)] = 300
    """How long after the end of an award its vouchers are still redeemed."""
    orders_open_max: Annotated[int, Field(ge=1, le=limits.BATCH_ORDERS_MAX)] = 1_000
    """Most open orders of one buyer."""
    records_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    """How long the published records of rounds are kept; what was traded is kept for good."""
    round_files: bool = True
    """Write each round that trades to a file in `rounds` of the directory, for as long."""
    deposit_min: MoneySetting = 0
    """Smallest deposit."""
    zones: Annotated[tuple[ZoneSettings, ...], Field(max_length=limits.ZONES_MAX)] = ()
    """Places; if none is stated, those that paths and corridors name."""
    paths: Annotated[tuple[PathSettings, ...], Field(max_length=limits.PATHS_MAX)] = ()
    """Round-trip times and charges between zones."""
    corridors: Annotated[tuple[CorridorSettings, ...], Field(max_length=limits.CORRIDORS_MAX)] = ()
    """Where data may be processed that may not be processed everywhere."""
    log_level: str = "info"
