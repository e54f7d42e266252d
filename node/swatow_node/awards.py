"""The awards that buyers have brought to this node, and what is owed on each.

Pure: durability is the caller's business (journal.py), and comes first.
"""

from dataclasses import dataclass, field

from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Award, Model, Voucher
from swatow_protocol.metering import AwardMeter

RECONNECTS_MAX = 8
"""A buyer may lose so many windows of unpaid work on one award; then it gets no more of it."""
ABANDONED_PROMPTS_MAX = 3
"""After so many prompts that were worked on and never paid, a buyer's prompts are due first."""
BUYERS_REMEMBERED_MAX = 10_000
"""Buyers whose abandoned prompts are counted; the one counted first is forgotten first."""
AWARDS_MAX = 10_000
"""Awards in memory. Beyond, one without jobs is dropped, to be read from the journal again."""


@dataclass(slots=True)
class AwardAccount:
    """One award at this node."""

    signed: Signed[Award]
    meter: AwardMeter
    voucher: bytes | None = None
    """Envelope of the highest voucher that is written down."""
    jobs: int = 0
    """Jobs that are open now."""
    released: bool = False
    """The buyer draws no more on it, or it is settled: no job is opened."""
    lost_output: int = 0
    """Output tokens that were delivered, never signed for, and are given up."""

    @property
    def award(self) -> Award:
        """The award itself."""
        return self.signed.message

    @property
    def stop_by_us(self) -> int:
        """When jobs that still run are closed, so that time is left to redeem their vouchers."""
        return (self.award.expires_us + self.award.settle_by_us) // 2

    @property
    def trusted(self) -> bool:
        """Whether the buyer has not yet lost more work than RECONNECTS_MAX windows."""
        return self.lost_output <= RECONNECTS_MAX * self.meter.payment.credit_window

    @property
    def claim(self) -> int:
        """Standard tokens to redeem: what was signed, and no more than was counted."""
        return min(self.meter.signed, self.meter.owed)

    def record_voucher(self, voucher: Voucher, envelope: bytes) -> None:
        """Count a voucher that is written down."""
        if self.meter.record_voucher(voucher.standard_tokens, voucher.usage):
            self.voucher = envelope

    def job_ended(self) -> None:
        """Note that a job is over; when none is left, unpaid work is given up."""
        self.jobs -= 1
        if not self.jobs:
            self.lost_output += self.meter.write_off()


@dataclass(slots=True)
class AwardBook:
    """All awards that are in use at this node."""

    accounts: dict[bytes, AwardAccount] = field(default_factory=dict)
    _abandoned: dict[bytes, int] = field(default_factory=dict)

    def open(self, signed: Signed[Award], model: Model) -> AwardAccount:
        """Return the account of an award, made if this is its first job since the start."""
        account = self.accounts.get(signed.id)
        if account is None:
            self._make_room()
            award = signed.message
            meter = AwardMeter(model=model, payment=award.payment, lots=award.lots)
            account = self.accounts[signed.id] = AwardAccount(signed, meter)
        return account

    def is_in_use(self, award: bytes) -> bool:
        """Whether a job of this award is open."""
        account = self.accounts.get(award)
        return account is not None and account.jobs > 0

    def must_prepay(self, buyer: bytes) -> bool:
        """Whether this buyer has abandoned so many prompts that the next is due first."""
        return self._abandoned.get(buyer, 0) >= ABANDONED_PROMPTS_MAX

    def prompt_abandoned(self, buyer: bytes) -> None:
        """Count a prompt that was worked on and never paid."""
        if buyer not in self._abandoned and len(self._abandoned) >= BUYERS_REMEMBERED_MAX:
            del self._abandoned[next(iter(self._abandoned))]
        self._abandoned[buyer] = self._abandoned.get(buyer, 0) + 1

    def _make_room(self) -> None:
        if len(self.accounts) >= AWARDS_MAX:
            idle = next((key for key, each in self.accounts.items() if not each.jobs), None)
            if idle is not None:
                del self.accounts[idle]
