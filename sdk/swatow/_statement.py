"""The receipts of a wallet, checked again before they are shown."""

from collections.abc import Mapping
from typing import Any

from swatow._wallet import Wallet
from swatow_protocol.envelope import is_countersigned, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Receipt


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
