"""orders with curves

An order out of a batch has many limit prices. That an order has waited is known without a column:
whatever is open when a leader takes over has.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("curve", sa.LargeBinary(), nullable=True))
    op.drop_column("orders", "carried")


def downgrade() -> None:
    op.add_column(
        "orders", sa.Column("carried", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.drop_column("orders", "curve")
