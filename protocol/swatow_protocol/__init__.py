"""The protocol of Swatow: messages, signatures, money units, metering and the life of a job.

Everything here is pure, except `carriers` (the transports) and `shell` (files, settings, logs and
terminal of a process). Import from the modules; this package re-exports nothing.
"""
