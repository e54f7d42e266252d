"""An oracle: HiGHS (dual simplex), on the problem as a linear program in doubles.

The program's matrix is that of a network, so with whole lots every vertex is whole, and simplex
ends at a vertex. As for the other oracle, costs are doubled and a demand step is worth 1 more, so
that the optimum is one that trades most. `oracles.exact_in_doubles` tells what doubles can hold.
"""

import time

import highspy
import numpy as np

from swatow_market.exchange.clearing.problem import Problem
from tests.support.oracles import Found, dot, owners, places_of_rows, serve, welfare_of


def solve(problem: Problem) -> Found:
    """Return an optimal flow; RuntimeError if HiGHS finds none or contradicts itself."""
    begun = time.perf_counter()
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.passModel(linear_program(problem))
    highs.run()
    status = highs.getModelStatus()
    # A program without columns has the empty optimum.
    if status not in {highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kModelEmpty}:
        raise RuntimeError(f"HiGHS: {highs.modelStatusToString(status)}")
    lots = np.rint(np.asarray(highs.getSolution().col_value, dtype=np.float64)).astype(np.int64)
    arcs, steps = len(problem.arc_node), len(problem.demand_lots)
    found = Found(
        arc_lots=lots[:arcs],
        demand_used=lots[arcs : arcs + steps],
        supply_used=lots[arcs + steps :],
        seconds=time.perf_counter() - begun,
    )
    _check(problem, found, round(-highs.getInfo().objective_function_value))
    return found


def linear_program(problem: Problem) -> highspy.HighsLp:
    """Columns are arcs, demand steps, supply steps; rows the balances of all vertices."""
    segments = problem.segments
    arcs, wanted, offered = map(len, (problem.arc_node, problem.demand_lots, problem.supply_lots))
    program = highspy.HighsLp()
    program.num_col_ = arcs + wanted + offered
    program.num_row_ = segments + problem.nodes + problem.hubs
    program.col_cost_ = np.concatenate(
        [2.0 * problem.arc_cost, -2.0 * problem.demand_price - 1, 2.0 * problem.supply_price]
    )
    program.col_lower_ = np.zeros(program.num_col_)
    program.col_upper_ = np.concatenate(
        [np.full(arcs, highspy.kHighsInf), problem.demand_lots, problem.supply_lots]
    )
    program.row_lower_ = program.row_upper_ = np.zeros(program.num_row_)
    matrix = program.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kColwise
    matrix.start_ = np.concatenate(
        [np.arange(0, 2 * arcs, 2), 2 * arcs + np.arange(wanted + offered + 1)]
    )
    arc_rows = np.stack([places_of_rows(problem), segments + problem.arc_node], axis=1)
    matrix.index_ = np.concatenate(
        [
            arc_rows.ravel(),
            owners(problem.demand_start),
            segments + owners(problem.supply_start),
        ]
    )
    matrix.value_ = np.concatenate(
        [np.tile([1.0, -1.0], arcs), np.full(wanted, -1.0), np.full(offered, 1.0)]
    )
    return program


def _check(problem: Problem, found: Found, objective: int) -> None:
    """The rounded flow must be a flow, and worth what HiGHS says."""
    segments = problem.segments
    gained = np.zeros(segments + problem.nodes + problem.hubs, dtype=np.int64)
    np.add.at(gained, places_of_rows(problem), found.arc_lots)
    np.add.at(gained, segments + problem.arc_node, -found.arc_lots)
    np.add.at(gained, owners(problem.demand_start), -found.demand_used)
    np.add.at(gained, segments + owners(problem.supply_start), found.supply_used)
    if gained.any():
        raise RuntimeError("HiGHS: the flow is not whole")
    welfare = welfare_of(
        problem,
        arc_lots=found.arc_lots,
        demand_used=found.demand_used,
        supply_used=found.supply_used,
    )
    if objective != 2 * welfare + dot(found.demand_used, np.ones_like(found.demand_used)):
        raise RuntimeError(f"HiGHS: objective {objective}, flow worth {welfare}")


if __name__ == "__main__":
    serve(solve)
