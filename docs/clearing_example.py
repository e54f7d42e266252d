"""The worked example of docs/clearing.md: solved by the solver itself, told and drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swatow_market.exchange.clearing.optimum import solve
from swatow_market.exchange.clearing.price_ranges import middle, row_prices
from swatow_market.exchange.clearing.problem import Problem

WIDTH, HEIGHT, ROW = 860, 400, 100


@dataclass(frozen=True, slots=True)
class Place:
    """A node with what it asks, or an order with what it pays: (price, lots) in that order."""

    name: str
    steps: tuple[tuple[int, int], ...]


NODES = (
    Place("Guian", ((40, 30), (80, 30))),
    Place("Shantou", ((60, 40), (90, 40))),
)
ORDERS = (
    Place("A: Singapore, served anywhere", ((120, 50),)),
    Place("B: Shantou, served in Guangdong alone", ((100, 40),)),
    Place("C: Shantou, served anywhere", ((76, 30),)),
)
CHARGES = (((0, 20), (1, 5)), ((1, 0),), ((0, 8), (1, 0)))
"""Of each order: (node, charge of the path) for the nodes that its limits allow."""


@dataclass(frozen=True, slots=True)
class Example:
    """What clearing makes of it."""

    flows: tuple[tuple[int, int, int, int], ...]
    """(order, node, charge, lots) of every path, used or not."""
    least: tuple[int, ...]
    greatest: tuple[int, ...]
    node_prices: tuple[int, ...]
    order_prices: tuple[int, ...]
    welfare: int


def solve_example() -> Example:
    """Clear the example."""
    starts = [0, *np.cumsum([len(each) for each in CHARGES]).tolist()]
    problem = Problem(
        arc_start=np.array(starts),
        arc_node=np.array([node for each in CHARGES for node, _ in each]),
        arc_cost=np.array([charge for each in CHARGES for _, charge in each]),
        demand_start=_starts(ORDERS),
        demand_price=_column(ORDERS, 0),
        demand_lots=_column(ORDERS, 1),
        supply_start=_starts(NODES),
        supply_price=_column(NODES, 0),
        supply_lots=_column(NODES, 1),
    )
    solution = solve(problem)
    prices = middle(solution.price_least, solution.price_greatest)
    arcs = (problem.arc_start, problem.arc_node, problem.arc_cost)
    _, paid = row_prices(*arcs, prices, problem.segments)
    pairs = [(order, *pair) for order, each in enumerate(CHARGES) for pair in each]
    flows = tuple(
        (order, node, charge, lots)
        for (order, node, charge), lots in zip(pairs, solution.arc_lots.tolist(), strict=True)
    )
    return Example(
        flows=flows,
        least=tuple(solution.price_least.tolist()),
        greatest=tuple(solution.price_greatest.tolist()),
        node_prices=tuple(prices.tolist()),
        order_prices=tuple(paid.tolist()),
        welfare=solution.welfare,
    )


def tables() -> str:
    """Return what nodes and orders get, as Markdown."""
    found = solve_example()
    lines = [
        "| node | asks | sells | its price supports the round from .. to | price |",
        "|---|---|---|---|---|",
    ]
    for number, node in enumerate(NODES):
        sold = sum(lots for _, at, _, lots in found.flows if at == number)
        asks = ", then ".join(f"{lots} lots at {price}" for price, lots in node.steps)
        span = f"{found.least[number]} .. {found.greatest[number]}"
        lines.append(
            f"| {node.name} | {asks} | {sold} | {span} | **{found.node_prices[number]}** |"
        )
    lines += ["", "| order | pays at most | gets | from | price |", "|---|---|---|---|---|"]
    for number, order in enumerate(ORDERS):
        ((limit, wanted),) = order.steps
        served = [
            (NODES[at].name, charge, lots)
            for o, at, charge, lots in found.flows
            if o == number and lots
        ]
        got = sum(lots for _, _, lots in served)
        where = ", ".join(f"{lots} from {name} (path {charge})" for name, charge, lots in served)
        price = found.order_prices[number]
        cells = (order.name, f"{wanted} lots at {limit}", got, where or "nobody", f"**{price}**")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", f"Welfare: {found.welfare:,}."])


def drawing() -> str:
    """Return the example as SVG: nodes left, orders right, paths between them."""
    found = solve_example()
    return "\n".join([*_head(), *_paths(found), *_boxes(found), "</svg>", ""])


def _head() -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="title">'
    )
    yield '  <title id="title">One round: nodes, orders, and the paths between them</title>'
    yield f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'


def _paths(found: Example) -> Iterator[str]:
    for order, node, charge, lots in found.flows:
        x1, y1, x2, y2 = 270, _y(node, len(NODES)), 560, _y(order, len(ORDERS))
        style = (
            f'stroke="#1668b3" stroke-width="{2 + lots / 6:.1f}"'
            if lots
            else 'stroke="#999" stroke-dasharray="5 5"'
        )
        yield f'  <line x1="{x1}" y1="{y1:.0f}" x2="{x2}" y2="{y2:.0f}" {style}/>'
        told = f"{lots} lots, path {charge}" if lots else f"path {charge}"
        along = (0.45, 0.72)[node]  # so that no two words meet
        x, y = x1 + (x2 - x1) * along, y1 + (y2 - y1) * along
        yield f'  <text x="{x:.0f}" y="{y - 8:.0f}" text-anchor="middle" fill="#333">{told}</text>'


def _boxes(found: Example) -> Iterator[str]:
    for number, node in enumerate(NODES):
        asks = [f"asks {price} for {lots} lots" for price, lots in node.steps]
        yield from _box(
            20,
            _y(number, len(NODES)),
            250,
            [node.name, *asks, f"price {found.node_prices[number]}"],
        )
    for number, order in enumerate(ORDERS):
        ((limit, wanted),) = order.steps
        name, _, where = order.name.partition(", ")
        pays, price = f"{wanted} lots at {limit} at most", found.order_prices[number]
        ends = f"pays {price}" if price <= limit else f"waits: the price is {price}"
        yield from _box(
            560,
            _y(number, len(ORDERS)),
            280,
            [name, where, pays, ends],
        )


def _box(x: int, y: float, width: int, lines: Sequence[str]) -> Iterator[str]:
    height = 20 * len(lines) + 12
    top = y - height / 2
    frame = f'x="{x}" y="{top:.0f}" width="{width}" height="{height}" rx="6"'
    yield f'  <rect {frame} fill="#f4f7fa" stroke="#444"/>'
    for number, line in enumerate(lines):
        weight = ' font-weight="bold"' if number in (0, len(lines) - 1) else ""
        yield f'  <text x="{x + 12}" y="{top + 22 + 20 * number:.0f}"{weight}>{line}</text>'


def _y(number: int, count: int) -> float:
    return HEIGHT * (number + 0.5) / count


def _starts(places: Sequence[Place]) -> NDArray[np.int64]:
    return np.array([0, *np.cumsum([len(each.steps) for each in places]).tolist()])


def _column(places: Sequence[Place], column: int) -> NDArray[np.int64]:
    return np.array([step[column] for each in places for step in each.steps])
