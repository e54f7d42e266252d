"""The network map as rounds use it: what the market has signed, by what is looked up in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from swatow_protocol import messages
from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Corridor


@dataclass(frozen=True, slots=True)
class Path:
    """From a buyer's zone to a node's zone."""

    round_trip_ms: int | None = None
    """None is not measured, and fails an order that limits it."""
    charge: int = 0
    """Nanos a lot for the carriers."""


@dataclass(frozen=True, slots=True)
class NetworkMap:
    """The paths and corridors that the market has stated. Any other path costs nothing and is not
    measured; there is no other corridor."""

    paths: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    """By origin and zone."""
    corridors: Mapping[tuple[str, str], Corridor] = field(default_factory=dict)
    """By name and origin of the data."""
    id: bytes = bytes(32)
    """Id of the signed message; zeros for a map that nobody has signed."""

    @classmethod
    def of(cls, signed: Signed[messages.NetworkMap]) -> Self:
        """Return the map that a market has signed, in which `map_fault` finds nothing."""
        stated = signed.message
        return cls(
            paths={
                (path.origin, path.zone): Path(path.round_trip_ms, path.charge)
                for path in stated.paths
            },
            corridors={
                (corridor.name, corridor.data_origin): corridor for corridor in stated.corridors
            },
            id=signed.id,
        )

    def path(self, origin: str | None, zone: str) -> Path:
        """Return the path from origin to zone, either of which may be unknown."""
        return self.paths.get((origin, zone), _UNKNOWN_PATH) if origin else _UNKNOWN_PATH

    def corridor(self, name: str, data_origin: str | None) -> Corridor | None:
        """Return the corridor of a name for data of an origin, which may be unknown; or None."""
        return self.corridors.get((name, data_origin)) if data_origin else None


_UNKNOWN_PATH = Path()
