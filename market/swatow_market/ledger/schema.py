"""The tables of a market. One schema for SQLite and PostgreSQL; migrations/ builds the same.

Conservation is an invariant of the database, not a hope of the code: a transfer has both of its
sides in one row, no account but cash can owe, no hold can pay or release more than it holds, and
none can be closed before all of it is accounted for. Money is whole nanos, time is microseconds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)

from swatow_protocol.limits import MONEY_MAX

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(80), primary_key=True),  # "buyer:<key>", "node:<key>", "fee", "cash"
    Column("kind", String(16), nullable=False),
    Column("owner", LargeBinary(32)),
    Column("currency", String(3), nullable=False),
    Column("debits", BigInteger, nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    CheckConstraint("kind IN ('cash', 'buyer', 'node', 'carrier', 'fee')", name="kind"),
    CheckConstraint("debits >= 0 AND credits >= 0 AND held >= 0", name="no_negative"),
    CheckConstraint("kind = 'cash' OR credits - debits - held >= 0", name="no_overdraft"),
    CheckConstraint(  # beyond 63 bits SQLite would go on in floats
        f"debits <= {MONEY_MAX} AND credits <= {MONEY_MAX}", name="no_overflow"
    ),
    CheckConstraint("kind <> 'cash' OR (debits >= credits AND held = 0)", name="cash_is_there"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),  # the id of the order or award
    Column("account", String(80), ForeignKey("accounts.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("paid", BigInteger, nullable=False),
    Column("released", BigInteger, nullable=False),
    Column("closed", Boolean, nullable=False),
    CheckConstraint("amount >= 0 AND paid >= 0 AND released >= 0", name="no_negative"),
    CheckConstraint("paid + released <= amount", name="no_more_than_held"),
    CheckConstraint("NOT closed OR paid + released = amount", name="closed_is_resolved"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("debit", String(80), ForeignKey("accounts.id"), nullable=False),
    Column("credit", String(80), ForeignKey("accounts.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("hold", LargeBinary(32), ForeignKey("holds.id")),
    Column("at_us", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("debit <> credit", name="two_sides"),
    CheckConstraint("kind IN ('deposit', 'payment', 'carriage', 'fee')", name="kind"),
)
Index(None, transfers.c.hold)

models = Table(
    "models",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("name", String(96), nullable=False, unique=True),
    Column("envelope", LargeBinary, nullable=False),
)

messages = Table(  # signed evidence: orders, batches, cancellations, redemptions, network maps
    "messages",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("message_id", LargeBinary(32), ForeignKey("messages.id"), nullable=False),
    Column("shard", String(96), nullable=False),  # in whose book it is
    Column("buyer", LargeBinary(32), nullable=False),
    Column("terms", LargeBinary, nullable=False),  # encoded OrderTerms, prices as ordered
    Column("lots", BigInteger, nullable=False),
    Column("lots_open", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("curve", LargeBinary),  # of a batch: int64 prices, then the lots open of each
    CheckConstraint("lots_open >= 0 AND lots_open <= lots", name="lots_open"),
    CheckConstraint("state IN ('open', 'filled', 'expired', 'cancelled')", name="state"),
    CheckConstraint("state <> 'filled' OR lots_open = 0", name="filled_is_filled"),
)
Index(None, orders.c.state)

leaders = Table(
    "leaders",
    metadata,
    Column("shard", String(96), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),  # the last round of the epoch
)

rounds = Table(
    "rounds",
    metadata,
    Column("shard", String(96), primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("closed_us", BigInteger, nullable=False),
    Column("salt", LargeBinary(32), nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("lots", BigInteger, nullable=False),
    Column("welfare", BigInteger, nullable=False),
    Column("head", LargeBinary),  # the market's signed word on the record; none if nothing traded
    Column("record", LargeBinary),  # compressed; forgotten after a time
    Column("inputs", LargeBinary),  # what it was cleared from, compressed; forgotten with it
)
_HAS_RECORD = rounds.c.record.is_not(None)  # so that old rounds cost nothing to pass over
Index(None, rounds.c.closed_us, sqlite_where=_HAS_RECORD, postgresql_where=_HAS_RECORD)

offers = Table(  # that were in a round whose inputs are kept
    "offers",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("expires_us", BigInteger, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
)
Index(None, offers.c.expires_us)

awards = Table(
    "awards",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("order_id", LargeBinary(32), ForeignKey("orders.id"), nullable=False),
    Column("buyer", LargeBinary(32), nullable=False),
    Column("node", LargeBinary(32), nullable=False),
    Column("model", LargeBinary(32), nullable=False),
    Column("lots", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("settle_by_us", BigInteger, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("offer_envelope", LargeBinary, nullable=False),
    Column("standard_tokens", BigInteger, nullable=False),  # redeemed so far
    Column("voucher", LargeBinary),  # envelope of the highest voucher redeemed
    Column("closed", Boolean, nullable=False),
    Column("from_us", BigInteger, nullable=False, server_default=text("0")),  # 0 has long begun
    Column("take_or_pay_ppm", BigInteger, nullable=False, server_default=text("0")),
    Column("contested_us", BigInteger),  # when the buyer let go of it, saying that it was no use
    CheckConstraint(
        "standard_tokens >= 0 AND standard_tokens <= lots * 1000", name="standard_tokens"
    ),
)
Index(None, awards.c.closed)
Index(None, awards.c.order_id)
_HAS_SHARE = awards.c.take_or_pay_ppm > 0  # few do: those that do not cost their nodes nothing
Index(None, awards.c.node, sqlite_where=_HAS_SHARE, postgresql_where=_HAS_SHARE)
