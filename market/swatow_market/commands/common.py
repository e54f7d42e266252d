"""What the operator's commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Directory = Annotated[Path | None, Parameter(name=["--directory", "-d"])]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
