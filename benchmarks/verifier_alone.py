"""A verifier in a process that cannot import a solver: for benchmarks/verifier.py.

    python -m benchmarks.verifier_alone FILE

For each line on standard input it decodes and checks the record in FILE once more, and writes what
that took as one line of JSON. Clearing, book and numba are out of reach before anything else is
imported.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

OUT_OF_REACH = (
    *(f"swatow_market.exchange.{name}" for name in ("clearing", "book", "orders", "offer_table")),
    "numba",
)


class NoSolver:
    """Finds no module that clears rounds, nor what such modules are made with."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse what is out of reach; leave the rest to others.

        Raises:
            ImportError: it is.
        """
        if any(name == each or name.startswith(each + ".") for each in OUT_OF_REACH):
            raise ImportError(f"{name} is out of reach")
        return None


def main() -> None:
    """Check the record whenever asked to."""
    import json
    import time

    from swatow_market.exchange.certificate.record import decode
    from swatow_market.exchange.certificate.verify import judge

    data = Path(sys.argv[1]).read_bytes()
    before = peak_bytes()
    for _ in sys.stdin:
        begun = time.perf_counter()
        record = decode(data)
        decoded = time.perf_counter()
        judgement = judge(record)
        ended = time.perf_counter()
        answer = {
            "decode": decoded - begun,
            "check": ended - decoded,
            "right": not judgement.findings,
            "peak_bytes": peak_bytes(),
            "before_bytes": before,
        }
        print(json.dumps(answer), flush=True)


def peak_bytes() -> int:
    """Return the most memory that this process has had so far; 0 where Linux does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    sys.meta_path.insert(0, NoSolver)
    main()
