"""Events: a snapshot of an object when something happened to it, kept 30 days and sent to endpoints."""

from typing import TYPE_CHECKING, Any

import orjson

from sandbox.stripe import accounts, shapes
from sandbox.stripe.store import Json, Space
from sandbox.stripe.versions import shape_of

if TYPE_CHECKING:
    from sandbox.stripe.world import World

KEPT_SECONDS = 30 * 86_400


def emit(world: "World", space: Space, name: str, obj: Json, previous: Json | None = None) -> Json | None:
    """Record that `name` happened to `obj` and queue its deliveries.

    `previous` holds the former values of what changed; an `*.updated` event without any change is not made.
    """
    if world.quiet:
        return None
    if previous is not None and not previous and name.endswith(".updated"):
        return None
    data: Json = {"object": obj}
    if previous:
        data["previous_attributes"] = previous
    event: Json = {
        "id": world.ids.new("evt", 24),
        "object": "event",
        "api_version": world.default_version(space),
        "created": world.now(),
        # Serialised at once: the object goes on changing, and bytes take a tenth of the memory of dicts.
        "data": orjson.dumps(data).decode(),
        "livemode": space.livemode,
        "pending_webhooks": 0,
        "request": dict(world.request) if world.request else {"id": None, "idempotency_key": None},
        "type": name,
    }
    targets = list(_targets(world, space, name))
    space.save("event", event)
    for owner, endpoint in targets:
        world.deliveries.enqueue(space, event, owner, endpoint)
    _prune(world, space)
    return event


def _targets(world: "World", space: Space, name: str) -> list[tuple[Space, Json]]:
    found = [(space, endpoint) for endpoint in _endpoints(space, name, connect=False)]
    if accounts.connection(world, space.account, live=space.livemode):
        # A live Connect endpoint also receives the test events of connected accounts.
        for live in (True,) if space.livemode else (False, True):
            platform = accounts.platform_space(world, live=live)
            found += [(platform, endpoint) for endpoint in _endpoints(platform, name, connect=True)]
    return found


def _endpoints(space: Space, name: str, *, connect: bool) -> list[Json]:
    return [
        endpoint
        for endpoint in space.table("webhook_endpoint").objects.values()
        if endpoint["status"] == "enabled"
        and space.private(endpoint["id"]).get("connect", False) == connect
        and ("*" in endpoint["enabled_events"] or name in endpoint["enabled_events"])
    ]


def _prune(world: "World", space: Space) -> None:
    order = space.table("event").order
    horizon = world.now() - KEPT_SECONDS
    objects = space.table("event").objects
    # One that is still to be delivered stays, and those behind it.
    while order and order[0][0] < horizon and not objects[order[0][2]]["pending_webhooks"]:
        space.remove(order[0][2])


def body(space: Space, event: Json, version: str, *, account: str | None = None) -> Json:
    """The event as one receiver sees it: in the shape of `version`, with `account` for Connect receivers."""
    text: str = event["data"]
    shown: Json = {"id": event["id"], "object": "event"}
    if account:
        shown["account"] = account
    shown.update({key: value for key, value in event.items() if key not in ("id", "object")}, api_version=version)
    if shape_of(version) == "acacia":
        data: Json = orjson.loads(text)
        data["object"] = shapes.to_acacia(space, data["object"])
        shown["data"] = data
    else:
        shown["data"] = orjson.Fragment(text)
    return shown


def change(obj: Json, **values: Any) -> Json:
    """Set fields on `obj`; returns the former values of those that really changed (previous_attributes)."""
    previous: Json = {}
    for name, value in values.items():
        if obj.get(name) != value:
            previous[name] = obj.get(name)
            obj[name] = value
    return previous
