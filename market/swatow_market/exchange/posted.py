"""The posted price: at which a buyer that cannot wait takes what rounds have left unsold. Pure.

Each live offer has one. It starts from what the offer's lots cost in the last round in which they
sold; before there is one, from what the node asks. After each interval between two rounds it moves
toward a target: up when more than that share of the unsold lots was taken in the interval, down
when less was. A step is an eighth of the price at most, as in EIP-1559. It halves with each change
of direction and grows back slowly: at a constant rate, buyers that all give up at about the same
price would be let in and shut out in turn, for ever.

What is charged is never below what the node asks: of several price steps of an offer, the dearest
that an order touches, as in a round, where a node has one price.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import numpy as np

from swatow_market.exchange.clearing import Fill, Outcome, Unmet
from swatow_market.exchange.network_map import NetworkMap
from swatow_market.exchange.offer_table import OfferTable, Row
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder, Ints
from swatow_protocol.limits import PRICE_MAX
from swatow_protocol.messages import Model, OrderTerms
from swatow_protocol.units import PARTS_PER_MILLION

TARGET_PPM = 500_000
"""The part of what was unsold whose sale in an interval leaves the price where it is."""
STEP_MAX_PPM = 125_000
"""The most that a price moves after an interval, as a part of it."""
STEP_MIN_PPM = 1_000
"""The step shrinks no further, so that the price can follow what comes."""
GROWTH_PART = 8
"""A step grows by this part of itself when the direction stays."""
AWARDS_NOW_MAX = 256
"""Offers that one order takes lots of; more would keep the next round waiting."""
_NO_ASK = 4 * PRICE_MAX
"""Of an offer that has lots only later: it is looked at last."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A price, and how it moves."""

    price: int
    """Nanos a lot, without what paths charge."""
    step_ppm: int = STEP_MAX_PPM
    """How far it moves where all of what was unsold is taken, or nothing is."""
    direction: int = 0
    """The last move: 1 up, -1 down; 0 before there was one."""


