"""The arithmetic of settlement. Pure: counts and prices in, transfers out.

What a buyer pays for an award is rounded once, up, over all that was redeemed, whatever the number
of partial settlements. What it pays is split into carriage, fee and the node's part with nothing
left over.
"""

from dataclasses import dataclass

from swatow_protocol.messages import Award
from swatow_protocol.units import (
    PARTS_PER_MILLION,
    STANDARD_TOKENS_PER_LOT,
    cost_nanos,
    div_floor,
)


@dataclass(frozen=True, slots=True)
class Split:
    """How an amount that a buyer pays is divided, in nanos."""

    node: int
    carriage: int
    fee: int

    @property
    def total(self) -> int:
        """What the buyer pays."""
        return self.node + self.carriage + self.fee


NOTHING = Split(node=0, carriage=0, fee=0)


def award_hold(award: Award) -> int:
    """Return what is held for an award: its lots at its price, exactly."""
    return award.lots * award.price


def settle(award: Award, standard_tokens: int, paid: Split) -> Split:
    """Return what to pay now that `standard_tokens` are redeemed in all and `paid` was paid.

    Tokens of a take-or-pay share count like those that were used: whoever kept node and path free
    for them is paid for them, and nobody earns more by serving fewer.

    Carriage and fee are rounded down over the whole award, and never take more than what is paid
    now; the rest is the node's.
    """
    assert 0 <= standard_tokens <= award.lots * STANDARD_TOKENS_PER_LOT
    due = cost_nanos(standard_tokens, award.price) - paid.total
    assert due >= 0, "a redemption never goes down"
    carriage_due = div_floor(standard_tokens * award.path_charge, STANDARD_TOKENS_PER_LOT)
    carriage = _clamp(carriage_due - paid.carriage, due)
    gross = paid.total + due - paid.carriage - carriage
    fee = _clamp(div_floor(gross * award.fee_ppm, PARTS_PER_MILLION) - paid.fee, due - carriage)
    return Split(node=due - carriage - fee, carriage=carriage, fee=fee)


def _clamp(amount: int, most: int) -> int:
    return max(0, min(amount, most))
