"""What an optimal round is, computed in other ways than the solver's.

`dual` is the value of prices: no allocation is worth more than it, at any prices at all. So an
allocation that reaches it is optimal, and prices that reach it support every optimum (the weak and
the strong duality of linear programs; on a network with integer data whole prices are enough).
`best` tries every allocation of a small book, lot by lot. Neither knows segments, paths or flows.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder


def worth(order: BookOrder, entry: BookOffer, snapshot: Snapshot) -> int | None:
    """Return what a lot is worth to an order, less the charge of its path; None if it may not."""
    limits = order.terms.limits
    prices = {limit.model: limit.price for limit in order.terms.models}
    if entry.offer.model not in prices:
        return None
    if limits.zones is not None and entry.offer.zone not in limits.zones:
        return None
    charge = snapshot.network_map.path(limits.origin, entry.offer.zone).charge
    return prices[entry.offer.model] - charge


def asks(entry: BookOffer) -> list[int]:
    """Return what the node asks for each lot that it has left, cheapest first."""
    each = [step.price for step in entry.offer.steps for _ in range(step.lots)]
    return each[entry.lots_out :]


def dual(snapshot: Snapshot, prices: Mapping[bytes, int], orders: Sequence[BookOrder]) -> int:
    """Return what buyers and nodes gain together if each takes what suits it at these prices."""
    value = 0
    for order in orders:
        gains = [
            gain - prices[entry.id]
            for entry in snapshot.offers
            if entry.id in prices and (gain := worth(order, entry, snapshot)) is not None
        ]
        value += order.lots * max([0, *gains])
    for entry in snapshot.offers:
        if entry.id in prices:
            value += sum(max(0, prices[entry.id] - ask) for ask in asks(entry))
    return value


def supporting_prices(snapshot: Snapshot, price_max: int) -> tuple[int, list[dict[bytes, int]]]:
    """Return the least dual over all whole prices, and all prices that reach it."""
    names = [entry.id for entry in snapshot.offers if asks(entry)]
    least: int | None = None
    found: list[dict[bytes, int]] = []
    for candidate in product(range(price_max + 1), repeat=len(names)):
        prices = dict(zip(names, candidate, strict=True))
        value = dual(snapshot, prices, snapshot.orders)
        if least is None or value < least:
            least, found = value, []
        if value == least:
            found.append(prices)
    assert least is not None
    return least, found


def best(snapshot: Snapshot) -> tuple[int, int]:
    """Return (welfare, lots) of the best allocation, and of all such the most lots.

    Goes through the orders; after each it knows the best that can be reached for every number of
    lots that the nodes may have given by then.
    """
    costs = [asks(entry) for entry in snapshot.offers]
    reached = {(0,) * len(costs): (0, 0)}
    for order in snapshot.orders:
        gains = [worth(order, entry, snapshot) for entry in snapshot.offers]
        states = reached
        for _ in range(order.lots):
            grown = dict(_one_lot_more(states, gains, costs))
            states = grown if order.terms.all_or_none else _better(states, grown)
        reached = _better(reached, states)
    return max(reached.values())


States = Mapping[tuple[int, ...], tuple[int, int]]


def _one_lot_more(
    states: States, gains: Sequence[int | None], costs: Sequence[Sequence[int]]
) -> Iterator[tuple[tuple[int, ...], tuple[int, int]]]:
    found: dict[tuple[int, ...], tuple[int, int]] = {}
    for given, (welfare, lots) in states.items():
        for node, gain in enumerate(gains):
            if gain is not None and given[node] < len(costs[node]):
                after = (*given[:node], given[node] + 1, *given[node + 1 :])
                value = (welfare + gain - costs[node][given[node]], lots + 1)
                found[after] = max(value, found.get(after, value))
    yield from found.items()


def _better(left: States, right: States) -> dict[tuple[int, ...], tuple[int, int]]:
    return {
        state: max(each[state] for each in (left, right) if state in each)
        for state in {**left, **right}
    }
