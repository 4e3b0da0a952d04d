"""Connect Stripe: out to the consent page, and back with what came of it."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from core.errors import PhantomError
from phantom_app.api import errors, pages, sessions
from phantom_app.api.requests import principal_of, session_token
from services.identity.cookies import cookie_values
from services.merchants import connect
from services.merchants.schemas import Browser, Callback

router = APIRouter()
start_router = APIRouter()
"""The start page of a headless PHANTOM; with screens, `/` is theirs."""

WELCOME = "/welcome"


@router.get("/api/auth/stripe")
def begin(request: Request) -> Response:
    """Send the browser to Stripe's consent page."""
    try:
        begun = connect.begin(None if request.app.state.headless else principal_of(request))
    except PhantomError as error:
        return _private(errors.on_phantom_error(request, error))
    response = RedirectResponse(begun.url, 303)
    sessions.set_connect(response, begun.browser_token)
    return _private(response)


@router.get("/api/auth/callback")
def finish(request: Request) -> Response:
    """Where Stripe sends the browser back, with a code or an error. A page or a problem says how it went."""
    headless = bool(request.app.state.headless)
    given = request.query_params
    callback = Callback(given.get("state", "")[:512], given.get("code", "")[:1024], given.get("error", "")[:64])
    tokens = cookie_values(request.headers.get("cookie", ""), sessions.connect_cookie_name())
    browser = Browser(
        connect_token=tokens[0] if len(tokens) == 1 else "",
        session_token=session_token(request),
        user_agent=request.headers.get("user-agent", ""),
    )
    try:
        connected = connect.finish(callback, browser, None if headless else principal_of(request), headless=headless)
    except PhantomError as error:
        return _private(errors.on_phantom_error(request, error))
    response: Response
    if headless:
        response = JSONResponse({"status": "success", "message": "Merchant Authorized"})
    else:
        response = RedirectResponse(WELCOME, 303)
        sessions.set_session(response, connected.session)
    sessions.clear_connect(response)
    return _private(response)


@start_router.get("/")
def start() -> HTMLResponse:
    """A single link."""
    return pages.page("Recover what you have earned", "", pages.CONNECT)


def _private(response: Response) -> Response:
    """The callback's address holds a code and a state: no cache, and no referrer to anybody."""
    response.headers["cache-control"] = "no-store"
    response.headers["referrer-policy"] = "no-referrer"
    return response
