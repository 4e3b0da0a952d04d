"""seal secret columns: hex only, whole or absent; how a session began; the account's business category"""

from collections.abc import Sequence

from alembic import op
from models.vault import sealed_rule

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RULES = (
    ("vault_secrets", "ck_vault_secrets_sealed", "ciphertext", "iv", "tag", "wrapped_key"),
    ("merchants", "ck_merchants_token_sealed", "encrypted_token", "iv", "tag", "wrapped_key"),
    (
        "merchants",
        "ck_merchants_refresh_token_sealed",
        "encrypted_refresh_token",
        "refresh_iv",
        "refresh_tag",
        "refresh_wrapped_key",
    ),
)


def upgrade() -> None:
    for column in ("iv", "tag", "wrapped_key"):
        op.execute(f"alter table vault_secrets alter {column} type varchar")
    for table, name, *columns in RULES:
        op.execute(f"alter table {table} add constraint {name} check ({sealed_rule(*columns)})")
    op.execute("alter table merchants add column business_category varchar(8) not null default ''")
    op.execute("alter table merchants alter column business_category drop default")
    op.execute("delete from sessions where merchant_id is null")
    op.execute("alter table sessions add column method varchar(32) not null default 'password'")
    op.execute("alter table sessions alter column method drop default, alter column merchant_id set not null")


def downgrade() -> None:
    op.execute("alter table sessions drop column method, alter column merchant_id drop not null")
    op.execute("alter table merchants drop column business_category")
    for table, name, *_columns in RULES:
        op.execute(f"alter table {table} drop constraint {name}")
