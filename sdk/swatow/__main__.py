"""`python -m swatow` is the `swatow` command."""

from swatow._cli import main

main()
