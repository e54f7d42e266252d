"""Periods: time cut into equal parts, for which offers state later supply and awards are made.

A period of a market starts at a whole multiple of its length since 1970 UTC, so that everybody
finds the same ones from the market's terms and a clock. Pure.
"""

from swatow_protocol.limits import PERIODS_MAX
from swatow_protocol.messages import Award, Offer, PriceStep


def later_starts(time_us: int, period_us: int) -> range:
    """Return when the periods start that come after the one which `time_us` is in.

    They are as many as an offer of that time may state supply for.
    """
    first = time_us - time_us % period_us + period_us
    return range(first, first + PERIODS_MAX * period_us, period_us)


def is_later(award: Award) -> bool:
    """Tell whether an award is of a later period than that in which it was made."""
    return award.from_us > award.issued_us


def steps_for(award: Award, offer: Offer) -> tuple[PriceStep, ...]:
    """Return the steps of an offer that an award draws on; none where it states no such supply."""
    if not is_later(award):
        return offer.steps
    found = (supply.steps for supply in offer.later if supply.start_us == award.from_us)
    return next(found, ())
