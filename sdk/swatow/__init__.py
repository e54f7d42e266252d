"""Swatow: buy inference tokens on an open exchange.

    from swatow import Client

    with Client(market="KEY@host:7700", max_price="0.20") as client:
        answer = client.chat(
            model="smollm2-135m-instruct-q4_1",
            messages=[{"role": "user", "content": "What is the capital of France?"}],
        )
        print(answer.text, answer.receipt.cost_text)

General layout: modules whose names start with an underscore are private; everything public is
named here and in `swatow.errors`.
"""

from importlib.metadata import version as _version

from swatow._answers import Completion, CompletionStream, JobReceipt, Piece
from swatow._award import Award
from swatow._batch import OrderColumns, OrderRow, RowTerms
from swatow._batches import BatchOrder, BatchProgress, BatchResult
from swatow._client import AsyncClient
from swatow._status import AwardStatus, ModelPrice, OrderStatus
from swatow._sync import Client, SyncAward, SyncStream
from swatow.errors import SwatowError
from swatow_protocol.messages import Limits

__version__ = _version("swatow")

__all__ = [
    "AsyncClient",
    "Award",
    "AwardStatus",
    "BatchOrder",
    "BatchProgress",
    "BatchResult",
    "Client",
    "Completion",
    "CompletionStream",
    "JobReceipt",
    "Limits",
    "ModelPrice",
    "OrderColumns",
    "OrderRow",
    "OrderStatus",
    "Piece",
    "RowTerms",
    "SwatowError",
    "SyncAward",
    "SyncStream",
    "__version__",
]
