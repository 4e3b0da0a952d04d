"""one message a step, whatever its channel

A slot was a ghost's step on a channel, so that a mail and a text of the same step would have been two messages. No
ghost has two: until now everything went by mail.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


BEFORE = "uq_messages_merchant_id_ghost_id_step_channel"
NOW = "uq_messages_merchant_id_ghost_id_step"


def upgrade() -> None:
    op.drop_constraint(BEFORE, "messages", type_="unique")
    op.create_unique_constraint(NOW, "messages", ["merchant_id", "ghost_id", "step"])


def downgrade() -> None:
    op.drop_constraint(NOW, "messages", type_="unique")
    op.create_unique_constraint(BEFORE, "messages", ["merchant_id", "ghost_id", "step", "channel"])
