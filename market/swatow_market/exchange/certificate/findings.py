"""What is checked of a record, and what is found wrong with it."""

import enum
from dataclasses import dataclass

import numpy as np

from swatow_market.exchange.certificate.arrays import Flags
from swatow_market.exchange.certificate.record import Ints


class Check(enum.StrEnum):
    """What was checked, in the order in which it is; later ones rest on the earlier."""

    FORMAT = "format"
    """The bytes are a record: sized, typed, in its one encoding, with its id."""
    SHAPE = "shape"
    """The arrays fit together."""
    RANGE = "range"
    """Every number is within its bounds; curves fall and rise; no arc stands twice."""
    FEASIBLE = "feasible"
    PRICED = "priced"
    ARC = "arc"
    DEMAND = "demand"
    SUPPLY = "supply"
    WELFARE = "welfare"
    MONEY = "money"
    VOLUME = "volume"
    CANONICAL = "canonical"
    WHOLE = "whole"
    RELAXED = "relaxed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a record."""

    check: Check
    detail: str
    index: int | None = None
    """The first place in the array that `detail` names."""


def flag(check: Check, name: str, wrong: Flags) -> list[Finding]:
    """Return the finding of the places that are wrong, if there are any."""
    places = np.flatnonzero(wrong)
    if not len(places):
        return []
    return [Finding(check, f"{name}: {len(places)} wrong", int(places[0]))]


def outside(values: Ints, least: int, most: int | Ints) -> Flags:
    """Tell of each value whether it is out of its bounds."""
    return (values < least) | (values > most)


def out_of_order(values: Ints, start: Ints) -> Flags:
    """Tell of each value whether it is no more than the one before it in its row."""
    wrong = np.zeros(len(values), np.bool_)
    wrong[1:] = values[1:] <= values[:-1]
    wrong[start[:-1][start[:-1] < len(values)]] = False
    return wrong
