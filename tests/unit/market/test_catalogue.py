"""The models of a market: read from TOML, signed once, and never changed under their name."""

from pathlib import Path

import pytest

from swatow_market.ledger.database import Database
from swatow_market.service.catalogue import list_models, model_files, read_model_file
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import Model, Service
from tests.support.samples import MARKET, NETWORK, NOW_US

BUILT_IN = "smollm2-135m-instruct-q4_1"

TOML = f"""
name = "my-model-fp8"
weights_sha256 = "{"ab" * 32}"
precision = "fp8"
tokenizer_sha256 = "{"cd" * 32}"
template_sha256 = ""
context_tokens = 8192
prompt_weight = 200
cached_weight = 20
services = ["chat", "completions"]
"""


def lines_of(text: str) -> list[str]:
    return text.strip().splitlines()


def changed(key: str, value: str) -> str:
    """Return the sample file with one line replaced."""
    lines = [f"{key} = {value}" if line.startswith(f"{key} ") else line for line in lines_of(TOML)]
    assert lines != lines_of(TOML)
    return "\n".join(lines)


def without(key: str) -> str:
    """Return the sample file without one line."""
    return "\n".join(line for line in lines_of(TOML) if not line.startswith(f"{key} "))


FAULTY = {
    f"{key} = {value}": changed(key, value)
    for key, value in (
        ("name", '"No Spaces"'),
        ("name", "7"),
        ("weights_sha256", '"abcd"'),
        ("weights_sha256", '"not hexadecimal"'),
        ("weights_sha256", '""'),
        ("weights_sha256", "5"),
        ("context_tokens", "0"),
        ("context_tokens", '"many"'),
        ("prompt_weight", "-1"),
        ("prompt_weight", "10001"),
        ("prompt_weight", "0.25"),
        ("services", "[]"),
        ("services", '["chat", "telepathy"]'),
    )
} | {
    f"{key} is missing": without(key)
    for key in (
        "name",
        "weights_sha256",
        "precision",
        "context_tokens",
        "prompt_weight",
        "cached_weight",
        "services",
    )
}


class TestFiles:
    def test_hashes_are_hexadecimal_and_empty_where_not_public(self) -> None:
        fields = read_model_file("my.toml", TOML)
        assert fields["weights_sha256"] == b"\xab" * 32
        assert fields["tokenizer_sha256"] == b"\xcd" * 32
        assert fields["template_sha256"] is None
        assert fields["prompt_weight"] == 200

    @pytest.mark.parametrize("left_out", ["tokenizer_sha256", "template_sha256"])
    def test_hashes_that_need_not_be_public_may_be_left_out(self, left_out: str) -> None:
        assert read_model_file("my.toml", without(left_out))[left_out] is None

    @pytest.mark.parametrize("faulty", FAULTY, ids=str)
    def test_a_bad_file_is_named(self, faulty: str) -> None:
        with pytest.raises(ConfigError, match=r"model file my\.toml: "):
            read_model_file("my.toml", FAULTY[faulty])

    def test_in_a_bad_file_the_field_is_named(self) -> None:
        """By its name, as one writes it in the file, and not by its place in the message."""
        unnamed = []
        for faulty, text in FAULTY.items():
            with pytest.raises(ConfigError) as refused:
                read_model_file("my.toml", text)
            if faulty.split()[0] not in str(refused.value):
                unnamed.append((faulty, str(refused.value)))
        assert unnamed == []

    @pytest.mark.parametrize("field", ["colour", "sender", "network", "issued_us", "version"])
    def test_a_field_that_no_model_has_is_named(self, field: str) -> None:
        """The head of the message is the market's to fill, not the file's."""
        with pytest.raises(ConfigError, match=rf"my\.toml: unknown field {field}"):
            read_model_file("my.toml", f'{field} = "x"\n{TOML}')

    @pytest.mark.parametrize("text", ["name = ", "= 5", "[[[", "name = 'a'\nname = 'b'"])
    def test_what_is_no_toml_is_named(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"model file my\.toml: "):
            read_model_file("my.toml", text)

    def test_a_file_that_is_no_text_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "my.toml").write_bytes(b"name = '\xff\xfe'")
        with pytest.raises(ConfigError, match=r"my\.toml"):
            model_files(tmp_path)

    def test_the_directory_adds_to_what_is_built_in(self, tmp_path: Path) -> None:
        (tmp_path / "my.toml").write_text(TOML)
        (tmp_path / "notes.txt").write_text("no model")
        built_in = model_files(tmp_path / "none")
        assert set(built_in) == {f"{BUILT_IN}.toml"}
        assert set(model_files(tmp_path)) == {f"{BUILT_IN}.toml", "my.toml"}

    def test_a_file_of_the_same_name_takes_the_place_of_the_built_in_one(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / f"{BUILT_IN}.toml").write_text(TOML)
        assert model_files(tmp_path) == {f"{BUILT_IN}.toml": TOML}

    def test_the_built_in_model_is_whole(self) -> None:
        (text,) = [text for name, text in model_files(Path("none")).items() if BUILT_IN in name]
        fields = read_model_file("built in", text)
        assert fields["name"] == BUILT_IN
        assert fields["precision"] == "q4_1"
        assert fields["tokenizer_sha256"] is not None


