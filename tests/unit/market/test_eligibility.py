"""Eligibility: one row for each limit; what an offer does not state fails whoever limits it."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_market.exchange.eligibility import agreed_payment, failed_limits, price_limit
from swatow_market.exchange.network_map import NetworkMap, Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.envelope import sign
from swatow_protocol.messages import (
    Attributes,
    DataClass,
    Limits,
    ModelLimit,
    OrderTerms,
    PaymentTerms,
    Promises,
    Retention,
)
from swatow_protocol.messages.answers import LimitName
from tests.support import samples
from tests.support.samples import digest

MODEL = digest("model")
MAP = NetworkMap.of(sign(samples.network_map(), samples.MARKET))
NO_CORRIDORS = replace(MAP, corridors={})

PAIRS = st.tuples(st.integers(1, 64), st.integers(1, 64)).map(sorted).map(tuple)
"""(interval, window), the window no smaller."""

Row = tuple[LimitName, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]

ROWS: list[Row] = [
    # limit, what the order asks, offers that meet it, fail it, do not state it
    (
        LimitName.VENDORS,
        {"vendors": ("ascend", "cpu")},
        {"vendor": "cpu"},
        {"vendor": "nvidia"},
        {"vendor": None},
    ),
    (
        LimitName.VENDORS_REFUSED,
        {"vendors_refused": ("nvidia",)},
        {"vendor": "ascend"},
        {"vendor": "nvidia"},
        {"vendor": None},
    ),
    (
        LimitName.FEATURES,
        {"features": ("seed", "tools")},
        {"features": ("tools", "logprobs", "seed")},
        {"features": ("seed",)},
        {"features": None},
    ),
    (
        LimitName.RETENTION,
        {"retention": Retention.DAY},
        {"retention": Retention.DAY},
        {"retention": Retention.MONTH},
        {"retention": None},
    ),
    (
        LimitName.CARBON_MG_PER_LOT,
        {"carbon_mg_per_lot": 120},
        {"carbon_mg_per_lot": 120},
        {"carbon_mg_per_lot": 121},
        {"carbon_mg_per_lot": None},
    ),
    (
        LimitName.TIME_TO_FIRST_TOKEN_MS,
        {"time_to_first_token_ms": 800},
        {"time_to_first_token_ms": 800},
        {"time_to_first_token_ms": 801},
        {"time_to_first_token_ms": None},
    ),
    (
        LimitName.TOKENS_PER_SECOND,
        {"tokens_per_second": 40},
        {"tokens_per_second": 40},
        {"tokens_per_second": 39},
        {"tokens_per_second": None},
    ),
    (
        LimitName.ATTESTATIONS,
        {"attestations": ("sev-snp", "tdx")},
        {"attestation": "tdx"},
        {"attestation": "nvidia-cc"},
        {"attestation": None},
    ),
    (
        LimitName.CORRIDOR,
        {"corridor": "shantou-2026", "data_origin": "sg", "data_class": DataClass.PERSONAL},
        {"corridors": ("other", "shantou-2026")},
        {"corridors": ("other",)},
        {"corridors": None},
    ),
    (LimitName.RATE, {"rate": 400}, {"rate": 400}, {"rate": 399}, {"rate": None}),
    (
        LimitName.REPUTATION,
        {"reputation": 500},
        {"reputation": 500},
        {"reputation": 499},
        {"reputation": None},
    ),
    (
        LimitName.JURISDICTIONS,
        {"jurisdictions": ("sg", "cn")},
        {"zone": "cn-bj"},
        {"zone": "us-va"},
        {},  # an offer always states its zone
    ),
    (LimitName.ZONES, {"zones": ("cn-gd", "sg")}, {"zone": "sg"}, {"zone": "cn-gz"}, {}),
    (LimitName.ZONES_REFUSED, {"zones_refused": ("cn-bj",)}, {"zone": "sg"}, {"zone": "cn-bj"}, {}),
]
NAMES = [row[0].value for row in ROWS]


def order(limits: Limits | None = None, **terms: Any) -> BookOrder:
    made = samples.terms(limits=limits or Limits(), **terms)
    return BookOrder(digest("order"), samples.BUYER.key, made, 5)


def asking(**asked: Any) -> BookOrder:
    """Return an order with one limit, of the terms or of their `limits`."""
    own = {name: value for name, value in asked.items() if name in OrderTerms.__struct_fields__}
    rest = {name: value for name, value in asked.items() if name not in own}
    return order(Limits(**rest), **own)


def offering(**stated: Any) -> BookOffer:
    """Return the sample offer with these statements, wherever in an offer they belong."""
    sample = samples.offer()
    attributes = {n: v for n, v in stated.items() if n in Attributes.__struct_fields__}
    promises = {n: v for n, v in stated.items() if n in Promises.__struct_fields__}
    own = {n: v for n, v in stated.items() if n in ("zone", "rate", "payment", "model")}
    changed = samples.offer(
        attributes=msgspec.structs.replace(sample.attributes, **attributes),
        promises=msgspec.structs.replace(sample.promises, **promises),
        **own,
    )
    unused = stated.keys() - attributes.keys() - promises.keys() - own.keys() - {"reputation"}
    assert not unused
    return BookOffer(digest("offer"), changed, b"", reputation=stated.get("reputation", 700))


def failures(
    order: BookOrder, offer: BookOffer, network_map: NetworkMap = MAP, **model: Any
) -> list[LimitName]:
    return failed_limits(order, offer, samples.model(**model), network_map)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
class TestEachLimit:
    def test_an_offer_that_states_it_and_meets_it_is_eligible(self, row: Row) -> None:
        _, asked, meets, _, _ = row
        assert failures(asking(**asked), offering(**meets)) == []

    def test_an_offer_that_states_it_and_fails_it_is_not(self, row: Row) -> None:
        name, asked, _, fails, _ = row
        assert failures(asking(**asked), offering(**fails)) == [name]

    def test_an_offer_that_does_not_state_it_is_not(self, row: Row) -> None:
        name, asked, _, _, unstated = row
        if unstated:
            assert failures(asking(**asked), offering(**unstated)) == [name]

    def test_an_order_that_does_not_limit_it_takes_any(self, row: Row) -> None:
        _, _, meets, fails, unstated = row
        for stated in (meets, fails, unstated):
            assert failures(order(), offering(**stated)) == []


def test_every_limit_has_a_row_or_a_test_of_its_own() -> None:
    elsewhere = {
        LimitName.MODEL,
        LimitName.PRICE,
        LimitName.CAPACITY,
        LimitName.PAYMENT,
        LimitName.ORIGIN,  # an origin is where paths start, and keeps nobody away
        LimitName.ROUND_TRIP_MS,
        LimitName.PRECISIONS,
    }
    assert {row[0] for row in ROWS} | elsewhere == set(LimitName)
    assert not {row[0] for row in ROWS} & elsewhere


def test_the_sample_offer_meets_all_limits_at_once() -> None:
    limits = samples.all_limits()
    unset = [name for name in limits.__struct_fields__ if getattr(limits, name) is None]
    assert unset == []
    assert failures(order(limits, rate=50), offering()) == []


def test_all_that_fails_is_named_in_the_order_of_limit_names() -> None:
    bare = samples.offer(
        zone="us-va", rate=None, promises=Promises(), attributes=Attributes(), payment=OTHER_WAY
    )
    wanted = order(samples.all_limits(), rate=50)
    network_map = NetworkMap()
    failed = failures(wanted, BookOffer(digest("offer"), bare, b""), network_map, precision="fp8")
    never = {LimitName.MODEL, LimitName.PRICE, LimitName.CAPACITY, LimitName.ORIGIN}
    assert failed == [name for name in LimitName if name not in never | {LimitName.ZONES_REFUSED}]


OTHER_WAY = PaymentTerms(voucher_interval=32, credit_window=32)


class TestModelAndPrecision:
    def test_another_model_fails_for_that_alone(self) -> None:
        offer = offering(model=digest("unwanted"), zone="us-va")
        assert failures(order(samples.all_limits(), rate=50), offer) == [LimitName.MODEL]

    def test_any_of_the_models_will_do(self) -> None:
        models = tuple(ModelLimit(model=digest(name), price=1) for name in ("first", "second"))
        for name in ("first", "second"):
            assert failures(order(models=models), offering(model=digest(name))) == []

    def test_precision_is_the_listed_models(self) -> None:
        wanted = asking(precisions=("bf16", "q4_1"))
        assert failures(wanted, offering(), precision="q4_1") == []
        assert failures(wanted, offering(), precision="fp8") == [LimitName.PRECISIONS]

    def test_each_model_has_its_own_limit_price(self) -> None:
        models = (
            ModelLimit(model=digest("first"), price=9),
            ModelLimit(model=digest("second"), price=6),
        )
        terms = samples.terms(models=models)
        assert [price_limit(terms, each.model) for each in models] == [9, 6]


class TestPlaces:
    @pytest.mark.parametrize(
        ("zone", "place", "inside"),
        [
            ("cn-gd-shantou", "cn-gd-shantou", True),
            ("cn-gd-shantou", "cn-gd", True),
            ("cn-gd-shantou", "cn", True),
            ("cn-gd", "cn-gd-shantou", False),  # the wider place is not inside the narrower
            ("cn-gdx", "cn-gd", False),  # a longer name is not a place inside
            ("cn-gz-guian", "cn-gd", False),
            ("sg", "cn", False),
        ],
    )
    def test_zones_nest(self, zone: str, place: str, inside: bool) -> None:
        offer = offering(zone=zone)
        wanted = failures(asking(zones=("us", place)), offer)
        refused = failures(asking(zones_refused=("us", place)), offer)
        assert wanted == ([] if inside else [LimitName.ZONES])
        assert refused == ([LimitName.ZONES_REFUSED] if inside else [])

    def test_an_empty_list_of_zones_admits_none_and_refuses_none(self) -> None:
        assert failures(asking(zones=()), offering()) == [LimitName.ZONES]
        assert failures(asking(zones_refused=()), offering()) == []

    def test_a_refused_zone_inside_a_wanted_one_is_refused(self) -> None:
        wanted = asking(zones=("cn",), zones_refused=("cn-gd-shantou",))
        assert failures(wanted, offering()) == [LimitName.ZONES_REFUSED]
        assert failures(wanted, offering(zone="cn-gd-shenzhen")) == []

    def test_a_round_trip_that_is_measured_is_held_to_the_limit(self) -> None:
        assert failures(asking(origin="sg", round_trip_ms=62), offering()) == []
        failed = failures(asking(origin="sg", round_trip_ms=61), offering())
        assert failed == [LimitName.ROUND_TRIP_MS]

    @pytest.mark.parametrize("origin", [None, "cn-gd-shantou", "us-va"])
    def test_a_round_trip_that_nobody_measured_fails_the_limit(self, origin: str | None) -> None:
        """Not even the way to the buyer's own zone is taken for short unless it is stated."""
        failed = failures(asking(origin=origin, round_trip_ms=3_600_000), offering())
        assert failed == [LimitName.ROUND_TRIP_MS]
        assert failures(asking(origin=origin), offering()) == []

    def test_a_path_that_is_stated_without_its_round_trip_fails_the_limit(self) -> None:
        charged = NetworkMap({("sg", "cn-gd-shantou"): Path(charge=5)})
        wanted = asking(origin="sg", round_trip_ms=3_600_000)
        assert failures(wanted, offering(), charged) == [LimitName.ROUND_TRIP_MS]

    def test_a_path_leads_one_way(self) -> None:
        there = NetworkMap({("cn-gd-shantou", "sg"): Path(round_trip_ms=1)})
        wanted = asking(origin="sg", round_trip_ms=80)
        assert failures(wanted, offering(), there) == [LimitName.ROUND_TRIP_MS]