def moved(posted: Posted, sold: int, left: int) -> Posted:
    """Return where a price stands after an interval in which `sold` lots went and `left` stayed."""
    lots = sold + left
    excess = sold * PARTS_PER_MILLION - TARGET_PPM * lots
    if not excess:
        return posted
    direction = 1 if excess > 0 else -1
    step_ppm = posted.step_ppm
    if direction == -posted.direction:
        step_ppm = max(STEP_MIN_PPM, step_ppm // 2)
    elif posted.direction:
        step_ppm = min(STEP_MAX_PPM, step_ppm + step_ppm // GROWTH_PART)
    widest = lots * (PARTS_PER_MILLION - TARGET_PPM if direction > 0 else TARGET_PPM)
    change = posted.price * step_ppm * abs(excess) // (widest * PARTS_PER_MILLION)
    price = min(PRICE_MAX, posted.price + direction * change)
    return Posted(price, step_ppm, direction)


@dataclass(slots=True)
class _Known:
    """What is known of the offer of a node for a model."""

    asks: tuple[int, ...]
    """The price of each of its steps. Other prices make another offer of it, which starts anew; a
    renewal, or more or fewer lots at the same prices, does not."""
    posted: Posted | None = None
    """None is what the node asks."""
    cleared: int | None = None
    """What its lots cost in the last round in which they sold."""
    sold: int = 0
    """Lots that went at the posted price in this interval."""
    left: int = 0
    """Lots that were left after the last of them."""
    sold_out: bool = False
    """In this interval somebody asked when nothing was left."""


class PostedPrices:
    """The posted prices of the live offers. Like offers, they are soft: after a restart they start
    from what nodes ask."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], _Known] = {}

    def price(self, entry: BookOffer) -> int | None:
        """Return the price of the next lot of an offer; None where it has none left."""
        steps = entry.steps_left()
        if not steps:
            return None
        posted = self._of(entry).posted
        return steps[0][0] if posted is None else max(steps[0][0], posted.price)

    def cleared(self, entry: BookOffer) -> int | None:
        """Return what an offer's lots cost in the last round in which they sold."""
        return self._of(entry).cleared

    def note(self, purchase: "Purchase") -> None:
        """Note what was taken, and where nothing was left to take."""
        for entry, lots in purchase.sold:
            known, price = self._of(entry), self.price(entry)
            assert price is not None, "what has no lots left sells none"
            known.posted = replace(known.posted or Posted(price), price=price)
            known.sold += lots
            known.left = sum(free for _, free in entry.steps_left()) - lots
        for entry in purchase.sold_out:
            self._of(entry).sold_out = True

    def move(self, offers: Iterable[BookOffer]) -> None:
        """Move the prices of the live offers after an interval, and forget those of others.

        A price stays where nothing was left, as long as somebody asks; if nobody asks, it falls
        in any case, so that none is ever stuck above what anybody pays.
        """
        known = {}
        for entry in offers:
            each = known[entry.offer.sender, entry.offer.model] = self._of(entry)
            if each.posted is not None and (each.sold or not each.sold_out):
                after = moved(each.posted, each.sold, each.left if each.sold else 1)
                least = each.asks[0] if each.asks else 0  # no lower: it would only have to come up
                each.posted = replace(after, price=max(after.price, least))
            each.sold, each.left, each.sold_out = 0, 0, False
        self._known = known

    def settle(self, outcome: Outcome) -> None:
        """After a round: what an offer's lots sold at is what they are posted at."""
        sold = {fill.offer for fill in outcome.fills if not fill.from_us}
        for entry in outcome.snapshot.offers:
            if entry.id in sold:
                known, price = self._of(entry), outcome.node_prices[entry.id, 0]
                known.cleared = price
                known.posted = replace(known.posted or Posted(price), price=price)

    def _of(self, entry: BookOffer) -> _Known:
        key, asks = (entry.offer.sender, entry.offer.model), _asks(entry)
        known = self._known.get(key)
        if known is None or known.asks != asks:
            known = self._known[key] = _Known(asks)
        return known


@dataclass(frozen=True, slots=True)
class Purchase:
    """What an order takes at the posted prices."""

    fills: tuple[Fill, ...] = ()
    """One for each offer, cheapest first."""
    sold: tuple[tuple[BookOffer, int], ...] = ()
    """The offers, as they were before, and how many lots each sells; in the same order."""
    sold_out: tuple[BookOffer, ...] = ()
    """Offers that had no lots left when the order came to them."""
    unmet: Unmet = Unmet.NOTHING
    """What kept it from taking all that it asks for."""
    cheapest: int | None = None
    """The lowest delivered price of a lot that is left, in nanos; None where none is."""


@dataclass(frozen=True, slots=True, order=True)
class _Part:
    """Lots of one price step of an offer."""

    cost: int
    """Nanos a lot: the price, the path charge, and what the order pays less for the model."""
    offer: bytes
    step: int
    price: int = field(compare=False)
    """Nanos a lot for the node."""
    lots: int = field(compare=False)
    charge: int = field(compare=False)
    entry: BookOffer = field(compare=False)


class Shelf:
    """The live offers as immediate orders look at them; made once for as long as they stay."""

    def __init__(
        self, offers: tuple[BookOffer, ...], models: Mapping[bytes, Model], network_map: NetworkMap
    ) -> None:
        self.offers = offers
        self._table = OfferTable(offers, models, network_map)
        asks = [each.offer.steps[0].price if each.offer.steps else _NO_ASK for each in offers]
        self._asks = np.array(asks, np.int64)

    def row(self, terms: OrderTerms) -> tuple[Row, Ints]:
        """Return the R offers that may serve an order, and (R,) what each of them, at the price
        that its node asks for its first lot, costs at least: nobody sells cheaper."""
        row = self._table.row(terms)
        return row, self._asks[row.numbers] + row.costs


def buy(
    order: BookOrder,
    shelf: Shelf,
    lots_out: Mapping[tuple[bytes, bytes], int],
    prices: PostedPrices,
) -> Purchase:
    """Return what an order takes at once: the cheapest lots that it may have, within its limit.

    Of an order that accepts several models, cheapest is where it gains most. Equals go by offer
    id. All lots of one offer cost what the dearest of them costs; an order that must be filled
    whole takes all or nothing.

    Args:
        order: what is asked for.
        shelf: the live offers.
        lots_out: (node, model) -> lots that awards of now hold.
        prices: at which they are posted.
    """
    sold_out: list[BookOffer] = []
    taken, wanted = dict[bytes, tuple[_Part, int]](), order.lots
    cheapest, unmet = None, Unmet.ELIGIBILITY
    for part in _parts(order, shelf, lots_out, prices, sold_out):
        if cheapest is None:
            cheapest = part.price + part.charge
        if part.cost > order.limit_price:
            unmet = Unmet.PRICE
            break
        _, lots = taken.get(part.offer, (part, 0))
        if lots or len(taken) < AWARDS_NOW_MAX:
            take = min(wanted, part.lots)
            taken[part.offer] = part, lots + take
            wanted -= take
        if not wanted:
            unmet = Unmet.NOTHING
            break
    else:
        if cheapest is not None or sold_out:
            unmet = Unmet.CAPACITY
    if wanted and order.terms.all_or_none:
        taken = {}
    return Purchase(
        fills=tuple(_fill(order, part, lots) for part, lots in taken.values()),
        sold=tuple((part.entry, lots) for part, lots in taken.values()),
        sold_out=tuple(sold_out),
        unmet=unmet,
        cheapest=cheapest,
    )


def _parts(
    order: BookOrder,
    shelf: Shelf,
    lots_out: Mapping[tuple[bytes, bytes], int],
    prices: PostedPrices,
    sold_out: list[BookOffer],
) -> Iterator[_Part]:
    """Yield what is left of the eligible offers, cheapest first; list the offers without.

    An offer is looked at once what it costs at least is as low as anything else, so an order that
    is soon filled costs no look at all of them.
    """
    row, least = shelf.row(order.terms)
    waiting: list[_Part] = []
    for place in np.argsort(least, kind="stable").tolist():
        while waiting and waiting[0].cost < least[place]:
            yield heappop(waiting)
        entry, charge = shelf.offers[row.numbers[place]], int(row.charges[place])
        if out := lots_out.get((entry.offer.sender, entry.offer.model), 0):
            entry = replace(entry, lots_out=out)
        posted = prices.price(entry)
        if posted is None:
            sold_out.append(entry)
            continue
        for step, (ask, lots) in enumerate(entry.steps_left()):
            price = max(ask, posted)
            cost = price + int(row.costs[place])
            heappush(waiting, _Part(cost, entry.id, step, price, lots, charge, entry))
    while waiting:
        yield heappop(waiting)


def _fill(order: BookOrder, dearest: _Part, lots: int) -> Fill:
    return Fill(
        order=order.id,
        offer=dearest.offer,
        from_us=0,
        lots=lots,
        price=dearest.price + dearest.charge,
        node_price=dearest.price,
        path_charge=dearest.charge,
        worth=lots * order.limit_price,
    )


def _asks(entry: BookOffer) -> tuple[int, ...]:
    return tuple(step.price for step in entry.offer.steps)
