"""The few plain pages a merchant's customer sees: server-rendered, no framework, no cookie, no login."""

import base64
import functools
import hashlib
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

# Runs in a person's browser at once; a scanner that only fetches never gets here.
AUTO_SUBMIT = "document.getElementById('go').submit()"
_HASH = base64.b64encode(hashlib.sha256(AUTO_SUBMIT.encode()).digest()).decode()
# No form-action: browsers apply it to the redirect that follows, which leads to Stripe's own hosts.
_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",  # the token in the address is the customer's alone
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


@functools.cache
def _environment() -> Environment:
    folder = Path(__file__).parent / "templates"
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)


def page(
    *,
    title: str,
    heading: str,
    lines: tuple[str, ...] = (),
    merchant: str = "",
    amount: str = "",
    button: str = "",
    auto: bool = False,
    soft: str = "",
    status: int = 200,
) -> HTMLResponse:
    """One page. `button` posts to the page's own address; `auto` does so without waiting for a press."""
    body = (
        _environment()
        .get_template("customer.html.j2")
        .render(
            title=title,
            heading=heading,
            lines=lines,
            merchant=merchant,
            amount=amount,
            button=button,
            auto=AUTO_SUBMIT if auto else "",
            soft=soft,
        )
    )
    return HTMLResponse(body, status_code=status, headers=_HEADERS)
