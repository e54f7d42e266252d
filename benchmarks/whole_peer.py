"""HiGHS on a round with all-or-none orders, as a mixed-integer program, in a process of its own.

    python -m benchmarks.whole_peer FILE SECONDS

The file (NumPy's npz) has the arrays of a Problem without the all-or-none orders, and of these
`segment`, `price` and `lots`. It may take any of them, at whatever price, and owes no prices that
support its choice: what it reaches is a bound that a market with prices need not reach. Prints
what it found, the bound that it proved and its seconds as JSON.
"""

import json
import sys
import time
from dataclasses import fields

import highspy
import numpy as np
from tests.support.oracle_highs import linear_program

from swatow_market.exchange.clearing.problem import Ints, Problem


def solve(
    problem: Problem, segment: Ints, price: Ints, lots: Ints, seconds: float
) -> dict[str, float]:
    """Return welfare, bound and seconds of the best choice found in this time, in nanos."""
    begun = time.perf_counter()
    program = linear_program(problem)
    columns, count = program.num_col_, len(segment)
    matrix = program.a_matrix_
    ends = np.asarray(matrix.start_)
    matrix.start_ = np.concatenate([ends, ends[-1] + np.arange(1, count + 1)])
    matrix.index_ = np.concatenate([np.asarray(matrix.index_), segment])
    matrix.value_ = np.concatenate([np.asarray(matrix.value_), -1.0 * lots])
    cost = np.asarray(program.col_cost_)
    # The costs of an oracle are doubled, and one is added for each lot that is traded.
    cost = np.ceil(cost / 2)
    program.col_cost_ = np.concatenate([cost, -1.0 * price * lots])
    program.col_lower_ = np.zeros(columns + count)
    program.col_upper_ = np.concatenate([np.asarray(program.col_upper_), np.ones(count)])
    program.num_col_ = columns + count
    kinds = [highspy.HighsVarType.kContinuous] * columns + [highspy.HighsVarType.kInteger] * count
    program.integrality_ = kinds
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)  # noqa: FBT003  # it knows no names
    highs.setOptionValue("time_limit", seconds)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.passModel(program)
    highs.run()
    info = highs.getInfo()
    return {
        "welfare": -info.objective_function_value,
        "bound": -info.mip_dual_bound,
        "seconds": time.perf_counter() - begun,
    }


if __name__ == "__main__":
    with np.load(sys.argv[1]) as arrays:
        of_problem = Problem(**{each.name: arrays[each.name] for each in fields(Problem)})
        whole_segment, whole_price, whole_lots = (
            arrays[name] for name in ("segment", "price", "lots")
        )
    answer = solve(of_problem, whole_segment, whole_price, whole_lots, float(sys.argv[2]))
    print(json.dumps(answer))
