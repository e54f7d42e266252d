"""A process that clears one book and prints the hashes of its records and outcomes.

    python -m tests.support.clear_alone THREADS SHUFFLE

The book is the same in every process; SHUFFLE, a seed, says in which order its parts come in. The
last line tells whether the book has what it is meant to have.
"""

import random
import sys
from dataclasses import replace
from hashlib import blake2b

import msgspec

from swatow_market.exchange.book import Snapshot
from swatow_market.exchange.certificate.publish import publish_round
from swatow_market.exchange.certificate.record import encode
from swatow_market.exchange.choice import decide
from swatow_market.exchange.clearing import clear
from swatow_market.exchange.network_map import Path
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_protocol.messages import Limits
from tests.support.market_books import MODEL, OTHER, ZONES, curved, demand, snapshot
from tests.support.market_periods import PERIODS, node, patient
from tests.support.market_records import ROUND

ORDERS = 240
NODES = 9
AWARDS_MAX = 40
CHARGES = {(origin, zone): 3 * at + len(zone) for at, origin in enumerate(ZONES) for zone in ZONES}


def book(seed: int) -> Snapshot:
    """Return a book with pools, curves, several models, ties and all-or-none orders."""
    of_book, order = random.Random(1), random.Random(seed)
    offers = [_offer(of_book, number) for number in range(NODES)]
    orders = [_order(of_book, number) for number in range(ORDERS)]
    paths = [(ends, Path(round_trip_ms=9, charge=charge)) for ends, charge in CHARGES.items()]
    for parts in (offers, orders, paths):
        order.shuffle(parts)
    return snapshot(offers, orders, paths=dict(paths), periods=PERIODS)


def _offer(draw: random.Random, number: int) -> BookOffer:
    steps = [
        sorted((draw.randrange(20, 80), draw.randrange(5, 30)) for _ in range(draw.randrange(3)))
        for _ in range(4)
    ]
    entry = node(f"node {number}", *steps)
    model, zone = (MODEL, MODEL, OTHER)[number % 3], draw.choice(ZONES)
    return replace(entry, offer=msgspec.structs.replace(entry.offer, model=model, zone=zone))


def _order(draw: random.Random, number: int) -> BookOrder:
    lots, price, carried = draw.randrange(1, 12), draw.randrange(4, 22) * 5, draw.random() < 0.3
    limits = Limits(origin=draw.choice(ZONES))
    kind = draw.randrange(5)
    if kind == 0:
        return patient(f"{number}", lots, price, draw.randrange(4), all_or_none=number % 2 == 0)
    if kind == 1:
        rows = [(draw.randrange(1, 6), draw.randrange(4, 22) * 5) for _ in range(3)]
        return curved(f"{number}", *rows, carried=carried, limits=limits)
    models = {MODEL: price, OTHER: max(0, price - 10)} if kind == 2 else {MODEL: price}
    whole = kind == 3
    return demand(
        f"{number}", lots, models=models, carried=carried, limits=limits, all_or_none=whole
    )


def main() -> None:
    """Clear the book, whole and with few awards, and print what it comes to."""
    threads, seed = (int(each) for each in sys.argv[1:])
    frozen = book(seed)
    whole = clear(frozen, threads)
    few = decide(frozen, AWARDS_MAX, threads, whole.kept if seed % 2 else None).outcome
    for outcome in (whole, few):
        record = encode(publish_round(ROUND, outcome).record)
        said = repr((outcome.fills, outcome.passed_over, sorted(outcome.node_prices.items())))
        arrays = outcome.filled.tobytes() + outcome.unmet.tobytes()
        print(*(blake2b(each).hexdigest() for each in (record, said.encode(), arrays)))
    has = [whole.cleared.problem.hubs, len(whole.passed_over), whole.cleared.solves > 1]
    print(all(has) and 0 < len(few.fills) < len(whole.fills))


if __name__ == "__main__":
    main()
