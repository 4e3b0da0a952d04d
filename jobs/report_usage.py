"""Tell the operator's Stripe meter what a merchant is billed for (services/outbound/usage.py)."""

from datetime import timedelta
from typing import Any

from core import clock, db
from core.crash_points import crash_point
from services.integrations.stripe import meters
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.outbound import usage
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(minutes=1)
LOCKED_OUT_PAUSE = timedelta(hours=1)


def run(task: ClaimedTask) -> dict[str, Any]:
    """The days that are over, and those a crash left begun; each is committed as begun before Stripe is told."""
    with db.tenant_session(task.tenant) as session:
        reports = usage.begin(session, task.tenant, clock.now())
    done = dict.fromkeys(usage.Fate, 0)
    client = meters.platform() if reports else None
    for report in reports:
        assert client is not None  # noqa: S101  # made for them above
        crash_point("usage.intended")
        try:
            fate, why = usage.send(client, report, clock.now())
        except (StripeRateLimitedError, StripeUnavailableError) as error:
            raise Retry(after=BUSY_PAUSE, reason=error.code) from error
        except (StripeAuthenticationError, StripePermissionError) as error:
            raise Retry(after=LOCKED_OUT_PAUSE, reason=error.code) from error
        crash_point("usage.told")
        with db.tenant_session(task.tenant) as session:
            usage.settle(session, report, fate, why, clock.now())
        done[fate] += 1
    return {fate.value: number for fate, number in done.items()}
