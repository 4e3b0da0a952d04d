"""Security headers on every answer, with a content policy that lists the page's own inline scripts by hash.

The built pages start with a few inline scripts (colour mode before the first paint, the router's hydration);
they are hashed once at start. Nothing may be evaluated: no `unsafe-eval`, so no `rx.call_script` in our pages.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL | re.IGNORECASE)
_CONTENT_POLICY = "content-security-policy"
_NEVER_CHANGES = re.compile(r"^/assets/[^/]+-[\w-]{8,}\.(?:js|css|woff2|svg)$")


def script_hashes(html: str) -> set[str]:
    """CSP sources for the inline scripts of one document."""
    return {
        "'sha256-" + base64.b64encode(hashlib.sha256(found["body"].encode()).digest()).decode() + "'"
        for found in _INLINE_SCRIPT.finditer(html)
        if "src=" not in found["attributes"]
    }


def build_hashes(static: Path) -> list[str]:
    """CSP sources for every document of a build, sorted so that the header is stable."""
    found: set[str] = set()
    for document in sorted(static.rglob("*.html")):
        found |= script_hashes(document.read_text())
    return sorted(found)


def content_policy(scripts: Iterable[str]) -> str:
    """The policy of our own pages. Styles need `unsafe-inline` (React sets style attributes); scripts never do."""
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src", "'self'", *scripts)),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "frame-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "object-src 'none'",
            "form-action 'self'",
        )
    )


class SecurityHeaders:
    """ASGI layer that adds what an answer does not say itself; a route with its own policy keeps it."""

    def __init__(self, app: ASGIApp, policy: str, *, https: bool) -> None:
        self._app, self._policy = app, policy
        self._fixed = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "strict-origin-when-cross-origin",
            "x-frame-options": "DENY",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
        }
        if https:
            self._fixed["strict-transport-security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._fixed.items():
                    headers.setdefault(name, value)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault(_CONTENT_POLICY, self._policy)
                    headers.setdefault("cache-control", "no-cache")
                elif message["status"] == 200 and _NEVER_CHANGES.match(scope["path"]):
                    headers.setdefault("cache-control", "public, max-age=31536000, immutable")
            await send(message)

        await self._app(scope, receive, with_headers)
