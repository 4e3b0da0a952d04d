"""Events, rendered in the caller's shape from the snapshot that was taken."""

from typing import Any

import orjson

from sandbox.stripe import shapes
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json


def _shown(call: Call, event: Json) -> Json:
    data = orjson.loads(event["data"])
    if call.shape == "acacia":
        data["object"] = shapes.to_acacia(call.space, data["object"])
    return dict(event, data=data)


@route("GET", "/v1/events/{id}")
def retrieve(call: Call) -> Any:
    return _shown(call, call.object("event"))


@route("GET", "/v1/events")
def list_events(call: Call) -> Any:
    given = call.params.get("types") or []
    wanted = set(given)
    filters = {"type": call.params.get("type")}
    answer = call.page("event", "/v1/events", filters, lambda event: not wanted or event["type"] in wanted)
    answer["data"] = [_shown(call, event) for event in answer["data"]]
    return answer
