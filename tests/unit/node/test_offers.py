"""The node's offer says what the settings and the engine say, and nothing that is not stated."""

from pathlib import Path
from typing import Any

import pytest

from swatow_node.config import EngineKind, NodeSettings
from swatow_node.daemon import make_engine
from swatow_node.engines.engine import EngineFacts
from swatow_node.offers import check_model, make_offer, price_steps
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import Attributes, Offer, PaymentTerms, PriceStep, Promises, Retention
from swatow_protocol.shell.settings import load, show
from tests.support import samples
from tests.support.samples import NETWORK, NODE, NOW_US, PERIOD_US, SECOND, digest
from tests.unit.node import deal

MARKET = f"{samples.MARKET.key.hex()}@127.0.0.1:7700"
FACTS = EngineFacts("llama.cpp/b1", samples.digest("weights"), None, ("logprobs", "seed"))


def settings(directory: Path, toml: str = "", **flags: Any) -> NodeSettings:
    directory.mkdir(exist_ok=True)
    (directory / "config.toml").write_text(toml, "utf-8")
    needed = {"market": MARKET, "zone": "cn-gd-shantou", "network": NETWORK}
    return load(NodeSettings, directory, {**needed, **flags}).settings


def offer(given: NodeSettings, now_us: int = NOW_US, facts: EngineFacts = FACTS) -> Signed[Offer]:
    return make_offer(
        settings=given,
        facts=facts,
        model=deal.MODEL,
        terms=samples.market_terms(),
        identity=NODE,
        addresses=("node.example:7710",),
        certificate_sha256=digest("certificate"),
        sealing_key=digest("sealing"),
        now_us=now_us,
    )


def test_what_is_not_set_is_not_stated(tmp_path: Path) -> None:
    signed = offer(settings(tmp_path))
    verified = verify(signed.envelope, Offer, network=NETWORK, now_us=NOW_US, sender=NODE.key)
    assert verified.message == Offer(
        network=NETWORK,
        sender=NODE.key,
        issued_us=NOW_US,
        model=deal.MODEL.id,
        currency="USD",
        sequence=NOW_US,
        valid_from_us=NOW_US,
        expires_us=NOW_US + 60 * SECOND,
        zone="cn-gd-shantou",
        steps=(PriceStep(price=80_000, lots=1_000),),
        rate=None,
        promises=Promises(jobs_at_once=4),
        attributes=Attributes(engine="llama.cpp/b1", features=("logprobs", "seed")),
        payment=PaymentTerms(voucher_interval=16, credit_window=32),
        addresses=("node.example:7710",),
        certificate_sha256=digest("certificate"),
        sealing_key=digest("sealing"),
    )


def test_everything_that_is_set_is_stated(tmp_path: Path) -> None:
    toml = """
        slots = 2
        voucher_interval = 8
        credit_window = 64
        offer_life_s = 30
        rate = 400
        time_to_first_token_ms = 800
        tokens_per_second = 40
        vendor = "ascend"
        accelerator = "910c"
        features = ["tools"]
        retention = 1
        corridors = ["shantou-2026"]
        carbon_mg_per_lot = 120
        energy_source = "wind"
        attestation = "sev-snp"
        [[steps]]
        price = "0.08"
        lots = 60
        [[steps]]
        price = "0.09"
        lots = 40
    """
    message = offer(settings(tmp_path, toml)).message
    assert message.steps == (PriceStep(price=80_000, lots=60), PriceStep(price=90_000, lots=40))
    assert message.payment == PaymentTerms(voucher_interval=8, credit_window=64)
    assert (message.rate, message.expires_us) == (400, NOW_US + 30 * SECOND)
    assert message.promises == Promises(
        time_to_first_token_ms=800, tokens_per_second=40, jobs_at_once=2
    )
    assert message.attributes == Attributes(
        vendor="ascend",
        accelerator="910c",
        engine="llama.cpp/b1",
        features=("tools",),
        retention=Retention.DAY,
        corridors=("shantou-2026",),
        carbon_mg_per_lot=120,
        energy_source="wind",
        attestation="sev-snp",
    )


