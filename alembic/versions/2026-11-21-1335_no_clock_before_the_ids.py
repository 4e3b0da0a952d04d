"""no partitions for a clock before there were ids; a merchant may mark its own events handled

Ids count milliseconds since 1970. For a time before it, `first_id_of` wrote the digits of a negative number, which
sort as a time far ahead: `keep_partitions` then took every row of the default partition for one past its time.

Who lays a dead letter aside does so as the application, in one transaction with the audit log. The event must be
marked in the same one, so the application may see of its own events who they are, and empty them.
"""

from collections.abc import Sequence
from typing import Any

from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION = "phantom_application"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"
RIGHTS = "select (id, merchant_id, handled_at), update (payload, handled_at, outcome)"

# What stands in the functions as the seventh revision made them, and what replaces it.
BEFORE = "floor(extract(epoch from moment) * 1000)::bigint as"
AFTER = "greatest(0, floor(extract(epoch from moment) * 1000)::bigint) as"
UNCHECKED = "if as_of is null or as_of > clock_timestamp() + interval '1 year' then"
CHECKED = (
    "if as_of is null or as_of > clock_timestamp() + interval '1 year'"
    " or as_of - kept < timestamptz '1971-01-01 00:00:00+00' then"
)


def upgrade() -> None:
    former = _seventh()
    op.execute(_replaced(former.FIRST_ID, BEFORE, AFTER))
    op.execute(_replaced(former.KEEP, UNCHECKED, CHECKED))
    op.execute(f"grant {RIGHTS} on processed_events to {APPLICATION}")
    op.execute(f"create policy laid_aside on processed_events to {APPLICATION} using ({MINE}) with check ({MINE})")


def downgrade() -> None:
    op.execute("drop policy laid_aside on processed_events")
    op.execute(f"revoke {RIGHTS} on processed_events from {APPLICATION}")
    former = _seventh()
    op.execute(_replaced(former.KEEP))
    op.execute(_replaced(former.FIRST_ID))


def _seventh() -> Any:
    """The revision that made the functions."""
    environment = op.get_context().environment_context
    assert environment is not None  # noqa: S101  # migrations run in one
    revision = environment.script.get_revision("0007")
    assert revision is not None  # noqa: S101  # it stands in the chain before this one
    return revision.module


def _replaced(function: str, before: str = "", after: str = "") -> str:
    """A statement that puts a function in the place of the one that is there; owner and rights stay."""
    assert before in function  # noqa: S101  # else nothing would be mended
    return function.replace("create function", "create or replace function", 1).replace(before, after, 1)
