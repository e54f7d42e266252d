"""The operator's commands: what they print, and that what they refuse names the field."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from swatow_market.commands import app
from swatow_market.exchange.certificate.inputs import Inputs
from swatow_market.exchange.certificate.record import pack, unpack
from swatow_market.published import compress, decompress
from swatow_protocol import codec
from swatow_protocol.errors import ConfigError, InvalidValue
from tests.support import samples
from tests.support.market_world import UNIT, open_world
from tests.support.samples import BUYER, STRANGER

KEY = BUYER.key.hex()

Run = Any
"""run(*words) -> what was printed."""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a directory of this test's own, and return what it printed."""
    home = tmp_path / "market"
    home.mkdir()
    monkeypatch.setenv("SWATOW_MARKET_DIRECTORY", str(home))

    def run(*words: str) -> str:
        capsys.readouterr()  # what was printed before is not the command's
        app(words, result_action="return_value", exit_on_error=False, print_error=False)
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "market"


class TestDeposit:
    def test_says_what_was_credited_to_whom(self, run: Run) -> None:
        assert run("deposit", KEY, "5.00") == f"credited 5.00 USD to {KEY}\n"

    def test_with_a_reference_is_made_once(self, run: Run) -> None:
        run("deposit", KEY, "5.00", "--reference", "invoice-17")
        again = run("deposit", KEY, "5.00", "--reference", "invoice-17")
        assert again == "reference invoice-17 was credited before; nothing changed\n"
        assert books(run)["cash_nanos"] == 5_000_000_000

    def test_without_a_reference_is_made_each_time(self, run: Run) -> None:
        run("deposit", KEY, "5.00")
        run("deposit", KEY, "5.00")
        assert books(run)["cash_nanos"] == 10_000_000_000

    def test_prints_json_for_programs(self, run: Run) -> None:
        words = ("deposit", KEY, "0.08", "--reference", "a", "--json")
        told = {"buyer": KEY, "amount_nanos": 80_000_000}
        assert json.loads(run(*words)) == {"credited": True, **told}
        assert json.loads(run(*words)) == {"credited": False, **told}

    @pytest.mark.parametrize(
        ("buyer", "amount", "field"),
        [
            ("zz", "5", "buyer"),
            (KEY[:-2], "5", "buyer"),
            (KEY[:-1], "5", "buyer"),
            (KEY + "00", "5", "buyer"),
            ("", "5", "buyer"),
            (KEY, "five", "amount"),
            (KEY, "0", "amount"),
            (KEY, "-5", "amount"),
            (KEY, "1e-10", "amount"),
            (KEY, "nan", "amount"),
            (KEY, "inf", "amount"),
            (KEY, "", "amount"),
            (KEY, "99999999999", "amount"),
        ],
    )
    def test_a_refusal_names_the_field(self, run: Run, buyer: str, amount: str, field: str) -> None:
        with pytest.raises(InvalidValue) as refused:
            run("deposit", buyer, amount)
        assert refused.value.field == field

    def test_a_key_may_be_written_in_capitals(self, run: Run) -> None:
        run("deposit", KEY.upper(), "5")
        assert f"buyer:{KEY}" in {line["account"] for line in books(run)["accounts"]}

    def test_the_smallest_deposit_is_a_setting(self, run: Run, home: Path) -> None:
        (home / "config.toml").write_text('deposit_min = "2"')
        with pytest.raises(InvalidValue, match=r"amount: the smallest deposit is 2\.00"):
            run("deposit", KEY, "1.99")
        run("deposit", KEY, "2")

    def test_a_setting_that_cannot_be_used_is_named(self, run: Run, home: Path) -> None:
        (home / "config.toml").write_text("fee_ppm = 1_000_001\ncolour = 'red'")
        with pytest.raises(ConfigError, match=r"(?s)fee_ppm.*colour|colour.*fee_ppm"):
            run("deposit", KEY, "5")


def books(run: Run) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(run("accounts", "--json"))
    return read


