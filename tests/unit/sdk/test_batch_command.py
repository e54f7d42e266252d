"""`swatow batch`: what a file asks for, what is printed, and where an error stands in the file."""

import io
from pathlib import Path
from typing import Any

import pytest

from swatow._commands.batch_file import read_batch
from swatow.errors import InvalidValue
from swatow_protocol import limits as bounds
from swatow_protocol.envelope import sign
from swatow_protocol.messages import Limits
from swatow_protocol.messages.answers import OrderState
from swatow_protocol.messages.fields import DataClass
from tests.support import samples
from tests.support.samples import MARKET, NETWORK, NOW_US, SECOND
from tests.unit.node import deal
from tests.unit.sdk.market import wallet_in
from tests.unit.sdk.test_order_batch import BatchMarket, event, taken_in
from tests.unit.sdk.test_order_commands import Shell

MODEL = deal.MODEL.message.name
OTHER = sign(samples.model(name="other-model"), MARKET)
FILE = f"""\
model,lots,price,zones
{MODEL},2,0.2,
{MODEL},3,0.1,

{MODEL},4,0.3,cn-gd sg
"""


class Desk(Shell):
    """A command line whose market takes batches, and a file of rows."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(directory, capsys)
        self.market: BatchMarket = BatchMarket(wallet_in(directory))
        self.market.models = (deal.MODEL.envelope, OTHER.envelope)
        self.file = directory.parent / "orders.csv"

    def batch(self, text: str, *words: str) -> int:
        """Place the rows of a text."""
        self.file.write_text(text)
        return self.run("batch", str(self.file), *words)


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    made = Desk(tmp_path / "buyer", capsys)

    async def connected(_: Any) -> BatchMarket:
        return made.market

    monkeypatch.setattr("swatow._market.MarketLine._connected", connected)
    monkeypatch.setattr("swatow._client.now_us", lambda: NOW_US)
    monkeypatch.setenv("SWATOW_BUYER_MARKET", f"{MARKET.key.hex()}@127.0.0.1:1")
    monkeypatch.setenv("SWATOW_BUYER_NETWORK", NETWORK)
    return made


def test_a_file_is_one_batch_and_the_command_line_says_the_rest(desk: Desk) -> None:
    desk.market.script = [taken_in]
    assert desk.batch(FILE, "--wait", "30s", "--jurisdictions", "cn", "--take-or-pay", "0.2") == 1
    (batch,) = desk.market.batches
    first, second = batch.message.terms
    assert (first.limits, second.limits) == (
        Limits(jurisdictions=("cn",)),
        Limits(jurisdictions=("cn",), zones=("cn-gd", "sg")),
    )
    assert first.take_or_pay_ppm == 200_000
    assert first.expires_us == NOW_US + 30 * SECOND


def test_progress_goes_to_standard_error_and_orders_and_awards_to_standard_output(
    desk: Desk,
) -> None:
    assert desk.batch(FILE) == 0
    name = desk.market.batches[0].id.hex()[:16]
    lines = desk.err.splitlines()
    assert lines[:3] == [
        f"{desk.file}: 3 rows",
        f"batch {name}: 0 of 9 lots awarded, 2 of 2 orders in the book",
        f"batch {name}: 7 of 9 lots awarded, 0 of 2 orders in the book",
    ]
    assert lines[-1] == "7 of 9 lots awarded; all would cost 0.0019 USD at most"
    rows = [line.split("\t") for line in desk.out.splitlines()]
    assert [row[1:4] for row in rows[1:3]] == [
        ["expired", "3 of 5", f"{MODEL} 0.20"],
        ["filled", "4 of 4", f"{MODEL} 0.30"],
    ]
    assert [row[2] for row in rows[4:]] == ["2", "1", "4"]
    assert lines[-2] == f"draw on them: swatow chat --award {rows[4][0]} ..."


def test_as_json_there_is_one_object_and_nothing_else(desk: Desk) -> None:
    assert desk.batch(FILE, "--json") == 0
    assert desk.err == ""
    told = desk.json["batch"]
    assert (told["lots"], told["lots_awarded"], told["money_most"]) == (9, 7, 1_900_000)
    assert [order["state"] for order in told["orders"]] == ["expired", "filled"]
    ids = [award["id"] for award in desk.json["awards"]]
    assert ids == [award for order in told["orders"] for award in order["awards"]]


def test_where_nothing_is_awarded_the_command_leaves_with_1(desk: Desk) -> None:
    desk.market.script = [
        taken_in,
        lambda orders: [event(order, OrderState.EXPIRED) for order in orders],
    ]
    assert desk.batch(FILE, "--json") == 1
    assert desk.json["awards"] == []


def test_rows_come_from_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(FILE))
    assert desk.run("batch", "--json", "-") == 0
    assert len(desk.market.batches[0].message.term_column) == 6


def test_every_row_is_an_order_of_its_own_where_it_is_all_or_none(desk: Desk) -> None:
    desk.market.script = [taken_in]
    desk.batch(FILE, "--all-or-none")
    assert [terms.all_or_none for terms in desk.market.batches[0].message.terms] == [True] * 3


def test_the_orders_of_a_batch_are_listed_and_cancelled_one_by_one(desk: Desk) -> None:
    desk.batch(FILE)
    assert desk.run("orders", "--json") == 0
    names = [order["id"] for order in desk.json["orders"]]
    assert len(names) == 2
    assert desk.run("cancel", names[1][:12]) == 0
    assert desk.market.cancelled == (bytes.fromhex(names[1]),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"model,lots,price\n{MODEL},1,0.1\n\n{MODEL},1,dear\n", "line 4, price: 'dear' is not"),
        (f"model,lots,price\n{MODEL},1,1000001\n", "line 2, price: 1000001000000 is outside"),
        (f"model,lots\n{MODEL},1\n", "line 2, price: how much at most"),
        (f"model,lots,price\n{MODEL},0,1\n", "line 2, lots: 0 is outside 1 to 1000000"),
        ("model,lots,price\ngpt,1,1\n", "line 2, model: the market does not list 'gpt'"),
    ],
)
def test_what_a_row_cannot_be_is_named_by_line_and_column(
    desk: Desk, text: str, problem: str
) -> None:
    assert desk.batch(text) == 2
    assert desk.err.splitlines()[-1].startswith(f"swatow: {desk.file} {problem}")
    assert desk.market.batches == []


def test_a_file_that_cannot_be_read_is_named(desk: Desk) -> None:
    assert desk.run("batch", str(desk.file)) == 2
    assert desk.err == f"swatow: {desk.file}: No such file or directory\n"
    desk.file.write_bytes(b"model,lots\n\xff\xfe\n")
    assert desk.run("batch", str(desk.file)) == 2
    assert desk.err.startswith(f"swatow: {desk.file} line 1: 'utf-8' codec can't decode")


def test_a_file_that_starts_with_a_byte_order_mark_is_read(desk: Desk) -> None:
    assert desk.batch("\ufeff" + FILE) == 0


def rows_of(text: str, **flags: object) -> Any:
    return read_batch("f.csv", io.StringIO(text, newline=""), flags)


def test_cells_say_what_options_say() -> None:
    heads = "Model, lots ,price,or,round-trip-ms,zones_refused,corridor,data-class,data_origin"
    cells = "small,5,0.2,big=0.3 huge=0.4,40,sg cn,shantou,1,sg"
    (row,) = rows_of(f"{heads}\n{cells}\n").rows
    assert row.model == {"small": "0.2", "big": "0.3", "huge": "0.4"}
    assert (row.lots, row.max_price) == (5, None)
    assert row.limits == Limits(
        round_trip_ms=40,
        zones_refused=("sg", "cn"),
        corridor="shantou",
        data_class=DataClass.PERSONAL,
        data_origin="sg",
    )


def test_an_empty_cell_takes_what_the_command_line_says() -> None:
    text = "model,lots,price,zones,reputation\nm,1,,,\nm,1,1,cn-gd sg,0\n"
    first, second = rows_of(text, zones=("sg",), vendors=("ascend",)).rows
    assert first.max_price is None
    assert first.limits == Limits(zones=("sg",), vendors=("ascend",))
    assert second.limits == Limits(zones=("cn-gd", "sg"), vendors=("ascend",), reputation=0)
    assert rows_of("model,lots\n").rows == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1, model: no such column; the first line names model, lots and price"),
        ("model,price\n", "line 1, lots: no such column"),
        ("model,lots,colour\n", "line 1, colour: no such column; limits are origin, round_trip"),
        ("model,lots,zones,zones\n", "line 1, zones: named twice"),
        ("model,lots\nm,1,2\n", "line 2: 3 cells under 2 heads"),
        ("model,lots\nm,\n", "line 2, lots: nothing stands there"),
        ("model,lots\n,1\n", "line 2, model: nothing stands there"),
        ("model,lots\nm,1.5\n", "line 2, lots: '1.5' is no whole number"),
        ("model,lots\nm,-1\n", "line 2, lots: '-1' is no whole number"),
        ("model,lots\nm,²\n", "line 2, lots: '²' is no whole number"),
        (f"model,lots\nm,{'9' * 19}\n", "line 2, lots: '9999999999999999999' is no whole"),
        ("model,lots,or\nm,1,big=1\n", "line 2, price: how much at most for m"),
        ("model,lots,price,or\nm,1,1,big\n", "line 2, or: 'big' is not NAME=PRICE"),
        ("model,lots,reputation\nm,1,5\nm,1,1001\n", "line 3, reputation: "),
        ("model,lots,reputation\nm,1,high\n", "line 2, reputation: 'high' is no whole number"),
        ("model,lots,zones\nm,1,Sea!\n", "line 2, zones: "),
        ('model,lots\n"m,1\n', "line 2: unexpected end of data"),
        (
            "model,lots\n" + "m,1\n" * (bounds.BATCH_ORDERS_MAX + 1),
            "line 100002: more rows than a batch takes, 100000",
        ),
    ],
)
def test_a_file_that_cannot_be_is_an_error_that_names_line_and_column(
    text: str, problem: str
) -> None:
    with pytest.raises(InvalidValue) as error:
        rows_of(text)
    assert str(error.value).startswith(f"f.csv {problem}")
