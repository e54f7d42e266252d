"""awards begin"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch: making the table anew would lose its CHECK constraints on SQLite.
    op.add_column(
        "awards",
        sa.Column("from_us", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("awards", "from_us")