class TestAccounts:
    def test_prints_json_for_programs(self, run: Run) -> None:
        run("deposit", KEY, "5.00")
        run("deposit", STRANGER.key.hex(), "0.000000001")
        assert books(run) == {
            "currency": "USD",
            "accounts": sorted(
                [
                    {"account": "cash", "balance_nanos": 5_000_000_001, "held_nanos": 0},
                    {"account": f"buyer:{KEY}", "balance_nanos": 5_000_000_000, "held_nanos": 0},
                    {
                        "account": f"buyer:{STRANGER.key.hex()}",
                        "balance_nanos": 1,
                        "held_nanos": 0,
                    },
                ],
                key=lambda line: str(line["account"]),
            ),
            "cash_nanos": 5_000_000_001,
            "claims_nanos": 5_000_000_001,
        }

    def test_prints_lines_with_tabs_where_nobody_watches(self, run: Run) -> None:
        run("deposit", KEY, "5.00")
        assert run("accounts").splitlines() == [
            "account\tbalance\tof it held",
            f"buyer:{KEY}\t5.00\t0.00",
            "cash\t5.00\t0.00",
            "cash 5.00 = all others 5.00",
        ]

    def test_fails_where_they_do_not_add_up(
        self, run: Run, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run("deposit", KEY, "5.00")
        connection = sqlite3.connect(home / "market.sqlite")
        connection.execute("UPDATE accounts SET credits = credits + 1 WHERE kind = 'buyer'")
        connection.commit()
        connection.close()
        with pytest.raises(SystemExit) as left:
            run("accounts")
        assert left.value.code == 1
        assert "cash 5.00 but all others 5.000000001" in capsys.readouterr().err

    def test_of_a_market_that_has_never_run_are_none(self, run: Run) -> None:
        read = books(run)
        assert (read["accounts"], read["cash_nanos"], read["claims_nanos"]) == ([], 0, 0)


class TestModels:
    def test_prints_json_for_programs(self, run: Run) -> None:
        (model,) = json.loads(run("models", "--json"))["models"]
        assert model["name"] == "smollm2-135m-instruct-q4_1"
        assert (model["prompt_weight"], model["cached_weight"]) == (250, 50)
        assert len(bytes.fromhex(model["weights_sha256"])) == 32

    def test_prints_lines_with_tabs_where_nobody_watches(self, run: Run) -> None:
        heads, line = (row.split("\t") for row in run("models").splitlines())
        assert dict(zip(heads, line, strict=True)) == {
            "model": "smollm2-135m-instruct-q4_1",
            "precision": "q4_1",
            "context": "4096",
            "weight prompt / cached": "0.25 / 0.05",
            "weights sha256": "b179c9523d0e6a0f",
        }

    def test_includes_the_files_of_the_directory(self, run: Run, home: Path) -> None:
        (home / "models").mkdir()
        text = "\n".join(
            (
                'name = "mine"',
                f'weights_sha256 = "{"ab" * 32}"',
                'precision = "fp8"',
                "context_tokens = 10",
                "prompt_weight = 1000",
                "cached_weight = 0",
                'services = ["chat"]',
            )
        )
        (home / "models" / "mine.toml").write_text(text)
        read = json.loads(run("models", "--json"))["models"]
        assert {model["name"] for model in read} == {"mine", "smollm2-135m-instruct-q4_1"}
        (mine,) = [model for model in read if model["name"] == "mine"]
        assert mine["template_sha256"] is None
        assert "mine\tfp8\t10\t1 / 0\t" in run("models")

    def test_a_bad_file_is_named(self, run: Run, home: Path) -> None:
        (home / "models").mkdir()
        (home / "models" / "mine.toml").write_text("no TOML")
        with pytest.raises(ConfigError, match=r"mine\.toml"):
            run("models")


class TestMap:
    TOML = """
[[zones]]
name = "sg"
position = { latitude = 1_352_100, longitude = 103_819_800 }
[[zones]]
name = "cn-gd"
[[paths]]
origin = "sg"
zone = "cn-gd"
round_trip_ms = 62
charge = "0.002"
[[paths]]
origin = "cn-gd"
zone = "sg"
[[corridors]]
name = "harbour"
data_origin = "sg"
zones = ["cn", "cn-gd"]
data_class = 1
retention = 1
attestation = "tdx"
[[corridors]]
name = "open"
data_origin = "sg"
zones = ["cn"]
data_class = 0
"""

    def test_prints_json_for_programs(self, run: Run, home: Path) -> None:
        (home / "config.toml").write_text(self.TOML)
        assert json.loads(run("map", "--json")) == {
            "zones": [
                {"name": "cn-gd", "country": "cn", "position": None},
                {
                    "name": "sg",
                    "country": "sg",
                    "position": {"latitude": 1_352_100, "longitude": 103_819_800},
                },
            ],
            "paths": [
                {"origin": "cn-gd", "zone": "sg", "round_trip_ms": None, "charge": 0},
                {"origin": "sg", "zone": "cn-gd", "round_trip_ms": 62, "charge": 2_000},
            ],
            "corridors": [
                {
                    "name": "harbour",
                    "data_origin": "sg",
                    "zones": ["cn", "cn-gd"],
                    "data_class": 1,
                    "retention": 1,
                    "attestation": "tdx",
                },
                {
                    "name": "open",
                    "data_origin": "sg",
                    "zones": ["cn"],
                    "data_class": 0,
                    "retention": None,
                    "attestation": None,
                },
            ],
        }

    def test_prints_lines_with_tabs_where_nobody_watches(self, run: Run, home: Path) -> None:
        (home / "config.toml").write_text(self.TOML)
        assert run("map").splitlines() == [
            "zone\tcountry\tlatitude\tlongitude",
            "cn-gd\tcn\t\t",
            "sg\tsg\t1.35\t103.82",
            "from\tto\tround trip\tcharge a million",
            "cn-gd\tsg\tnot measured\t0.00",
            "sg\tcn-gd\t62 ms\t0.002",
            "corridor\tdata of\tinto\tclass up to\tretention up to\tattestation",
            "harbour\tsg\tcn cn-gd\tpersonal\tday\ttdx",
            "open\tsg\tcn\tpublic\tany\tany",
        ]

    def test_that_contradicts_itself_is_refused_and_says_where(self, run: Run, home: Path) -> None:
        (home / "config.toml").write_text(self.TOML.replace('zone = "cn-gd"', 'zone = "us"'))
        with pytest.raises(ConfigError, match=r"from sg to us: the zone us is not stated"):
            run("map")

    def test_of_a_market_that_states_none_is_empty(self, run: Run) -> None:
        assert json.loads(run("map", "--json")) == {"zones": [], "paths": [], "corridors": []}


class TestRounds:
    async def trade(self, home: Path, *whole: int) -> None:
        """Sell two of three lots, and what fits of all-or-none orders of so many."""
        world = await open_world(home)
        await world.deposit(UNIT)
        await world.supply((80_000, 3))
        await world.place(2, 100_000)
        for lots in whole:
            await world.place(lots, 90_000, all_or_none=True)
        await world.round()
        await world.close()

    @pytest.fixture
    async def traded(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("SWATOW_MARKET_SHARD", "main")
        await self.trade(home)
        return home

    def test_that_traded_are_listed(self, run: Run, traded: Path) -> None:
        (found,) = json.loads(run("rounds", "--json"))["rounds"]
        assert (found["epoch"], found["number"], found["lots"]) == (1, 1, 2)
        assert found["welfare_nanos"] == 2 * 20_000
        assert "1/1\t" in run("rounds")

    def test_of_a_market_that_has_never_run_are_none(self, run: Run) -> None:
        assert json.loads(run("rounds", "--json")) == {"rounds": []}

    def test_are_checked_from_the_database_and_from_a_file(
        self, run: Run, traded: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "round"
        assert "The outcome is optimal" in run("verify", "1", "--save", str(file))
        key = samples.MARKET.key.hex()
        assert "buyers pay\t0.00016" in run("verify", str(file), "--key", key)
        told = json.loads(run("verify", str(file), "--json"))
        assert (told["valid"], told["findings"], told["market"]) == (True, [], key)
        assert (told["passed_over"], told["bound_nanos"], told["gap_ppb"]) == (0, 40_000, 0)

    @pytest.fixture
    async def passed_over(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SWATOW_MARKET_SHARD", "main")
        await self.trade(home, 2)

    def test_say_what_all_or_none_orders_may_have_cost(self, run: Run, passed_over: None) -> None:
        printed = run("verify", "1").splitlines()
        assert "at most possible\t0.00005" in printed
        assert "gap\tat most 20.0000000 %" in printed
        assert "all-or-none orders passed over\t1" in printed

    def test_of_another_market_are_refused(self, run: Run, traded: Path) -> None:
        with pytest.raises(InvalidValue, match="key"):
            run("verify", "1", "--key", STRANGER.key.hex())

    def test_that_were_tampered_with_are_refused(
        self, run: Run, traded: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "round"
        run("verify", "1", "--save", str(file))
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        with pytest.raises(SystemExit) as left:
            run("verify", str(file))
        assert left.value.code == 1

    def test_that_there_are_not_are_named(self, run: Run, traded: Path) -> None:
        with pytest.raises(InvalidValue, match="7"):
            run("verify", "7")

    def test_are_cleared_again_to_the_same_record(self, run: Run, traded: Path) -> None:
        same = "Round 1/1 gives the same record, byte for byte.\n"
        assert run("replay", "1") == same
        told = json.loads(run("replay", "1/1", "--json"))
        assert (told["same"], told["differs"]) == (True, [])
        assert told["replayed"] == told["record"]

    def test_that_come_out_otherwise_are_told_with_one(self, run: Run, traded: Path) -> None:
        with closing(sqlite3.connect(traded / "market.sqlite")) as database, database:
            (kept,) = database.execute("SELECT inputs FROM rounds").fetchone()
            given = codec.decode(Inputs, decompress(kept))
            more = structs.replace(given, lots=pack(unpack(given.lots) + 1))
            changed = compress(codec.encode(more))
            database.execute("UPDATE rounds SET inputs = ?", (changed,))
        for words in (("replay", "1"), ("replay", "1", "--json")):
            with pytest.raises(SystemExit) as left:
                run(*words)
            assert left.value.code == 1
