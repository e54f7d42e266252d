"""Settings: the strongest source wins, says where it came from, and a mistake is named with it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import BaseModel, Field

from swatow_protocol.errors import ConfigError
from swatow_protocol.shell.settings import (
    CarrierSetting,
    MoneySetting,
    PriceSetting,
    Settings,
    load,
    role_directory,
    show,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Step(BaseModel):
    price: PriceSetting
    lots: int


class Sample(Settings):
    """Settings of a role that exists only here."""

    ROLE: ClassVar[str] = "sample"

    listen: str = "127.0.0.1:1"
    count: Annotated[int, Field(ge=1, le=9)] = 3
    colour: Colour = Colour.RED
    price: PriceSetting = 80_000
    deposit: MoneySetting = 0
    price_max: PriceSetting | None = None
    steps: tuple[Step, ...] = ()
    key_file: Path | None = None
    carriers: tuple[CarrierSetting, ...] = ()


class Needy(Sample):
    """The same role, with a setting that has no default."""

    market: str


def write(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / "config.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problem(directory: Path, kind: type[Sample] = Sample, **flags: object) -> str:
    with pytest.raises(ConfigError) as refused:
        load(kind, directory, flags)
    return str(refused.value)


def test_without_anything_given_every_setting_is_its_default(tmp_path: Path) -> None:
    loaded = load(Sample, tmp_path)
    assert loaded.settings == Sample()
    assert (loaded.settings.count, loaded.settings.price) == (3, 80_000)
    assert set(loaded.origins.items()) == {(name, "default") for name in Sample.model_fields}


def test_file_beats_default_environment_beats_file_and_flag_beats_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, 'listen = "file:1"\ncount = 4\ncolour = "blue"\n')
    monkeypatch.setenv("SWATOW_SAMPLE_COUNT", "5")
    monkeypatch.setenv("SWATOW_SAMPLE_LISTEN", "environment:1")
    loaded = load(Sample, tmp_path, {"listen": "flag:1", "count": None})
    assert loaded.settings.listen == "flag:1"
    assert loaded.settings.count == 5
    assert loaded.settings.colour is Colour.BLUE
    assert loaded.origins["listen"] == "flag --listen"
    assert loaded.origins["count"] == "environment SWATOW_SAMPLE_COUNT", "None is no flag"
    assert loaded.origins["colour"] == f"file {file}"
    assert loaded.origins["price"] == "default"


def test_the_flag_of_a_longer_name_is_written_with_dashes(tmp_path: Path) -> None:
    loaded = load(Sample, tmp_path, {"key_file": tmp_path / "key"})
    assert loaded.origins["key_file"] == "flag --key-file"


def test_another_roles_environment_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATOW_OTHER_COUNT", "5")
    monkeypatch.setenv("COUNT", "6")
    assert load(Sample, tmp_path).settings.count == 3


def test_settings_cannot_be_changed_later(tmp_path: Path) -> None:
    settings = load(Sample, tmp_path).settings
    with pytest.raises(ValueError, match="frozen"):
        settings.count = 5


@pytest.mark.parametrize(
    ("text", "held"),
    [("0.08", 80_000), ("0.000001", 1), ("12", 12_000_000), ("0", 0)],
)
def test_prices_are_written_in_units_and_held_in_nanos_a_lot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, held: int
) -> None:
    write(tmp_path, f'price = "{text}"\nprice_max = "{text}"\n')
    assert load(Sample, tmp_path).settings.price == held
    assert load(Sample, tmp_path).settings.price_max == held
    assert load(Sample, tmp_path, {"price": text}).settings.price == held
    monkeypatch.setenv("SWATOW_SAMPLE_PRICE", text)
    assert load(Sample, tmp_path / "elsewhere").settings.price == held


def test_money_is_written_in_units_and_held_in_nanos(tmp_path: Path) -> None:
    write(tmp_path, 'deposit = "5.00"\n')
    assert load(Sample, tmp_path).settings.deposit == 5_000_000_000
    assert load(Sample, tmp_path, {"deposit": 5}).settings.deposit == 5_000_000_000


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("count = 0", "count"),
        ("count = 10", "count"),
        ('count = "many"', "count"),
        ('colour = "green"', "colour"),
        ("price = 0.08", "price"),
        ('price = "0.0000001"', "price"),
        ('price = "-1"', "price"),
        ('deposit = "all"', "deposit"),
        ('deposit = "1e999999"', "deposit"),
        ("steps = [{ price = 0.1, lots = 1 }]", "steps.0.price"),
        ('unheard_of = "x"', "unheard_of"),
        ("[listen]\nhost = 1", "listen"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_setting_and_file(
    tmp_path: Path, written: str, name: str
) -> None:
    file = write(tmp_path, written + "\n")
    assert f"{name} (file {file}): " in problem(tmp_path)


def test_a_mistake_in_the_environment_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATOW_SAMPLE_COUNT", "many")
    assert "count (environment SWATOW_SAMPLE_COUNT): " in problem(tmp_path)


def test_a_table_in_the_environment_that_is_no_json_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATOW_SAMPLE_STEPS", "0.08 x 100")
    assert "SWATOW_SAMPLE_STEPS" in problem(tmp_path)


def test_a_table_in_the_environment_is_read_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATOW_SAMPLE_STEPS", '[{"price": "0.1", "lots": 2}]')
    assert load(Sample, tmp_path).settings.steps == (Step(price="0.1", lots=2),)  # type: ignore[arg-type]


def test_a_mistake_in_a_flag_is_named_with_the_flag(tmp_path: Path) -> None:
    text = problem(tmp_path, count=99, price="dear", unheard_of=1)
    for expected in ("count (flag --count): ", "price (flag --price): ", "--unheard-of"):
        assert expected in text, "all of them at once"


def test_a_needed_setting_that_is_not_given_is_named(tmp_path: Path) -> None:
    assert "market (" in problem(tmp_path, Needy)
    assert load(Needy, tmp_path, {"market": "m"}).settings.market == "m"


@pytest.mark.parametrize("content", [b"count = \n", b"[[[", b"\xff\xfe", b"count = 1\ncount = 2\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    assert problem(tmp_path).startswith(f"{file}: ")


class TestShow:
    def test_shows_every_setting_as_it_is_written_with_its_origin(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = write(tmp_path, 'price = "0.10"\nkey_file = "/keys/one"\n')
        monkeypatch.setenv("SWATOW_SAMPLE_DEPOSIT", "2.5")
        shown = show(Sample, tmp_path)
        assert list(shown) == list(Sample.model_fields)
        assert shown["price"] == ("0.10", f"file {file}")
        assert shown["deposit"] == ("2.50", "environment SWATOW_SAMPLE_DEPOSIT")
        assert shown["key_file"] == ("/keys/one", f"file {file}")
        assert shown["count"] == (3, "default")
        assert show(Sample, tmp_path / "elsewhere")["price"] == ("0.08", "default")

    def test_shows_an_optional_price_as_it_is_written(self, tmp_path: Path) -> None:
        write(tmp_path, 'price_max = "0.10"\n')
        assert show(Sample, tmp_path)["price_max"][0] == "0.10"
        assert show(Sample, tmp_path / "elsewhere")["price_max"] == (None, "default")

    def test_shows_prices_inside_a_table_as_they_are_written(self, tmp_path: Path) -> None:
        write(tmp_path, '[[steps]]\nprice = "0.10"\nlots = 5\n')
        assert "0.10" in repr(show(Sample, tmp_path)["steps"][0])

    def test_shows_what_is_missing_among_what_is_there(self, tmp_path: Path) -> None:
        file = write(tmp_path, 'price = "0.10"\n')
        shown = show(Needy, tmp_path)
        assert shown["market"] == (None, "missing")
        assert shown["price"] == ("0.10", f"file {file}")
        assert shown["count"] == (3, "default")
        write(tmp_path, 'market = "m"\n')
        assert show(Needy, tmp_path)["market"] == ("m", f"file {file}")

    def test_shows_defaults_alike_whether_or_not_another_setting_is_missing(
        self, tmp_path: Path
    ) -> None:
        complete, lacking = show(Sample, tmp_path), show(Needy, tmp_path)
        assert {name: lacking[name] for name in complete} == complete

    @pytest.mark.parametrize("kind", [Sample, Needy])
    def test_names_mistakes_as_loading_does(self, tmp_path: Path, kind: type[Sample]) -> None:
        """Whether or not a needed setting is missing as well."""
        file = write(tmp_path, "count = 99\n")
        with pytest.raises(ConfigError) as refused:
            show(kind, tmp_path)
        assert f"count (file {file}): " in str(refused.value)


class TestRoleDirectory:
    def test_is_the_flag_else_the_environment_else_under_the_home(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWATOW_HOME", str(tmp_path))
        assert role_directory("sample") == tmp_path / "sample"
        monkeypatch.setenv("SWATOW_SAMPLE_DIRECTORY", str(tmp_path / "environment"))
        assert role_directory("sample") == tmp_path / "environment"
        assert role_directory("sample", tmp_path / "flag") == tmp_path / "flag"

    def test_is_absolute_and_knows_the_users_home(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert role_directory("sample", Path("~/mine")) == tmp_path / "mine"
        assert role_directory("sample", Path("relative")).is_absolute()
        monkeypatch.delenv("SWATOW_HOME")
        assert role_directory("sample") == tmp_path / ".swatow" / "sample"


def test_a_password_in_a_url_is_held_and_not_shown(tmp_path: Path) -> None:
    write(tmp_path, 'carriers = ["mqtts://node:s3cret@broker.example"]')
    loaded = load(Sample, tmp_path, {})
    assert loaded.settings.carriers == ("mqtts://node:s3cret@broker.example",)
    shown = str(show(Sample, tmp_path))
    assert "s3cret" not in shown
    assert "mqtts://node:***@broker.example" in shown
    write(tmp_path, 'carriers = "mqtts://node:s3cret@broker.example"')
    assert "s3cret" not in problem(tmp_path)
