"""The offer table must tell of every offer and order what the plain rule of eligibility tells."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_market.exchange.eligibility import failed_limits, price_limit
from swatow_market.exchange.network_map import NetworkMap, Path
from swatow_market.exchange.offer_table import OfferTable, Row
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_market.exchange.signature import signature
from swatow_protocol.envelope import sign
from swatow_protocol.messages import (
    Attributes,
    Corridor,
    DataClass,
    Limits,
    Model,
    ModelLimit,
    OrderTerms,
    PaymentTerms,
    PriceStep,
    Promises,
)
from tests.support import market_books, samples
from tests.support.market_eligibility import (
    CORRIDOR_RULES,
    CORRIDORS,
    COUNTRIES,
    EASY,
    ELSEWHERE,
    MAPS,
    MODELS,
    PATHS,
    ZONES,
    corridors_of,
    limits_of_orders,
    offers,
    orders,
)
from tests.support.samples import digest

Arcs = list[tuple[int, int, int]]
"""(offer number, cost, charge)."""


def around(entry: BookOffer, path: Path) -> Iterator[dict[str, Any]]:
    """Yield single limits at what an offer states, one below and one above; and each country."""
    attributes, promises = entry.offer.attributes, entry.offer.promises
    numbers = {
        "round_trip_ms": path.round_trip_ms,
        "retention": attributes.retention,
        "carbon_mg_per_lot": attributes.carbon_mg_per_lot,
        "time_to_first_token_ms": promises.time_to_first_token_ms,
        "tokens_per_second": promises.tokens_per_second,
        "reputation": entry.reputation,
    }
    for name, number in numbers.items():
        if number is not None:
            for limit in (number - 1, number, number + 1):
                yield {name: limit}
    for country in (None, *COUNTRIES):
        for data_class in DataClass:
            yield {"data_origin": country, "data_class": data_class}


def order_of(terms: OrderTerms, name: str = "order", lots: int = 1) -> BookOrder:
    return BookOrder(digest(name), digest("buyer"), terms, lots)


def by_the_rule(
    terms: OrderTerms,
    entries: list[BookOffer],
    network_map: NetworkMap,
    models: Mapping[bytes, Model] = MODELS,
) -> Arcs:
    """Return the row of an order as the plain rule of eligibility gives it."""
    order = order_of(terms)
    arcs = []
    for number, entry in enumerate(entries):
        model = entry.offer.model
        if not failed_limits(order, entry, models[model], network_map):
            charge = network_map.path(terms.limits.origin, entry.offer.zone).charge
            handicap = order.limit_price - price_limit(terms, model)
            arcs.append((number, charge + handicap, charge))
    return arcs


def samples_map() -> NetworkMap:
    """Return the map of the samples, under which the sample offer meets all limits."""
    return NetworkMap.of(sign(samples.network_map(), samples.MARKET))


def arcs_of(row: Row) -> Arcs:
    """Return a row as a list, having checked the type of its columns."""
    columns = (row.numbers, row.costs, row.charges)
    assert [column.dtype for column in columns] == [np.int64] * 3
    return list(zip(*(column.tolist() for column in columns), strict=True))


class TestAgreement:
    @given(entries=st.lists(offers(), max_size=12), terms=st.lists(orders(), max_size=4), map_=MAPS)
    def test_a_row_is_what_the_rule_tells(
        self, entries: list[BookOffer], terms: list[OrderTerms], map_: NetworkMap
    ) -> None:
        table = OfferTable(entries, MODELS, map_)
        for each in terms:
            assert arcs_of(table.row(each)) == by_the_rule(each, entries, map_)

    @given(entry=offers(), asked=limits_of_orders(), path=PATHS)
    def test_so_it_is_where_the_order_limits_one_thing(
        self, entry: BookOffer, asked: Limits, path: Path
    ) -> None:
        """With many limits at once one hides another; here each stands alone, or right at what
        the offer states."""
        network_map = NetworkMap({("sg", entry.offer.zone): path})
        table = OfferTable([entry], MODELS, network_map)
        drawn = [{name: getattr(asked, name)} for name in Limits.__struct_fields__]
        for each in (*drawn, *around(entry, path)):
            terms = msgspec.structs.replace(
                EASY,
                models=(ModelLimit(model=entry.offer.model, price=1),),
                limits=Limits(**{"origin": "sg", **each}),
            )
            assert arcs_of(table.row(terms)) == by_the_rule(terms, [entry], network_map)

    @given(entry=offers(), step=st.sampled_from((-1, 0, 1)))
    def test_so_it_is_right_at_the_rate_and_at_the_payment_terms_of_the_offer(
        self, entry: BookOffer, step: int
    ) -> None:
        table = OfferTable([entry], MODELS, NetworkMap())
        interval, window = entry.offer.payment.voucher_interval, entry.offer.payment.credit_window
        asked: list[dict[str, Any]] = [
            {"rate": (entry.offer.rate or 1) + step},
            {"payment": PaymentTerms(voucher_interval=interval + step, credit_window=1)},
            {"payment": PaymentTerms(voucher_interval=4_096, credit_window=window + step)},
        ]
        for each in asked:
            models = (ModelLimit(model=entry.offer.model, price=1),)
            terms = msgspec.structs.replace(EASY, models=models, **each)
            assert arcs_of(table.row(terms)) == by_the_rule(terms, [entry], NetworkMap())

    @given(
        entry=offers(),
        rule=CORRIDOR_RULES,
        asked=st.fixed_dictionaries(
            {},
            optional={
                "corridor": st.sampled_from(CORRIDORS),
                "data_origin": st.none() | st.sampled_from(COUNTRIES),
                "data_class": st.none() | st.sampled_from(DataClass),
            },
        ),
    )
    def test_so_it_is_under_a_corridor_of_which_at_most_one_thing_is_asked_otherwise(
        self, entry: BookOffer, rule: Corridor, asked: dict[str, Any]
    ) -> None:
        """An order and an offer that are as the rule wants them, but for what was drawn."""
        network_map = NetworkMap(corridors=corridors_of(rule))
        as_wanted = {
            "corridors": (rule.name,),
            "retention": rule.retention,
            "attestation": rule.attestation,
        }
        drawn = entry.offer.attributes
        for kept in (None, *as_wanted, "zone"):
            stated = {n: getattr(drawn, n) if n == kept else v for n, v in as_wanted.items()}
            offer = msgspec.structs.replace(
                entry.offer,
                zone=entry.offer.zone if kept == "zone" else rule.zones[0],
                attributes=msgspec.structs.replace(drawn, **stated),
            )
            entries = [replace(entry, offer=offer)]
            table = OfferTable(entries, MODELS, network_map)
            data = {"data_origin": rule.data_origin, "data_class": rule.data_class}
            for change in ({}, *({name: value} for name, value in asked.items())):
                terms = msgspec.structs.replace(
                    EASY,
                    models=(ModelLimit(model=offer.model, price=1),),
                    limits=Limits(**{"corridor": rule.name, **data, **change}),
                )
                arcs = by_the_rule(terms, entries, network_map)
                assert arcs_of(table.row(terms)) == arcs
                assert arcs or kept or change, "as the rule wants it"

    def test_limits_on_the_place_keep_an_offer_away_each_and_all(self) -> None:
        model = samples.offer().model
        entries = [
            BookOffer(digest(zone), samples.offer(zone=zone), b"") for zone in (*ZONES, ELSEWHERE)
        ]
        network_map = NetworkMap({("sg", zone): Path(n % 4, n) for n, zone in enumerate(ZONES)})
        table = OfferTable(entries, {model: samples.model()}, network_map)
        asked: list[dict[str, Any]] = [
            {"round_trip_ms": 2},
            {"zones": ("cn", "sg", ELSEWHERE)},
            {"zones_refused": ("cn-gd-shantou", "us")},
            {"jurisdictions": ("cn", "us", "fr")},
            {"data_class": DataClass.PERSONAL, "data_origin": "cn"},
        ]
        rows = []
        for chosen in product(*(({}, each) for each in asked)):
            together = {name: value for each in chosen for name, value in each.items()}
            terms = samples.terms(limits=Limits(origin="sg", **together))
            rows.append(arcs_of(table.row(terms)))
            assert rows[-1] == by_the_rule(terms, entries, network_map, {model: samples.model()})
        assert len(rows[0]) == len(entries) > len(rows[-1]) > 0

    def test_the_sample_offer_meets_all_limits_at_once_and_fails_each_when_it_says_nothing(
        self,
    ) -> None:
        full = BookOffer(digest("full"), samples.offer(), b"", reputation=700)
        says_nothing = samples.offer(attributes=Attributes(), promises=Promises(), rate=None)
        bare = BookOffer(digest("bare"), says_nothing, b"")
        network_map = samples_map()
        table = OfferTable([bare, full], {samples.offer().model: samples.model()}, network_map)
        wanted = samples.terms(limits=samples.all_limits(), rate=50)
        assert arcs_of(table.row(wanted)) == [(1, 2_000, 2_000)]
        numbers: dict[str, list[int]] = {}
        needed = {"origin": "sg", "data_origin": "sg", "data_class": DataClass.PUBLIC}
        for name in Limits.__struct_fields__:
            alone = Limits(**{**needed, name: getattr(samples.all_limits(), name)})
            row = table.row(samples.terms(limits=alone))
            numbers[name] = row.numbers.tolist()
        attributes_and_promises = {
            "vendors", "vendors_refused", "features", "corridor", "retention", "reputation",
            "carbon_mg_per_lot", "time_to_first_token_ms", "tokens_per_second", "attestations",
        }  # fmt: skip
        assert {name for name, row in numbers.items() if row == [1]} == attributes_and_promises
        assert table.row(samples.terms(rate=1)).numbers.tolist() == [1]


class TestRow:
    @given(entries=st.lists(offers(), min_size=2, max_size=8), terms=orders(), map_=MAPS)
    def test_one_offer_more_changes_nothing_for_the_others(
        self, entries: list[BookOffer], terms: OrderTerms, map_: NetworkMap
    ) -> None:
        fewer = arcs_of(OfferTable(entries[:-1], MODELS, map_).row(terms))
        row = arcs_of(OfferTable(entries, MODELS, map_).row(terms))
        assert [arc for arc in row if arc[0] < len(entries) - 1] == fewer

    def test_no_offers_serve_nobody(self) -> None:
        table = OfferTable([], MODELS, NetworkMap())
        assert arcs_of(table.row(samples.terms(limits=samples.all_limits(), rate=1))) == []

    def test_what_a_caller_does_to_a_row_stays_in_that_row(self) -> None:
        entries = [market_books.supply("a", (1, 1)), market_books.supply("b", (1, 1))]
        table = OfferTable(entries, market_books.MODELS, NetworkMap())
        row = table.row(samples.terms())
        for column in (row.numbers, row.costs, row.charges):
            column[:] = 9
        assert arcs_of(table.row(samples.terms())) == [(0, 0, 0), (1, 0, 0)]

    def test_rows_are_by_offer_number_whatever_the_models(self) -> None:
        models = (market_books.MODEL, market_books.OTHER)
        entries = [
            market_books.supply(f"{number}", (1, 1), model=models[number % 2])
            for number in range(5)
        ]
        limits_by_model = tuple(
            ModelLimit(model=model, price=price)
            for model, price in zip(models, (4, 9), strict=True)
        )
        table = OfferTable(entries, market_books.MODELS, NetworkMap())
        row = table.row(samples.terms(models=limits_by_model))
        assert arcs_of(row) == [(0, 5, 0), (1, 0, 0), (2, 5, 0), (3, 0, 0), (4, 5, 0)]

    def test_an_offer_for_a_model_that_is_not_listed_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            OfferTable([market_books.supply("a", (1, 1))], {}, NetworkMap())


class TestSignature:
    @given(
        entries=st.lists(offers(), max_size=8),
        terms=orders(),
        other=orders(),
        shift=st.integers(0, 1_000),
        map_=MAPS,
    )
    def test_orders_of_one_signature_have_one_row(
        self,
        entries: list[BookOffer],
        terms: OrderTerms,
        other: OrderTerms,
        shift: int,
        map_: NetworkMap,
    ) -> None:
        """What the row does not depend on, and the price level, leave the signature as it is."""
        same = msgspec.structs.replace(
            other,
            models=tuple(
                ModelLimit(model=each.model, price=each.price + shift) for each in terms.models
            ),
            rate=terms.rate,
            payment=terms.payment,
            limits=terms.limits,
            all_or_none=not terms.all_or_none,
            expires_us=terms.expires_us + 1,
        )
        assert signature(same) == signature(terms)
        assert hash(signature(same)) == hash(signature(terms))
        table = OfferTable(entries, MODELS, map_)
        assert arcs_of(table.row(same)) == arcs_of(table.row(terms))

    @given(terms=orders(), other=orders())
    def test_another_limit_rate_or_payment_is_another_signature(
        self, terms: OrderTerms, other: OrderTerms
    ) -> None:
        for name in ("limits", "rate", "payment"):
            changed = msgspec.structs.replace(terms, **{name: getattr(other, name)})
            alike = getattr(other, name) == getattr(terms, name)
            assert (signature(changed) == signature(terms)) == alike

    def test_models_count_with_their_handicaps_and_in_no_order(self) -> None:
        def of(*prices: tuple[str, int]) -> object:
            models = tuple(ModelLimit(model=digest(name), price=price) for name, price in prices)
            return signature(samples.terms(models=models))

        assert of(("a", 5), ("b", 3)) == of(("b", 7), ("a", 9))
        assert of(("a", 5), ("b", 3)) != of(("a", 5), ("b", 4))
        assert of(("a", 5), ("b", 3)) != of(("a", 3), ("b", 5))
        assert of(("a", 5)) == of(("a", 6)) != of(("b", 5))
        assert of(("a", 5), ("a", 3)) == of(("a", 8)) != of(("a", 3), ("a", 5))


def test_steps_and_prices_of_offers_are_no_matter_of_eligibility() -> None:
    entries = [market_books.supply("a", (1, 1)), market_books.supply("b", (9, 1), out=1)]
    dear = replace(
        entries[0],
        offer=msgspec.structs.replace(entries[0].offer, steps=(PriceStep(price=10**12, lots=1),)),
    )
    wanted = samples.terms(models=(ModelLimit(model=market_books.MODEL, price=0),))
    table = OfferTable([dear, entries[1]], market_books.MODELS, NetworkMap())
    assert arcs_of(table.row(wanted)) == [(0, 0, 0), (1, 0, 0)]
