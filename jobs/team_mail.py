"""Carrying mail to a merchant's own people: in the line of the platform's key, or into the outbox without one."""

import logging
from datetime import timedelta
from typing import Any

from core import db
from core.crash_points import crash_point
from core.logging import redact
from jobs.turns import await_turn
from models.messaging import Channel
from services.audit import service as audit
from services.integrations.carriers import (
    KeyRefusedError,
    MessageKeyUsedError,
    MessageLaterError,
    MessageRefusedError,
    MessageUnknownError,
)
from services.messaging import team_mail
from services.messaging.addresses import masked
from services.messaging.render import one_line
from services.messaging.senders import pace, refusals
from services.messaging.senders import service as senders
from services.messaging.senders.carriers import Carrier
from services.messaging.team_mail import TeamMail
from services.tasks.errors import Retry

BUSY_PAUSE = timedelta(minutes=5)
OUTBOX = "outbox"

log = logging.getLogger(__name__)


def carry(merchant_id: str, mail: TeamMail) -> dict[str, Any]:
    """Hand it over under its own name, or keep it; the task's result. No transaction is open.

    Raises `Retry` while the rate is used up, and for what may be tried again: the provider takes it once a name.
    """
    carrier = senders.platform_sender(Channel.EMAIL)
    if carrier is None:
        return _kept(merchant_id, mail)
    await_turn(carrier, merchant_id, mail.name)
    try:
        carrier.send(team_mail.outgoing(merchant_id, mail), idempotency_key=mail.name)
        crash_point("team_mail.handed_over")
    except MessageKeyUsedError:
        pass  # an earlier try did reach the provider, and what there is to tell has changed since
    except KeyRefusedError as error:
        refusals.note(carrier.key_print, error.detail)
        raise _later(carrier, senders.LOOK_AGAIN, error.code) from error
    except MessageRefusedError as error:
        _tell_refused(merchant_id, mail, error)
        return {"sent": False, "reason": error.code}
    except MessageLaterError as error:
        raise _later(carrier, error.after or BUSY_PAUSE, error.code) from error
    except MessageUnknownError as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    return {"sent": True}


def _tell_refused(merchant_id: str, mail: TeamMail, error: MessageRefusedError) -> None:
    """It is this one mail that is not taken, and never will be: nobody else's waits, and the merchant's log says so."""
    reason = one_line(redact(error.detail), 200)
    said = f"A mail to one of your team was refused by the mail provider ({mail.kind}): {reason}"
    with db.tenant_session(merchant_id) as session:
        audit.log_event(session, merchant_id, "team_mail.refused", said, level="error")


def _later(carrier: Carrier, pause: timedelta, reason: str) -> Retry:
    """Nobody else need ask the provider meanwhile."""
    pace.hold(carrier.key_print, pause.total_seconds())
    return Retry(after=pause, reason=reason)


def _kept(merchant_id: str, mail: TeamMail) -> dict[str, Any]:
    with db.tenant_session(merchant_id) as session:
        is_new = team_mail.keep_in_outbox(session, merchant_id, mail)
    if is_new:
        facts = {"channel": Channel.EMAIL.value, "to": masked(mail.recipient), "kind": mail.kind}
        log.info("messaging.outbox", extra={"facts": facts})
    return {"sent": False, "reason": OUTBOX}
