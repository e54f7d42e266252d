"""The awards and receipts of a wallet, checked again before they are shown."""

from collections.abc import Mapping
from typing import Any

from swatow._wallet import Wallet
from swatow_protocol.envelope import is_countersigned, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.limits import QUERY_IDS_MAX
from swatow_protocol.messages import Award, Receipt


def read_awards(
    wallet: Wallet, *, market: bytes, network: str, models: Mapping[bytes, str], now_us: int
) -> list[dict[str, Any]]:
    """Return those of the latest awards that are not over as plain values, by when they begin.

    They are as many as a market tells of at once. One that fails its signature is left out.
    """
    found = []
    for kept in wallet.awards(QUERY_IDS_MAX):
        try:
            signed = verify(kept.award, Award, network=network, now_us=now_us, sender=market)
        except MessageRefused:
            continue
        award = signed.message
        found.append(
            {
                "id": signed.id.hex(),
                "model": models.get(award.model, award.model.hex()[:16]),
                "node": award.node.hex(),
                "zone": award.zone,
                "lots": award.lots,
                "price": award.price,
                "currency": award.currency,
                "from_us": award.from_us,
                "expires_us": award.expires_us,
            }
        )
    return sorted(found, key=lambda award: (award["from_us"], award["id"]))


def read_receipts(
    wallet: Wallet, most: int, network: str, models: Mapping[bytes, str]
) -> list[dict[str, Any]]:
    """Return the latest receipts as plain values; one that fails its signature is left out."""
    found = []
    for kept in wallet.receipts(most):
        try:
            signed = verify(kept.envelope, Receipt, network=network, now_us=None)
        except MessageRefused:
            continue
        receipt, signature = signed.message, kept.countersignature
        found.append(
            {
                "job": receipt.job.hex(),
                "award": receipt.award.hex(),
                "node": receipt.sender.hex(),
                "model": models.get(receipt.model, receipt.model.hex()[:16]),
                "prompt_tokens": receipt.usage.prompt_tokens,
                "output_tokens": receipt.usage.output_tokens,
                "standard_tokens": receipt.standard_tokens,
                "price": receipt.price,
                "cost": receipt.cost,
                "currency": receipt.currency,
                "closed_us": receipt.closed_us,
                "finish_reason": receipt.finish_reason.value,
                "countersigned": signature is not None and is_countersigned(signed, signature),
            }
        )
    return found
