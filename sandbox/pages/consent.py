"""Connect's consent page: an account's owner lets the platform in, or not.

A browser is sent back only to an address the platform registered (`POST /_sandbox/oauth/redirect_uris`), compared
whole. A platform that registered none may use any address on this machine, so that a demo needs no set-up; there
is no third case, so the page cannot be made to send anybody elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.pages.rendering import form_of, notice, origin, page, see_other
from sandbox.stripe import accounts
from sandbox.stripe.actions import Actions
from sandbox.stripe.store import Json

if TYPE_CHECKING:
    from sandbox.stripe.world import World

SCOPES = ("read_only", "read_write")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KEPT = (
    "client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method",
    "stripe_user[email]", "stripe_user[business_name]",
)  # fmt: skip


class _RefusedError(Exception):
    """The request cannot be trusted with a redirect; `message` is Stripe's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class _Asked:
    """A request whose client and redirect address are genuine."""

    redirect_uri: str
    scope: str
    state: str | None
    challenge: str | None
    method: str
    error: tuple[str, str] | None  # to be told to the client by redirect

    def back(self, **given: str) -> str:
        """The redirect address with these parameters and the state, keeping its own query."""
        if self.state is not None:
            given["state"] = self.state
        parts = urlsplit(self.redirect_uri)
        query = [*parse_qsl(parts.query, keep_blank_values=True), *given.items()]
        return parts._replace(query=urlencode(query)).geturl()


def redirect_uris(world: "World") -> list[str]:
    """The addresses the platform registered."""
    found: list[str] = world.root.private(world.settings.platform_account).get("redirect_uris", [])
    return found


def register_redirect_uris(world: "World", given: list[str]) -> None:
    """Let codes go to exactly these addresses; none: to any on this machine. Raises ValueError."""
    if not all(isinstance(one, str) and origin(one) and "#" not in one for one in given):
        raise ValueError("each address must be http(s), without a fragment")
    with world.transaction():
        world.root.private(world.settings.platform_account)["redirect_uris"] = given
        world.root.save("account", world.account(world.settings.platform_account))


def _read(world: "World", given: Mapping[str, str]) -> _Asked:
    client = given.get("client_id", "")
    if not client:
        raise _RefusedError("invalid_request", "No client_id was given.")
    if client != world.settings.client_id:
        raise _RefusedError("invalid_client", f"No application matches the supplied client identifier: {client}")
    registered, uri = redirect_uris(world), given.get("redirect_uri", "")
    if not uri and registered:
        uri = registered[0]
    if not _allowed(uri, registered):
        raise _RefusedError(
            "invalid_redirect_uri",
            f"Invalid redirect URI '{uri}'. Ensure this URI exactly matches one of the URIs specified in your "
            "application settings.",
        )
    scope, error = given.get("scope") or "read_only", None
    method = given.get("code_challenge_method") or "plain"
    if given.get("response_type") != "code":
        error = ("unsupported_response_type", f"Response type {given.get('response_type', '')!r} is not supported")
    elif scope not in SCOPES:
        error = ("invalid_scope", f"Invalid scope: {scope}")
    elif method not in ("S256", "plain"):
        error = ("invalid_request", f"Invalid code_challenge_method: {method}")
    return _Asked(uri, scope, given.get("state"), given.get("code_challenge") or None, method, error)


def _allowed(uri: str, registered: list[str]) -> bool:
    if registered:
        return uri in registered
    return origin(uri) is not None and urlsplit(uri).hostname in LOOPBACK and "\\" not in uri


@dataclass(frozen=True)
class _Choice:
    id: str
    label: str
    connected: bool


class Consent:
    """The handlers."""

    def __init__(self, world: "World") -> None:
        self.world, self.actions = world, Actions(world)

    def routes(self) -> list[Route]:
        """The page and the registration of redirect addresses."""
        return [
            Route("/oauth/authorize", self.show),
            Route("/oauth/v2/authorize", self.show),
            Route("/oauth/authorize", self.decide, methods=["POST"]),
            Route("/_sandbox/oauth/redirect_uris", self.register, methods=["GET", "POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET: the page, or what is wrong with the request."""
        given = dict(request.query_params)
        try:
            asked = _read(self.world, given)
        except _RefusedError as error:
            return _refusal(error)
        if asked.error:
            return see_other(asked.back(error=asked.error[0], error_description=asked.error[1]))
        return self._page(given, asked)

    def _page(self, given: Mapping[str, str], asked: _Asked, error: str | None = None) -> Response:
        choices = self._choices()
        return page(
            "consent.html",
            422 if error else 200,
            leaves=True,
            platform=self.world.account(self.world.settings.platform_account)["business_profile"]["name"],
            fresh=[choice for choice in choices if not choice.connected],
            connected=[choice for choice in choices if choice.connected],
            chosen=self._hinted(given, choices),
            write=asked.scope == "read_write",
            kept=[(name, given[name]) for name in _KEPT if name in given],
            error=error,
        )

    def _choices(self) -> list[_Choice]:
        with self.world.lock:
            rows = [row for row in self.world.root.table("account").objects.values() if not self._is_platform(row)]
            return [
                _Choice(row["id"], _label(row), accounts.connection(self.world, row["id"], live=False) is not None)
                for row in rows
            ]

    def _is_platform(self, account: Json) -> bool:
        return bool(account["id"] == self.world.settings.platform_account)

    def _hinted(self, given: Mapping[str, str], choices: list[_Choice]) -> str | None:
        """The account the platform's hint means, else the first that is not connected."""
        wanted = {given.get("stripe_user[email]"), given.get("stripe_user[business_name]")} - {None, ""}
        for choice in choices:
            row = self.world.account(choice.id)
            if wanted & {row["email"], row["business_profile"]["name"], row["id"]}:
                return choice.id
        return next((choice.id for choice in choices if not choice.connected), None)

    async def decide(self, request: Request) -> Response:
        """POST: the redirect with a code, or with the refusal."""
        given = await form_of(request)
        try:
            asked = _read(self.world, given)
        except _RefusedError as error:
            return _refusal(error)
        if asked.error:
            return see_other(asked.back(error=asked.error[0], error_description=asked.error[1]))
        if given.get("decision") != "connect":
            return see_other(asked.back(error="access_denied", error_description="The user denied your request"))
        account = given.get("account", "")
        if account not in {choice.id for choice in self._choices()}:
            return self._page(given, asked, "Choose an account to connect.")
        code = self.actions.create_authorization_code(
            account,
            scope=asked.scope,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.challenge,
            code_challenge_method=asked.method,
        )
        return see_other(asked.back(code=code, scope=asked.scope))

    async def register(self, request: Request) -> Response:
        """GET, or POST `{"redirect_uris": [...]}`: where codes may go."""
        status = 200
        body: dict[str, Any] = {}
        if request.method == "POST":
            try:
                register_redirect_uris(self.world, orjson.loads(await request.body())["redirect_uris"])
            except (ValueError, KeyError, TypeError) as error:
                status, body = 400, {"error": str(error)}
        body |= {"redirect_uris": redirect_uris(self.world)}
        return Response(orjson.dumps(body), status, media_type="application/json")


def _label(account: Json) -> str:
    name, email = account["business_profile"]["name"], account["email"]
    return f"{name} ({email})" if email else str(name)


def _refusal(error: _RefusedError) -> Response:
    return notice("Something went wrong", f"{error.message} (error: {error.code})", status=400)
