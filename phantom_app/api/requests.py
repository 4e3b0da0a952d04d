"""What we believe of a request: who sent the form, where to go next, who is signed in."""

from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from core.config import settings
from core.errors import BadRequestError, ForbiddenError
from phantom_app.api import bodies
from phantom_app.limits import origin_of
from services.identity.cookies import session_cookie_from_header
from services.identity.schemas import Principal
from services.identity.service import resolve_session

LONGEST_FORM = 16 * 1024
LONGEST_NEXT = 512
HOME = "/dashboard"
_FOR_PROGRAMS = ("/api/v1/", "/api/webhooks/")


class CrossSiteError(ForbiddenError):
    code, title = "cross_site", "This form was sent from another site"


def wants_json(request: Request) -> bool:
    """Whether the caller is a program: it asks for JSON and not for a page, or nobody else can be at the other end."""
    if request.app.state.headless or request.url.path.startswith(_FOR_PROGRAMS):
        return True
    accept = request.headers.get("accept", "")
    return "json" in accept and "text/html" not in accept


def require_same_origin(request: Request) -> None:
    """Refuse a form that another site sent (login CSRF, sign-out by a picture). Raises `CrossSiteError`.

    Browsers tell it by Sec-Fetch-Site, which scripts cannot set; it comes first because a page with a strict
    referrer policy sends `Origin: null` even to itself. Older browsers and plain http send Origin. A form with
    neither is refused: no browser we serve sends one.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise CrossSiteError
        return
    if request.headers.get("origin") != origin_of(settings().public_url):
        raise CrossSiteError


def safe_next(target: str) -> str:
    """`target` if it is a page of ours, else the dashboard: an open redirect makes our sign-in a phisher's tool.

    A browser reads `//host` and `/\\host` as another site and drops tabs and newlines inside addresses, so only a
    plain absolute path passes.
    """
    if not target or len(target) > LONGEST_NEXT or not target.isascii() or not target.isprintable():
        return HOME
    if not target.startswith("/") or target.startswith("//") or "\\" in target or " " in target:
        return HOME
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or parts.path.startswith(("/auth/", "/api/")):
        return HOME
    return target


async def read_body(request: Request, longest: int, seconds: float | None = None) -> bytes:
    """The raw body, as `bodies.read` has it. Raises `TooLargeError`, `TooSlowError`, `ClientDisconnect`."""
    announced = request.headers.get("content-length", "").encode("latin-1")
    return await bodies.read(request.receive, announced, longest, seconds)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form, the last of equal names. Raises as `read_body`, and `BadRequestError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadRequestError("Expected a form.")
    body = await read_body(request, LONGEST_FORM)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=False, max_num_fields=50))
    except ValueError:
        raise BadRequestError("The form cannot be read.") from None


def session_token(request: Request) -> str:
    """The session cookie's value, or an empty string."""
    return session_cookie_from_header(request.headers.get("cookie", ""), settings()) or ""


def principal_of(request: Request) -> Principal | None:
    """Who is signed in; two queries, so call it from the thread pool."""
    return resolve_session(session_token(request))


def client_address(request: Request) -> str:
    """The caller's address: the socket's peer, or what a trusted proxy said of it (`phantom_app.proxies`)."""
    return request.client.host if request.client else ""
