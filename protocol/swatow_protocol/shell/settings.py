"""Settings of a process: default < TOML file < environment < flag, each with its origin.

Every role (market, node, buyer) has a settings class in its own package; its fields are the keys
of the role's config.toml, its environment variables are `SWATOW_<ROLE>_<FIELD>`, and its flags are
the options of its commands. Secrets are never values here: they are files named by a setting.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BeforeValidator, PlainSerializer, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from swatow_protocol.addresses import without_password
from swatow_protocol.errors import ConfigError, InvalidValue
from swatow_protocol.units import (
    format_money,
    format_price,
    format_share,
    parse_money,
    parse_price,
    parse_share,
)


class Settings(BaseSettings):
    """Base of the settings of a role: immutable, and an unknown key is an error."""

    ROLE: ClassVar[str]
    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=False,  # defaults of prices and money are written in their held form
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` has merged, and nothing else."""
        return (init_settings,)


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """Settings together with where each one came from."""

    settings: S
    origins: Mapping[str, str]
    """Field -> `default`, `file PATH`, `environment NAME` or `flag --name`."""


def role_directory(role: str, flag: Path | None = None) -> Path:
    """Return the directory of a role: flag, SWATOW_<ROLE>_DIRECTORY, or ~/.swatow/<role>."""
    named = flag or os.environ.get(f"{_prefix(role)}DIRECTORY")
    home = Path(os.environ.get("SWATOW_HOME") or Path.home() / ".swatow")
    return Path(named).expanduser().absolute() if named else home / role


def load(kind: type[S], directory: Path, flags: Mapping[str, object] | None = None) -> Loaded[S]:
    """Read the settings of a role; `flags` of value None were not given.

    Raises:
        ConfigError: the file is no TOML, or a setting is missing, unknown or outside its limits;
            the message names each such setting and its origin.
    """
    given, origins = _gather(kind, directory, flags or {})
    try:
        return Loaded(kind(**given), origins)
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from None


def show(kind: type[S], directory: Path) -> dict[str, tuple[object, str]]:
    """Return every setting as one would write it in the file, and where it came from.

    A setting that is needed and not given is shown as missing. Errors as in `load`.
    """
    given, origins = _gather(kind, directory, {})
    needed = [name for name, field in kind.model_fields.items() if field.is_required()]
    missing: dict[str, Any] = {name: (Any, None) for name in needed if name not in given}
    try:
        settings = create_model(kind.__name__, __base__=kind, **missing)(**given)
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from None
    values = settings.model_dump(mode="json", by_alias=True)
    origins |= dict.fromkeys(missing, "missing")
    return {name: (values[name], origins[name]) for name in kind.model_fields}


def _gather(
    kind: type[S], directory: Path, flags: Mapping[str, object]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what was given for a role, the strongest source winning, and all origins."""
    file = directory / "config.toml"
    given = {name: value for name, value in flags.items() if value is not None}
    environment = _Environment(kind, env_prefix=_prefix(kind.ROLE))()
    try:
        in_file = TomlConfigSettingsSource(kind, file)() if file.exists() else {}
    except (ValueError, OSError) as error:
        raise ConfigError(f"{file}: {error}") from None
    origins = dict.fromkeys(kind.model_fields, "default")
    origins |= dict.fromkeys(in_file, f"file {file}")
    origins |= {name: f"environment {_prefix(kind.ROLE)}{name.upper()}" for name in environment}
    origins |= {name: f"flag --{name.replace('_', '-')}" for name in given}
    return {**in_file, **environment, **given}, origins


class _Environment(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            variable = f"{self.env_prefix}{field_name.upper()}"
            raise ConfigError(f"{field_name} (environment {variable}): {error}") from None


def _prefix(role: str) -> str:
    return f"SWATOW_{role.upper()}_"


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        origin = origins.get(str(problem["loc"][0]), "unknown") if problem["loc"] else "settings"
        message = "no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"{name} ({origin}): {message}")
    return "; ".join(lines)


def _price(value: Any) -> Any:
    return _units(value, parse_price)


def _money(value: Any) -> Any:
    return _units(value, parse_money)


def _share(value: Any) -> Any:
    return _units(value, parse_share)


def _units(value: Any, parse: Any) -> Any:
    try:
        return parse(value, "value")
    except InvalidValue as error:
        raise ValueError(error.problem) from None


PriceSetting = Annotated[int, BeforeValidator(_price), PlainSerializer(format_price)]
"""Written as currency units for a million standard tokens ("0.08"); held as nanos a lot."""

MoneySetting = Annotated[int, BeforeValidator(_money), PlainSerializer(format_money)]
"""Written as currency units ("5.00"); held as nanos."""

ShareSetting = Annotated[int, BeforeValidator(_share), PlainSerializer(format_share)]
"""Written as a part of the whole ("0.2"); held as millionths."""

CarrierSetting = Annotated[str, PlainSerializer(without_password)]
"""URL of a carrier, shown without its password."""
