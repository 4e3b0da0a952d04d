"""Meter events of the platform's own account: what an operator bills merchants by.

Stripe takes an identifier once within a rolling period of 24 hours or more and refuses it after that with 400, which
for a deterministic identifier says that the event is there. Past that period the same identifier would be a second
event, so whoever is uncertain for longer asks the meter for its sum instead. Timestamps may be 35 days old. There are
no negative events.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.integrations.stripe.client import ScopedStripe, platform_key
from services.integrations.stripe.errors import StripeMeterError

MEMORY = timedelta(hours=24)
OLDEST = timedelta(days=35)
CUSTOMER_KEY, VALUE_KEY = "stripe_customer_id", "value"  # Stripe's defaults for a meter
_EVENTS = "/v1/billing/meter_events"


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """One event. `value` is a whole number above zero; `stamped_at` begins a minute of its own for this customer."""

    event_name: str
    identifier: str
    customer_id: str
    value: int
    stamped_at: datetime


def platform() -> ScopedStripe:
    """Stripe as the platform's own account. Raises `ConfigurationError` when STRIPE_SECRET_KEY is not set."""
    return ScopedStripe(platform_key(), None, header=False)


def send(client: ScopedStripe, event: MeterEvent) -> bool:
    """Send an event; False when Stripe has it already.

    Raises `StripeMeterError` when Stripe will not take it, and the client's other errors when it is not known whether
    it did: send the same again.
    """
    try:
        client.raw_post(
            _EVENTS,
            {
                "event_name": event.event_name,
                "identifier": event.identifier,
                "timestamp": int(event.stamped_at.timestamp()),
                "payload": {CUSTOMER_KEY: event.customer_id, VALUE_KEY: str(event.value)},
            },
            idempotency_key=event.identifier,
        )
    except StripeMeterError as error:
        if error.reason != StripeMeterError.KNOWN:
            raise
        return False
    return True


def has(client: ScopedStripe, event: MeterEvent) -> bool:
    """Whether the meter counted an event: its sum over the event's own minute. Good long after an identifier is.

    Raises `StripeMeterError` when there is no such meter, and the client's other errors.
    """
    start = int(event.stamped_at.timestamp())
    asked = {"customer": event.customer_id, "start_time": start, "end_time": start + 60}
    sums = client.raw_get(f"/v1/billing/meters/{_meter_of(client, event.event_name)}/event_summaries", asked)
    return any(float(row["aggregated_value"]) >= event.value for row in sums["data"])


def _meter_of(client: ScopedStripe, event_name: str) -> str:
    for page in client.pages("/v1/billing/meters", {"status": "active"}):
        for meter in page["data"]:
            if meter["event_name"] == event_name:
                return str(meter["id"])
    raise StripeMeterError(reason=StripeMeterError.NO_METER)
