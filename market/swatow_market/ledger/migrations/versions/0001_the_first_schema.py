"""the first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.LargeBinary(length=32), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("debits", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind <> 'cash' OR (debits >= credits AND held = 0)",
            name=op.f("ck_accounts_cash_is_there"),
        ),
        sa.CheckConstraint(
            "kind = 'cash' OR credits - debits - held >= 0", name=op.f("ck_accounts_no_overdraft")
        ),
        sa.CheckConstraint(
            "kind IN ('cash', 'buyer', 'node', 'carrier', 'fee')", name=op.f("ck_accounts_kind")
        ),
        sa.CheckConstraint(
            "debits >= 0 AND credits >= 0 AND held >= 0", name=op.f("ck_accounts_no_negative")
        ),
        sa.CheckConstraint(
            "debits <= 9223372036854775807 AND credits <= 9223372036854775807",
            name=op.f("ck_accounts_no_overflow"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "leaders",
        sa.Column("shard", sa.String(length=96), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name="pk_leaders"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=96), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", name="uq_models_name"),
    )
    op.create_table(
        "rounds",
        sa.Column("shard", sa.String(length=96), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("closed_us", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("lots", sa.BigInteger(), nullable=False),
        sa.Column("welfare", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("shard", "epoch", "number", name="pk_rounds"),
    )
    has_record = sa.text("record IS NOT NULL")
    op.create_index(
        "ix_rounds_closed_us",
        "rounds",
        ["closed_us"],
        sqlite_where=has_record,
        postgresql_where=has_record,
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account", sa.String(length=80), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "NOT closed OR paid + released = amount", name=op.f("ck_holds_closed_is_resolved")
        ),
        sa.CheckConstraint(
            "amount >= 0 AND paid >= 0 AND released >= 0", name=op.f("ck_holds_no_negative")
        ),
        sa.CheckConstraint("paid + released <= amount", name=op.f("ck_holds_no_more_than_held")),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_holds_account"),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("message_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("shard", sa.String(length=96), nullable=False),
        sa.Column("buyer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("terms", sa.LargeBinary(), nullable=False),
        sa.Column("lots", sa.BigInteger(), nullable=False),
        sa.Column("lots_open", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("carried", sa.Boolean(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state <> 'filled' OR lots_open = 0", name=op.f("ck_orders_filled_is_filled")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'filled', 'expired', 'cancelled')", name=op.f("ck_orders_state")
        ),
        sa.CheckConstraint(
            "lots_open >= 0 AND lots_open <= lots", name=op.f("ck_orders_lots_open")
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_orders_message_id"),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index("ix_orders_state", ["state"], unique=False)

    op.create_table(
        "awards",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("order_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("buyer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("node", sa.LargeBinary(length=32), nullable=False),
        sa.Column("model", sa.LargeBinary(length=32), nullable=False),
        sa.Column("lots", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("settle_by_us", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("offer_envelope", sa.LargeBinary(), nullable=False),
        sa.Column("standard_tokens", sa.BigInteger(), nullable=False),
        sa.Column("voucher", sa.LargeBinary(), nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "standard_tokens >= 0 AND standard_tokens <= lots * 1000",
            name=op.f("ck_awards_standard_tokens"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_awards_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_awards"),
    )
    with op.batch_alter_table("awards", schema=None) as batch_op:
        batch_op.create_index("ix_awards_closed", ["closed"], unique=False)
        batch_op.create_index("ix_awards_order_id", ["order_id"], unique=False)

    op.create_table(
        "transfers",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("debit", sa.String(length=80), nullable=False),
        sa.Column("credit", sa.String(length=80), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("hold", sa.LargeBinary(length=32), nullable=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('deposit', 'payment', 'carriage', 'fee')", name=op.f("ck_transfers_kind")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_transfers_amount")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_transfers_two_sides")),
        sa.ForeignKeyConstraint(["credit"], ["accounts.id"], name="fk_transfers_credit"),
        sa.ForeignKeyConstraint(["debit"], ["accounts.id"], name="fk_transfers_debit"),
        sa.ForeignKeyConstraint(["hold"], ["holds.id"], name="fk_transfers_hold"),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
    )
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.create_index("ix_transfers_hold", ["hold"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.drop_index("ix_transfers_hold")

    op.drop_table("transfers")
    with op.batch_alter_table("awards", schema=None) as batch_op:
        batch_op.drop_index("ix_awards_order_id")
        batch_op.drop_index("ix_awards_closed")

    op.drop_table("awards")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index("ix_orders_state")

    op.drop_table("orders")
    op.drop_table("holds")
    op.drop_index("ix_rounds_closed_us", table_name="rounds")
    op.drop_table("rounds")
    op.drop_table("models")
    op.drop_table("messages")
    op.drop_table("leaders")
    op.drop_table("accounts")
