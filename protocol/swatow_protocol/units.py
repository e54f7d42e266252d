"""Integer units of money, tokens and time, and the two divisions that are allowed on them.

Rules: no float enters this module or leaves it; every rounding is named (floor or ceil) at the
call. Text is parsed and printed here and nowhere else, so that "0.08" means one thing.

What it does not know: currencies (a label beside an amount) and who owes whom.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation

from swatow_protocol.errors import InvalidValue

STANDARD_TOKENS_PER_LOT = 1_000
"""A lot, the unit of quantity in the market, is this many standard tokens."""

THOUSANDTHS = 1_000
"""Token weights are thousandths of a standard token; one output token is exactly 1,000."""

NANOS_PER_UNIT = 1_000_000_000
"""Money is whole nanos: a billionth of one unit of the currency."""

MICROS_PER_SECOND = 1_000_000
"""Time is whole microseconds since 1970-01-01 UTC."""

MICROS_PER_MILLISECOND = 1_000

PARTS_PER_MILLION = 1_000_000

_PRICE_PLACES = 6  # a price is nanos a lot = millionths of a unit for a million tokens
_SHARE_PLACES = 6
_MONEY_PLACES = 9
_DIGITS_MAX = 9  # before the point: whatever passes fits 63 bits in nanos
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_EXACT = Context(prec=_DIGITS_MAX + _MONEY_PLACES, traps=[Inexact, InvalidOperation])


def div_floor(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded down; the denominator must be positive."""
    assert denominator > 0, denominator
    return numerator // denominator


def div_ceil(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded up; the denominator must be positive."""
    assert denominator > 0, denominator
    return -(-numerator // denominator)


def cost_nanos(standard_tokens: int, price: int) -> int:
    """Return what `standard_tokens` cost at `price` nanos a lot, rounded up to a whole nano.

    Whole lots are exact; the one rounding of an award happens here and is below one nano. Lots
    and the rest are priced apart, so that no product passes 63 bits.
    """
    lots, rest = divmod(standard_tokens, STANDARD_TOKENS_PER_LOT)
    return lots * price + div_ceil(rest * price, STANDARD_TOKENS_PER_LOT)


def lots_for(standard_tokens: int) -> int:
    """Return the fewest whole lots that hold `standard_tokens`."""
    return div_ceil(standard_tokens, STANDARD_TOKENS_PER_LOT)


def parse_price(text: str | int | Decimal, field: str = "price") -> int:
    """Read a price in currency units for a million standard tokens; return nanos a lot.

    The two are the same number of millionths: 0.08 a million tokens is 80,000 nanos a lot.

    Raises:
        InvalidValue: not a decimal, negative, a thousand million or more, or finer than a
            millionth.
    """
    return _parse_decimal(text, _PRICE_PLACES, field)


def parse_money(text: str | int | Decimal, field: str = "amount") -> int:
    """Read an amount in currency units; return nanos.

    Raises:
        InvalidValue: not a decimal, negative, a thousand million or more, or finer than a nano.
    """
    return _parse_decimal(text, _MONEY_PLACES, field)


def parse_duration(text: str, field: str = "duration") -> int:
    """Read a length of time such as "90s", "90m", "6h" or "2d"; return microseconds.

    Raises:
        InvalidValue: anything else, nothing, or too long.
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _SECONDS or not (number.isascii() and number.isdecimal()):
        raise InvalidValue(field, f"{text!r} is no whole number of s, m, h or d, as in 90m or 6h")
    if len(number) > _DIGITS_MAX:
        raise InvalidValue(field, f"{text} is too long")
    if not int(number):
        raise InvalidValue(field, f"{text} is no time at all")
    return int(number) * _SECONDS[unit] * MICROS_PER_SECOND


def parse_share(text: str | int | Decimal, field: str = "share") -> int:
    """Read a share, 0 to 1; return millionths.

    Raises:
        InvalidValue: not a decimal, outside 0 to 1, or finer than a millionth.
    """
    share = _parse_decimal(text, _SHARE_PLACES, field)
    if share > PARTS_PER_MILLION:
        raise InvalidValue(field, f"{text} is more than 1, the whole")
    return share


def format_share(ppm: int) -> str:
    """Print millionths as a share, 0 to 1."""
    return _format_decimal(ppm, _SHARE_PLACES)


def format_price(price: int) -> str:
    """Print nanos a lot as currency units for a million standard tokens."""
    return _format_decimal(price, _PRICE_PLACES)


def format_money(nanos: int) -> str:
    """Print nanos as currency units, exactly, with at least two decimal places."""
    return _format_decimal(nanos, _MONEY_PLACES)


def format_time(time_us: int) -> str:
    """Print a time as date and time of day in UTC, to the second."""
    days, seconds = divmod(time_us // MICROS_PER_SECOND, 86_400)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    year, month, day = _date(days)
    return f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d} UTC"


def _parse_decimal(text: str | int | Decimal, places: int, field: str) -> int:
    if isinstance(text, bool) or not isinstance(text, str | int | Decimal):
        raise InvalidValue(field, f"{text!r} is not a decimal number written as text")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise InvalidValue(field, f"{text!r} is not a decimal number") from None
    if not value.is_finite() or value < 0:
        raise InvalidValue(field, f"{text} must be zero or more")
    if value.adjusted() >= _DIGITS_MAX:
        raise InvalidValue(field, f"{text} is too large")
    try:
        exact = value.quantize(Decimal((0, (1,), -places)), context=_EXACT)
    except Inexact:
        raise InvalidValue(field, f"{text} has more than {places} decimal places") from None
    return int(exact.scaleb(places))


def _format_decimal(amount: int, places: int) -> str:
    sign, digits = ("-" if amount < 0 else ""), f"{abs(amount):0{places + 1}d}"
    whole, fraction = digits[:-places], digits[-places:].rstrip("0")
    return f"{sign}{whole}.{fraction.ljust(2, '0')}"


def _date(days: int) -> tuple[int, int, int]:
    """Return year, month and day so many days after 1970-01-01.

    Years are counted from March, so that a leap day ends one: Howard Hinnant,
    "chrono-compatible low-level date algorithms", civil_from_days.
    """
    era, day_of_era = divmod(days + _DAYS_TO_1970, _DAYS_OF_ERA)
    leaps = day_of_era // 1_460 - day_of_era // 36_524 + day_of_era // (_DAYS_OF_ERA - 1)
    year_of_era = (day_of_era - leaps) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153  # 0 is March
    day = day_of_year - (153 * month + 2) // 5 + 1
    is_next_year = month >= _JANUARY
    return 400 * era + year_of_era + is_next_year, (month + 2) % 12 + 1, day


_DAYS_OF_ERA = 146_097
"""400 years."""
_DAYS_TO_1970 = 719_468
"""From the first of March of year 0."""
_JANUARY = 10
