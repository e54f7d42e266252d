"""The tariff: what the node charges, and how much it has to spare, at each time of the day. Pure.

Times of the day are microseconds since midnight, where midnight is that of a fixed offset from
UTC. Whatever is offered for a span of time can be served at any moment of it: so a span over two
prices has the dearer one, and the fewer lots.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swatow_protocol.messages import LaterSupply, PriceStep
from swatow_protocol.periods import later_starts
from swatow_protocol.units import MICROS_PER_SECOND

DAY_US = 86_400 * MICROS_PER_SECOND

Steps = tuple[PriceStep, ...]
"""Price steps, cheapest first; none is no supply."""


@dataclass(frozen=True, slots=True)
class Hours:
    """What holds each day from one time until another."""

    from_us: int
    until_us: int
    """Not after from_us, it is a time of the next day: equal times are the whole day."""
    steps: Steps

    def hold(self, time_of_day_us: int) -> bool:
        """Tell whether they hold at a time of the day."""
        since_us = (time_of_day_us - self.from_us) % DAY_US
        return since_us < ((self.until_us - self.from_us) % DAY_US or DAY_US)

    def overlap(self, other: "Hours") -> bool:
        """Tell whether there is a time of the day at which both hold."""
        return self.hold(other.from_us) or other.hold(self.from_us)


@dataclass(frozen=True, slots=True)
class Tariff:
    """A day of hours, no two of which overlap."""

    utc_offset_us: int
    """How far the node's clocks on the wall are ahead of UTC."""
    hours: tuple[Hours, ...]
    otherwise: Steps
    """What holds outside of all hours."""

    def at(self, time_us: int) -> Steps:
        """Return what holds at a moment."""
        time_of_day_us = self._time_of_day(time_us)
        found = (each.steps for each in self.hours if each.hold(time_of_day_us))
        return next(found, self.otherwise)

    def during(self, start_us: int, end_us: int) -> Steps:
        """Return what holds at every moment from a start until before an end, which is later."""
        return _least([self.at(time_us) for time_us in self._changes(start_us, end_us)])

    def later(self, now_us: int, period_us: int) -> tuple[LaterSupply, ...]:
        """Return the supply in each of the next periods that has any."""
        starts = later_starts(now_us, period_us)
        supply = ((start_us, self.during(start_us, start_us + period_us)) for start_us in starts)
        return tuple(
            LaterSupply(start_us=start_us, steps=steps) for start_us, steps in supply if steps
        )

    def _changes(self, start_us: int, end_us: int) -> Iterator[int]:
        """Yield the start, and when each of the hours that begin or end in the span first do so.

        Every day is as the one before it, so the first time is enough.
        """
        yield start_us
        since_us = self._time_of_day(start_us)
        for each in self.hours:
            for edge_us in (each.from_us, each.until_us):
                time_us = start_us + (edge_us - since_us) % DAY_US
                if time_us < end_us:
                    yield time_us

    def _time_of_day(self, time_us: int) -> int:
        return (time_us + self.utc_offset_us) % DAY_US


def _least(found: Sequence[Steps]) -> Steps:
    """Return at each price the fewest lots that any of these steps have up to it."""
    prices = sorted({step.price for steps in found for step in steps})
    least, before = [], 0
    for price in prices:
        lots = min(sum(step.lots for step in steps if step.price <= price) for steps in found)
        if lots > before:
            least.append(PriceStep(price=price, lots=lots - before))
        before = lots
    return tuple(least)