def test_no_features_is_a_statement_of_its_own(tmp_path: Path) -> None:
    """An operator may say that there are none, whatever the engine says."""
    assert offer(settings(tmp_path, "features = []")).message.attributes.features == ()


def test_a_later_offer_replaces_an_earlier_one(tmp_path: Path) -> None:
    given = settings(tmp_path)
    first, second = (offer(given, now_us).message.sequence for now_us in (NOW_US, NOW_US + 1))
    assert second > first


def test_price_and_capacity_make_one_step(tmp_path: Path) -> None:
    given = settings(tmp_path, price="0.123456", capacity_lots=7)
    assert price_steps(given) == (PriceStep(price=123_456, lots=7),)


TARIFF = """
    price = "0.16"
    capacity_lots = 40
    utc_offset = "+08:00"
    [[tariff]]
    from = "22:00"
    until = "06:00"
    price = "0.12"
    lots = 50000
    [[tariff]]
    from = "11:30"
    until = "13:00"
    price = "0"
    lots = 0
"""
DAY = (PriceStep(price=160_000, lots=40),)
NIGHT = (PriceStep(price=120_000, lots=50_000),)
MIDNIGHT_US = NOW_US - NOW_US % (24 * PERIOD_US) - 8 * PERIOD_US
"""In Shantou."""


def test_without_a_tariff_nothing_is_said_of_later(tmp_path: Path) -> None:
    assert offer(settings(tmp_path)).message.later == ()


def test_a_tariff_says_what_is_offered_now(tmp_path: Path) -> None:
    given = settings(tmp_path, TARIFF)
    for clock, steps in ((3, NIGHT), (6, DAY), (12, ()), (21, DAY), (23, NIGHT)):
        assert offer(given, MIDNIGHT_US + clock * PERIOD_US).message.steps == steps


def test_an_offer_that_lives_into_dearer_hours_has_their_price(tmp_path: Path) -> None:
    given = settings(tmp_path, TARIFF)
    six_us = MIDNIGHT_US + 6 * PERIOD_US
    assert offer(given, six_us - 60 * SECOND).message.steps == NIGHT
    assert offer(given, six_us - 60 * SECOND + 1).message.steps == DAY


