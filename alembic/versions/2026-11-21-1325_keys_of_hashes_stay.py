"""keys of hashes stay: what suppressions and tombstones were hashed with, sealed, for when its master key is gone"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op
from models.vault import sealed_rule

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION, PLATFORM = "phantom_application", "phantom_platform"


def upgrade() -> None:
    op.create_table(
        "hash_keys",
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("ciphertext", "iv", "tag", "wrapped_key")),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "version", name="pk_hash_keys"),
        sa.CheckConstraint(sealed_rule("ciphertext", "iv", "tag", "wrapped_key"), name="ck_hash_keys_sealed"),
    )
    op.execute("alter table hash_keys enable row level security")
    op.execute("alter table hash_keys force row level security")
    op.execute(f"grant select on hash_keys to {APPLICATION}")
    op.execute(f"create policy everybody on hash_keys for select to {APPLICATION} using (true)")
    op.execute(f"grant select, insert, update on hash_keys to {PLATFORM}")
    op.execute(f"create policy platform on hash_keys to {PLATFORM} using (true) with check (true)")


def downgrade() -> None:
    op.drop_table("hash_keys")
