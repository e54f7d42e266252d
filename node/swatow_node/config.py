"""Settings of a node: `<directory>/config.toml`, SWATOW_NODE_*, flags."""

import re
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    field_validator,
)

from swatow_node.tariff import Hours
from swatow_protocol import limits
from swatow_protocol.messages import PriceStep, Retention
from swatow_protocol.shell.settings import CarrierSetting, PriceSetting, Settings
from swatow_protocol.units import MICROS_PER_SECOND

NameSetting = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/:-]{0,95}$")]
LotsSetting = Annotated[int, Field(ge=1, le=limits.LOTS_MAX)]


TARIFF_TABLES_MAX = 48
MINUTE_US = 60 * MICROS_PER_SECOND


class EngineKind(StrEnum):
    """Where the tokens come from."""

    EMBEDDED = "embedded"
    """The small model that comes along, as a child process."""
    OPENAI = "openai"
    """Any OpenAI-compatible server, by URL."""


def _minutes(text: Any, pattern: str, example: str) -> int:
    """Return the minutes that hours and minutes in two groups of a pattern make."""
    found = re.fullmatch(pattern, text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not written as {example}")
    return int(found["hours"]) * 60 + int(found["minutes"])


def _time_of_day(text: Any) -> int:
    return MINUTE_US * _minutes(text, r"(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d)", '"22:00"')


def _utc_offset(text: Any) -> int:
    pattern = r"[+-](?P<hours>0\d|1[0-4]):(?P<minutes>[0-5]\d)"
    minutes = _minutes(text, pattern, '"+08:00"')
    return MINUTE_US * (-minutes if text.startswith("-") else minutes)


def _clock(time_us: int) -> str:
    hours, minutes = divmod(abs(time_us) // MINUTE_US, 60)
    return f"{hours:02d}:{minutes:02d}"


def _signed_clock(offset_us: int) -> str:
    return ("-" if offset_us < 0 else "+") + _clock(offset_us)


TimeOfDaySetting = Annotated[int, BeforeValidator(_time_of_day), PlainSerializer(_clock)]
"""Written as "22:00"; held as microseconds since midnight."""
UtcOffsetSetting = Annotated[int, BeforeValidator(_utc_offset), PlainSerializer(_signed_clock)]
"""Written as "+08:00"; held as microseconds ahead of UTC."""


class StepSettings(BaseModel):
    """One `[[steps]]` table: so many lots at this price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    price: PriceSetting
    lots: LotsSetting


class TariffSettings(BaseModel):
    """One `[[tariff]]` table: price and lots at these times of each day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    begin: Annotated[TimeOfDaySetting, Field(alias="from")]
    until: TimeOfDaySetting
    """Not after `from`, it is a time of the next day; the same time is the whole day."""
    price: PriceSetting
    """Currency units for a million standard tokens."""
    lots: Annotated[int, Field(ge=0, le=limits.LOTS_MAX)]
    """Lots that may be promised in open awards at any one time; 0 serves nobody."""

    def hours(self) -> Hours:
        """Return the table as the tariff has it."""
        steps = (PriceStep(price=self.price, lots=self.lots),) if self.lots else ()
        return Hours(self.begin, self.until, steps)


class NodeSettings(Settings):
    """What the operator of a node decides."""

    ROLE: ClassVar[str] = "node"

    market: str
    """KEY@host:port, as `swatow market run` prints it."""
    zone: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z0-9]{1,24}){0,3}$")]
    """Where the tokens are made: `cn-gd-shantou`, `sg`."""
    listen: str = "127.0.0.1:7710"
    """host:port of the gRPC server. It speaks TLS only."""
    advertise: str | None = None
    """host:port under which buyers reach it, where that differs."""
    network: NameSetting = "local"
    """Messages of another network are refused."""

    carriers: tuple[CarrierSetting, ...] = ()
    """Where its offer is published besides: mqtt://host, mqtts://user:password@host?ca=FILE."""

    engine: EngineKind = EngineKind.EMBEDDED
    engine_url: str | None = None
    """Base URL of an OpenAI-compatible server, as in http://127.0.0.1:8000/v1."""
    engine_model: str | None = None
    """What that server calls the model; the default is its first."""
    engine_key_file: Path | None = None
    """File with the server's API key."""
    model: NameSetting = "smollm2-135m-instruct-q4_1"
    """The model that is offered, as the market lists it."""
    slots: Annotated[int, Field(ge=1, le=1024)] = 4
    """Jobs that run side by side."""
    waiting_jobs_max: Annotated[int, Field(ge=0, le=10_000)] = 16
    """Jobs that may wait for a slot; a further one is refused as busy."""

    price: PriceSetting = 80_000
    """Currency units for a million standard tokens. ["0.08"]"""
    capacity_lots: LotsSetting = 1_000
    """Lots that may be promised in open awards at any one time."""
    steps: tuple[StepSettings, ...] = ()
    """Price steps instead of price and capacity_lots, cheapest first."""
    tariff: Annotated[tuple[TariffSettings, ...], Field(max_length=TARIFF_TABLES_MAX)] = ()
    """What holds at times of the day instead; then supply for later periods is stated too."""
    utc_offset: UtcOffsetSetting = 0
    """How far the times of the tariff are ahead of UTC. ["+00:00"]"""
    voucher_interval: Annotated[int, Field(ge=1, le=limits.CREDIT_WINDOW_MAX)] = (
        limits.VOUCHER_INTERVAL
    )
    """Fewest output tokens between two vouchers."""
    credit_window: Annotated[int, Field(ge=1, le=limits.CREDIT_WINDOW_MAX)] = limits.CREDIT_WINDOW
    """Most output tokens that a buyer may owe for."""
    voucher_wait_s: Annotated[int, Field(ge=1, le=600)] = 10
    """A paused job ends when no voucher comes for so long."""
    offer_life_s: Annotated[int, Field(ge=3, le=limits.OFFER_LIFE_US // 1_000_000)] = 60
    """An offer is valid so long; it is renewed after a third of that."""

    rate: Annotated[int, Field(ge=1)] | None = None
    """Standard tokens a second that the node sustains in all."""
    time_to_first_token_ms: Annotated[int, Field(ge=0, le=3_600_000)] | None = None
    """Promised for 95 of 100 jobs."""
    tokens_per_second: Annotated[int, Field(ge=1)] | None = None
    """Promised median output rate of one job."""
    vendor: NameSetting | None = None
    """Maker of the accelerator."""
    accelerator: NameSetting | None = None
    features: tuple[NameSetting, ...] | None = None
    """What the engine can do beyond plain text."""
    retention: Retention | None = None
    """How long prompts and answers are kept: 0 nothing, 1 a day, 2 a month, 3 longer."""
    corridors: tuple[NameSetting, ...] | None = None
    """Corridors under which it may process data that comes from elsewhere."""
    carbon_mg_per_lot: Annotated[int, Field(ge=0)] | None = None
    """CO2 equivalent: milligrams a lot, which is grams for a million standard tokens."""
    energy_source: NameSetting | None = None
    attestation: NameSetting | None = None
    log_level: str = "info"

    @field_validator("tariff")
    @classmethod
    def _no_overlap(cls, tables: tuple[TariffSettings, ...]) -> tuple[TariffSettings, ...]:
        for one, other in combinations(tables, 2):
            if one.hours().overlap(other.hours()):
                spans = (f"{_clock(each.begin)} to {_clock(each.until)}" for each in (one, other))
                raise ValueError(f"{' and '.join(spans)} overlap")
        return tables
