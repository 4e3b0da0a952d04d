"""Security headers on every answer, with a content policy that lists the page's own inline scripts by hash.

The built pages start with a few inline scripts (colour mode before the first paint, the router's hydration);
they are hashed once at start. Nothing may be evaluated: no `unsafe-eval`, so no `rx.call_script` in our pages.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL | re.IGNORECASE)
_CONTENT_POLICY = b"content-security-policy"
_NO_CACHE = (b"cache-control", b"no-cache")
_FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")
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
        self._app = app
        self._policy = (_CONTENT_POLICY, policy.encode("latin-1"))
        self._fixed = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"strict-origin-when-cross-origin"),
            (b"x-frame-options", b"DENY"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=()"),
        ]
        if https:
            self._fixed.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": self._with_ours(message, scope["path"])}
            await send(message)

        await self._app(scope, receive, with_headers)

    def _with_ours(self, message: Message, path: str) -> list[tuple[bytes, bytes]]:
        """The answer's own headers and ours. On plain lists: this is part of each webhook's and access check's cost."""
        headers = [(name, value) for name, value in message.get("headers", ())]
        said = dict(headers)
        headers += [header for header in self._fixed if header[0] not in said]
        if said.get(b"content-type", b"").startswith(b"text/html"):
            headers += [header for header in (self._policy, _NO_CACHE) if header[0] not in said]
        elif message["status"] == 200 and _NEVER_CHANGES.match(path) and _FOR_EVER[0] not in said:
            headers.append(_FOR_EVER)
        return headers
