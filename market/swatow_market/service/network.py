"""The network map of a market: from its settings, checked, and signed when it starts."""

from swatow_market.config import MarketSettings, PositionSettings
from swatow_market.ledger.database import Database
from swatow_market.service import store
from swatow_protocol import limits
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.errors import ConfigError
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Corridor, MapPath, MapZone, NetworkMap, Position
from swatow_protocol.messages.network_map import map_fault


def stated_map(settings: MarketSettings, sender: bytes, issued_us: int) -> NetworkMap:
    """Return the map that the settings state.

    Raises:
        ConfigError: it contradicts itself, or has too many zones; the message says in what.
    """
    zones = sorted(_zones(settings), key=lambda zone: zone.name)
    if len(zones) > limits.ZONES_MAX:
        raise ConfigError(f"zones: {len(zones)} are named, at most {limits.ZONES_MAX} may be")
    paths = [
        MapPath(
            origin=path.origin,
            zone=path.zone,
            round_trip_ms=path.round_trip_ms,
            charge=path.charge,
        )
        for path in settings.paths
    ]
    corridors = [
        Corridor(
            name=corridor.name,
            data_origin=corridor.data_origin,
            zones=corridor.zones,
            data_class=corridor.data_class,
            retention=corridor.retention,
            attestation=corridor.attestation,
        )
        for corridor in settings.corridors
    ]
    network_map = NetworkMap(
        network=settings.network,
        sender=sender,
        issued_us=issued_us,
        zones=tuple(zones),
        paths=tuple(sorted(paths, key=lambda path: (path.origin, path.zone))),
        corridors=tuple(sorted(corridors, key=lambda each: (each.name, each.data_origin))),
    )
    if (fault := map_fault(network_map)) is not None:
        raise ConfigError(fault)
    return network_map


async def publish_map(
    database: Database, settings: MarketSettings, identity: Identity, now_us: int
) -> Signed[NetworkMap]:
    """Sign the map that the settings state, and keep it as evidence of what rounds went by.

    Raises:
        ConfigError: as in `stated_map`.
    """
    signed = sign(stated_map(settings, identity.key, now_us), identity)
    async with database.writing() as connection:
        await store.add_message(connection, signed.id, signed.message.kind, signed.envelope, now_us)
    return signed


def _zones(settings: MarketSettings) -> list[MapZone]:
    """Return the stated zones; if there is none, those that paths and corridors name."""
    if not settings.zones:
        named = {end for path in settings.paths for end in (path.origin, path.zone)}
        named |= {zone for corridor in settings.corridors for zone in corridor.zones}
        return [MapZone(name=name, country=name[:2]) for name in named]
    return [
        MapZone(
            name=zone.name,
            country=zone.name[:2],
            position=None if zone.position is None else _position(zone.position),
        )
        for zone in settings.zones
    ]


def _position(position: PositionSettings) -> Position:
    return Position(latitude=position.latitude, longitude=position.longitude)
