"""take-or-pay"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

HAS_SHARE = sa.text("take_or_pay_ppm > 0")


def upgrade() -> None:
    op.add_column(
        "awards",
        sa.Column("take_or_pay_ppm", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("awards", sa.Column("contested_us", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_awards_node",
        "awards",
        ["node"],
        unique=False,
        sqlite_where=HAS_SHARE,
        postgresql_where=HAS_SHARE,
    )


def downgrade() -> None:
    op.drop_index("ix_awards_node", table_name="awards")
    op.drop_column("awards", "contested_us")
    op.drop_column("awards", "take_or_pay_ppm")
