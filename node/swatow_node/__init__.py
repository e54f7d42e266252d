"""The node: one seller's daemon beside its inference engine."""
