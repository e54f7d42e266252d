"""The map of a market: read from its settings, signed, kept, served, and used by its rounds."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from swatow_market.config import MarketSettings, PathSettings
from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.network_map import Path as NetworkPath
from swatow_market.service.network import stated_map
from swatow_protocol import limits, messages
from swatow_protocol.carriers.grpc.market import MarketClient, add_market
from swatow_protocol.envelope import sign, verify
from swatow_protocol.errors import ConfigError
from swatow_protocol.messages import Attributes, DataClass, Limits, MapZone, Retention
from swatow_protocol.messages.answers import LimitName, OrderState
from swatow_protocol.shell.settings import load
from tests.support import samples
from tests.support.market_world import UNIT, open_world
from tests.support.samples import MARKET, NETWORK, NOW_US
from tests.unit.protocol.loopback import connected, serving

TOML = """
[[zones]]
name = "sg"
position = { latitude = -1, longitude = 103_819_800 }
[[zones]]
name = "cn-gd-shantou"
position = { latitude = 23_354_100, longitude = 116_681_900 }
[[zones]]
name = "cn-gz-guian"

[[paths]]
origin = "sg"
zone = "cn-gz-guian"
[[paths]]
origin = "sg"
zone = "cn-gd-shantou"
round_trip_ms = 62
charge = "0.002"

