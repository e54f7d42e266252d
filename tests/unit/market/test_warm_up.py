"""After the market has prepared itself, no round compiles anything."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import importlib, pkgutil
from numba.core.dispatcher import Dispatcher
from swatow_market.exchange import clearing
from swatow_market.exchange.choice import decide
from tests.support.market_books import demand, snapshot, supply
from tests.unit.market.test_clearing_periods import PERIODS, node, patient

def compiled():
    modules = [importlib.import_module(f"{clearing.__name__}.{each.name}")
               for each in pkgutil.iter_modules(clearing.__path__)]
    found = {id(each): each for module in modules for each in vars(module).values()
             if isinstance(each, Dispatcher)}
    return sum(len(each.signatures) for each in found.values())

clearing.prepare()
before = compiled()
offers = [node("n", [(9, 5)], [(4, 5)], [(2, 5)]), supply("m", (3, 7), (8, 9))]
orders = [demand("a", 3, 9), demand("b", 3, 10**9), demand("c", 4, 8, all_or_none=True)]
orders += [patient(f"{n}", 1 + n % 3, 9 - n % 4, n % 3) for n in range(9)]
orders += [demand(f"crowd {n}", 1 + n, 7 + n % 2) for n in range(20)]
book = snapshot(offers, orders, periods=PERIODS)
decision = decide(book, 4_000, 2, None)
decide(book, 4_000, 1, decision.kept)
print(len(decision.outcome.fills), compiled() - before)
"""


def test_nothing_is_left_to_compile() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert run.returncode == 0, run.stderr
    fills, newly_compiled = map(int, run.stdout.split())
    assert fills > 0
    assert newly_compiled == 0
