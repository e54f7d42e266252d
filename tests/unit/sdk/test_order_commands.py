"""`swatow order`, `orders`, `cancel` and `contest`: what they ask for and what they print.

The market is a fake at the end of the real line.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from swatow._cli import main
from swatow._market import MarketLine
from swatow_protocol.envelope import sign
from swatow_protocol.messages import Subject
from swatow_protocol.messages.answers import (
    AdmissionReason,
    AwardStatement,
    Decision,
    Granted,
    LimitName,
    OrderEvent,
    OrderState,
    PostedPrice,
    QueryAnswer,
    Verdict,
)
from tests.support import samples
from tests.support.samples import MARKET, NETWORK, NOW_US, SECOND
from tests.unit.node import deal
from tests.unit.sdk.market import FakeMarket, Grant, wallet_in

MODEL = deal.MODEL.message.name
OTHER = sign(samples.model(name="other-model"), MARKET)


class Shell:
    """A command line whose market is a fake."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.market = FakeMarket(wallet_in(directory))
        self.market.models = (deal.MODEL.envelope, OTHER.envelope)
        self.directory = directory
        self._capsys = capsys
        self.out = self.err = ""

    def run(self, *words: str) -> int:
        """Run a command; return the code with which it leaves."""
        code: Any = 0
        try:
            main([*words, "--directory", str(self.directory)])
        except SystemExit as left:
            code = left.code or 0
        self.out, self.err = self._capsys.readouterr()
        return int(code)

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    made = Shell(tmp_path / "buyer", capsys)

    async def connected(_: MarketLine) -> FakeMarket:
        return made.market

    monkeypatch.setattr(MarketLine, "_connected", connected)
    monkeypatch.setattr("swatow._client.now_us", lambda: NOW_US)
    monkeypatch.setenv("SWATOW_BUYER_MARKET", f"{MARKET.key.hex()}@127.0.0.1:1")
    monkeypatch.setenv("SWATOW_BUYER_NETWORK", NETWORK)
    return made


def test_an_order_says_all_that_the_command_line_says(shell: Shell) -> None:
    words = f"{MODEL} 5 --price 0.20 --all-or-none --take-or-pay 0.2 --wait 30s --zones cn-gd"
    assert shell.run("order", *words.split()) == 0
    (order,) = shell.market.orders
    terms = order.message.terms
    assert order.message.lots == 5
    assert [(each.model, each.price) for each in terms.models] == [(deal.MODEL.id, 200_000)]
    assert (terms.all_or_none, terms.take_or_pay_ppm) == (True, 200_000)
    assert terms.expires_us == NOW_US + 30 * SECOND
    assert terms.limits.zones == ("cn-gd",)


def test_progress_goes_to_standard_error_and_awards_to_standard_output(shell: Shell) -> None:
    shell.market.grants = [Grant([{"lots": 3}], state=OrderState.EXPIRED, unmet=(LimitName.PRICE,))]
    assert shell.run("order", MODEL, "5", "--price", "0.20") == 0
    name = shell.market.orders[0].id.hex()[:16]
    lines = shell.err.splitlines()
    assert lines[0] == f"order {name}: in the book for 10 s at most"
    assert lines[1] == f"order {name}: expired, 5 of 5 lots awarded; unmet: price"
    heads, row = shell.out.splitlines()
    assert heads.split("\t")[:3] == ["award", "model", "lots"]
    award, model, lots, price, *_ = row.split("\t")
    assert (model, lots, price) == (MODEL, "3", "0.082 USD")
    assert lines[2] == f"draw on it: swatow chat --award {award} ..."
    assert shell.market.wallet.award(award) is not None


def test_as_json_there_is_one_object_and_nothing_else(shell: Shell) -> None:
    assert shell.run("order", MODEL, "5", "--price", "0.20", "--json") == 0
    assert shell.err == ""
    (award,) = shell.json["awards"]
    order = shell.json["order"]
    assert (award["lots"], award["price"], award["model"]) == (5, 82_000, MODEL)
    assert order["id"] == shell.market.orders[0].id.hex()
    assert (order["state"], order["awards"]) == ("filled", [award["id"]])


def test_several_models_are_named_each_with_its_price(shell: Shell) -> None:
    assert shell.run("order", MODEL, "5", "--price", "0.20", "--or", "other-model=0.35") == 0
    models = shell.market.orders[0].message.terms.models
    assert [(each.model, each.price) for each in models] == [
        (deal.MODEL.id, 200_000),
        (OTHER.id, 350_000),
    ]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--or", "other-model=0.35"], "price: how much at most"),
        (["--price", "0.2", "--or", "other-model"], "or: 'other-model' is not NAME=PRICE"),
        (["--price", "0.2", "--or", "=1"], "or: '=1' is not NAME=PRICE"),
        (["--price", "0.2", "--or", f"{MODEL}=1"], f"or: {MODEL} is named twice"),
        (["--price", "0.2", "--or", "unheard-of=1"], "model: the market does not list"),
        (["--price", "0.2", "--or", "other-model=dear"], "max_price: 'dear'"),
        (["--price", "0.2", "--wait", "soon"], "wait: 'soon' is no whole number"),
        (["--price", "0.2", "--take-or-pay", "2"], "take_or_pay: 2 is more than 1"),
    ],
)
def test_what_cannot_be_ordered_leaves_with_2_and_is_named(
    shell: Shell, words: list[str], problem: str
) -> None:
    assert shell.run("order", MODEL, "5", *words) == 2
    assert shell.err.startswith(f"swatow: {problem}")
    assert shell.market.orders == []


