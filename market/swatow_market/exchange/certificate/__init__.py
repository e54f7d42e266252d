"""The certificate of a round: what is published of it, and how anyone checks it.

    record = publish.publish(...)          what a round was given and what it decided
    verify.verify(encode(record)) == ()    its outcome is optimal and its prices are right

`record` is the format. `publish` is the market's side and `verify` everybody else's; `trader` shows
one trader, by a proof of `merkle`, what became of its own order. The verifier knows the format
alone: it shares no code with what solved the round, so an error in the one is found by the other.
"""
