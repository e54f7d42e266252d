"""Every message of the trade, by the word that design and wire use for it."""

from swatow_protocol.messages.award import Award, MarketTerms, RoundHead, RoundNumber
from swatow_protocol.messages.base import VERSION, Body, Message
from swatow_protocol.messages.fields import DataClass, Retention, Service
from swatow_protocol.messages.job import (
    Accepted,
    Chunk,
    Close,
    Credit,
    FinishReason,
    Frame,
    FrameKind,
    JobOpen,
    JobRefusal,
    OpenBody,
    Refused,
    Release,
)
from swatow_protocol.messages.model import Model
from swatow_protocol.messages.network_map import (
    Corridor,
    MapPath,
    MapZone,
    NetworkMap,
    Position,
)
from swatow_protocol.messages.offer import (
    Attributes,
    LaterSupply,
    Offer,
    PaymentTerms,
    PriceStep,
    Promises,
)
from swatow_protocol.messages.order import (
    Limits,
    ModelLimit,
    Order,
    OrderBatch,
    OrderCancel,
    OrderTerms,
)
from swatow_protocol.messages.payment import Countersigned, Receipt, Redemption, Usage, Voucher
from swatow_protocol.messages.service import Endpoint, Query, Subject

SIGNED_KINDS: tuple[type[Message], ...] = (
    Model,
    MarketTerms,
    NetworkMap,
    Endpoint,
    Offer,
    Order,
    OrderBatch,
    OrderCancel,
    RoundHead,
    Award,
    JobOpen,
    Voucher,
    Receipt,
    Redemption,
    Query,
)
"""Every kind that travels as a signed envelope."""

__all__ = [
    "SIGNED_KINDS",
    "VERSION",
    "Accepted",
    "Attributes",
    "Award",
    "Body",
    "Chunk",
    "Close",
    "Corridor",
    "Countersigned",
    "Credit",
    "DataClass",
    "Endpoint",
    "FinishReason",
    "Frame",
    "FrameKind",
    "JobOpen",
    "JobRefusal",
    "LaterSupply",
    "Limits",
    "MapPath",
    "MapZone",
    "MarketTerms",
    "Message",
    "Model",
    "ModelLimit",
    "NetworkMap",
    "Offer",
    "OpenBody",
    "Order",
    "OrderBatch",
    "OrderCancel",
    "OrderTerms",
    "PaymentTerms",
    "Position",
    "PriceStep",
    "Promises",
    "Query",
    "Receipt",
    "Redemption",
    "Refused",
    "Release",
    "Retention",
    "RoundHead",
    "RoundNumber",
    "Service",
    "Subject",
    "Usage",
    "Voucher",
]