def test_a_tariff_says_what_is_offered_in_the_next_periods(tmp_path: Path) -> None:
    message = offer(settings(tmp_path, TARIFF), MIDNIGHT_US + 5 * PERIOD_US).message
    stated = {(each.start_us - MIDNIGHT_US) // PERIOD_US: each.steps for each in message.later}
    nights = [22, 23, 24, 25, 26, 27, 28, 29]
    days = [clock for clock in range(6, 22) if clock not in (11, 12)]  # closed in part or whole
    assert stated == dict.fromkeys(days, DAY) | dict.fromkeys(nights, NIGHT)
    assert {each.start_us % PERIOD_US for each in message.later} == {0}


def test_other_weights_than_the_market_lists_are_not_offered(tmp_path: Path) -> None:
    given, model = settings(tmp_path, model="small-model-q4"), deal.MODEL.message
    for weights in (None, model.weights_sha256):
        check_model(given, model, EngineFacts("e", weights, None, ()))
    with pytest.raises(ConfigError, match=r"small-model-q4") as error:
        check_model(given, model, EngineFacts("e", digest("other weights"), None, ()))
    for digits in (model.weights_sha256.hex(), digest("other weights").hex()):
        assert digits in str(error.value)


def row(begin: str, until: str, *, price: str = "0.12", lots: int = 5) -> str:
    """Return a table of the tariff, written in one line."""
    return f'{{from = "{begin}", until = "{until}", price = "{price}", lots = {lots}}}'


def test_hours_that_overlap_are_named(tmp_path: Path) -> None:
    rows = (row("08:00", "09:00"), row("22:00", "06:00"), row("05:59", "07:00"))
    with pytest.raises(ConfigError, match=r"22:00 to 06:00 and 05:59 to 07:00 overlap"):
        settings(tmp_path, f"tariff = [{', '.join(rows)}]")


def test_a_tariff_is_shown_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TARIFF.replace("+08:00", "-05:30"), "utf-8")
    shown = {name: value for name, (value, _) in show(NodeSettings, tmp_path).items()}
    assert shown["utc_offset"] == "-05:30"
    tables: Any = shown["tariff"]
    night = {"from": "22:00", "until": "06:00", "price": "0.12", "lots": 50_000}
    assert tables[0] == night
    written = settings(
        tmp_path, f'utc_offset = "-05:30"\ntariff = [{row("22:00", "06:00", lots=50_000)}]'
    )
    again = settings(tmp_path, "", tariff=tables[:1], utc_offset=shown["utc_offset"])
    assert (again.tariff, again.utc_offset) == (written.tariff, written.utc_offset)


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ('zone = "Shantou"', "zone"),
        ('price = "-0.08"', "price"),
        ('price = "0.0000001"', "price"),
        ("price = 0.08", "price"),  # a float of TOML is not exact
        ('steps = [{price = "0.08", lots = 0}]', "steps.0.lots"),
        ('steps = [{price = "0.08", lots = 1, more = 1}]', "steps.0.more"),
        (f"tariff = [{row('6:00', '08:00')}]", "tariff.0.from"),
        (f"tariff = [{row('06:00', '24:00')}]", "tariff.0.until"),
        (f"tariff = [{row('06:00', '08:00', lots=-1)}]", "tariff.0.lots"),
        (f"tariff = [{row('06:00', '08:00', price='cheap')}]", "tariff.0.price"),
        (f"tariff = [{row('22:00', '06:00')}, {row('05:59', '07:00')}]", "tariff"),
        (f"tariff = [{row('07:00', '07:00')}, {row('05:00', '06:00')}]", "tariff"),
        ("tariff = [" + 49 * f"{row('06:00', '06:00')}," + "]", "tariff"),
        ('utc_offset = "8"', "utc_offset"),
        ('utc_offset = "+15:00"', "utc_offset"),
        ("utc_offset = 8", "utc_offset"),
        ("slots = 0", "slots"),
        ("capacity_lots = 0", "capacity_lots"),
        ("credit_window = 5000", "credit_window"),
        ("offer_life_s = 601", "offer_life_s"),
        ("retention = 4", "retention"),
        ('vendor = "Two Words"', "vendor"),
        ('engine = "vllm"', "engine"),
        ("prize = 1", "prize"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_file(
    tmp_path: Path, toml: str, named: str
) -> None:
    (tmp_path / "config.toml").write_text(toml, "utf-8")
    flags = {"market": MARKET} | ({} if toml.startswith("zone") else {"zone": "sg"})
    with pytest.raises(ConfigError) as error:
        load(NodeSettings, tmp_path, flags)
    assert str(error.value).startswith(f"{named} (file {tmp_path / 'config.toml'}): ")


def test_every_setting_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"market .*; zone "):
        load(NodeSettings, tmp_path, {})


def test_a_setting_from_the_environment_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATOW_NODE_SLOTS", "many")
    with pytest.raises(ConfigError, match=r"^slots \(environment SWATOW_NODE_SLOTS\): "):
        load(NodeSettings, tmp_path, {"market": MARKET, "zone": "sg"})


def test_a_list_in_the_environment_that_is_no_json_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATOW_NODE_CORRIDORS", "shantou-2026")
    with pytest.raises(ConfigError, match=r"corridors|CORRIDORS"):
        load(NodeSettings, tmp_path, {"market": MARKET, "zone": "sg"})


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("zone = ", "utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml: "):
        load(NodeSettings, tmp_path, {"market": MARKET})


def test_an_engine_by_url_needs_one(tmp_path: Path) -> None:
    given = settings(tmp_path, engine="openai")
    assert given.engine is EngineKind.OPENAI
    with pytest.raises(ConfigError, match=r"^engine_url: "):
        make_engine(given, tmp_path, deal.MODEL.message)


def test_the_key_file_of_an_engine_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "no such file"
    given = settings(
        tmp_path, engine="openai", engine_url="http://127.0.0.1:1/v1", engine_key_file=missing
    )
    with pytest.raises(ConfigError, match=r"^engine_key_file: "):
        make_engine(given, tmp_path, deal.MODEL.message)
