"""Setting and clearing our cookies."""

from typing import Any

from fastapi.responses import Response

from core import clock
from core.config import settings
from services.identity.cookies import cookie_name
from services.identity.schemas import NewSession

CONNECT_SECONDS = 600


def connect_cookie_name() -> str:
    return f"__Host-{_CONNECT}" if settings().serves_https else _CONNECT


_CONNECT = "phantom_connect"


def set_session(response: Response, opened: NewSession) -> None:
    """Leave a session in the browser. Lax, so that coming back from Stripe or a link in a mail is signed in."""
    left = int((opened.expires_at - clock.now()).total_seconds())
    response.set_cookie(cookie_name(settings()), opened.token, max_age=left, **_attributes())


def clear_session(response: Response) -> None:
    response.set_cookie(cookie_name(settings()), "", max_age=0, **_attributes())


def set_connect(response: Response, browser_token: str) -> None:
    """Bind a connection under way to this browser for ten minutes."""
    response.set_cookie(connect_cookie_name(), browser_token, max_age=CONNECT_SECONDS, **_attributes())


def clear_connect(response: Response) -> None:
    response.set_cookie(connect_cookie_name(), "", max_age=0, **_attributes())


def _attributes() -> Any:
    """No Domain, Path=/: what the `__Host-` prefix demands."""
    return {"path": "/", "httponly": True, "secure": settings().serves_https, "samesite": "lax"}
