"""Which offers an order can be served by, and which of its limits keep the others away.

Unknown never means allowed: an attribute that an offer does not state fails every order that
limits it.
"""

from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import (
    Corridor,
    DataClass,
    Limits,
    Model,
    Offer,
    OrderTerms,
    PaymentTerms,
)
from swatow_protocol.messages.answers import LimitName
from swatow_protocol.messages.network_map import inside_any


def failed_limits(
    order: BookOrder, entry: BookOffer, model: Model, network_map: NetworkMap
) -> list[LimitName]:
    """Return every limit of the order that the offer fails, in the order of LimitName.

    Price and capacity are no matter of eligibility: clearing decides them.
    """
    terms, offer = order.terms, entry.offer
    if offer.model not in {limit.model for limit in terms.models}:
        return [LimitName.MODEL]
    checks = [
        (LimitName.RATE, _at_least(offer.rate, terms.rate)),
        (LimitName.PAYMENT, agreed_payment(offer.payment, terms.payment) is not None),
        *_place_checks(terms.limits, offer, network_map),
        *_attribute_checks(terms.limits, offer, model),
        (LimitName.REPUTATION, _at_least(entry.reputation, terms.limits.reputation)),
    ]
    failed = {name for name, holds in checks if not holds}
    return [name for name in LimitName if name in failed]


def agreed_payment(offered: PaymentTerms, ordered: PaymentTerms) -> PaymentTerms | None:
    """Return the payment terms on which both agree, or None.

    The node states its shortest interval and widest window, the buyer its longest interval and
    narrowest window. They agree on the buyer's interval and the node's window: the fewest
    signatures and the steadiest stream that both allow.
    """
    if offered.voucher_interval > ordered.voucher_interval:
        return None
    if ordered.credit_window > offered.credit_window:
        return None
    return PaymentTerms(
        voucher_interval=ordered.voucher_interval, credit_window=offered.credit_window
    )


def price_limit(terms: OrderTerms, model: bytes) -> int:
    """Return the most that an order pays for a model that it accepts."""
    return next(limit.price for limit in terms.models if limit.model == model)


def _place_checks(
    limits: Limits, offer: Offer, network_map: NetworkMap
) -> list[tuple[LimitName, bool]]:
    round_trip_ms = network_map.path(limits.origin, offer.zone).round_trip_ms
    return [
        (LimitName.ROUND_TRIP_MS, _at_most(round_trip_ms, limits.round_trip_ms)),
        (LimitName.ZONES, limits.zones is None or inside_any(offer.zone, limits.zones)),
        (LimitName.ZONES_REFUSED, not inside_any(offer.zone, limits.zones_refused or ())),
        (LimitName.JURISDICTIONS, _one_of(offer.zone[:2], limits.jurisdictions)),
        (LimitName.CORRIDOR, _corridor_holds(limits, offer, network_map)),
    ]


def _attribute_checks(limits: Limits, offer: Offer, model: Model) -> list[tuple[LimitName, bool]]:
    stated, promised = offer.attributes, offer.promises
    refused = limits.vendors_refused
    return [
        (LimitName.PRECISIONS, _one_of(model.precision, limits.precisions)),
        (LimitName.VENDORS, _one_of(stated.vendor, limits.vendors)),
        (
            LimitName.VENDORS_REFUSED,
            not refused or (stated.vendor is not None and stated.vendor not in refused),
        ),
        (LimitName.FEATURES, set(limits.features or ()) <= set(stated.features or ())),
        (LimitName.RETENTION, _at_most(stated.retention, limits.retention)),
        (
            LimitName.CARBON_MG_PER_LOT,
            _at_most(stated.carbon_mg_per_lot, limits.carbon_mg_per_lot),
        ),
        (
            LimitName.TIME_TO_FIRST_TOKEN_MS,
            _at_most(promised.time_to_first_token_ms, limits.time_to_first_token_ms),
        ),
        (
            LimitName.TOKENS_PER_SECOND,
            _at_least(promised.tokens_per_second, limits.tokens_per_second),
        ),
        (LimitName.ATTESTATIONS, _one_of(stated.attestation, limits.attestations)),
    ]


def _corridor_holds(limits: Limits, offer: Offer, network_map: NetworkMap) -> bool:
    """Data that is more than public leaves its country of origin only under a named corridor; if
    its origin is not stated, nowhere is home. A named corridor must be stated by the node, and the
    map must have it for the origin and class of the data and the zone of the node."""
    if limits.corridor is None:
        restricted = limits.data_class is not None and limits.data_class > DataClass.PUBLIC
        return not restricted or offer.zone[:2] == limits.data_origin
    corridor = network_map.corridor(limits.corridor, limits.data_origin)
    stated = offer.attributes
    return (
        corridor is not None
        and corridor.name in (stated.corridors or ())
        and admits_class(corridor, limits.data_class)
        and inside_any(offer.zone, corridor.zones)
        and _at_most(stated.retention, corridor.retention)
        and (corridor.attestation is None or stated.attestation == corridor.attestation)
    )


def admits_class(corridor: Corridor, data_class: DataClass | None) -> bool:
    """Tell whether a corridor lets in data of this class; of an unknown class it lets in none."""
    return data_class is not None and data_class <= corridor.data_class


def _one_of(stated: str | None, allowed: tuple[str, ...] | None) -> bool:
    return allowed is None or (stated is not None and stated in allowed)


def _at_most(stated: int | None, limit: int | None) -> bool:
    return limit is None or (stated is not None and stated <= limit)


def _at_least(stated: int | None, limit: int | None) -> bool:
    return limit is None or (stated is not None and stated >= limit)
