"""Billing meters and their events."""

import re
from typing import Any

from sandbox.stripe import forms
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Space

OLDEST_SECONDS = 35 * 86_400
AHEAD_SECONDS = 300
REMEMBERED_SECONDS = 86_400
_VALUE = re.compile(r"\d{1,15}(\.\d{1,12})?")


@route("POST", "/v1/billing/meters")
def create_meter(call: Call) -> Any:
    params, now = call.params, call.world.now()
    aggregation = forms.required(params, "default_aggregation")
    meter: Json = {
        "id": call.world.ids.new("mtr"),
        "object": "billing.meter",
        "created": now,
        "customer_mapping": params.get("customer_mapping")
        or {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "default_aggregation": {"formula": aggregation["formula"]},
        "display_name": forms.required(params, "display_name"),
        "event_name": forms.required(params, "event_name"),
        "event_time_window": params.get("event_time_window") or None,
        "livemode": call.space.livemode,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": now,
        "value_settings": params.get("value_settings") or {"event_payload_key": "value"},
    }
    return call.space.save("billing.meter", meter)


@route("GET", "/v1/billing/meters/{id}")
def retrieve_meter(call: Call) -> Any:
    return call.object("billing.meter")


@route("GET", "/v1/billing/meters")
def list_meters(call: Call) -> Any:
    return call.page("billing.meter", "/v1/billing/meters", {"status": call.params.get("status")})


@route("POST", "/v1/billing/meter_events")
def create_meter_event(call: Call) -> Any:
    params, now, space = call.params, call.world.now(), call.space
    name, payload = forms.required(params, "event_name"), forms.required(params, "payload")
    meters = space.table("billing.meter").objects.values()
    meter = next((m for m in meters if m["event_name"] == name and m["status"] == "active"), None)
    if meter is None:
        raise invalid(f"No active meter found for event name {name}", code="no_meter", param="event_name")
    for key in (meter["customer_mapping"]["event_payload_key"], meter["value_settings"]["event_payload_key"]):
        if key not in payload:
            raise forms.missing(f"payload[{key}]")
    moment = forms.integer(params, "timestamp", now) or now
    if moment < now - OLDEST_SECONDS:
        raise invalid("The timestamp must be within the past 35 calendar days.", param="timestamp")
    if moment > now + AHEAD_SECONDS:
        raise invalid("The timestamp may not be more than 5 minutes in the future.", param="timestamp")
    identifier = params.get("identifier") or call.world.ids.token(32)
    if any(
        known["identifier"] == identifier and now - known["created"] < REMEMBERED_SECONDS for known in _of(space, name)
    ):
        # without a code, as the live API; past a day the same identifier is another event
        raise StripeError(400, "invalid_request_error", f"An event already exists with identifier {identifier}.")
    value = str(payload[meter["value_settings"]["event_payload_key"]])
    if not _VALUE.fullmatch(value):
        raise invalid("The value must be a number that is not negative.", param="payload")
    event: Json = {
        "object": "billing.meter_event",
        "created": now,
        "event_name": name,
        "identifier": identifier,
        "livemode": space.livemode,
        "payload": {key: str(value) for key, value in payload.items()},
        "timestamp": moment,
    }
    space.save("billing.meter_event", event | {"id": f"{name}:{identifier}:{now}"})
    return event


def _of(space: Space, event_name: str) -> list[Json]:
    """The events of a meter."""
    return [event for event in space.table("billing.meter_event").objects.values() if event["event_name"] == event_name]


@route("GET", "/v1/billing/meters/{id}/event_summaries")
def summaries(call: Call) -> Any:
    meter, customer = call.object("billing.meter"), forms.required(call.params, "customer")
    start, end = forms.required_integer(call.params, "start_time"), forms.required_integer(call.params, "end_time")
    if start % 60 or end % 60:
        raise invalid("start_time and end_time must be aligned with minute boundaries.", param="start_time")
    keys = meter["customer_mapping"]["event_payload_key"], meter["value_settings"]["event_payload_key"]
    chosen = [
        event["payload"]
        for event in _of(call.space, meter["event_name"])
        if event["payload"][keys[0]] == customer and start <= event["timestamp"] < end
    ]
    total = (
        len(chosen)
        if meter["default_aggregation"]["formula"] == "count"
        else sum(float(payload[keys[1]]) for payload in chosen)
    )
    summary = {
        "id": f"mtrusg_{meter['id'][4:]}",
        "object": "billing.meter_event_summary",
        "aggregated_value": total,
        "end_time": end,
        "livemode": call.space.livemode,
        "meter": meter["id"],
        "start_time": start,
    }
    url = f"/v1/billing/meters/{meter['id']}/event_summaries"
    return {"object": "list", "data": [summary] if chosen else [], "has_more": False, "url": url}
