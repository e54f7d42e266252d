"""What can go wrong for a buyer. The names say whose fault it is.

SwatowError
├── BuyerError            you asked for something that cannot be
│   ├── InvalidRequest        the node's engine does not take the request
│   ├── OrderRejected         the market does not take the order; carries the reason
│   │   └── InsufficientFunds     the account cannot cover the order
│   ├── OrderCancelled        the order was cancelled before it was awarded anything
│   ├── LimitsUnmet           no offer met the order's limits in time; carries which
│   └── TooEarly              the award's time has not begun; carries when it does
├── NodeError             the node did not do what its offer says; carries what was paid for
│   ├── NodeRefused           it did not start the job; nothing was paid
│   ├── NodeFailed            its engine failed, or it stalled
│   ├── NodeLost              it went away in the middle of the answer
│   └── NodeCheated           what it sent was altered, or claims more than it gave
├── MarketError           the market is not who or what it should be
├── LocalError            a value, file or setting of this process (swatow_protocol.errors)
│   └── InvalidValue          a value outside its limits
│       └── InvalidRow            a row of a batch of orders that cannot be; carries which
├── RemoteError           what somebody sent breaks the protocol (swatow_protocol.errors)
└── NetworkError          neither side erred: Unreachable, OutcomeUnknown
"""

from dataclasses import dataclass

from swatow_protocol.errors import (
    ConfigError,
    InvalidValue,
    KeyFileError,
    LocalError,
    NetworkError,
    OutcomeUnknown,
    RemoteError,
    SwatowError,
    Unreachable,
)
from swatow_protocol.limits import CLOCK_SKEW_US
from swatow_protocol.messages import JobRefusal
from swatow_protocol.messages.answers import AdmissionReason, LimitName
from swatow_protocol.units import MICROS_PER_MILLISECOND, format_money, format_time

__all__ = [
    "BuyerError",
    "ConfigError",
    "InsufficientFunds",
    "InvalidRequest",
    "InvalidRow",
    "InvalidValue",
    "KeyFileError",
    "LimitsUnmet",
    "LocalError",
    "MarketError",
    "NetworkError",
    "NodeCheated",
    "NodeError",
    "NodeFailed",
    "NodeLost",
    "NodeRefused",
    "OrderCancelled",
    "OrderRejected",
    "OutcomeUnknown",
    "Paid",
    "RemoteError",
    "SwatowError",
    "TooEarly",
    "Unreachable",
]


class BuyerError(SwatowError):
    """You asked for something that cannot be."""


class InvalidRow(InvalidValue):
    """A row of a batch of orders that cannot be."""

    def __init__(self, row: int, column: str, problem: str) -> None:
        super().__init__(f"rows[{row}].{column}", problem)
        self.row = row
        """Its number, from 0."""
        self.column = column
        """What of it cannot be."""


class InvalidRequest(BuyerError):
    """The node's engine does not take the request; the message is the engine's."""


class OrderRejected(BuyerError):
    """The market does not take the order."""

    def __init__(self, reason: AdmissionReason, detail: str) -> None:
        super().__init__(f"order rejected: {reason.value}" + (f": {detail}" if detail else ""))
        self.reason = reason
        self.detail = detail


class InsufficientFunds(OrderRejected):
    """The account cannot cover the order at its limit price."""


class OrderCancelled(BuyerError):
    """The order was cancelled before it was awarded anything."""

    def __init__(self, order: bytes) -> None:
        super().__init__(f"order {order.hex()[:16]} was cancelled; nothing was awarded")
        self.order = order


class LimitsUnmet(BuyerError):
    """No offer met the order's limits before it expired."""

    def __init__(self, limits: tuple[LimitName, ...], waited_s: float, detail: str = "") -> None:
        names = ", ".join(limit.value for limit in limits) or "unknown"
        after = f"in {waited_s:g} s" if waited_s else "at once"
        super().__init__(
            f"no offer met the order {after}; unmet: {names}" + (f": {detail}" if detail else "")
        )
        self.limits = limits

    @property
    def may_pass(self) -> bool:
        """Whether the same order may be filled a little later: only price or capacity lacked."""
        return set(self.limits) <= {LimitName.PRICE, LimitName.CAPACITY}


class TooEarly(BuyerError):
    """The award's time has not begun."""

    def __init__(self, award: bytes, from_us: int) -> None:
        time = format_time(from_us)
        super().__init__(f"award {award.hex()[:16]} may be drawn upon from {time}")
        self.from_us = from_us
        """When its time begins, in microseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What was paid for when a job ended early."""

    standard_tokens: int
    """Standard tokens that were signed for in this job's award, all its jobs together."""
    nanos: int
    """What they cost."""
    currency: str
    received_tokens: int
    """Output tokens of this job that arrived."""

    def __str__(self) -> str:
        return (
            f"{self.received_tokens} output tokens of this job arrived; signed for on its award: "
            f"{self.standard_tokens} standard tokens, {format_money(self.nanos)} {self.currency}"
        )


class NodeError(SwatowError):
    """The node did not do what its offer says."""

    def __init__(self, node: bytes, problem: str, paid: Paid | None = None, text: str = "") -> None:
        what = f"node {node.hex()[:16]}: {problem}"
        super().__init__(f"{what}. {paid}" if paid else what)
        self.node = node
        """The node's key."""
        self.paid = paid
        """What was paid for; None if nothing was."""
        self.text = text
        """The part of the answer that arrived."""


class NodeRefused(NodeError):
    """The node did not start the job; nothing was paid."""

    def __init__(self, node: bytes, refusal: JobRefusal, detail: str, retry_ms: int | None) -> None:
        super().__init__(node, f"refused: {refusal.value}" + (f": {detail}" if detail else ""))
        self.refusal = refusal
        self.retry_after_ms = retry_ms

    @property
    def may_pass(self) -> bool:
        """Whether the node may take the same job a little later.

        An award that has begun here begins at a node whose clock is behind a moment later.
        """
        pause_us = (self.retry_after_ms or 0) * MICROS_PER_MILLISECOND
        begins_soon = self.refusal is JobRefusal.NOT_YET and pause_us <= CLOCK_SKEW_US
        return self.refusal is JobRefusal.BUSY or begins_soon


class NodeFailed(NodeError):
    """The node's engine failed, or it stalled."""


class NodeLost(NodeError):
    """The node went away in the middle of the answer."""


class NodeCheated(NodeError):
    """What the node sent was altered on its way, or claims more than it gave."""


class MarketError(SwatowError):
    """The market is not who or what it should be."""
