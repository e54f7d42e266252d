"""Places nest by their names alone, and a map that contradicts itself says where."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import codec
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Corridor, DataClass, MapPath, MapZone, NetworkMap
from swatow_protocol.messages.network_map import inside_any, map_fault, places_around
from tests.support import samples

PARTS = st.sampled_from(("gd", "gdx", "g", "1"))
ZONES = st.builds(
    lambda country, parts: "-".join((country, *parts)),
    st.sampled_from(("cn", "sg")),
    st.lists(PARTS, max_size=3),
)


def corridor(**changes: Any) -> Corridor:
    return msgspec.structs.replace(samples.network_map().corridors[0], **changes)


@given(zone=ZONES, places=st.lists(ZONES, max_size=4))
def test_a_zone_lies_inside_the_places_around_it_and_no_others(
    zone: str, places: list[str]
) -> None:
    around = list(places_around(zone))
    assert inside_any(zone, places) == any(place in around for place in places)
    assert sorted(around) == ["-".join(zone.split("-")[:n]) for n in range(1, len(around) + 1)]


def test_the_sample_contradicts_nothing_and_neither_does_a_map_of_nothing() -> None:
    assert map_fault(samples.network_map()) is None
    assert map_fault(samples.network_map(zones=(), paths=(), corridors=())) is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"zones": (MapZone(name="sg", country="sg"),) * 2, "paths": (), "corridors": ()},
            "zones: sg is stated twice",
        ),
        (
            {"zones": (MapZone(name="cn-gd", country="sg"),), "paths": (), "corridors": ()},
            "zones: cn-gd is not in the country sg",
        ),
        (
            {"paths": (MapPath(origin="us-va", zone="sg"),)},
            "paths: from us-va to sg: the zone us-va is not stated",
        ),
        (
            {"paths": (MapPath(origin="sg", zone="cn-gd"),)},
            "paths: from sg to cn-gd: the zone cn-gd is not stated",
        ),
        (
            {"paths": (MapPath(origin="sg", zone="sg"), MapPath(origin="sg", zone="sg", charge=1))},
            "paths: from sg to sg: is stated twice",
        ),
        (
            {"corridors": (corridor(zones=("cn", "cn-bj")),)},
            "corridors: open-seas for data of sg: no zone is stated that is cn-bj or inside it",
        ),
        (
            {"corridors": (corridor(), corridor(data_class=DataClass.IMPORTANT))},
            "corridors: open-seas for data of sg: is stated twice",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_map_that_contradicts_itself_says_where(changes: dict[str, Any], fault: str) -> None:
    assert map_fault(samples.network_map(**changes)) == fault


def test_paths_lead_one_way_and_a_name_has_a_corridor_for_each_origin() -> None:
    ends = (("sg", "cn-gz-guian"), ("cn-gz-guian", "sg"))
    there_and_back = tuple(MapPath(origin=origin, zone=zone) for origin, zone in ends)
    corridors = (corridor(), corridor(data_origin="my"), corridor(name="other"))
    assert map_fault(samples.network_map(paths=there_and_back, corridors=corridors)) is None


@pytest.mark.parametrize(
    "corridor",
    [corridor(zones=()), corridor(zones=("Guangdong",)), corridor(data_origin="cn-gd")],
    ids=["no zone", "no name of a zone", "no country"],
)
def test_a_corridor_that_leads_nowhere_does_not_decode(corridor: Corridor) -> None:
    data = codec.encode(samples.network_map(corridors=(corridor,)))
    with pytest.raises(MessageRefused, match=r"\$\[7\]\[0\]"):
        codec.decode(NetworkMap, data)
