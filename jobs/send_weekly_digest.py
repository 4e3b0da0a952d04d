"""Send a merchant's team the weekly digest, and have the next one sent."""

from datetime import timedelta
from typing import Any

from core import clock, db
from core.config import settings
from services.analytics import digest
from services.audit import service as audit
from services.identity import service as identity
from services.integrations.resend import (
    EmailLaterError,
    EmailRefusedError,
    EmailUnknownError,
    OutgoingEmail,
    sender_for,
)
from services.merchants import service as merchants
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(minutes=5)
STALE = timedelta(days=3)
_TAGS = {"phantom_kind": "digest"}


def run(task: ClaimedTask) -> dict[str, Any]:
    """The successor is scheduled first, so that no failure of one digest ends them all.

    A repeat carries the same idempotency key for each person, so nobody gets a digest twice.
    """
    merchant_id, now = task.tenant, clock.now()
    with db.tenant_session(merchant_id) as session:
        merchant = merchants.get_merchant(session, merchant_id)
        digest.schedule_next(session, merchant_id, merchant.timezone or "UTC", now)
    if not merchant.is_connected:
        raise Discard("the account is disconnected")
    if now - task.run_at > STALE:
        raise Discard("that week is long over; the next digest tells of the present one")
    with db.tenant_session(merchant_id) as session:
        written = digest.weekly(session, merchant_id, f"{settings().public_url}/dashboard")
        addresses = identity.list_team_addresses(session, merchant_id)
    if written is None or not addresses:
        return {"sent": 0, "reason": "nothing to tell" if written is None else "nobody to tell"}
    return {"sent": _send(merchant_id, task.key or f"task-{task.id}", written, addresses)}


def _send(merchant_id: str, key: str, written: digest.Digest, addresses: list[str]) -> int:
    configured = settings().resend_api_key
    sender = sender_for(configured.get_secret_value() if configured else None)
    sent = 0
    for number, address in enumerate(addresses):
        if sender is None:
            break
        mail = OutgoingEmail(settings().email_from, address, written.subject, written.html, written.plain, tags=_TAGS)
        try:
            sender.send(mail, idempotency_key=f"{key}:{number}")
            sent += 1
        except EmailRefusedError:
            continue
        except (EmailLaterError, EmailUnknownError) as error:
            raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    with db.tenant_session(merchant_id) as session:
        said = f"to {sent} of {len(addresses)}" if sender else "to nobody: no sender is configured"
        audit.log_event(session, merchant_id, "digest.sent", f"Weekly digest sent {said}. {written.subject}.")
    return sent
