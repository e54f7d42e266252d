"""The steps of a round: segments, flow, prices, fills, and all-or-none orders around them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from swatow_market.exchange.book import BookOrder, Snapshot
from swatow_market.exchange.clearing.fills import lot_hash, share
from swatow_market.exchange.clearing.flow import Curve, Flow
from swatow_market.exchange.clearing.outcome import Fill, Outcome
from swatow_market.exchange.clearing.prices import price_ranges
from swatow_market.exchange.eligibility import failed_limits, price_limit
from swatow_protocol.messages.answers import LimitName
from swatow_protocol.units import div_ceil, div_floor

Row = tuple[tuple[int, int, int], ...]
"""Arcs of a segment: (offer number, cost of a lot to the flow, path charge in it)."""


@dataclass(slots=True)
class _Segment:
    """Orders that can be served by the same offers at the same path charges."""

    row: Row
    levels: dict[int, list[BookOrder]] = field(default_factory=dict)
    """Limit price -> orders."""


@dataclass(frozen=True, slots=True)
class _Solved:
    segments: list[_Segment]
    flow: Flow
    prices: list[int | None]
    """Of each offer: the middle of its range, rounded down."""
    prices_up: list[int | None]
    """The same, rounded up: above a limit exactly where the middle is."""
    filled: dict[bytes, int]
    """Order id -> lots."""


def clear(snapshot: Snapshot) -> Outcome:
    """Clear one round. Deterministic: the same snapshot gives the same outcome on any machine.

    An all-or-none order that the optimum would fill in part is taken out, the least valuable
    first, and the round is solved again, so none is ever filled in part or at a loss. Those taken
    out although their limit lies above the final price are listed as passed over.
    """
    rows = {order.id: _row(order, snapshot) for order in snapshot.orders}
    dropped: dict[bytes, BookOrder] = {}
    while True:
        solved = _solve(snapshot, rows, dropped)
        partial = [
            order
            for order in snapshot.orders
            if order.terms.all_or_none and 0 < solved.filled.get(order.id, 0) < order.lots
        ]
        if not partial:
            break
        worst = min(partial, key=lambda order: (order.limit_price, -order.lots, order.id))
        dropped[worst.id] = worst
    return Outcome(
        fills=tuple(sorted(_fills(solved, snapshot), key=lambda fill: (fill.order, fill.offer))),
        node_prices={
            entry.id: price
            for entry, price in zip(snapshot.offers, solved.prices, strict=True)
            if price is not None
        },
        unmet={
            order.id: _unmet(order, rows[order.id], solved, snapshot)
            for order in snapshot.orders
            if solved.filled.get(order.id, 0) < order.lots
        },
        passed_over=tuple(
            order
            for order in sorted(dropped)
            if (price := _segment_price(rows[order], solved.prices)) is not None
            and price <= dropped[order].limit_price
        ),
        welfare=solved.flow.welfare(),
    )


def _row(order: BookOrder, snapshot: Snapshot) -> Row:
    """Return the arcs of an order.

    An order that pays less for one model than for another is worth less served by the one: the
    difference is a cost of the arc, though no money, so that one demand price serves all models.
    """
    arcs = []
    for number, entry in enumerate(snapshot.offers):
        model = snapshot.models[entry.offer.model]
        if not failed_limits(order, entry, model, snapshot.network_map):
            path = snapshot.network_map.path(order.terms.limits.origin, entry.offer.zone)
            handicap = order.limit_price - price_limit(order.terms, entry.offer.model)
            arcs.append((number, path.charge + handicap, path.charge))
    return tuple(arcs)


def _solve(snapshot: Snapshot, rows: dict[bytes, Row], dropped: dict[bytes, BookOrder]) -> _Solved:
    segments: dict[Row, _Segment] = {}
    for order in snapshot.orders:
        row = rows[order.id]
        if row and order.id not in dropped:
            segment = segments.setdefault(row, _Segment(row))
            segment.levels.setdefault(order.limit_price, []).append(order)
    ordered = [segments[row] for row in sorted(segments)]
    flow = Flow(
        demand=[
            Curve(
                [
                    (price, sum(order.lots for order in orders))
                    for price, orders in sorted(segment.levels.items(), reverse=True)
                ]
            )
            for segment in ordered
        ],
        supply=[Curve(entry.steps_left()) for entry in snapshot.offers],
        cost=[{number: cost for number, cost, _ in segment.row} for segment in ordered],
    )
    flow.solve()
    filled: dict[bytes, int] = {}
    for segment, curve in zip(ordered, flow.demand, strict=True):
        for (price, _), used in zip(curve.steps, curve.used, strict=True):
            filled |= share(segment.levels[price], used, snapshot.salt)
    ranges = price_ranges(flow)
    prices = [None if each is None else div_floor(sum(each), 2) for each in ranges]
    prices_up = [None if each is None else div_ceil(sum(each), 2) for each in ranges]
    return _Solved(ordered, flow, prices, prices_up, filled)


def _fills(solved: _Solved, snapshot: Snapshot) -> Iterator[Fill]:
    """Hand the lots on each segment's arcs to its orders, in an order that nobody can aim at."""
    for number, segment in enumerate(solved.segments):
        charges = {offer: charge for offer, _, charge in segment.row}
        arcs = sorted(solved.flow.lots[number].items())
        orders = [order for level in segment.levels.values() for order in level]
        for order in sorted(orders, key=lambda each: lot_hash(each.id, snapshot.salt)):
            wanted = solved.filled[order.id]
            while wanted:
                offer, available = arcs.pop()
                lots = min(wanted, available)
                wanted -= lots
                if available > lots:
                    arcs.append((offer, available - lots))
                node_price = solved.prices[offer]
                assert node_price is not None, "a node that sells has a price"
                yield Fill(
                    order=order.id,
                    offer=snapshot.offers[offer].id,
                    lots=lots,
                    price=node_price + charges[offer],
                    node_price=node_price,
                    path_charge=charges[offer],
                )
        assert not arcs, "every lot on an arc belongs to an order"


def _segment_price(row: Row, prices: list[int | None]) -> int | None:
    """Return the cheapest eligible delivered price, in terms of the best-paid model."""
    delivered = [price + cost for number, cost, _ in row if (price := prices[number]) is not None]
    return min(delivered, default=None)


def _unmet(
    order: BookOrder, row: Row, solved: _Solved, snapshot: Snapshot
) -> tuple[LimitName, ...]:
    """Tell why the open part of an order was not filled."""
    if row:
        price = _segment_price(row, solved.prices_up)
        above = price is not None and price > order.limit_price
        return (LimitName.PRICE if above else LimitName.CAPACITY,)
    failures = [
        failed_limits(order, entry, snapshot.models[entry.offer.model], snapshot.network_map)
        for entry in snapshot.offers
    ]
    if not failures:
        return (LimitName.MODEL,)
    # Offers of a model that was asked for say most, and of those the ones that came nearest.
    failures = [failed for failed in failures if failed != [LimitName.MODEL]] or failures
    fewest = min(len(failed) for failed in failures)
    nearest = {name for failed in failures if len(failed) == fewest for name in failed}
    return tuple(name for name in LimitName if name in nearest)
