"""Money, prices and lots: what is written is what is meant, and each rounding goes one way."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import limits, units
from swatow_protocol.errors import InvalidValue

PARSERS: dict[str, tuple[Callable[..., int], int]] = {
    "price": (units.parse_price, 6),
    "money": (units.parse_money, 9),
}
each_parser = pytest.mark.parametrize(
    ("parse", "places"), list(PARSERS.values()), ids=list(PARSERS)
)


SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
BOUND = 10**9
"""Currency units: what is written must be less."""


@given(st.integers(0, BOUND * units.NANOS_PER_UNIT - 1))
def test_an_amount_that_is_printed_reads_back_as_itself(nanos: int) -> None:
    assert units.parse_money(units.format_money(nanos)) == nanos


@given(st.integers(0, limits.PRICE_MAX))
def test_a_price_that_is_printed_reads_back_as_itself(price: int) -> None:
    assert units.parse_price(units.format_price(price)) == price


@given(st.integers(-limits.MONEY_MAX, limits.MONEY_MAX))
def test_printing_is_exact_and_drops_only_zeros_beyond_two_places(nanos: int) -> None:
    for text, places in ((units.format_money(nanos), 9), (units.format_price(nanos), 6)):
        assert Fraction(text) == Fraction(nanos, 10**places)
        match = re.fullmatch(r"-?(0|[1-9][0-9]*)\.([0-9]{2,9})", text)
        assert match is not None
        assert len(match[2]) == 2 or not match[2].endswith("0")


@each_parser
@given(whole=st.integers(0, BOUND - 1), digits=st.text("0123456789", max_size=9))
def test_text_is_read_digit_by_digit(
    parse: Callable[..., int], places: int, whole: int, digits: str
) -> None:
    """Against arithmetic on the digits themselves, which knows no Decimal."""
    digits = digits[:places]
    text = f"{whole}.{digits}" if digits else str(whole)
    assert parse(text) == int(f"{whole}{digits.ljust(places, '0')}")
    assert parse(Decimal(text)) == parse(text)


@each_parser
@given(whole=st.integers(0, BOUND - 1), digits=st.text("0123456789", min_size=9, max_size=12))
def test_finer_than_the_unit_is_refused_and_never_rounded(
    parse: Callable[..., int], places: int, whole: int, digits: str
) -> None:
    with pytest.raises(InvalidValue):
        parse(f"{whole}.{digits}1")


@each_parser
def test_finer_than_the_unit_is_refused_behind_any_number_of_digits(
    parse: Callable[..., int], places: int
) -> None:
    """Decimal's own precision is 28 digits: longer numbers must not be rounded to it."""
    with pytest.raises(InvalidValue):
        parse("123456789.00000000000000000001")


@each_parser
def test_a_thousand_million_units_and_more_are_refused(
    parse: Callable[..., int], places: int
) -> None:
    most = f"{BOUND - 1}.{'9' * places}"
    assert parse(most) == BOUND * 10**places - 1 <= limits.MONEY_MAX
    for text in (str(BOUND), f"{BOUND}.0", "1e9", "1e30", "12345678901234567890.123456789", BOUND):
        with pytest.raises(InvalidValue):
            parse(text)


@each_parser
@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "abc",
        "1,5",
        "0x10",
        "--1",
        "-1",
        "-0.000001",
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "0.0000000001",
        Decimal(-1),
        Decimal("NaN"),
        0.08,
        True,
        None,
        b"1",
    ],
)
def test_what_is_no_exact_amount_is_refused_under_the_name_of_its_field(
    parse: Callable[..., int], places: int, wrong: Any
) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse(wrong, "charge")
    assert refused.value.field == "charge"
    assert str(refused.value) == f"charge: {refused.value.problem}"


@each_parser
@pytest.mark.parametrize(
    "wrong", ["1e999999", "1e-999999999", "9" * 5_000], ids=["huge", "tiny", "long"]
)
def test_numbers_beyond_all_bounds_are_refused_like_other_bad_text(
    parse: Callable[..., int], places: int, wrong: str
) -> None:
    with pytest.raises(InvalidValue):
        parse(wrong, "charge")


