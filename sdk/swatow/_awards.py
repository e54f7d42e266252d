"""Awards that this buyer holds, and what is left in them."""

from dataclasses import dataclass, field

from swatow_protocol import messages
from swatow_protocol.envelope import Signed
from swatow_protocol.messages import Model, Offer
from swatow_protocol.metering import AwardMeter
from swatow_protocol.periods import is_later


@dataclass(slots=True)
class HeldAward:
    """An award in use."""

    signed: Signed[messages.Award]
    offer: Signed[Offer]
    model: Model
    jobs: int = 0
    """Jobs that run on it."""
    reserved: int = 0
    """Standard tokens that running jobs may still take."""
    released: bool = False
    meter: AwardMeter = field(init=False)

    def __post_init__(self) -> None:
        award = self.signed.message
        self.meter = AwardMeter(model=self.model, payment=award.payment, lots=award.lots)

    @property
    def id(self) -> bytes:
        """The award's id."""
        return self.signed.id

    @property
    def award(self) -> messages.Award:
        """The award itself."""
        return self.signed.message

    def left(self) -> int:
        """Return the standard tokens that no job has taken or may take."""
        return self.meter.total - self.meter.owed - self.reserved

    def has_begun(self, now_us: int) -> bool:
        """Whether jobs may be opened on it already.

        One of now has begun, however far the market's clock is ahead of this one.
        """
        return not is_later(self.award) or self.award.from_us <= now_us

    def usable_until(self, time_us: int) -> bool:
        """Whether jobs may be opened on it until then."""
        return not self.released and self.award.expires_us > time_us
