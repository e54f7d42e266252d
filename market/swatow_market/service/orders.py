"""The end of orders, and what is told about them."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncConnection

from swatow_market.exchange.admission import rejected
from swatow_market.ledger import accounts
from swatow_market.service import store
from swatow_market.service.state import MarketState
from swatow_protocol import codec, limits
from swatow_protocol.messages.answers import (
    AWARDS_PER_ORDER_MAX,
    AdmissionReason,
    Decision,
    Granted,
    LimitName,
    OrderEvent,
    OrderEvents,
    OrderState,
    Verdict,
)
from swatow_protocol.units import format_money

EVENTS_PER_MESSAGE = 1_024


async def end_orders(
    connection: AsyncConnection, rows: list[dict[str, Any]], ending: OrderState
) -> list[OrderEvent]:
    """End those of these orders that are open, and release what is held for them."""
    ended = [row for row in rows if row["state"] == OrderState.OPEN]
    events = [_event(row["id"], ending, row["lots_open"]) for row in ended]
    await store.update_orders(connection, events)
    await accounts.release_all(connection, [row["id"] for row in ended])
    return events


def forget_orders(state: MarketState, events: list[OrderEvent]) -> None:
    """After the transaction: drop ended orders from the book and tell whoever waits."""
    for event in events:
        state.book.drop_order(event.order)
    state.feed.publish(events)


async def insufficient(
    connection: AsyncConnection, account: str, needed: int, currency: str
) -> Verdict:
    """Return the refusal of an order whose limit price a buyer's account does not cover."""
    found = await accounts.read_accounts(connection, [account])
    free = accounts.balance(found[0]) - found[0]["held"] if found else 0
    detail = f"needed {format_money(needed)}, free {format_money(free)} {currency}"
    return rejected(AdmissionReason.INSUFFICIENT_FUNDS, detail)


def admitted_event(order: bytes, verdict: Verdict, lots: int) -> OrderEvent:
    """Tell that an order was taken in, or why not."""
    taken = verdict.decision is Decision.ACCEPT
    return OrderEvent(
        order=order,
        verdict=verdict,
        state=OrderState.OPEN if taken else None,
        granted=(),
        lots_open=lots if taken else 0,
        unmet=(),
    )


def round_event(
    order: bytes, granted: tuple[Granted, ...], lots_open: int, unmet: tuple[LimitName, ...]
) -> OrderEvent:
    """Tell what a round did to an order."""
    state = OrderState.OPEN if lots_open else OrderState.FILLED
    return _event(order, state, lots_open, granted, unmet)


async def order_events(
    connection: AsyncConnection, ids: list[bytes], verdict: Verdict | None
) -> list[OrderEvent]:
    """Tell where orders stand, with all of their awards."""
    granted: dict[bytes, list[Granted]] = {}
    for award in await store.awards_of(connection, ids):
        entry = Granted(award=award["envelope"], offer=award["offer_envelope"])
        granted.setdefault(award["order_id"], []).append(entry)
    return [
        OrderEvent(
            order=row["id"],
            verdict=verdict,
            state=OrderState(row["state"]),
            granted=tuple(granted.get(row["id"], ())),
            lots_open=row["lots_open"],
            unmet=(),
        )
        for row in await store.read_orders(connection, ids)
    ]


def messages_of(events: Iterable[OrderEvent]) -> Iterator[OrderEvents]:
    """Put events into messages, each within EVENTS_PER_MESSAGE and about PART_BYTES."""
    page: list[OrderEvent] = []
    size = 0
    for event in events:
        for part in _parts(event):
            more = len(codec.encode(part))
            if page and (size + more > limits.PART_BYTES or len(page) == EVENTS_PER_MESSAGE):
                yield OrderEvents(events=tuple(page))
                page, size = [], 0
            page.append(part)
            size += more
    if page:
        yield OrderEvents(events=tuple(page))


def _parts(event: OrderEvent) -> Iterator[OrderEvent]:
    """Split an event with more awards than one message holds; all parts but the last are open."""
    verdict, granted = event.verdict, list[Granted]()
    size = 0
    for each in event.granted:
        more = len(each.award) + len(each.offer)
        if granted and (size + more > limits.PART_BYTES or len(granted) == AWARDS_PER_ORDER_MAX):
            yield structs.replace(
                event, verdict=verdict, state=OrderState.OPEN, granted=tuple(granted), unmet=()
            )
            verdict, granted, size = None, [], 0
        granted.append(each)
        size += more
    yield structs.replace(event, verdict=verdict, granted=tuple(granted))


def _event(
    order: bytes,
    state: OrderState,
    lots_open: int,
    granted: tuple[Granted, ...] = (),
    unmet: tuple[LimitName, ...] = (),
) -> OrderEvent:
    return OrderEvent(
        order=order,
        verdict=None,
        state=state,
        granted=granted,
        lots_open=lots_open,
        unmet=unmet,
    )
