"""The market: what it trades (exchange), who pays (ledger), and the service around both."""
