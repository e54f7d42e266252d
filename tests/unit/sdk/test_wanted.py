"""What a buyer says in words and numbers, as an order states it."""

from decimal import Decimal
from typing import Any

import pytest

from swatow._market import Catalogue
from swatow._wanted import Price, model_limits, share_ppm, wait_us
from swatow.errors import InvalidValue
from swatow_protocol.envelope import sign
from tests.support import samples
from tests.support.samples import MARKET

ONE, TWO = (sign(samples.model(name=name), MARKET) for name in ("model-one", "model-two"))
CATALOGUE = Catalogue(samples.market_terms(), {"model-one": ONE, "model-two": TWO})


def test_one_model_has_the_price_of_the_call_or_of_the_settings() -> None:
    (said,) = model_limits(CATALOGUE, "model-one", "0.20", 1)
    (settled,) = model_limits(CATALOGUE, "model-one", None, 1)
    assert (said.model, said.price, settled.price) == (ONE.id, 200_000, 1)


def test_several_models_have_prices_of_their_own() -> None:
    prices: dict[str, Price] = {"model-two": 0.35, "model-one": Decimal("0.2")}
    found = model_limits(CATALOGUE, prices, None, 1)
    assert [(each.model, each.price) for each in found] == [(TWO.id, 350_000), (ONE.id, 200_000)]


@pytest.mark.parametrize(
    ("model", "price", "field"),
    [
        ("model-one", None, "max_price"),
        ("model-one", "dear", "max_price"),
        ("model-one", True, "max_price"),
        ("model-three", "1", "model"),
        ({"model-three": "1"}, None, "model"),
        ({"model-one": "1"}, "1", "max_price"),
        ({"model-one": True}, None, "max_price"),
        ({}, None, "model"),
        ({f"model-{number}": "1" for number in range(17)}, None, "model"),
    ],
)
def test_what_cannot_be_is_named(model: Any, price: Any, field: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{field}: "):
        model_limits(CATALOGUE, model, price, None)


def test_shares_are_parts_of_the_whole() -> None:
    given: list[Any] = [None, 0, 1, "0.2", 0.2, Decimal("0.000001")]
    assert [share_ppm(each) for each in given] == [None, 0, 1_000_000, 200_000, 200_000, 1]
    wrong: list[Any] = [True, -0.1, 1.5, "20%", "0.0000001"]
    for each in wrong:
        with pytest.raises(InvalidValue, match=r"^take_or_pay: "):
            share_ppm(each)


def test_an_order_waits_some_time_and_not_for_ever() -> None:
    assert (wait_us(None), wait_us(0.5), wait_us(30 * 86_400)) == (None, 500_000, 2_592 * 10**9)
    for wrong in (0, -1, 0.0000001, 30 * 86_400 + 1):
        with pytest.raises(InvalidValue, match=r"^wait_s: "):
            wait_us(wrong)