UNDER = {
    "corridor": "shantou-2026",
    "data_origin": "sg",
    "data_class": DataClass.PERSONAL,
}
"""What an order says to be served under the corridor of the samples."""


class TestCorridors:
    @pytest.mark.parametrize("data_class", [DataClass.PERSONAL, DataClass.IMPORTANT])
    def test_restricted_data_stays_at_home_without_a_corridor(self, data_class: DataClass) -> None:
        wanted = asking(data_class=data_class, data_origin="cn")
        assert failures(wanted, offering(zone="cn-gz-guian")) == []
        assert failures(wanted, offering(zone="sg")) == [LimitName.CORRIDOR]

    @pytest.mark.parametrize("data_class", [DataClass.PERSONAL, DataClass.IMPORTANT])
    def test_restricted_data_of_unknown_origin_is_at_home_nowhere(
        self, data_class: DataClass
    ) -> None:
        assert failures(asking(data_class=data_class), offering()) == [LimitName.CORRIDOR]

    def test_restricted_data_leaves_under_a_corridor_that_node_and_map_state(self) -> None:
        wanted = asking(**UNDER)
        assert failures(wanted, offering()) == []
        assert failures(wanted, offering(), NO_CORRIDORS) == [LimitName.CORRIDOR]
        assert failures(wanted, offering(corridors=None)) == [LimitName.CORRIDOR]
        assert failures(wanted, offering(corridors=())) == [LimitName.CORRIDOR]

    @pytest.mark.parametrize("data_class", [None, DataClass.PUBLIC])
    def test_public_data_goes_anywhere(self, data_class: DataClass | None) -> None:
        wanted = asking(data_class=data_class, data_origin="sg")
        assert failures(wanted, offering(corridors=None)) == []

    def test_a_corridor_that_is_named_is_asked_for_even_for_public_data_at_home(self) -> None:
        public, at_home = {"data_class": DataClass.PUBLIC}, {"data_origin": "cn"}
        assert failures(asking(**UNDER | public), offering()) == []
        assert failures(asking(**UNDER | public), offering(corridors=None)) == [LimitName.CORRIDOR]
        assert failures(asking(**UNDER | public | at_home), offering()) == [LimitName.CORRIDOR]

    @pytest.mark.parametrize(
        "asked",
        [
            {"corridor": "nowhere"},
            {"corridor": "open-seas"},  # the map has it, the offer does not state it
            {"data_origin": "us"},  # the map has it for data of another country
            {"data_origin": None},  # of no country is not of any
            {"data_class": DataClass.IMPORTANT},
            {"data_class": None},  # of no class is not public
        ],
        ids=str,
    )
    def test_what_the_map_does_not_let_through_stays_out(self, asked: dict[str, Any]) -> None:
        assert failures(asking(**UNDER | asked), offering()) == [LimitName.CORRIDOR]

    @pytest.mark.parametrize(
        ("stated", "lets"),
        [
            ({"zone": "cn-gd"}, True),
            ({"zone": "cn-gd-shenzhen"}, True),
            ({"zone": "cn-gz-guian-1"}, True),
            ({"zone": "cn-gz"}, False),  # around the zone, not inside it
            ({"zone": "sg"}, False),  # where the data comes from: no corridor leads there
            ({"retention": Retention.NOTHING}, True),
            ({"retention": Retention.DAY}, True),
            ({"retention": Retention.MONTH}, False),
            ({"retention": None}, False),
            ({"attestation": "tdx"}, False),
            ({"attestation": None}, False),
        ],
        ids=str,
    )
    def test_the_offer_is_as_the_corridor_asks(self, stated: dict[str, Any], lets: bool) -> None:
        failed = failures(asking(**UNDER), offering(**stated))
        assert failed == ([] if lets else [LimitName.CORRIDOR])

    def test_what_the_corridor_does_not_ask_for_need_not_be_stated(self) -> None:
        wanted = asking(corridor="open-seas", data_origin="sg", data_class=DataClass.PUBLIC)
        for retention, attestation in ((None, None), (Retention.UNBOUNDED, "tdx")):
            stated = {"retention": retention, "attestation": attestation}
            assert failures(wanted, offering(corridors=("open-seas",), **stated)) == []

    def test_what_fails_the_corridor_and_the_order_is_named_for_both(self) -> None:
        wanted = asking(**UNDER, retention=Retention.NOTHING, attestations=("sev-snp",))
        offer = offering(retention=Retention.MONTH, attestation=None)
        assert failures(wanted, offer) == [
            LimitName.CORRIDOR,
            LimitName.RETENTION,
            LimitName.ATTESTATIONS,
        ]


