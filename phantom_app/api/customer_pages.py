"""The few plain pages a merchant's customer sees: server-rendered, no framework, no login."""

import base64
import functools
import hashlib
import re
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from phantom_app.api.customer_words import PageWords

# Posts the form once a person shows: the page is in view, and somebody moved, touched or scrolled on it, a moment after
# it came into view. Scanners run scripts too, some at once and some for a minute, so neither a script that runs nor
# time alone tells them from people; docs/security.md says what can be told and what cannot. Keys do nothing by
# themselves: a screen reader's user presses them to read, and must not be carried off.
AUTO_SUBMIT = """\
(function () {
  if (navigator.webdriver) return;
  var form = document.getElementById("go"), seen = 0, sent = false;
  function look() { seen = document.visibilityState === "visible" ? seen || Date.now() : 0; }
  function act(event) {
    look();
    if (sent || !event.isTrusted || !seen || Date.now() - seen < 700) return;
    sent = true;
    form.action = "?by=page";
    form.submit();
  }
  document.addEventListener("visibilitychange", look);
  ["pointermove", "pointerdown", "touchmove", "wheel"].forEach(function (name) {
    document.addEventListener(name, act, { passive: true });
  });
  look();
})();"""
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
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")


@functools.cache
def _environment() -> Environment:
    folder = Path(__file__).parent / "templates"
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)


def page(
    words: PageWords,
    *,
    merchant: str = "",
    accent: str = "",
    reply_to: str = "",
    amount: str = "",
    auto: bool = False,
    back: str = "",
    refresh: int = 0,
    status: int = 200,
) -> HTMLResponse:
    """One page. Its button posts to the page's own address; `auto` does so too when a person shows.

    `reply_to` is whom to write to, shown where it is an address; `back` is where the link leads; `refresh` are seconds
    until the page looks again.
    """
    body = (
        _environment()
        .get_template("customer.html.j2")
        .render(
            words=words,
            merchant=merchant,
            accent=accent if _COLOUR.fullmatch(accent) else "",
            reply_to=reply_to if _ADDRESS.fullmatch(reply_to) else "",
            amount=amount,
            auto=AUTO_SUBMIT if auto else "",
            back=back,
            refresh=refresh,
        )
    )
    return HTMLResponse(body, status_code=status, headers=_HEADERS)