@each_parser
@given(
    text=st.one_of(
        st.text(max_size=12),
        st.from_regex(r"[+-]?[0-9]{0,9}(\.[0-9]{0,12})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    )
)
def test_any_text_is_an_amount_or_is_refused(
    parse: Callable[..., int], places: int, text: str
) -> None:
    try:
        amount = parse(text)
    except InvalidValue:
        return
    assert amount >= 0
    assert Fraction(amount, 10**places) == Fraction(Decimal(text))


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_divisions_round_the_way_they_are_named(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert units.div_floor(numerator, denominator) == floor(exact)
    assert units.div_ceil(numerator, denominator) == ceil(exact)


@given(st.integers(0, limits.STANDARD_TOKENS_MAX), st.integers(0, limits.PRICE_MAX))
def test_a_cost_is_rounded_up_by_less_than_one_nano(tokens: int, price: int) -> None:
    exact = Fraction(tokens * price, 1_000)
    assert 0 <= units.cost_nanos(tokens, price) - exact < 1


@given(st.integers(0, limits.LOTS_MAX), st.integers(0, limits.PRICE_MAX))
def test_whole_lots_cost_exactly_lots_times_price(lots: int, price: int) -> None:
    assert units.cost_nanos(lots * units.STANDARD_TOKENS_PER_LOT, price) == lots * price


@given(st.integers(1, limits.STANDARD_TOKENS_MAX))
def test_lots_are_the_fewest_that_hold_the_tokens(tokens: int) -> None:
    lots = units.lots_for(tokens)
    assert (lots - 1) * 1_000 < tokens <= lots * 1_000


def test_the_price_of_a_lot_is_the_price_of_a_million_tokens_in_millionths() -> None:
    price = units.parse_price("0.08")
    assert price == 80_000
    assert units.cost_nanos(1_000_000, price) == units.parse_money("0.08")


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01 00:00:00 UTC"),
        (1_790_000_000_999_999, "2026-09-21 14:13:20 UTC"),
        (2**53, "2255-06-05 23:47:34 UTC"),
    ],
)
def test_a_time_is_printed_to_the_second(time_us: int, text: str) -> None:
    assert units.format_time(time_us) == text


@given(st.integers(0, 2**53))
def test_times_are_printed_as_any_calendar_has_them(time_us: int) -> None:
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    assert units.format_time(time_us) == f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@pytest.mark.parametrize("year", [1970, 1972, 2000, 2023, 2024, 2100, 2200])
def test_every_day_of_a_year_is_printed_once(year: int) -> None:
    first = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    for day in range(366):
        moment = datetime.fromtimestamp(first + 86_400 * day, UTC)
        printed = units.format_time((first + 86_400 * day) * 1_000_000)
        assert printed == f"{moment:%Y-%m-%d} 00:00:00 UTC"


@given(st.integers(1, 10**9 - 1), st.sampled_from(sorted(SECONDS)))
def test_a_duration_is_so_many_of_its_unit(number: int, unit: str) -> None:
    assert units.parse_duration(f"{number}{unit}") == number * SECONDS[unit] * 1_000_000
    assert units.parse_duration(f"000{number}"[-9:] + unit) == units.parse_duration(
        f"{number}{unit}"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no whole number"),
        ("6", "is no whole number"),
        ("h", "is no whole number"),
        ("6 h", "is no whole number"),
        ("6H", "is no whole number"),
        ("6hh", "is no whole number"),
        ("-6h", "is no whole number"),
        ("+6h", "is no whole number"),
        ("1.5h", "is no whole number"),
        ("1h30m", "is no whole number"),
        ("²h", "is no whole number"),
        ("٣h", "is no whole number"),
        ("0h", "is no time at all"),
        ("1000000000s", "is too long"),
    ],
)
def test_what_is_no_duration_is_refused_by_its_field(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem) as error:
        units.parse_duration(text, "deadline")
    assert error.value.field == "deadline"


@given(st.integers(0, units.PARTS_PER_MILLION))
def test_a_share_that_is_printed_reads_back_as_itself(ppm: int) -> None:
    assert units.parse_share(units.format_share(ppm)) == ppm


def test_a_share_is_no_more_than_the_whole() -> None:
    assert (units.parse_share("1"), units.parse_share("0.2")) == (1_000_000, 200_000)
    for wrong in ("1.000001", "20", "-0.1", "0.0000001", "some"):
        with pytest.raises(InvalidValue, match=r"^take_or_pay: "):
            units.parse_share(wrong, "take_or_pay")
