"""Jinja with escaping everywhere, and the headers that let a page run nothing it did not bring."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from core.money import Money, format_money

HERE = Path(__file__).parent
LONGEST_FORM = 64 * 1024

_jinja = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def money(amount: int, currency: str) -> str:
    """`$49.00`, `¥4,900`, `KWD 4.900`; a currency's letters keep a space, as CLDR's currencySpacing wants."""
    return re.sub(r"(?<=[A-Za-z])(?=\d)", "\xa0", format_money(Money(amount, currency)))


def day(moment: float) -> str:
    """`15 January 2026`, UTC as the sandbox lives."""
    found = datetime.fromtimestamp(moment, UTC)
    return f"{found.day} {found:%B %Y}"


def minute(moment: float) -> str:
    """`15 Jan 2026, 12:00`"""
    found = datetime.fromtimestamp(moment, UTC)
    return f"{found.day} {found:%b %Y, %H:%M}"


_jinja.filters |= {"money": money, "day": day, "minute": minute}


def origin(url: str | None) -> str | None:
    """`https://host:port` of a web address; None for anything else (`javascript:` for one)."""
    try:
        parts = urlsplit(url or "")
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def page(template: str, /, status: int = 200, *, leaves: bool = False, **values: Any) -> Response:
    """A page. `leaves`: its forms end elsewhere; browsers hold a whole chain of redirects to `form-action`."""
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action 'self'{' http: https:' if leaves else ''}"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return HTMLResponse(_jinja.get_template(template).render(**values), status, headers)


def notice(title: str, text: str, *, status: int = 200, link: tuple[str, str] | None = None) -> Response:
    """A page that says one thing; `link` is a label and an address of ours, or one that was checked."""
    return page("notice.html", status, title=title, text=text, link=link)


def see_other(url: str) -> Response:
    """Redirect after a form."""
    return RedirectResponse(url, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})


async def form_of(request: Request) -> dict[str, str]:
    """A posted form; files and repeats are dropped, and so is anything huge."""
    if int(request.headers.get("content-length") or 0) > LONGEST_FORM:
        return {}
    form = await request.form(max_files=0, max_fields=50)
    return {name: value for name, value in form.items() if isinstance(value, str)}


_STYLE = (HERE / "sandbox.css").read_bytes()


async def _style(request: Request) -> Response:
    return Response(_STYLE, media_type="text/css", headers={"cache-control": "max-age=60"})


def style_route() -> Route:
    """The one style sheet."""
    return Route("/_pages/sandbox.css", _style)