async def listed(
    database: Database, directory: Path, now_us: int = NOW_US
) -> dict[str, Signed[Model]]:
    found = await list_models(database, directory, MARKET, NETWORK, now_us)
    assert all(signed.id == model for model, signed in found.items())
    return {signed.message.name: signed for signed in found.values()}


class TestListing:
    async def test_the_built_in_model_is_listed_and_signed(
        self, database: Database, tmp_path: Path
    ) -> None:
        found = await listed(database, tmp_path)
        signed = found[BUILT_IN]
        verified = verify(signed.envelope, Model, network=NETWORK, now_us=NOW_US, sender=MARKET.key)
        assert verified.id == signed.id
        assert verified.message.services == tuple(Service)

    async def test_a_listing_is_made_once(self, database: Database, tmp_path: Path) -> None:
        (tmp_path / "my.toml").write_text(TOML)
        first = await listed(database, tmp_path)
        later = await listed(database, tmp_path, NOW_US + 10**9)
        assert first == later
        assert set(first) == {BUILT_IN, "my-model-fp8"}

    async def test_a_model_stays_listed_when_its_file_is_gone(
        self, database: Database, tmp_path: Path
    ) -> None:
        """Its awards are still open, and its offers still mean what they said."""
        (tmp_path / "my.toml").write_text(TOML)
        before = await listed(database, tmp_path)
        (tmp_path / "my.toml").unlink()
        assert await listed(database, tmp_path) == before

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("weights_sha256", f'"{"ef" * 32}"'),
            ("prompt_weight", "201"),
            ("template_sha256", f'"{"ef" * 32}"'),
            ("services", '["completions", "chat"]'),
        ],
    )
    async def test_other_values_under_a_listed_name_are_refused(
        self, database: Database, tmp_path: Path, field: str, value: str
    ) -> None:
        (tmp_path / "my.toml").write_text(TOML)
        before = await listed(database, tmp_path)
        (tmp_path / "my.toml").write_text(changed(field, value))
        with pytest.raises(ConfigError, match=r"my-model-fp8.*never changes"):
            await listed(database, tmp_path)
        (tmp_path / "my.toml").write_text(TOML)
        assert await listed(database, tmp_path) == before

    async def test_the_same_values_written_otherwise_are_the_same(
        self, database: Database, tmp_path: Path
    ) -> None:
        (tmp_path / "my.toml").write_text(TOML)
        before = await listed(database, tmp_path)
        reordered = "# a comment\n" + "\n".join(reversed(lines_of(TOML)))
        (tmp_path / "my.toml").write_text(reordered.replace("ab" * 32, "AB" * 32))
        assert await listed(database, tmp_path) == before

    async def test_two_files_may_not_mean_different_things_by_one_name(
        self, database: Database, tmp_path: Path
    ) -> None:
        (tmp_path / "a.toml").write_text(TOML)
        (tmp_path / "b.toml").write_text(changed("prompt_weight", "999"))
        with pytest.raises(ConfigError, match="my-model-fp8"):
            await listed(database, tmp_path)

    async def test_one_bad_file_lists_nothing(self, database: Database, tmp_path: Path) -> None:
        (tmp_path / "a.toml").write_text(TOML)
        (tmp_path / "b.toml").write_text("no TOML")
        with pytest.raises(ConfigError, match=r"b\.toml"):
            await listed(database, tmp_path)
        async with database.reading() as connection:
            rows = (await connection.exec_driver_sql("SELECT * FROM models")).all()
        assert rows == []
