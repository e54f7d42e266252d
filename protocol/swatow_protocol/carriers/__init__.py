"""How messages travel. The only place that imports transport libraries.

A carrier can lose, repeat or reorder; it can never forge, because what matters is signed.
"""
