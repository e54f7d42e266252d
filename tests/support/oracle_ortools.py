"""An oracle: the min-cost flow of OR-tools (cost-scaling push-relabel), exact in integers.

A segment must receive all lots of its demand curve, either through its arcs or, at the price of the
step that goes unserved, straight from the source; so every problem is feasible and every cost zero
or more. Costs are doubled and a demand step is worth 1 more than that: an optimum is still one of
the problem, as a cycle of the residual graph passes the source at most once and so gains or loses
at most 1 by it, and of all optima it is one that trades most.
"""

import time

import numpy as np
from ortools.graph.python.min_cost_flow import (
    SimpleMinCostFlow,
)

from swatow_market.exchange.clearing.problem import Ints, Problem
from tests.support.oracles import Found, owners, places_of_rows, serve


def solve(problem: Problem) -> Found:
    """Return an optimal flow; RuntimeError if OR-tools finds none."""
    begun = time.perf_counter()
    segments = problem.segments
    vertices = segments + problem.nodes + problem.hubs
    place_of_arc = places_of_rows(problem)
    segment_of_step = owners(problem.demand_start)
    node_of_step = owners(problem.supply_start)
    wanted = _sums(problem.demand_lots, problem.demand_start)
    offered = _sums(problem.supply_lots, problem.supply_start)
    most = np.full(vertices, min(int(wanted.sum()), int(offered.sum())))  # that a hub may pass on
    most[:segments], most[segments : segments + problem.nodes] = wanted, offered
    source = vertices
    flow = SimpleMinCostFlow()
    arcs = flow.add_arcs_with_capacity_and_unit_cost(
        np.concatenate([segments + problem.arc_node, np.full(len(segment_of_step), source)]),
        np.concatenate([place_of_arc, segment_of_step]),
        np.concatenate(
            [
                np.minimum(most[place_of_arc], most[segments + problem.arc_node]),
                problem.demand_lots,
            ]
        ),
        np.concatenate([2 * problem.arc_cost, 2 * problem.demand_price + 1]),
    )
    steps = flow.add_arcs_with_capacity_and_unit_cost(
        np.full(len(node_of_step), source),
        segments + node_of_step,
        problem.supply_lots,
        2 * problem.supply_price,
    )
    flow.set_nodes_supplies(np.arange(segments), -wanted)
    flow.set_node_supply(source, int(wanted.sum()))
    status = flow.solve()
    if status != flow.OPTIMAL:
        raise RuntimeError(f"OR-tools: {status}")
    lots = np.asarray(flow.flows(arcs), dtype=np.int64)
    return Found(
        arc_lots=lots[: len(place_of_arc)],
        demand_used=problem.demand_lots - lots[len(place_of_arc) :],
        supply_used=np.asarray(flow.flows(steps), dtype=np.int64),
        seconds=time.perf_counter() - begun,
    )


def _sums(values: Ints, start: Ints) -> Ints:
    return np.diff(np.concatenate([[0], values.cumsum()])[start])


if __name__ == "__main__":
    serve(solve)
