"""Three processes started by hand, as the README says, each with its own key and directory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Swatow, needs_engine, swatow, swatow_json

pytestmark = [needs_engine, pytest.mark.engine]
PRICE = ("--max-price", "0.20")


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A market and a node with the real model; returns their directory and the market's address."""
    at = tmp_path_factory.mktemp("trade")
    with Swatow(
        *("market", "run", "--directory", str(at / "market")),
        *("--listen", "127.0.0.1:0", "--round-ms", "200"),
        log=at / "market.log",
    ) as market:
        address = market.first_line
        with Swatow(
            *("node", "run", "--directory", str(at / "node"), "--listen", "127.0.0.1:0"),
            *("--market", address, "--zone", "cn-gd-shantou", "--price", "0.08"),
            log=at / "node.log",
        ):
            yield at, address


def buyer(trade: tuple[Path, str], name: str, money: str = "1.00") -> tuple[str, ...]:
    """Make a wallet with money in it; return the options that name it."""
    at, address = trade
    key = swatow_json("keys", "new", "--directory", str(at / name))["key"]
    if money:
        swatow("market", "deposit", key, money, "--directory", str(at / "market"))
    return ("--directory", str(at / name), "--market", address)


def test_chat_streams_the_answer_and_its_receipt(trade: tuple[Path, str]) -> None:
    ended = swatow(
        "chat",
        "What is the capital of France?",
        *buyer(trade, "one"),
        *PRICE,
        "--temperature",
        "0",
        "--max-tokens",
        "32",
    )
    assert "Paris" in ended.stdout
    assert "signed by: node and buyer" in ended.stderr
    assert "counted again: with the model's tokenizer" in ended.stderr


def test_chat_as_json_has_text_and_receipt_and_the_wallet_shows_them(
    trade: tuple[Path, str],
) -> None:
    wallet = buyer(trade, "two", money="1.00")
    answer = swatow_json("chat", "Say hello.", *wallet, *PRICE, "--max-tokens", "16")
    receipt = answer["receipt"]
    assert answer["text"]
    assert receipt["countersigned"]
    assert receipt["recounted"]
    assert receipt["output_tokens"] == receipt["signed_output_tokens"] <= 16

    shown = swatow_json("wallet", *wallet)
    assert shown["receipts"][0]["job"] == receipt["job"]
    assert shown["receipts"][0]["countersigned"]
    assert shown["balance_nanos"] + shown["held_nanos"] <= 1_000_000_000
    accounts = swatow_json("market", "accounts", "--directory", str(trade[0] / "market"))
    assert accounts["cash_nanos"] == accounts["claims_nanos"]


def test_an_order_is_drawn_upon_by_a_later_command(trade: tuple[Path, str]) -> None:
    wallet = buyer(trade, "three")
    (award,) = swatow_json("order", "--lots", "2", *wallet, *PRICE)["awards"]
    assert award["lots"] == 2
    assert award["zone"] == "cn-gd-shantou"
    assert award["from_us"] < award["expires_us"]
    shown = swatow_json("wallet", *wallet)
    assert shown["awards"] == [award], "kept, with its times"
    answer = swatow_json(
        "chat", "Say hello.", "--award", award["id"][:12], *wallet, "--max-tokens", "8"
    )
    assert answer["receipt"]["award"] == award["id"]
    again = swatow_json("chat", "Again.", "--award", award["id"][:12], *wallet, "--max-tokens", "8")
    assert again["receipt"]["countersigned"]


def test_the_prompt_may_come_from_standard_input(trade: tuple[Path, str]) -> None:
    import subprocess

    from tests.support.processes import COMMAND

    ended = subprocess.run(
        [*COMMAND, "chat", *buyer(trade, "four"), *PRICE, "--max-tokens", "4", "--json"],
        input="Say hello.",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(ended.stdout)["receipt"]["finish_reason"] == "length"


def test_errors_name_what_is_wrong_and_whose_fault_it_is(trade: tuple[Path, str]) -> None:
    poor = buyer(trade, "poor", money="")
    assert "insufficient_funds" in swatow("chat", "Hi", *poor, *PRICE, code=1).stderr
    rich = buyer(trade, "rich")
    assert "max_price" in swatow("chat", "Hi", *rich, code=2).stderr
    unknown = swatow("chat", "Hi", "--model", "gpt-9", *rich, *PRICE, code=2).stderr
    assert "does not list 'gpt-9'" in unknown
    assert "no such file" in swatow("keys", "show", "-d", "/nonexistent", code=2).stderr.lower()
    failed = swatow_json(
        "chat", "Hi", *rich[:2], "--market", f"{'00' * 32}@127.0.0.1:1", *PRICE, code=1
    )
    assert "127.0.0.1:1" in failed["error"]
