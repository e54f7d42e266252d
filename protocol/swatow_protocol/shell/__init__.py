"""What every Swatow process shares at its edge: files, settings, logs, terminal, signals, clock.

The pure modules of the protocol never import from here (docs/adr/0002-shared-shell.md).
"""
