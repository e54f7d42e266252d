"""A program that solves the problems of benchmarks/clearing.py by scipy, in a process of its own.

It speaks as the oracles of the tests do (tests/support/oracles.py), which are the other peers.
"""

import time

import numpy as np
from tests.support.oracles import Found, owners, serve

from swatow_market.exchange.clearing.problem import Problem


def solve_scipy(problem: Problem) -> Found:
    """Return the flow of scipy's linear program (its own HiGHS); RuntimeError if there is none.

    A demand step is worth 1 more than its double, as for the other peers: most lots are traded.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csc_array

    begun = time.perf_counter()
    segments, nodes = problem.segments, problem.nodes
    arcs, wanted, offered = map(len, (problem.arc_node, problem.demand_lots, problem.supply_lots))
    column = np.arange(arcs + wanted + offered)
    rows = [
        *(owners(problem.arc_start), owners(problem.demand_start)),
        *(segments + owners(problem.supply_start), segments + problem.arc_node),
    ]
    values = np.repeat([1.0, -1.0, -1.0, 1.0], [arcs, wanted, offered, arcs])
    columns = np.concatenate([column, column[:arcs]])
    cost = [2.0 * problem.arc_cost, -2.0 * problem.demand_price - 1, 2.0 * problem.supply_price]
    most = [np.full(arcs, np.inf), problem.demand_lots, problem.supply_lots]
    found = linprog(
        np.concatenate(cost),
        A_eq=csc_array(
            (values, (np.concatenate(rows), columns)), shape=(segments + nodes, len(column))
        ),
        b_eq=np.zeros(segments + nodes),
        bounds=np.stack([np.zeros(len(column)), np.concatenate(most)], axis=1),
        method="highs",
    )
    if found.status:
        raise RuntimeError(f"scipy: {found.message}")
    lots = np.rint(found.x).astype(np.int64)
    arc_lots, demand_used, supply_used = np.split(lots, [arcs, arcs + wanted])
    return Found(
        arc_lots=arc_lots,
        demand_used=demand_used,
        supply_used=supply_used,
        seconds=time.perf_counter() - begun,
    )


if __name__ == "__main__":
    serve(solve_scipy)
