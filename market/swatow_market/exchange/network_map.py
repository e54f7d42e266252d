"""The network between zones: what the operator has stated of the paths through it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Path:
    """From a buyer's zone to a node's zone."""

    round_trip_ms: int | None = None
    """None is not measured, and fails an order that limits it."""
    charge: int = 0
    """Nanos a lot for the carriers."""


@dataclass(frozen=True, slots=True)
class NetworkMap:
    """The paths that the operator has stated; any other costs nothing and is not measured."""

    paths: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    def path(self, origin: str | None, zone: str) -> Path:
        """Return the path from origin to zone, either of which may be unknown."""
        return self.paths.get((origin, zone), _UNKNOWN_PATH) if origin else _UNKNOWN_PATH


_UNKNOWN_PATH = Path()
