"""Network map: the zones that a market knows, the paths between them, and the corridors.

The market signs it and publishes its id with every round, so that anyone can tell which round
trips, charges and corridors a round was cleared by.
"""

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
