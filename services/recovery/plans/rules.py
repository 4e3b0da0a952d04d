"""What a person decides about recovery takes effect: kept, and all open ghosts planned by it, in one transaction."""

from collections.abc import Sequence

from sqlmodel import Session

from services.audit import service as audit
from services.merchants import service as merchants
from services.merchants.policy_fields import Edit
from services.recovery.service import replan_open


def change(session: Session, merchant_id: str, edits: Sequence[Edit], *, actor_id: str) -> int:
    """Keep these decisions and have every open ghost planned by them. Returns how many are open.

    Raises `PolicyMovedError` for what somebody else has changed since the person looked, and `InvalidPolicyError`;
    then nothing changes.
    """
    merchants.edit_policy(session, merchant_id, edits, actor_id=actor_id)
    number = replan_open(session, merchant_id)
    audit.log_event(session, merchant_id, "recovery.rules_changed", "The rules of recovery were changed.")
    return number