[[corridors]]
name = "shantou-2026"
data_origin = "sg"
zones = ["cn-gd", "cn-gz-guian"]
data_class = 1
retention = 1
attestation = "sev-snp"
[[corridors]]
name = "open-seas"
data_origin = "sg"
zones = ["cn"]
data_class = 0
"""
"""The map of the samples, as an operator writes it, in an order of its own."""


def settings(home: Path, text: str) -> MarketSettings:
    (home / "config.toml").write_text(text, "utf-8")
    return load(MarketSettings, home).settings


def stated(home: Path, text: str) -> messages.NetworkMap:
    return stated_map(settings(home, f'network = "{NETWORK}"\n{text}'), MARKET.key, NOW_US)


class TestSettings:
    def test_the_tables_of_the_file_are_the_map(self, tmp_path: Path) -> None:
        assert stated(tmp_path, TOML) == samples.network_map()

    def test_no_tables_are_a_map_of_nothing(self, tmp_path: Path) -> None:
        empty = stated(tmp_path, "")
        assert (empty.zones, empty.paths, empty.corridors) == ((), (), ())

    def test_where_no_zone_is_stated_they_are_those_that_paths_and_corridors_name(
        self, tmp_path: Path
    ) -> None:
        found = stated(tmp_path, TOML[TOML.index("[[paths]]") :])
        names = ("cn", "cn-gd", "cn-gd-shantou", "cn-gz-guian", "sg")
        assert found.zones == tuple(MapZone(name=name, country=name[:2]) for name in names)
        whole = samples.network_map()
        assert (found.paths, found.corridors) == (whole.paths, whole.corridors)

    @pytest.mark.parametrize(
        ("old", "new", "error"),
        [
            ('zone = "cn-gz-guian"', 'zone = "cn-bj"', r"from sg to cn-bj: the zone cn-bj is not"),
            ('zone = "cn-gz-guian"', 'zone = "cn-gd-shantou"', r"to cn-gd-shantou: is stated twi"),
            ('name = "cn-gz-guian"', 'name = "sg"', r"zones: sg is stated twice"),
            ('zones = ["cn"]', 'zones = ["us"]', r"open-seas for data of sg: no zone .* us or ins"),
            ('name = "open-seas"', 'name = "shantou-2026"', r"shantou-2026 .* stated twice"),
            ('"0.002"', '"1000000.000001"', r"paths\.1\.charge \(file .*at most 1000000\.00"),
            ('"0.002"', '"-1"', r"paths\.1\.charge"),
            ("round_trip_ms = 62", "round_trip_ms = 3_600_001", r"paths\.1\.round_trip_ms"),
            ("data_class = 1", "data_class = 3", r"corridors\.0\.data_class"),
            ("retention = 1", "retention = 4", r"corridors\.0\.retention"),
            ('zones = ["cn"]', "zones = []", r"corridors\.1\.zones"),
            ('data_origin = "sg"', 'data_origin = "cn-gd"', r"corridors\.0\.data_origin"),
            ("latitude = -1", "latitude = 90_000_001", r"zones\.0\.position\.latitude"),
            ("latitude = -1,", "", r"zones\.0\.position\.latitude"),
            ('name = "cn-gz-guian"', 'name = "Guian"', r"zones\.2\.name"),
            ('attestation = "sev-snp"', 'attested = "sev-snp"', r"corridors\.0\.attested"),
        ],
        ids=lambda value: value[:30],
    )
    def test_what_cannot_be_is_named(self, tmp_path: Path, old: str, new: str, error: str) -> None:
        assert old in TOML
        with pytest.raises(ConfigError, match=error):
            stated(tmp_path, TOML.replace(old, new, 1))

    def test_too_many_zones_are_refused_however_they_are_named(self) -> None:
        paths = tuple(
            PathSettings(origin=f"sg-{number}", zone="sg") for number in range(limits.ZONES_MAX)
        )
        known = MarketSettings(paths=paths[1:])
        assert len(stated_map(known, MARKET.key, NOW_US).zones) == limits.ZONES_MAX
        with pytest.raises(ConfigError, match=r"zones: 4097 are named, at most 4096"):
            stated_map(MarketSettings(paths=paths), MARKET.key, NOW_US)


class TestLookup:
    def test_a_map_of_a_message_has_its_paths_corridors_and_id(self) -> None:
        signed = sign(samples.network_map(), MARKET)
        found = NetworkMap.of(signed)
        assert found.id == signed.id
        assert found.paths == {
            ("sg", "cn-gd-shantou"): NetworkPath(62, 2_000),
            ("sg", "cn-gz-guian"): NetworkPath(None, 0),
        }
        by_name = {corridor.name: corridor for corridor in signed.message.corridors}
        assert found.corridors == {(name, "sg"): each for name, each in by_name.items()}
        assert found.corridor("open-seas", "sg") == by_name["open-seas"]
        for name, origin in (("open-seas", "cn"), ("open-seas", None), ("nowhere", "sg")):
            assert found.corridor(name, origin) is None


class TestMarket:
    async def test_everybody_is_served_the_map_that_the_market_signed(
        self, empty_home: Path
    ) -> None:
        made = settings(empty_home, TOML)
        world = await open_world(
            empty_home, zones=made.zones, paths=made.paths, corridors=made.corridors
        )
        try:
            async with (
                serving(lambda server: add_market(server, world.market)) as server,
                connected(server) as connection,
            ):
                envelope = await MarketClient(connection).network_map()
            signed = verify(
                envelope, messages.NetworkMap, network=NETWORK, now_us=None, sender=MARKET.key
            )
            assert signed.message == samples.network_map()
            assert world.market.state.network_map == NetworkMap.of(signed)
            query = "SELECT id, received_us, envelope FROM messages WHERE kind = 'network_map'"
            assert world.rows(query) == [(signed.id, NOW_US, envelope)], "kept as evidence"
        finally:
            await world.close()

    async def test_a_map_that_contradicts_itself_opens_no_market(self, empty_home: Path) -> None:
        zones: tuple[dict[str, Any], ...] = ({"name": "sg"},)
        with pytest.raises(ConfigError, match=r"the zone cn is not stated"):
            await open_world(empty_home, zones=zones, paths=({"origin": "sg", "zone": "cn"},))

    async def test_the_maps_of_earlier_starts_are_kept(self, empty_home: Path) -> None:
        worlds = []
        for charge in ("0.001", "0.002", "0.001"):
            world = await open_world(
                empty_home, paths=({"origin": "sg", "zone": "cn", "charge": charge},)
            )
            worlds.append(world.market.state.network_map.id)
            kept = world.rows("SELECT id FROM messages WHERE kind = 'network_map'")
            assert {found for (found,) in kept} == set(worlds)
            await world.close()
        assert worlds[0] == worlds[2] != worlds[1], "signed at one time, they are the same"

    async def test_restricted_data_goes_through_the_corridor_and_nowhere_else(
        self, empty_home: Path
    ) -> None:
        made = settings(empty_home, TOML)
        world = await open_world(
            empty_home, zones=made.zones, paths=made.paths, corridors=made.corridors
        )
        try:
            await world.deposit(UNIT)
            stated = Attributes(
                corridors=("shantou-2026",), retention=Retention.DAY, attestation="sev-snp"
            )
            await world.supply((80_000, 60), attributes=stated)
            personal = Limits(
                origin="sg",
                data_origin="sg",
                data_class=DataClass.PERSONAL,
                corridor="shantou-2026",
            )
            important = replace(personal, data_class=DataClass.IMPORTANT)
            served = await world.place(5, 100_000, limits=personal)
            stays = await world.place(5, 100_000, limits=important)
            await world.round()
            await served.rest()
            (award,) = served.awards
            assert (award.message.lots, award.message.path_charge) == (5, 2_000)
            (event,) = await stays.next()
            assert (event.state, event.unmet) == (OrderState.OPEN, (LimitName.CORRIDOR,))
        finally:
            await world.close()
