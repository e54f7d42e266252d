"""The machine code that numba keeps: none is used that was made of other sources.

numba makes a function again when its own file changes, and not when a function that it calls does,
in another file: then it would go on with the old one inside.
"""

from contextlib import suppress
from pathlib import Path


def drop_stale(package_file: str) -> None:
    """Forget what is kept for a package, if any source of it is younger than any of that.

    Nothing happens where the folder may not be written to.

    Args:
        package_file: the `__file__` of the package.
    """
    package = Path(package_file).parent
    kept = list((package / "__pycache__").glob("*.nb[ci]"))
    with suppress(OSError):
        oldest = min((each.stat().st_mtime_ns for each in kept), default=None)
        newest = max(each.stat().st_mtime_ns for each in package.glob("*.py"))
        if oldest is not None and newest > oldest:
            for each in kept:
                each.unlink(missing_ok=True)
