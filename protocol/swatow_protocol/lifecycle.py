"""The life of a job, as one table: (state, event) -> state.

Rules: a job changes state only through `advance`, on either side; there is no transition outside
the table. The table does not know which side runs it, nor what is in a frame. The diagram in
docs/protocol.md is generated from it (`diagram`).
"""

import enum

from swatow_protocol.errors import FrameRefused


class JobState(enum.StrEnum):
    """Where a job stands."""

    OPENING = "opening"
    """The buyer has asked; the node has not answered."""
    RUNNING = "running"
    """The node produces and the buyer's credit lasts."""
    PAUSED = "paused"
    """Unpaid work has reached the credit window: nothing is sent until a voucher comes."""
    CLOSING = "closing"
    """The node has sent its receipt and waits for the last voucher and the countersignature."""
    CLOSED = "closed"
    """Both have signed the receipt. Final."""
    REFUSED = "refused"
    """The node did not run it; nothing is owed. Final."""
    BROKEN = "broken"
    """A side left or broke the rules: owed is what the highest voucher says. Final."""


class JobEvent(enum.StrEnum):
    """What can happen to a job."""

    ACCEPT = "accept"
    """Node: runs it."""
    REFUSE = "refuse"
    """Node: does not."""
    CHUNK = "chunk"
    """Node: sent a piece of the answer."""
    PAUSE = "pause"
    """Node: the credit window is full."""
    VOUCHER = "voucher"
    """Buyer: signed for more."""
    CLOSE = "close"
    """Node: sent its receipt, for whatever reason it stopped."""
    COUNTERSIGN = "countersign"
    """Buyer: signed the receipt."""
    BREAK = "break"
    """Either: the stream ended, or a rule was broken."""


FINAL = frozenset({JobState.CLOSED, JobState.REFUSED, JobState.BROKEN})

TRANSITIONS: dict[JobState, dict[JobEvent, JobState]] = {
    JobState.OPENING: {
        JobEvent.ACCEPT: JobState.RUNNING,
        JobEvent.REFUSE: JobState.REFUSED,
        JobEvent.BREAK: JobState.BROKEN,
    },
    JobState.RUNNING: {
        JobEvent.CHUNK: JobState.RUNNING,
        JobEvent.PAUSE: JobState.PAUSED,
        JobEvent.VOUCHER: JobState.RUNNING,
        JobEvent.CLOSE: JobState.CLOSING,
        JobEvent.BREAK: JobState.BROKEN,
    },
    JobState.PAUSED: {
        JobEvent.VOUCHER: JobState.RUNNING,
        JobEvent.CLOSE: JobState.CLOSING,
        JobEvent.BREAK: JobState.BROKEN,
    },
    JobState.CLOSING: {
        JobEvent.VOUCHER: JobState.CLOSING,
        JobEvent.COUNTERSIGN: JobState.CLOSED,
        JobEvent.BREAK: JobState.BROKEN,
    },
    JobState.CLOSED: {},
    JobState.REFUSED: {},
    JobState.BROKEN: {},
}


def advance(state: JobState, event: JobEvent) -> JobState:
    """Return the state after `event`.

    Raises:
        FrameRefused: the table has no such transition.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise FrameRefused(f"a job that is {state} cannot {event}") from None


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {JobState.OPENING}"]
    for state, events in TRANSITIONS.items():
        lines += [f"    {state} --> {after}: {event}" for event, after in events.items()]
    lines += [f"    {state} --> [*]" for state in JobState if state in FINAL]
    return "\n".join(lines)
