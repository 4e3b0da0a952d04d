"""Webhook endpoints; the secret is shown once, when the endpoint is made."""

from typing import TYPE_CHECKING, Any

from sandbox.stripe import forms
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def new_endpoint(
    world: "World",
    space: Space,
    *,
    url: str,
    events: list[str],
    connect: bool = False,
    api_version: str | None = None,
    secret: str | None = None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> tuple[Json, str]:
    """An endpoint and its signing secret."""
    key = secret or world.ids.new("whsec", 32)
    endpoint: Json = {
        "id": world.ids.new("we"),
        "object": "webhook_endpoint",
        "api_version": api_version or world.default_version(space),
        "application": None,
        "created": world.now(),
        "description": description,
        "enabled_events": events,
        "livemode": space.livemode,
        "metadata": metadata or {},
        "status": "enabled",
        "url": url,
    }
    space.private(endpoint["id"]).update(connect=connect, secrets=[{"secret": key, "until": None}])
    space.save("webhook_endpoint", endpoint)
    return endpoint, key


def roll_secret(world: "World", space: Space, endpoint: Json, *, keep_seconds: int = 86_400) -> str:
    """A new secret; the old ones sign as well for a while."""
    secrets: list[Json] = space.private(endpoint["id"])["secrets"]
    for row in secrets:
        row["until"] = row["until"] or world.now() + keep_seconds
    fresh = world.ids.new("whsec", 32)
    secrets.insert(0, {"secret": fresh, "until": None})
    space.save("webhook_endpoint", endpoint)
    return fresh


@route("POST", "/v1/webhook_endpoints")
def create(call: Call) -> Any:
    url, events = forms.required(call.params, "url"), forms.required(call.params, "enabled_events")
    if not isinstance(events, list):
        raise invalid("Invalid array", param="enabled_events")
    endpoint, secret = new_endpoint(
        call.world,
        call.space,
        url=url,
        events=events,
        connect=forms.boolean(call.params, "connect"),
        api_version=call.params.get("api_version"),
        description=call.params.get("description") or None,
        metadata=forms.metadata({}, call.params),
    )
    return endpoint | {"secret": secret}


@route("GET", "/v1/webhook_endpoints/{id}")
def retrieve(call: Call) -> Any:
    return call.object("webhook_endpoint")


@route("POST", "/v1/webhook_endpoints/{id}")
def update(call: Call) -> Any:
    endpoint, params = call.object("webhook_endpoint"), call.params
    given: Json = {name: params[name] for name in ("url", "enabled_events", "description") if name in params}
    if "disabled" in params:
        given["status"] = "disabled" if forms.boolean(params, "disabled") else "enabled"
    change(endpoint, metadata=forms.metadata(endpoint["metadata"], params), **given)
    return call.space.save("webhook_endpoint", endpoint)


@route("DELETE", "/v1/webhook_endpoints/{id}")
def delete(call: Call) -> Any:
    endpoint = call.object("webhook_endpoint")
    call.space.remove(endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


@route("GET", "/v1/webhook_endpoints")
def list_endpoints(call: Call) -> Any:
    return call.page("webhook_endpoint", "/v1/webhook_endpoints")
