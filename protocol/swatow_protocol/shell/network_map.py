"""A network map on the terminal: the operator of a market and its buyers see the same."""

from typing import Any

from swatow_protocol.messages import DataClass, NetworkMap, Retention
from swatow_protocol.shell.terminal import Terminal
from swatow_protocol.units import format_price

_ANY = "any"


def show_map(terminal: Terminal, network_map: NetworkMap, facts: dict[str, str]) -> None:
    """Print zones, paths and corridors; `facts` stand before them.

    As JSON, a charge is in nanos a lot, a position in millionths of a degree, and a data class or
    a retention is its number.
    """
    if terminal.as_json:
        terminal.data({**facts, **_plain(network_map)})
        return
    if facts:
        terminal.facts("Network map", facts.items())
    _show_zones(terminal, network_map)
    _show_paths(terminal, network_map)
    _show_corridors(terminal, network_map)


def _show_zones(terminal: Terminal, network_map: NetworkMap) -> None:
    rows = [
        (
            zone.name,
            zone.country,
            _degrees(zone.position.latitude) if zone.position else "",
            _degrees(zone.position.longitude) if zone.position else "",
        )
        for zone in network_map.zones
    ]
    terminal.table("Zones", ("zone", "country", "latitude", "longitude"), rows)


def _show_paths(terminal: Terminal, network_map: NetworkMap) -> None:
    rows = [
        (
            path.origin,
            path.zone,
            "not measured" if path.round_trip_ms is None else f"{path.round_trip_ms} ms",
            format_price(path.charge),
        )
        for path in network_map.paths
    ]
    terminal.table("Paths", ("from", "to", "round trip", "charge a million"), rows)


def _show_corridors(terminal: Terminal, network_map: NetworkMap) -> None:
    rows = [
        (
            corridor.name,
            corridor.data_origin,
            " ".join(corridor.zones),
            DataClass(corridor.data_class).name.lower(),
            _ANY if corridor.retention is None else Retention(corridor.retention).name.lower(),
            corridor.attestation or _ANY,
        )
        for corridor in network_map.corridors
    ]
    heads = ("corridor", "data of", "into", "class up to", "retention up to", "attestation")
    terminal.table("Corridors", heads, rows)


def _plain(network_map: NetworkMap) -> dict[str, Any]:
    zones = [
        {
            "name": zone.name,
            "country": zone.country,
            "position": zone.position
            and {"latitude": zone.position.latitude, "longitude": zone.position.longitude},
        }
        for zone in network_map.zones
    ]
    paths = [
        {name: getattr(path, name) for name in path.__struct_fields__} for path in network_map.paths
    ]
    corridors = [
        {name: getattr(corridor, name) for name in corridor.__struct_fields__}
        for corridor in network_map.corridors
    ]
    return {"zones": zones, "paths": paths, "corridors": corridors}


def _degrees(millionths: int) -> str:
    """Return an angle for a person, to a hundredth of a degree."""
    return f"{millionths / 1_000_000:.2f}"
