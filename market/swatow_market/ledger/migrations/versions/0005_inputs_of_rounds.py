"""inputs of rounds"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("inputs", sa.LargeBinary(), nullable=True))
    op.create_table(
        "offers",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offers")),
    )
    op.create_index("ix_offers_expires_us", "offers", ["expires_us"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_offers_expires_us", table_name="offers")
    op.drop_table("offers")
    op.drop_column("rounds", "inputs")
