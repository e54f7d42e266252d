"""Kept machine code goes when a source is younger, and stays otherwise."""

import os
from pathlib import Path

import pytest

from swatow_market.exchange.clearing.machine_code import drop_stale


@pytest.mark.parametrize(("source_ns", "stays"), [(50, True), (100, True), (101, False)])
def test_code_older_than_a_source_is_forgotten(tmp_path: Path, source_ns: int, stays: bool) -> None:
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    ages = {"simplex.f-1.py311.nbi": 100, "simplex.f-1.py311.1.nbc": 200, "simplex.pyc": 1}
    for name, at_ns in ages.items():
        (cache / name).touch()
        os.utime(cache / name, ns=(at_ns, at_ns))
    for name, at_ns in (("simplex.py", 10), ("pivots.py", source_ns)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(at_ns, at_ns))
    drop_stale(str(tmp_path / "__init__.py"))
    left = {each.name for each in cache.iterdir()}
    assert left == (set(ages) if stays else {"simplex.pyc"})


def test_a_package_without_kept_code_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "simplex.py").touch()
    drop_stale(str(tmp_path / "__init__.py"))
    assert [each.name for each in tmp_path.iterdir()] == ["simplex.py"]
