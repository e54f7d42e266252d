"""Network map: the zones that a market knows, the paths between them, and the corridors.

The market signs it and publishes its id with every round, so that anyone can tell which round
trips, charges and corridors a round was cleared by.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from swatow_protocol import limits
from swatow_protocol.messages.base import Body, Message
from swatow_protocol.messages.fields import (
    Country,
    DataClass,
    Latitude,
    Longitude,
    Milliseconds,
    Name,
    Price,
    Retention,
    Zone,
)


class Position(Body, frozen=True, kw_only=True):
    """A point on the globe, for drawings: nothing is decided by it."""

    latitude: Latitude
    """North is positive."""
    longitude: Longitude
    """East is positive."""


class MapZone(Body, frozen=True, kw_only=True):
    """A place with a network position and a jurisdiction."""

    name: Zone
    """Unique in the map."""
    country: Country
    """Its jurisdiction: the first part of its name."""
    position: Position | None = None
    """Where to draw it."""


class MapPath(Body, frozen=True, kw_only=True):
    """From a buyer's zone to a node's zone; it leads one way."""

    origin: Zone
    """Where the buyer stands."""
    zone: Zone
    """Where the node stands."""
    round_trip_ms: Milliseconds | None = None
    """Network round trip; None is not measured, and fails an order that limits it."""
    charge: Price = 0
    """For each lot, to the carriers."""


class Corridor(Body, frozen=True, kw_only=True):
    """A rule that lets data of one origin be processed in some zones, and what must be true for
    it. A name has one corridor for each origin of data."""

    name: Name
    """What orders and offers call it."""
    data_origin: Country
    """The country whose rules the data brings along."""
    zones: Annotated[tuple[Zone, ...], Meta(min_length=1, max_length=limits.LIST_ITEMS_MAX)]
    """Where the data may be processed: these zones, each with all zones inside it."""
    data_class: DataClass
    """The highest class that it admits; data whose class is not stated is not admitted."""
    retention: Retention | None = None
    """The longest retention that the offer may state; None admits any."""
    attestation: Name | None = None
    """The kind of hardware attestation that the offer must state; None needs none."""


class NetworkMap(Message, frozen=True, kw_only=True):
    """Zones, paths and corridors. Sent by the market; it travels in parts."""

    BYTES_MAX: ClassVar[int] = limits.NETWORK_MAP_BYTES_MAX

    kind: Literal["network_map"] = "network_map"
    zones: Annotated[tuple[MapZone, ...], Meta(max_length=limits.ZONES_MAX)]
    """By name."""
    paths: Annotated[tuple[MapPath, ...], Meta(max_length=limits.PATHS_MAX)]
    """By origin and zone, at most one for a pair. Any other path is not measured and costs
    nothing."""
    corridors: Annotated[tuple[Corridor, ...], Meta(max_length=limits.CORRIDORS_MAX)]
    """By name and origin of the data."""


def places_around(zone: str) -> Iterator[str]:
    """Yield the zone and all zones that it lies inside: for `cn-gd-shantou` `cn`, `cn-gd` too."""
    yield zone
    for end, letter in enumerate(zone):
        if letter == "-":
            yield zone[:end]


def inside_any(zone: str, places: Iterable[str]) -> bool:
    """Tell whether a zone is one of these places, or lies inside one."""
    return any(zone == place or zone.startswith(place + "-") for place in places)


def map_fault(network_map: NetworkMap) -> str | None:
    """Return the first thing in a map that contradicts the rest of it, or None."""
    zones = {zone.name for zone in network_map.zones}
    return next(
        chain(
            _zone_faults(network_map.zones),
            _path_faults(network_map.paths, zones),
            _corridor_faults(network_map.corridors, zones),
        ),
        None,
    )


def _zone_faults(zones: Iterable[MapZone]) -> Iterator[str]:
    seen = set()
    for zone in zones:
        if zone.name in seen:
            yield f"zones: {zone.name} is stated twice"
        if zone.country != zone.name[:2]:
            yield f"zones: {zone.name} is not in the country {zone.country}"
        seen.add(zone.name)


def _path_faults(paths: Iterable[MapPath], zones: set[str]) -> Iterator[str]:
    seen = set()
    for path in paths:
        pair = path.origin, path.zone
        named = f"paths: from {path.origin} to {path.zone}"
        for end in pair:
            if end not in zones:
                yield f"{named}: the zone {end} is not stated"
        if pair in seen:
            yield f"{named}: is stated twice"
        seen.add(pair)


def _corridor_faults(corridors: Iterable[Corridor], zones: set[str]) -> Iterator[str]:
    places = {place for zone in zones for place in places_around(zone)}
    seen = set()
    for corridor in corridors:
        rule = corridor.name, corridor.data_origin
        named = f"corridors: {corridor.name} for data of {corridor.data_origin}"
        for zone in corridor.zones:
            if zone not in places:
                yield f"{named}: no zone is stated that is {zone} or inside it"
        if rule in seen:
            yield f"{named}: is stated twice"
        seen.add(rule)
