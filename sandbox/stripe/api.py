"""Answering requests: keys, versions, limits, faults, idempotency, routing. Plain values in and out, no HTTP."""

import hashlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.stripe import access, forms, parameters
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.faults import Fault
from sandbox.stripe.rendering import Renderer, parse_expand
from sandbox.stripe.routing import Call, find_route
from sandbox.stripe.store import Json, Space
from sandbox.stripe.versions import shape_of

if TYPE_CHECKING:
    from sandbox.stripe.world import World

KEPT_SECONDS = 86_400  # an idempotency key is good for a day


@dataclass(frozen=True)
class Request:
    """One HTTP request. Header names are lower-case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Response:
    """One HTTP answer; `hang` seconds are to be waited before it, `cut` breaks the connection instead."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    cut: bool = False
    release: Callable[[], None] | None = None  # to be called when a hanging request is over


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Serialise once, here."""
    return Response(status, orjson.dumps(body), {"content-type": "application/json", **(headers or {})})


class Api:
    """Stripe's HTTP interface on one world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.requests = 0
        self.by_route: dict[str, int] = {}
        self._busy: set[str] = set()

    def handle(self, request: Request) -> Response:
        """Answer one request. Never raises; holds the world's lock while it works."""
        with self.world.transaction():
            self.requests += 1
            request_id = self.world.ids.new("req", 14)
            try:
                response = self._answer(request, request_id)
            except StripeError as error:
                response = json_response(error.status, error.body(), error.headers)
            except Exception as error:  # the double's own fault: say so loudly, in Stripe's shape
                traceback.print_exc()
                text = f"sandbox bug: {type(error).__name__}: {error}"
                response = json_response(500, {"error": {"type": "api_error", "message": text}})
        response.headers.setdefault("request-id", request_id)
        return response

    # -- one request ----------------------------------------------------------------------------------------------

    def _answer(self, request: Request, request_id: str) -> Response:
        world, path = self.world, request.path.rstrip("/")
        params = _params(request)
        route, arguments = find_route(request.method, path)
        if route is not None and route.public:
            return json_response(
                200, route.handler(Call(world, world.root, params, arguments, key=access.presented(request.headers)))
            )
        caller = access.authenticate(world, request.headers)
        if route is None:
            raise _unrecognized(request)
        access.check_permission(caller, request.method, path)
        access.check_expansions(caller, params.get("expand"))
        space = access.acting_space(world, caller, request.headers)
        version = request.headers.get("stripe-version") or world.default_version(space)
        if not version[:4].isdigit():
            raise invalid(f"Invalid Stripe API version: {version}")
        base = {"stripe-version": version, "request-id": request_id}
        if caller.account != space.account:
            base["stripe-account"] = space.account
        self.by_route[f"{request.method} {route.pattern}"] = (
            self.by_route.get(f"{request.method} {route.pattern}", 0) + 1
        )
        reason = world.limits.refuse(space.key, route.pattern)
        if reason:
            raise _rate_limited(reason)
        fault = world.faults.strike(request.method, path, space.account)
        before = _fault_before(fault)
        if before:
            before.headers |= base
            return before
        shape = world.rule(space, "force_shape") or shape_of(version)
        if shape_of(version) == "basil":
            parameters.check(request.method, route.pattern, params)
        call = Call(world, space, params, arguments, caller=caller, shape=shape)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        response = self._once(call, route, request, request_id, key) if key else self._run(call, route, request_id, key)
        response.headers = base | response.headers
        return self._fault_after(fault, response, space, key)

    def _run(self, call: Call, route: Any, request_id: str, key: str | None) -> Response:
        params = call.params
        tree = parse_expand(params.pop("expand")) if params.get("expand") else None
        self.world.request = {"id": request_id, "idempotency_key": key} if not route.reads else None
        try:
            answer = route.handler(call)
        finally:
            self.world.request = None
        return json_response(200, Renderer(call.space, call.shape).render(answer, tree))

    # -- idempotency ----------------------------------------------------------------------------------------------

    def _once(self, call: Call, route: Any, request: Request, request_id: str, key: str) -> Response:
        world, name = self.world, f"{call.space.key} {key}"
        if len(key) > 255:
            raise invalid("Idempotency keys may be at most 255 characters long.")
        sent = orjson.dumps(call.params, option=orjson.OPT_SORT_KEYS)
        print_ = hashlib.sha256(f"{request.method} {request.path}\n".encode() + sent).hexdigest()
        if name in self._busy:
            raise StripeError(
                409,
                "idempotency_error",
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Please try again later.",
                code="idempotency_key_in_use",
            )
        kept = world.root.get("_idempotency", name)
        if kept and kept["created"] > world.now() - KEPT_SECONDS:
            if kept["print"] != print_:
                raise StripeError(
                    400,
                    "idempotency_error",
                    "Keys for idempotent requests can only be used with the same parameters they were first used "
                    f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                )
            headers = {"content-type": "application/json", "idempotent-replayed": "true", "idempotency-key": key}
            return Response(kept["status"], kept["body"].encode(), headers | {"original-request": kept["request"]})
        try:
            response = self._run(call, route, request_id, key)
        except StripeError as error:
            if not error.persists:
                raise  # nothing was begun: the key stays free, as at Stripe
            response = json_response(error.status, error.body(), error.headers)
        self._keep(name, print_, response, request_id)
        response.headers["idempotency-key"] = key
        return response

    def _keep(self, name: str, print_: str, response: Response, request_id: str) -> None:
        world = self.world
        row = {
            "id": name,
            "created": world.now(),
            "print": print_,
            "status": response.status,
            "body": response.body.decode(),
            "request": request_id,
        }
        if world.root.get("_idempotency", name):
            world.root.remove(name)
        world.root.save("_idempotency", row)
        table = world.root.table("_idempotency")
        while table.order and table.order[0][0] < world.now() - KEPT_SECONDS:
            world.root.remove(table.order[0][2])

    # -- faults ---------------------------------------------------------------------------------------------------

    def _fault_after(self, fault: Fault | None, response: Response, space: Space, key: str | None) -> Response:
        if fault is None:
            return response
        if fault.kind == "cut_after":
            response.cut = True
        elif fault.kind == "hang":
            response.hang = fault.seconds
            if key:
                name = f"{space.key} {key}"
                self._busy.add(name)
                response.release = lambda: self._busy.discard(name)
        elif fault.kind in ("error_after", "unavailable_after"):
            status = 500 if fault.kind == "error_after" else 503
            return json_response(status, _API_ERROR, dict(response.headers))
        return response


