"""The exchange: admission, eligibility, book and clearing. Pure: no I/O and no clock."""
