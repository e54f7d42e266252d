"""Many parties on one machine. `swatow up` is the smallest mesh: one of each."""