_API_ERROR = {"error": {"type": "api_error", "message": "An unknown error occurred."}}


def _fault_before(fault: Fault | None) -> Response | None:
    if fault is None:
        return None
    if fault.kind == "error_before":
        return json_response(500, _API_ERROR)
    if fault.kind == "unavailable":
        return json_response(503, _API_ERROR)
    if fault.kind == "cut":
        return Response(200, b"{}", cut=True)
    if fault.kind == "rate_limit":
        raise _rate_limited("global-rate")
    if fault.kind == "lock_timeout":
        raise StripeError(
            429,
            "invalid_request_error",
            "This object cannot be accessed right now because another API request or Stripe process is currently "
            "accessing it. If you see this error intermittently, retry the request.",
            code="lock_timeout",
        )
    return None


def _rate_limited(reason: str) -> StripeError:
    return StripeError(
        429,
        "invalid_request_error",
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        headers={"stripe-rate-limited-reason": reason},
    )


def _unrecognized(request: Request) -> StripeError:
    return StripeError(
        404,
        "invalid_request_error",
        f"Unrecognized request URL ({request.method}: {request.path}). If you are trying to list objects, remove the "
        "trailing slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) "
        "identifier in your code. Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
    )


def _params(request: Request) -> Json:
    params = forms.parse(request.query)
    if not request.body:
        return params
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        try:
            given = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            raise invalid("Invalid request: the body is not JSON.") from None
        return params | (given if isinstance(given, dict) else {})
    return params | forms.parse(request.body.decode("utf-8", "replace"))
