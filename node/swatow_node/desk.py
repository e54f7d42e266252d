"""What the job streams of a node share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from swatow_node.admission import House
from swatow_node.awards import AwardBook
from swatow_node.engines.engine import Engine
from swatow_node.journal import Journal
from swatow_node.slots import Slots
from swatow_protocol.identity import Identity


@dataclass(slots=True)
class Desk:
    """What the job streams of a node share."""

    identity: Identity
    house: House
    engine: Engine
    journal: Journal
    awards: AwardBook
    slots: Slots
    now_us: Callable[[], int]
    voucher_wait_s: float
    on_release: Callable[[], None]
    """Told when an award can be settled for good."""
    seen: dict[bytes, int] = field(default_factory=dict)
    """Job id -> when it was opened, for as long as its opening could be replayed."""
    closing: bool = False
    """The node is going down: no job is started."""
