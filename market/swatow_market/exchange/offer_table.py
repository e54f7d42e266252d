"""Eligibility in arrays: the offers of a round as columns, and the row of each order in them.

This is `failed_limits` compiled. The rule there is the one to read, and the one that tells an
order why; here the same question is asked of all offers at once. Names are matched when the table
is built: an order then looks up its own names, and compares numbers.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from swatow_market.exchange.eligibility import admits_class
from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.signature import handicaps
from swatow_protocol.messages import (
    DataClass,
    Limits,
    Model,
    OrderTerms,
    Retention,
)
from swatow_protocol.messages.network_map import places_around

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

UNSTATED: Final = 2**63 - 1
"""In place of a number that is not stated: beyond every limit that the wire allows."""

_Statement = TypeVar("_Statement", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Row:
    """The R offers that may serve an order, by number, and what each lot costs on the way."""

    numbers: Ints
    """(R,) Positions among the offers of the round, rising."""
    costs: Ints
    """(R,) Path charge + handicap, in nanos a lot."""
    charges: Ints
    """(R,) Path charge alone, in nanos a lot."""


class OfferTable:
    """The N offers of a round, in columns that are ordered by model and then by number.

    Nothing in it grows with the orders that are asked about. Per name it keeps the statements
    that carry the name, so its size is that of the offers, and of the paths that are stated from
    each origin to the Z zones on offer.
    """

    def __init__(
        self, offers: Sequence[BookOffer], models: Mapping[bytes, Model], network_map: NetworkMap
    ) -> None:
        """Compile the offers of a round.

        Raises:
            KeyError: an offer is for a model that is not among `models`.
        """
        numbers = sorted(range(len(offers)), key=lambda each: (offers[each].offer.model, each))
        entries = [offers[number] for number in numbers]
        attributes = [entry.offer.attributes for entry in entries]
        zones = [entry.offer.zone for entry in entries]
        self._numbers = np.array(numbers, dtype=np.int64)
        self._parts = dict(_parts(entries, models))
        self._numbers_stated = [_stated(entries, compared) for compared in _COMPARED]
        self._places = _names(zones, places_around)
        self._countries = _names(zones, lambda zone: (zone[:2],))
        self._paths = _paths(network_map, list(dict.fromkeys(zones)))
        self._unknown_paths = _Paths.unknown(self._places.statements)
        self._vendors = _names([each.vendor for each in attributes], _itself)
        self._attestations = _names([each.attestation for each in attributes], _itself)
        self._features = _names([each.features for each in attributes], _all)
        self._retentions = _names([each.retention for each in attributes], _limits_kept)
        self._corridors = _names([each.corridors for each in attributes], _all)
        self._network_map = network_map

    def row(self, terms: OrderTerms) -> Row:
        """Return the offers that may serve orders of these terms, as `failed_limits` tells it.

        A cost is the path charge from the order's origin + the handicap of the offer's model: an
        order that pays less for one model than for another is worth less served by the one.
        """
        limits = terms.limits
        paths = self._paths.get(limits.origin, self._unknown_paths)
        admitted = [*self._admitted_names(limits)]
        if (zones := self._admitted_zones(limits, paths)) is not None:
            admitted.append((self._places.statement, zones))
        bounds = self._bounds(terms)
        rows = [
            self._row_of(part.eligible(admitted, bounds), handicap, paths)
            for model, handicap in handicaps(terms).items()
            if (part := self._parts.get(model)) is not None
            and _is_one_of(part.precision, limits.precisions)
        ]
        return rows[0] if len(rows) == 1 else _merged(rows)

    def _row_of(self, positions: Ints, handicap: int, paths: "_Paths") -> Row:
        """Return the row of these positions, which are all of one model."""
        charges = paths.charge[self._places.statement[positions]]
        return Row(self._numbers[positions], charges + handicap, charges)

    def _bounds(self, terms: OrderTerms) -> list[tuple[Ints, int]]:
        """Return the columns of numbers that the order limits, each with its limit from above.

        A limit that no offer is above is left out: it keeps nobody away.
        """
        bounds = []
        for compared, (column, greatest) in zip(_COMPARED, self._numbers_stated, strict=True):
            asked = compared.asked(terms)
            if asked is not None and (limit := compared.sign * asked) < greatest:
                bounds.append((column, limit))
        return bounds

    def _admitted_zones(self, limits: Limits, paths: "_Paths") -> Bools | None:
        """(Z,) Return which zones will do, or None where the place is not limited."""
        checks = []
        if limits.round_trip_ms is not None:
            checks.append(paths.round_trip_ms <= limits.round_trip_ms)
        if limits.zones is not None:
            checks.append(self._places.any_of(limits.zones))
        if limits.zones_refused:
            checks.append(~self._places.any_of(limits.zones_refused))
        if limits.jurisdictions is not None:
            checks.append(self._countries.any_of(limits.jurisdictions))
        if limits.corridor is None and _stays_home(limits.data_class):
            home = () if limits.data_origin is None else (limits.data_origin,)
            checks.append(self._countries.any_of(home))
        if not checks:
            return None
        admitted = checks[0]
        for check in checks[1:]:
            admitted = admitted & check
        return admitted

    def _admitted_names(self, limits: Limits) -> Iterator[tuple[Ints, Bools]]:
        """Yield, for each limited attribute, its column and which of its statements will do."""
        vendors, attestations = self._vendors, self._attestations
        if limits.vendors is not None:
            yield vendors.statement, vendors.any_of(limits.vendors)
        if limits.vendors_refused:
            refused = vendors.any_of(limits.vendors_refused)
            yield vendors.statement, vendors.stated & ~refused
        if limits.attestations is not None:
            yield attestations.statement, attestations.any_of(limits.attestations)
        if limits.features:
            yield self._features.statement, self._features.all_of(limits.features)
        if limits.corridor is not None:
            yield from self._admitted_under(limits.corridor, limits)

    def _admitted_under(self, name: str, limits: Limits) -> Iterator[tuple[Ints, Bools]]:
        """Yield the same for what a named corridor asks of data and of offers."""
        corridor = self._network_map.corridor(name, limits.data_origin)
        if corridor is None or not admits_class(corridor, limits.data_class):
            yield self._corridors.statement, self._corridors.any_of(())
            return
        yield self._corridors.statement, self._corridors.any_of((name,))
        yield self._places.statement, self._places.any_of(corridor.zones)
        if corridor.retention is not None:
            kept = self._retentions.any_of((corridor.retention.name,))
            yield self._retentions.statement, kept
        if corridor.attestation is not None:
            attested = self._attestations.any_of((corridor.attestation,))
            yield self._attestations.statement, attested


_NONE: Ints = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Part:
    """The offers of one model: positions `start` to `stop` of the table."""

    start: int
    stop: int
    precision: str

    def eligible(
        self, admitted: Iterable[tuple[Ints, Bools]], bounds: Iterable[tuple[Ints, int]]
    ) -> Ints:
        """Return the positions whose statements are admitted and within the bounds, rising."""
        part = slice(self.start, self.stop)
        holds = np.ones(self.stop - self.start, dtype=np.bool_)
        for column, limit in bounds:
            holds &= column[part] <= limit
        for statement, will_do in admitted:
            holds &= will_do[statement[part]]
        return holds.nonzero()[0] + self.start


@dataclass(frozen=True, slots=True)
class _Names:
    """A column of statements, of which V are distinct, and the names that they carry."""

    statement: Ints
    """(N,) Number of the statement that an offer makes."""
    stated: Bools
    """(V,) False for the statement that is none."""
    carriers: Mapping[str, Ints]
    """Name -> numbers of the statements that carry it."""

    @property
    def statements(self) -> int:
        """Return V."""
        return len(self.stated)

    def any_of(self, names: Iterable[str]) -> Bools:
        """(V,) Return which statements carry one of the names."""
        found = np.zeros(self.statements, dtype=np.bool_)
        for name in names:
            found[self.carriers.get(name, _NONE)] = True
        return found

    def all_of(self, names: Iterable[str]) -> Bools:
        """(V,) Return which statements carry all of the names."""
        found = np.ones(self.statements, dtype=np.bool_)
        for name in names:
            found &= self.any_of((name,))
        return found


@dataclass(frozen=True, slots=True)
class _Paths:
    """The paths from one origin to the Z zones on offer."""

    round_trip_ms: Ints
    """(Z,) UNSTATED where it is not measured."""
    charge: Ints
    """(Z,) Nanos a lot."""

    @classmethod
    def unknown(cls, zones: int) -> "_Paths":
        """Return paths of which nothing is stated: they cost nothing and are not measured."""
        return cls(np.full(zones, UNSTATED, np.int64), np.zeros(zones, np.int64))


@dataclass(frozen=True, slots=True)
class _Compared:
    """A number that offers state and orders limit."""

    stated: Callable[[BookOffer], int | None]
    asked: Callable[[OrderTerms], int | None]
    sign: int
    """-1 where the limit is the least that will do, so that every limit is one from above."""


_AT_MOST: Final = 1
_AT_LEAST: Final = -1

_COMPARED: Final = (
    _Compared(
        lambda entry: entry.offer.payment.voucher_interval,
        lambda terms: terms.payment.voucher_interval,
        _AT_MOST,
    ),
    _Compared(
        lambda entry: entry.offer.payment.credit_window,
        lambda terms: terms.payment.credit_window,
        _AT_LEAST,
    ),
    _Compared(lambda entry: entry.offer.rate, lambda terms: terms.rate, _AT_LEAST),
    _Compared(
        lambda entry: entry.offer.attributes.retention,
        lambda terms: terms.limits.retention,
        _AT_MOST,
    ),
    _Compared(
        lambda entry: entry.offer.attributes.carbon_mg_per_lot,
        lambda terms: terms.limits.carbon_mg_per_lot,
        _AT_MOST,
    ),
    _Compared(
        lambda entry: entry.offer.promises.time_to_first_token_ms,
        lambda terms: terms.limits.time_to_first_token_ms,
        _AT_MOST,
    ),
    _Compared(
        lambda entry: entry.offer.promises.tokens_per_second,
        lambda terms: terms.limits.tokens_per_second,
        _AT_LEAST,
    ),
    _Compared(lambda entry: entry.reputation, lambda terms: terms.limits.reputation, _AT_LEAST),
)


def _merged(rows: Sequence[Row]) -> Row:
    """Return the row of several models, by number."""
    numbers = np.concatenate([_NONE, *(row.numbers for row in rows)])
    costs = np.concatenate([_NONE, *(row.costs for row in rows)])
    charges = np.concatenate([_NONE, *(row.charges for row in rows)])
    order = numbers.argsort()
    return Row(numbers[order], costs[order], charges[order])


def _parts(
    entries: Sequence[BookOffer], models: Mapping[bytes, Model]
) -> Iterator[tuple[bytes, _Part]]:
    start = 0
    for model, group in groupby(entries, key=lambda entry: entry.offer.model):
        stop = start + sum(1 for _ in group)
        yield model, _Part(start, stop, models[model].precision)
        start = stop


def _stated(entries: Iterable[BookOffer], compared: _Compared) -> tuple[Ints, int]:
    """Return the column (N,) of a number, signed, and the greatest in it."""
    stated = (compared.stated(entry) for entry in entries)
    signed = [UNSTATED if each is None else compared.sign * each for each in stated]
    return np.array(signed, dtype=np.int64), max(signed, default=0)


def _names(
    statements: Sequence[_Statement], names_in: Callable[[_Statement], Iterable[str]]
) -> _Names:
    """Number the distinct statements, in the order in which they come, and index their names."""
    numbers = {each: number for number, each in enumerate(dict.fromkeys(statements))}
    carriers: dict[str, list[int]] = {}
    for statement, number in numbers.items():
        for name in names_in(statement):
            carriers.setdefault(name, []).append(number)
    return _Names(
        statement=np.array([numbers[each] for each in statements], dtype=np.int64),
        stated=np.array([each is not None for each in numbers], dtype=np.bool_),
        carriers={name: np.array(found, dtype=np.int64) for name, found in carriers.items()},
    )


def _itself(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


def _limits_kept(retention: Retention | None) -> tuple[str, ...]:
    """Return the limits on retention that an offer of this one keeps, by name."""
    return () if retention is None else tuple(each.name for each in Retention if retention <= each)


def _all(names: tuple[str, ...] | None) -> tuple[str, ...]:
    return names or ()


def _paths(network_map: NetworkMap, zones: Sequence[str]) -> dict[str | None, _Paths]:
    """Return the paths to these zones by origin, for each origin from which one is stated."""
    numbers = {zone: number for number, zone in enumerate(zones)}
    paths: dict[str | None, _Paths] = {}
    for (origin, zone), path in network_map.paths.items():
        if not origin or zone not in numbers:
            continue
        if origin not in paths:
            paths[origin] = _Paths.unknown(len(zones))
        paths[origin].charge[numbers[zone]] = path.charge
        if path.round_trip_ms is not None:
            paths[origin].round_trip_ms[numbers[zone]] = path.round_trip_ms
    return paths


def _stays_home(data_class: DataClass | None) -> bool:
    return data_class is not None and data_class > DataClass.PUBLIC


def _is_one_of(stated: str, allowed: tuple[str, ...] | None) -> bool:
    return allowed is None or stated in allowed
