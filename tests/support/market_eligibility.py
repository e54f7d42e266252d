"""Offers and orders for property tests of eligibility: each attribute and limit there or not."""

from typing import Any

from hypothesis import strategies as st

from swatow_market.exchange.network_map import NetworkMap, Path
from swatow_market.exchange.offers import BookOffer
from swatow_protocol import limits
from swatow_protocol.messages import (
    Attributes,
    Corridor,
    DataClass,
    Limits,
    ModelLimit,
    OrderTerms,
    PaymentTerms,
    Promises,
    Retention,
)
from tests.support import samples
from tests.support.samples import digest

MODELS = {
    digest("four bits"): samples.model(precision="q4_1"),
    digest("eight bits"): samples.model(precision="fp8"),
    digest("eight bits too"): samples.model(precision="fp8"),
}
ZONES = ("cn", "cn-gd", "cn-gd-shantou", "cn-gd-shantou-1", "cn-gdx", "cn-gz-guian", "sg", "us-va")
ELSEWHERE = "fr-paris"
"""A zone that no offer is in."""
COUNTRIES = ("cn", "sg", "us", "fr")
VENDORS = ("ascend", "nvidia", "cpu")
FEATURES = ("seed", "tools", "logprobs")
CORRIDORS = ("shantou-2026", "harbour")
ATTESTATIONS = ("sev-snp", "tdx")


def stated(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a value that is stated more often than not."""
    return st.none() | values | values


def limited(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a limit that is set less often than not: else hardly an offer is ever eligible."""
    return st.none() | st.none() | st.none() | values


def lists(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw some of the names, in any order, twice, or none at all."""
    return st.lists(st.sampled_from(names), max_size=3).map(tuple)


def small(least: int, greatest: int) -> st.SearchStrategy[int]:
    """Draw one of the few numbers around a limit, or one at the bounds of the wire."""
    return st.integers(3, 6) | st.sampled_from((least, greatest))


PAYMENTS = st.just(PaymentTerms()) | st.builds(
    PaymentTerms, voucher_interval=small(1, 4_096), credit_window=small(1, 4_096)
)
MILLISECONDS = small(0, 3_600_000)
RATES = small(1, limits.STANDARD_TOKENS_MAX)
REPUTATIONS = small(0, 1_000)
CARBON = small(0, 10**9)


@st.composite
def offers(draw: st.DrawFn) -> BookOffer:
    """Draw an offer, each attribute of which is stated or not."""
    offer = samples.offer(
        model=draw(st.sampled_from(sorted(MODELS))),
        zone=draw(st.sampled_from(ZONES)),
        rate=draw(stated(RATES)),
        payment=draw(PAYMENTS),
        promises=Promises(
            time_to_first_token_ms=draw(stated(MILLISECONDS)),
            tokens_per_second=draw(stated(RATES)),
        ),
        attributes=Attributes(
            vendor=draw(stated(st.sampled_from(VENDORS))),
            features=draw(stated(lists(*FEATURES))),
            retention=draw(stated(st.sampled_from(Retention))),
            corridors=draw(stated(lists(*CORRIDORS))),
            carbon_mg_per_lot=draw(stated(CARBON)),
            attestation=draw(stated(st.sampled_from(ATTESTATIONS))),
        ),
    )
    return BookOffer(
        draw(st.binary(min_size=4, max_size=4)), offer, b"", 0, draw(stated(REPUTATIONS))
    )


@st.composite
def limits_of_orders(draw: st.DrawFn) -> Limits:
    """Draw limits, each of which is set or not; some ask for what nobody has."""
    return Limits(
        origin=draw(st.none() | st.sampled_from((*ZONES, ELSEWHERE))),
        round_trip_ms=draw(limited(MILLISECONDS)),
        zones=draw(limited(lists(*ZONES, ELSEWHERE))),
        zones_refused=draw(limited(lists(*ZONES, ELSEWHERE))),
        jurisdictions=draw(limited(lists(*COUNTRIES))),
        precisions=draw(limited(lists("q4_1", "fp8", "bf16"))),
        vendors=draw(limited(lists(*VENDORS, "nobody"))),
        vendors_refused=draw(limited(lists(*VENDORS, "nobody"))),
        features=draw(limited(lists(*FEATURES, "magic"))),
        data_origin=draw(st.none() | st.sampled_from(COUNTRIES)),
        data_class=draw(limited(st.sampled_from(DataClass))),
        corridor=draw(limited(st.sampled_from((*CORRIDORS, "nowhere")))),
        retention=draw(limited(st.sampled_from(Retention))),
        carbon_mg_per_lot=draw(limited(CARBON)),
        time_to_first_token_ms=draw(limited(MILLISECONDS)),
        tokens_per_second=draw(limited(RATES)),
        reputation=draw(limited(REPUTATIONS)),
        attestations=draw(limited(lists(*ATTESTATIONS, "promise"))),
    )


MODEL_LIMITS = st.builds(
    ModelLimit,
    model=st.sampled_from((*sorted(MODELS), digest("unlisted"))),
    price=st.integers(0, 5) | st.just(limits.PRICE_MAX),
)


@st.composite
def orders(draw: st.DrawFn) -> OrderTerms:
    """Draw the terms of an order for some models, of which one may be named twice."""
    return samples.terms(
        models=tuple(draw(st.lists(MODEL_LIMITS, min_size=1, max_size=4))),
        rate=draw(limited(RATES)),
        payment=draw(st.just(PaymentTerms(credit_window=1)) | PAYMENTS),
        limits=draw(limits_of_orders()),
    )


EASY = samples.terms(payment=PaymentTerms(voucher_interval=4_096, credit_window=1))
"""Terms that every offer for the model agrees to."""

CORRIDOR_RULES = st.builds(
    Corridor,
    name=st.sampled_from(CORRIDORS),
    data_origin=st.sampled_from(COUNTRIES),
    zones=lists(*ZONES, ELSEWHERE).filter(bool),
    data_class=st.sampled_from(DataClass),
    retention=stated(st.sampled_from(Retention)),
    attestation=limited(st.sampled_from(ATTESTATIONS)),
)


def corridors_of(*rules: Corridor) -> dict[tuple[str, str], Corridor]:
    """Return corridors as a map keeps them; of one name and origin the last."""
    return {(rule.name, rule.data_origin): rule for rule in rules}


PATHS = st.builds(Path, round_trip_ms=stated(MILLISECONDS), charge=small(0, limits.PRICE_MAX))
MAPS = st.builds(
    NetworkMap,
    paths=st.dictionaries(
        st.tuples(st.sampled_from((*ZONES, ELSEWHERE)), st.sampled_from((*ZONES, ELSEWHERE))),
        PATHS,
        max_size=40,
    ),
    corridors=st.lists(CORRIDOR_RULES, max_size=12).map(lambda rules: corridors_of(*rules)),
)
