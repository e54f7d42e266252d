"""The same book comes to the same bytes: in another process, on more threads, in another order."""

import os
import subprocess
import sys

import pytest

from tests.support.oracles import ROOT

ALONE = (sys.executable, "-m", "tests.support.clear_alone")
WAIT_S = 300.0


def said(hash_seed: int, threads: int, shuffle: int) -> str:
    """Return what a process says of the book that has this seed for the hashes of its strings."""
    ended = subprocess.run(
        [*ALONE, str(threads), str(shuffle)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def expected() -> str:
    return said(0, 1, 1)


def test_the_book_has_pools_curves_and_orders_passed_over(expected: str) -> None:
    *_, kinds = expected.splitlines()
    assert kinds == "True"


@pytest.mark.parametrize(("hash_seed", "threads", "shuffle"), [(0, 2, 2), (1, 1, 3), (4_711, 2, 4)])
def test_neither_hashes_nor_threads_nor_order_change_a_byte(
    expected: str, hash_seed: int, threads: int, shuffle: int
) -> None:
    """A round that begins with what another one kept, in every other process, is alike too."""
    assert said(hash_seed, threads, shuffle) == expected