def test_an_order_that_nothing_meets_leaves_with_1_and_names_the_limits(shell: Shell) -> None:
    shell.market.grants = [Grant([], state=OrderState.EXPIRED, unmet=(LimitName.ZONES,))]
    assert shell.run("order", MODEL, "5", "--price", "0.20", "--wait", "2s") == 1
    assert shell.err.splitlines()[-1] == "swatow: no offer met the order in 2 s; unmet: zones"
    assert shell.out == ""


def test_orders_are_listed_and_cancelled(shell: Shell) -> None:
    shell.run("order", MODEL, "5", "--price", "0.20")
    order = shell.market.orders[0]
    award = deal.award(order=order.id)
    told = OrderEvent(
        order=order.id,
        verdict=None,
        state=OrderState.CANCELLED,
        granted=(Granted(award=award.envelope, offer=b"offer"),),
        lots_open=2,
        unmet=(),
    )
    shell.market.answer = QueryAnswer(accounts=(), orders=(told,), awards=(), round=1)
    for words in (["orders"], ["cancel", order.id.hex()[:8]]):
        assert shell.run(*words) == 0
        _, row = shell.out.splitlines()
        name, state, lots, models, _, awards = row.split("\t")
        assert (name, state) == (order.id.hex()[:16], "cancelled")
        assert (lots, models, awards) == ("3 of 5", f"{MODEL} 0.20", award.id.hex()[:16])
    assert shell.market.cancelled == (order.id,)
    assert shell.run("orders", "--json") == 0
    (found,) = shell.json["orders"]
    assert (found["id"], found["lots_open"]) == (order.id.hex(), 2)
    assert shell.run("cancel", order.id.hex(), "--json") == 0
    assert shell.json["order"]["state"] == "cancelled"


def test_an_order_that_is_not_in_the_wallet_is_not_cancelled(shell: Shell) -> None:
    assert shell.run("cancel", "abcd") == 2
    assert shell.err == "swatow: order: 'abcd' names no order of this wallet, or several\n"


def contested(shell: Shell) -> str:
    """Order with a share, and let the market say that its award is contested."""
    shell.run("order", MODEL, "5", "--price", "0.20", "--take-or-pay", "0.2", "--json")
    name: str = shell.json["awards"][0]["id"]
    told = AwardStatement(
        award=bytes.fromhex(name),
        lots=5,
        held=410_000,
        paid=82_000,
        released=328_000,
        standard_tokens=0,
        closed=True,
        from_us=NOW_US,
        expires_us=NOW_US,
        settle_by_us=NOW_US,
        paid_unused=82_000,
        contested_us=NOW_US,
    )
    shell.market.answer = QueryAnswer(accounts=(), orders=(), awards=(told,), round=1)
    return name


def test_an_award_is_contested(shell: Shell) -> None:
    name = contested(shell)
    assert shell.run("contest", name[:8]) == 0
    assert "contested\tTrue" in shell.out.splitlines()
    assert shell.run("contest", name, "--json") == 0
    assert shell.json["award"]["id"] == name
    shell.market.verdict = Verdict(
        decision=Decision.REJECT, reason=AdmissionReason.AWARD_CLOSED, detail=""
    )
    assert shell.run("contest", name) == 1
    assert shell.err.endswith("is not contested: award_closed\n")


def test_the_wallet_shows_what_was_paid_for_unused_tokens(shell: Shell) -> None:
    name = contested(shell)
    assert shell.run("wallet") == 0
    row = shell.out.splitlines()[-1].split("\t")
    assert row == [name[:16], "5", "0.20", "0", "0.000082 USD", "0.000082 USD", "yes"]
    assert shell.run("wallet", "--json") == 0
    (share,) = shell.json["take_or_pay"]
    assert (share["id"], share["paid_unused"]) == (name, 82_000)


def test_an_order_that_cannot_wait_says_so(shell: Shell) -> None:
    assert shell.run("order", MODEL, "5", "--price", "0.20", "--now") == 0
    assert shell.run("order", MODEL, "5", "--price", "0.20") == 0
    assert [order.message.terms.immediate for order in shell.market.orders] == [True, False]


def test_prices_are_shown_by_model_and_zone(shell: Shell) -> None:
    zones = ("sg", 90_000, 82_000, 40), ("cn-gd", None, None, 0)
    priced = [
        PostedPrice(model=deal.MODEL.id, zone=zone, cleared=cleared, posted=posted, lots=lots)
        for zone, cleared, posted, lots in zones
    ]
    unlisted = structs.replace(priced[0], model=samples.digest("unlisted"))
    shell.market.answer = QueryAnswer(
        accounts=(), orders=(), awards=(), prices=(*priced, unlisted), round=1
    )
    assert shell.run("prices") == 0
    assert [line.split("\t") for line in shell.out.splitlines()[-2:]] == [
        [MODEL, "cn-gd", "-", "-", "0"],
        [MODEL, "sg", "0.09", "0.082", "40"],
    ]
    assert shell.run("prices", MODEL, "--json") == 0
    assert shell.json["prices"][1] == {
        "model": MODEL,
        "zone": "sg",
        "cleared": 90_000,
        "posted": 82_000,
        "lots": 40,
        "currency": "USD",
    }
    asked = [(query.subject, query.ids) for query in shell.market.queries]
    assert asked == [(Subject.PRICES, ()), (Subject.PRICES, (deal.MODEL.id,))]
    shell.market.answer = QueryAnswer(accounts=(), orders=(), awards=(), round=1)
    assert shell.run("prices") == 0
    assert shell.run("prices", "no-such-model") == 2
