"""The session cookie's name and value, and reading it from a raw header (Reflex hands on nothing better)."""

import re

from core.config import Settings

_NAME = "phantom_session"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name(configured: Settings) -> str:
    """`__Host-phantom_session` on https: the browser then refuses it from a subdomain, a path or plain http.

    Browsers refuse that prefix without Secure, hence the plain name on http://localhost.
    """
    return f"__Host-{_NAME}" if configured.serves_https else _NAME


def cookie_values(header: str, name: str) -> list[str]:
    """All values a Cookie header gives `name` (RFC 6265, section 5.4: order says nothing about who set them)."""
    found = []
    for pair in header.split(";"):
        key, separator, value = pair.partition("=")
        if separator and key.strip() == name:
            found.append(value.strip().strip('"'))
    return found


def session_cookie_from_header(header: str, configured: Settings) -> str | None:
    """The session token in a Cookie header, or None.

    Two different ones mean that somebody put a second cookie beside ours (another port or path of localhost can):
    neither is believed.
    """
    values = set(cookie_values(header, cookie_name(configured)))
    if len(values) != 1:
        return None
    value = values.pop()
    return value if is_token(value) else None


def is_token(value: str) -> bool:
    """Whether a value has the shape of a session token; anything else costs no query."""
    return _TOKEN.fullmatch(value) is not None