class TestPayment:
    @pytest.mark.parametrize(
        ("offered", "ordered", "agreed"),
        [
            # (interval, window): the node's shortest and widest, the buyer's longest and narrowest
            ((16, 32), (16, 32), (16, 32)),
            ((8, 64), (16, 32), (16, 64)),
            ((16, 32), (15, 32), None),  # the buyer would sign more often than the node reads
            ((16, 32), (16, 33), None),  # the buyer needs more credit than the node gives
            ((1, 4_096), (32, 32), (32, 4_096)),
        ],
    )
    def test_buyers_interval_and_nodes_window_or_nothing(
        self,
        offered: tuple[int, int],
        ordered: tuple[int, int],
        agreed: tuple[int, int] | None,
    ) -> None:
        node, buyer = terms_of(offered), terms_of(ordered)
        expected = terms_of(agreed) if agreed else None
        assert agreed_payment(node, buyer) == expected
        failed = failures(asking(payment=buyer), offering(payment=node))
        assert failed == ([] if agreed else [LimitName.PAYMENT])

    @given(offered=PAIRS, ordered=PAIRS)
    def test_what_is_agreed_has_room_for_a_whole_interval(
        self, offered: tuple[int, int], ordered: tuple[int, int]
    ) -> None:
        """Admission sees to it that each side's window holds its interval; so does their deal."""
        agreed = agreed_payment(terms_of(offered), terms_of(ordered))
        if agreed is not None:
            assert offered[0] <= agreed.voucher_interval <= agreed.credit_window
            assert agreed.credit_window >= ordered[1]


def terms_of(pair: tuple[int, int]) -> PaymentTerms:
    interval, window = pair
    return PaymentTerms(voucher_interval=interval, credit_window=window)
