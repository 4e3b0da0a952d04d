"""Who really called, when a proxy or a load balancer stands in front.

Limits, sign-in throttles and the audit trail go by the caller's address. Behind a proxy the socket's peer is the
proxy, for everybody. What it says in `X-Forwarded-For` and `-Proto` is believed when, and only when, the peer is one
of TRUSTED_PROXIES: from anyone else these headers are text that an attacker chose.
"""

import functools
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from core.config import Network, address_of

_FOR, _PROTO = b"x-forwarded-for", b"x-forwarded-proto"
MAX_HOPS = 16
"""How many entries are looked at, from the right: nobody has more proxies, and a header can be 64 kB long."""
_SCHEMES = {("http", "https"): "https", ("http", "http"): "http", ("websocket", "https"): "wss"}
_SCHEMES |= {("websocket", "http"): "ws", ("websocket", "wss"): "wss", ("websocket", "ws"): "ws"}


def _last_words(scope: Scope, name: bytes) -> list[str]:
    """The last entries of a comma-separated header, the nearest hop's first; several lines are one list."""
    value = b",".join(given for key, given in scope["headers"] if key == name).decode("latin-1")
    return [part.strip() for part in reversed(value.rsplit(",", MAX_HOPS)[-MAX_HOPS:])] if value else []


class BehindProxies:
    """ASGI layer in front of all others: sets the scope's `client` and `scheme` to what a trusted proxy reports."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        # the same few proxies call all the time, and asking every network costs more than the rest of this layer
        self._is_trusted = functools.lru_cache(1024)(lambda text: _is_in(text, trusted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if peer and self._is_trusted(peer[0]):
            scope = {**scope, "client": (self._caller(scope, peer[0]), 0), "scheme": self._scheme(scope)}
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope, peer: str) -> str:
        """The right-most address that is no proxy of ours: each proxy appends whom it heard, callers only prepend.

        Where all of them are ours, the first is the caller. What is no address ends the walk: the hop that reported
        it is the last one that is known.
        """
        known = peer
        for entry in _last_words(scope, _FOR):
            found = address_of(entry)
            if found is None:
                return known
            known = str(found)
            if not self._is_trusted(known):
                return known
        return known

    def _scheme(self, scope: Scope) -> str:
        said = (_last_words(scope, _PROTO) or [""])[0].lower()
        return _SCHEMES.get((scope["type"], said), str(scope["scheme"]))


def _is_in(text: str, trusted: Sequence[Network]) -> bool:
    found = address_of(text)
    return found is not None and any(found in network for network in trusted)
