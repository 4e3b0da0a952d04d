"""What Stripe refused to a merchant's credential: noted when it is refused, forgotten when it works again.

Whoever asks Stripe learns it in passing, so no caller has to remember to tell; and since the merchant's row is read
for each client anyway, a request that goes through as it did before costs nothing here.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from core import clock, db
from services.integrations.stripe import repository
from services.integrations.stripe.access import Capability, capability_of, refusal_of
from services.integrations.stripe.errors import StripeAlreadyPaidError, StripeCallError, StripeCardDeclinedError

RENEWED = timedelta(hours=1)
"""How exactly "still refused" is kept: a refusal that is asked for again and again is not written each time."""

log = logging.getLogger(__name__)


class Refusals:
    """Of one merchant, for one client; `stored` is what the merchant's row says."""

    def __init__(self, merchant_id: str, stored: dict[str, Any]) -> None:
        self._merchant_id = merchant_id
        self._known = {name: (str(entry["code"]), _moment(entry["last"])) for name, entry in stored.items()}

    def went_through(self, method: str, path: str) -> None:
        """A request was answered: what it needed is allowed."""
        mended = [name for name in (Capability.ACCOUNT, capability_of(method, path)) if name in self._known]
        if not mended:
            return
        for name in mended:
            del self._known[name]
        names = [name.value for name in mended]
        self._write(lambda session: repository.forget_refusals(session, self._merchant_id, names))

    def refused(self, method: str, path: str, error: StripeCallError) -> None:
        """A request failed. A declined card was charged with our permission; most other errors say nothing."""
        if isinstance(error, StripeCardDeclinedError | StripeAlreadyPaidError):
            self.went_through(method, path)
            return
        found = refusal_of(error, capability_of(method, path))
        if found is None:
            return
        (name, code), now = found, clock.now()
        known = self._known.get(name)
        if known is not None and known[0] == code and now - known[1] < RENEWED:
            return
        self._known[name] = (code, now)
        self._write(lambda session: repository.note_refusal(session, self._merchant_id, name, code, now))

    def _write(self, work: Callable[[Session], None]) -> None:
        """In a transaction of its own: Stripe is never asked inside one.

        What Stripe answered counts more than this note. A charge that was made must not look as if it had failed
        because PostgreSQL went away; whoever asks next notes the same again.
        """
        try:
            with db.tenant_session(self._merchant_id) as session:
                work(session)
        except SQLAlchemyError as error:
            log.warning("stripe.refusal_not_noted", extra={"facts": {"error": type(error).__name__}})


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(str(text))
