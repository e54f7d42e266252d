"""The hard limits of an order as options of commands."""

from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import Parameter

from swatow._limits import limits_of
from swatow_protocol.messages import Limits

Several = Annotated[tuple[str, ...] | None, Parameter(negative="", consume_multiple=True)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LimitFlags:
    """Hard limits: an offer that does not state a limited attribute fails."""

    origin: str | None = None
    """Your zone, from which paths and round-trip times count."""
    round_trip_ms: int | None = None
    """Longest network round trip."""
    zones: Several = None
    """Only these zones, and zones inside them: cn-gd sg."""
    zones_refused: Several = None
    """None of these zones."""
    jurisdictions: Several = None
    """Only zones of these countries: cn sg."""
    precisions: Several = None
    """Only these numeric formats: bf16 fp8."""
    vendors: Several = None
    """Only accelerators of these makers."""
    vendors_refused: Several = None
    """No accelerator of these makers."""
    features: Several = None
    """All of these features of the engine: logprobs seed."""
    data_origin: str | None = None
    """The country whose rules the data brings along: sg."""
    data_class: int | None = None
    """What kind of data it is: 0 public, 1 personal, 2 important."""
    corridor: str | None = None
    """The corridor under which the data may be processed; asks for its origin and class too."""
    retention: int | None = None
    """Longest retention: 0 nothing, 1 a day, 2 a month, 3 longer."""
    carbon_mg_per_lot: int | None = None
    """Most CO2 equivalent: milligrams a lot, which is grams for a million standard tokens."""
    time_to_first_token_ms: int | None = None
    """Longest promised time to the first token."""
    tokens_per_second: int | None = None
    """Least promised output rate."""
    reputation: int | None = None
    """Least reputation of the node in this market, 0 to 1000."""
    attestations: Several = None
    """One of these kinds of hardware attestation: sev-snp tdx."""

    def limits(self) -> Limits:
        """Return the limits as an order states them.

        Raises:
            InvalidValue: a limit is outside its bounds.
        """
        return limits_of(asdict(self), "limits")
