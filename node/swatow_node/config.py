"""Settings of a node: `<directory>/config.toml`, SWATOW_NODE_*, flags."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from swatow_protocol import limits
from swatow_protocol.messages import Retention
from swatow_protocol.shell.settings import PriceSetting, Settings

NameSetting = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/:-]{0,95}$")]
LotsSetting = Annotated[int, Field(ge=1, le=limits.LOTS_MAX)]


class EngineKind(StrEnum):
    """Where the tokens come from."""

    EMBEDDED = "embedded"
    """The small model that comes along, as a child process."""
    OPENAI = "openai"
    """Any OpenAI-compatible server, by URL."""


class StepSettings(BaseModel):
    """One `[[steps]]` table: so many lots at this price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    price: PriceSetting
    lots: LotsSetting


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
