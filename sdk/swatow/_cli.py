"""The `swatow` command: the buyer's own commands, and those of whichever packages are usable.

Exit codes: 0 done; 1 the other side, or the way to it, did not do what was asked; 2 the command
line, a setting or a file of this machine cannot be used; 130 interrupted.
"""

import os
import sys
from importlib.metadata import entry_points

from cyclopts import App, CycloptsError

from swatow_protocol.errors import LocalError, SwatowError
from swatow_protocol.shell.terminal import EXIT_FAILED, EXIT_USAGE, Terminal

EXIT_INTERRUPTED = 130

_EXTRAS = {
    "market": "market",
    "check": "market",
    "node": "node",
    "gateway": "gateway",
    "offers": "mqtt",
    "up": "all",
}


def build() -> App:
    """Return the command with everything mounted."""
    from swatow._commands import app

    for entry in sorted(entry_points(group="swatow.commands"), key=lambda each: each.name):
        if entry.name not in app:
            app.command(entry.load(), name=entry.name)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are reported here, not by the library
    words = sys.argv[1:] if arguments is None else arguments
    terminal = Terminal(as_json="--json" in words)
    try:
        build()(words, exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(EXIT_USAGE)
    except LocalError as error:
        terminal.fail(str(error), EXIT_USAGE)
    except SwatowError as error:
        terminal.fail(str(error), EXIT_FAILED)
    except ModuleNotFoundError as error:
        command = words[0] if words else ""
        if command not in _EXTRAS or (error.name or "").startswith("swatow"):
            raise
        extra = _EXTRAS[command]
        terminal.fail(f"{command} needs {error.name}: pip install 'swatow[{extra}]'", EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
