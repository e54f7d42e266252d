"""What numba compiles is Python all the same: interpreted, it gives the same bytes."""

import importlib.util
from dataclasses import fields
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swatow_market.exchange.clearing import (
    basis,
    canonical,
    components,
    curves,
    optimum,
    pivots,
    price_ranges,
    simplex,
    tree,
    unfold,
)
from swatow_market.exchange.clearing.problem import Problem
from tests.support.problems import problems

MODULES = (
    *(components, curves, tree, pivots, basis, price_ranges, simplex, unfold),
    *(canonical, optimum),
)
"""Each after those that it imports."""


def interpreted(compiled: ModuleType) -> ModuleType:
    """Load a module once more, with its functions left as they are written."""
    assert compiled.__file__ is not None
    spec = importlib.util.spec_from_file_location(f"{compiled.__name__}_plain", compiled.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    config: Any = numba.config
    loaded: dict[str, Any] = {}
    before = config.DISABLE_JIT
    config.DISABLE_JIT = True
    try:
        for each in MODULES:
            module = interpreted(each)
            for name, value in vars(module).items():
                if getattr(value, "__module__", None) in loaded:  # not the compiled one
                    setattr(module, name, getattr(loaded[value.__module__], name))
            loaded[each.__name__] = module
    finally:
        config.DISABLE_JIT = before
    return loaded


def bytes_of(solve: Any, ways: Any, problem: Problem) -> list[bytes]:
    """Solve, solve again from there, and unfold; return every array as bytes."""
    cold = solve(problem)
    warm = solve(problem, start=cold.start)
    names = ("arc_lots", "demand_used", "supply_used", "price_least", "price_greatest")
    found = [getattr(solution, name) for solution in (cold, warm) for name in names]
    found += [getattr(cold.start, field.name) for field in fields(cold.start)]
    found += ways(problem, cold.arc_lots, problem.arc_cost)
    return [each.tobytes() for each in found]


@settings(deadline=None, max_examples=60)
@given(problem=problems())
def test_interpreted_and_compiled_give_the_same_bytes(
    plain: dict[str, Any], problem: Problem
) -> None:
    left = bytes_of(plain[optimum.__name__].solve, plain[unfold.__name__].unfold, problem)
    assert left == bytes_of(optimum.solve, unfold.unfold, problem)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 20), st.integers(1, 9))))
@pytest.mark.parametrize("bins_min", [0, 1 << 12])
def test_interpreted_and_compiled_add_up_alike(
    plain: dict[str, Any], bins_min: int, rows: list[tuple[int, int, int]]
) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T.copy()
    module = plain[curves.__name__]
    module._BINS_MIN, module._BINS_AN_ORDER = bins_min, 0
    left, right = (each.demand_curves(*columns, 3) for each in (module, curves))
    assert [each.tobytes() for each in left] == [each.tobytes() for each in right]
