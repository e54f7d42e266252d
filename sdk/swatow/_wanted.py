"""What an order asks for, from what a buyer says in words and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from swatow._market import Catalogue
from swatow.errors import InvalidValue
from swatow_protocol import limits as bounds
from swatow_protocol.messages import Limits, MarketTerms, ModelLimit
from swatow_protocol.units import (
    MICROS_PER_SECOND,
    format_share,
    parse_price,
    parse_share,
)

Price = str | int | float | Decimal
"""Currency units for a million standard tokens; text and Decimal are exact."""
Share = str | int | float | Decimal
"""A part of the whole, 0 to 1."""

NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Everything of an order but how much."""

    models: tuple[ModelLimit, ...]
    """Any of these models, each with the most that is paid for it."""
    limits: Limits = NO_LIMITS
    all_or_none: bool = False
    immediate: bool = False
    """Do not wait for a round: at the posted price, or not at all."""
    take_or_pay_ppm: int | None = None
    """None is what the settings say."""
    within_us: int | None = None
    """Any period that ends so soon from now will do; None is delivery now."""
    wait_us: int | None = None
    """How long it waits in the book; None is what the settings say."""


def exact(value: Price | Share, field: str) -> str:
    """Return a number as text; a float as the shortest text that stands for it.

    Raises:
        InvalidValue: it is no number.
    """
    if isinstance(value, bool):
        raise InvalidValue(field, f"{value!r} is not a number")
    return str(value)


def price_limit(max_price: Price | None, settled: int | None) -> int:
    """Return the limit price of a request, in nanos a lot; `settled` where it does not say.

    Raises:
        InvalidValue: it is no price, or nothing says how much.
    """
    if max_price is not None:
        return parse_price(exact(max_price, "max_price"), "max_price")
    if settled is None:
        raise InvalidValue(
            "max_price", "how much at most, in currency units for a million standard tokens?"
        )
    return settled


def model_limits(
    catalogue: Catalogue,
    model: str | Mapping[str, Price],
    max_price: Price | None,
    settled: int | None,
) -> tuple[ModelLimit, ...]:
    """Return the models of an order, each with its limit price.

    Args:
        catalogue: what the market lists.
        model: a name, or names with what is paid for each at most.
        max_price: the limit price of a single name.
        settled: the limit price where a single name has none.

    Raises:
        InvalidValue: a model is not listed, there are too many, or a price is missing or wrong.
    """
    if isinstance(model, str):
        price = price_limit(max_price, settled)
        return (ModelLimit(model=catalogue.model(model).id, price=price),)
    if max_price is not None:
        raise InvalidValue("max_price", "each of several models has its own")
    if not 1 <= len(model) <= bounds.MODELS_PER_ORDER_MAX:
        problem = f"{len(model)} models, an order takes 1 to {bounds.MODELS_PER_ORDER_MAX}"
        raise InvalidValue("model", problem)
    return tuple(
        ModelLimit(model=catalogue.model(name).id, price=price_limit(price, None))
        for name, price in model.items()
    )


def share_ppm(take_or_pay: Share | None) -> int | None:
    """Return a take-or-pay share in millionths.

    Raises:
        InvalidValue: it is no number from 0 to 1.
    """
    if take_or_pay is None:
        return None
    return parse_share(exact(take_or_pay, "take_or_pay"), "take_or_pay")


def agreed_share(wanted_ppm: int | None, terms: MarketTerms) -> int:
    """Return the take-or-pay share of an order; the market's minimum where none is wanted.

    Raises:
        InvalidValue: less is wanted than the market takes.
    """
    least = terms.take_or_pay_min_ppm
    if wanted_ppm is None:
        return least
    if wanted_ppm < least:
        given, minimum = format_share(wanted_ppm), format_share(least)
        raise InvalidValue("take_or_pay", f"{given} is below this market's minimum of {minimum}")
    return wanted_ppm


def wait_us(wait_s: float | None) -> int | None:
    """Return how long an order waits, in microseconds.

    Raises:
        InvalidValue: outside what an order may wait.
    """
    if wait_s is None:
        return None
    waits_us = round(wait_s * MICROS_PER_SECOND)
    if not 0 < waits_us <= bounds.ORDER_LIFE_US:
        most_s = bounds.ORDER_LIFE_US // MICROS_PER_SECOND
        raise InvalidValue("wait_s", f"{wait_s:g} s is outside 0 to {most_s} s")
    return waits_us
