"""The node's offer, from its settings and what its engine says. Pure."""

from swatow_node.config import NodeSettings
from swatow_node.engines.engine import EngineFacts
from swatow_node.tariff import Tariff
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.errors import ConfigError
from swatow_protocol.identity import Identity
from swatow_protocol.messages import (
    Attributes,
    MarketTerms,
    Model,
    Offer,
    PaymentTerms,
    PriceStep,
    Promises,
)
from swatow_protocol.units import MICROS_PER_SECOND


def check_model(settings: NodeSettings, model: Model, facts: EngineFacts) -> None:
    """Insist that the engine serves the very product that the market lists.

    Raises:
        ConfigError: its weights are others.
    """
    if facts.weights_sha256 not in (None, model.weights_sha256):
        raise ConfigError(
            f"model {settings.model}: the market lists weights {model.weights_sha256.hex()}, "
            f"the engine has {facts.weights_sha256.hex() if facts.weights_sha256 else ''}"
        )


def price_steps(settings: NodeSettings) -> tuple[PriceStep, ...]:
    """Return the price steps of the settings."""
    if settings.steps:
        return tuple(PriceStep(price=step.price, lots=step.lots) for step in settings.steps)
    return (PriceStep(price=settings.price, lots=settings.capacity_lots),)


def tariff_of(settings: NodeSettings) -> Tariff:
    """Return the tariff of the settings; outside of its hours the price steps hold."""
    hours = tuple(table.hours() for table in settings.tariff)
    return Tariff(settings.utc_offset, hours, price_steps(settings))


def make_offer(
    *,
    settings: NodeSettings,
    facts: EngineFacts,
    model: Signed[Model],
    terms: MarketTerms,
    identity: Identity,
    addresses: tuple[str, ...],
    certificate_sha256: bytes,
    sealing_key: bytes,
    now_us: int,
) -> Signed[Offer]:
    """Sign the offer of this moment. Its sequence is the time, so it grows also over restarts.

    Later supply is a promise, so it is stated only by an operator who has written a tariff.
    """
    tariff = tariff_of(settings)
    expires_us = now_us + settings.offer_life_s * MICROS_PER_SECOND
    offer = Offer(
        network=settings.network,
        sender=identity.key,
        issued_us=now_us,
        model=model.id,
        currency=terms.currency,
        sequence=now_us,
        valid_from_us=now_us,
        expires_us=expires_us,
        zone=settings.zone,
        steps=tariff.during(now_us, expires_us),
        later=tariff.later(now_us, terms.period_us) if settings.tariff else (),
        rate=settings.rate,
        promises=Promises(
            time_to_first_token_ms=settings.time_to_first_token_ms,
            tokens_per_second=settings.tokens_per_second,
            jobs_at_once=settings.slots,
        ),
        attributes=Attributes(
            vendor=settings.vendor,
            accelerator=settings.accelerator,
            engine=facts.name,
            features=facts.features if settings.features is None else settings.features,
            retention=settings.retention,
            corridors=settings.corridors,
            carbon_mg_per_lot=settings.carbon_mg_per_lot,
            energy_source=settings.energy_source,
            attestation=settings.attestation,
        ),
        payment=PaymentTerms(
            voucher_interval=settings.voucher_interval, credit_window=settings.credit_window
        ),
        addresses=addresses,
        certificate_sha256=certificate_sha256,
        sealing_key=sealing_key,
    )
    return sign(offer, identity)
