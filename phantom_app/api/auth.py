"""Signing in and out by forms: full page loads, because a page's socket keeps the headers it was opened with."""

import json
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from core.config import settings
from core.errors import NotFoundError, PhantomError
from models.identity import SignInMethod
from phantom_app.api import errors, pages, sessions
from phantom_app.api.requests import (
    HOME,
    client_address,
    read_form,
    require_same_origin,
    safe_next,
    session_token,
    wants_json,
)
from services.identity import owner_link
from services.identity import service as identity
from services.identity.errors import BusyError, InvalidPasswordError, TooManySignInsError, WrongCredentialsError
from services.identity.passwords import SHORTEST
from services.identity.schemas import NewSession

router = APIRouter()

SIGN_IN_PAGE = "/sign-in"
START = "/"


@router.post("/auth/sign-in")
async def sign_in(request: Request) -> Response:
    """Fields `email`, `password` and optionally `next` (a page of ours). Back to the sign-in page when refused,
    with `?error=wrong_credentials | too_many_sign_ins | busy`; programs get 200 or a problem.
    """
    require_same_origin(request)
    form = await read_form(request)
    after = safe_next(form.get("next", ""))
    try:
        opened = await run_in_threadpool(
            identity.sign_in,
            form.get("email", ""),
            form.get("password", ""),
            address=client_address(request),
            user_agent=request.headers.get("user-agent", ""),
            replaces=session_token(request),
        )
    except (WrongCredentialsError, TooManySignInsError, BusyError) as error:
        return _refused(request, error, form.get("next", ""))
    return _signed_in(request, opened, after)


@router.get("/auth/owner/{token}")
def show_owner_link(token: str) -> Response:
    """The page behind an operator's one-time link; reading it changes nothing, so a mail scanner may."""
    email = owner_link.check_owner_link(token)
    return _private(_password_page(token, f"You will sign in as {email}."))


@router.post("/auth/owner/{token}")
async def follow_owner_link(token: str, request: Request) -> Response:
    """Set the password and sign in."""
    require_same_origin(request)
    form = await read_form(request)
    try:
        opened = await run_in_threadpool(
            owner_link.use_owner_link,
            token,
            form.get("password", ""),
            user_agent=request.headers.get("user-agent", ""),
            replaces=session_token(request),
        )
    except InvalidPasswordError as error:
        return _private(_password_page(token, error.detail, status=error.status))
    return _signed_in(request, opened, HOME)


@router.post("/auth/sign-out")
async def sign_out(request: Request) -> Response:
    """End this browser's session, on the server too."""
    require_same_origin(request)
    await run_in_threadpool(identity.sign_out, session_token(request))
    response: Response = JSONResponse({"status": "success"}) if wants_json(request) else RedirectResponse(START, 303)
    sessions.clear_session(response)
    return _private(response)


@router.post("/auth/demo")
async def sign_in_to_demo(request: Request) -> Response:
    """Sign in as the demo's owner; there is no such route in live mode."""
    demo = _demo()
    require_same_origin(request)
    form = await read_form(request) if request.headers.get("content-type") else {}
    opened = await run_in_threadpool(
        identity.sign_in_as,
        demo["email"],
        demo["merchant_id"],
        SignInMethod.DEMO,
        user_agent=request.headers.get("user-agent", ""),
        replaces=session_token(request),
    )
    return _signed_in(request, opened, safe_next(form.get("next", "")))


def _password_page(token: str, text: str, *, status: int = 200) -> Response:
    form = (
        f'<form method="post" action="{owner_link.PATH}{quote(token)}"><label>Password, at least {SHORTEST} characters'
        f'<input type="password" name="password" autocomplete="new-password" minlength="{SHORTEST}" required></label>'
        "<button>Set the password and sign in</button></form>"
    )
    response = pages.page("Choose your password", text, status=status, form=form)
    response.headers["referrer-policy"] = "no-referrer"
    return response


def _demo() -> dict[str, Any]:
    configured = settings()
    if not configured.is_demo or configured.phantom_demo_file is None:
        raise NotFoundError
    try:
        found: dict[str, Any] = json.loads(configured.phantom_demo_file.read_text())
    except (OSError, ValueError):
        raise NotFoundError("The demo is still being prepared. Please try again in a moment.") from None
    return found


def _signed_in(request: Request, opened: NewSession, after: str) -> Response:
    response: Response = JSONResponse({"status": "success"}) if wants_json(request) else RedirectResponse(after, 303)
    sessions.set_session(response, opened)
    return _private(response)


def _refused(request: Request, error: PhantomError, after: str) -> Response:
    if wants_json(request):
        return _private(errors.on_phantom_error(request, error))
    query = {"error": error.code}
    if after and safe_next(after) == after:
        query["next"] = after
    return _private(RedirectResponse(f"{SIGN_IN_PAGE}?{urlencode(query)}", 303))


def _private(response: Response) -> Response:
    response.headers["cache-control"] = "no-store"
    return response
