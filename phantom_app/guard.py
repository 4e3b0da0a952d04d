"""Deny by default: no event of a browser runs unless its handler declares who may call it.

Every public method of a state is a remote procedure that anyone on the internet can name, with any arguments.
Handlers carry `@allow(Permission.X)`, `@allow()` (any signed-in member) or `@public` below `@rx.event`; anything
else is refused. Identity comes from the session cookie of the connection alone, and is checked again on every
protected event, so that a revoked session stops within `SESSION_MEMORY` seconds on an open page.
"""

import asyncio
import contextvars
import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import reflex as rx
from reflex.state import BaseState, StateUpdate
from reflex_base.event import Event
from sqlalchemy.exc import SQLAlchemyError

from core.errors import NotAuthenticatedError, UnavailableError
from phantom_app import routes, runtime
from services.identity.schemas import Principal

log = logging.getLogger(__name__)

SESSION_MEMORY = 2.0
"""Seconds a worker believes what it last heard about a session."""
_REMEMBERED = 5_000
_MARK = "_phantom_declaration"
PUBLIC = "public"
SIGNED_IN = "signed-in"

Handler = TypeVar("Handler", bound=Callable[..., Any])


Resolve = Callable[[str], Principal | None]
ReadCookie = Callable[[str], str | None]

_current: contextvars.ContextVar[Principal | None] = contextvars.ContextVar("principal", default=None)


def allow(permission: str = SIGNED_IN) -> Callable[[Handler], Handler]:
    """Declare which permission a handler needs; without one, any signed-in member may call it."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _MARK, permission)
        return handler

    return mark


def public(handler: Handler) -> Handler:
    """Declare that anyone may call a handler, signed in or not."""
    setattr(handler, _MARK, PUBLIC)
    return handler


def declaration(handler: Any) -> str | None:
    """What a handler declares, or None when it declares nothing."""
    return getattr(handler.fn, _MARK, None)


def visitor() -> Principal | None:
    """Who sent the event under way, or None for a visitor without a session."""
    return _current.get()


def principal() -> Principal:
    """Who sent the event under way. Raises `NotAuthenticatedError` where nobody is signed in."""
    found = _current.get()
    if found is None:
        raise NotAuthenticatedError
    return found


class TabOwner(rx.State):
    """Whose data a tab's state holds. A tab token lives in sessionStorage across sign-out: it is no identity."""

    _owner: str = ""


class Sessions:
    """Cookie to principal, remembered for a moment so that a burst of events costs one query."""

    def __init__(
        self, resolve: Resolve, read_cookie: ReadCookie, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._resolve, self._read_cookie, self._clock = resolve, read_cookie, clock
        self._known: dict[bytes, tuple[float, Principal | None]] = {}

    async def of(self, cookie_header: str) -> tuple[str, Principal | None]:
        """A fingerprint of the session (empty without one) and whose it is."""
        value = self._read_cookie(cookie_header or "")
        if not value:
            return "", None
        key = hashlib.sha256(value.encode()).digest()
        until, found = self._known.get(key, (0.0, None))
        if self._clock() >= until:
            try:
                found = await asyncio.to_thread(self._resolve, value)
            except SQLAlchemyError as error:
                raise UnavailableError("Sessions cannot be checked at this moment.") from error
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = (self._clock() + SESSION_MEMORY, found)
        return (key.hex() if found else ""), found


class Guard(rx.Middleware):
    """Runs before every event, chained and server-made ones included."""

    def __init__(self, sessions: Sessions, forget_tab: Callable[[str], None]) -> None:
        self._sessions, self._forget_tab = sessions, forget_tab
        self._policy: dict[str, str | None] = {}

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> StateUpdate | None:
        need = self._needs(event.name)
        try:
            fingerprint, who = await self._sessions.of(state.router.headers.cookie)
        except UnavailableError:
            if need != PUBLIC:
                raise
            fingerprint, who = "", None  # the notice that something failed is public: it must not fail, too
        _current.set(who)
        if event.name in runtime.FRAMEWORK_HANDLERS:
            if event.name in runtime.HYDRATE:
                await self._clean_for(state, f"{fingerprint}:{who.merchant_id}" if who else "")
            return None
        if need == PUBLIC:
            return None
        if need is not None and who is None:
            return self._sign_in(state)
        if need is not None and who is not None and (need == SIGNED_IN or need in who.permissions):
            return None
        log.warning("guard.denied", extra={"facts": {"event": event.name[:200], "declared": need is not None}})
        return StateUpdate()

    def _needs(self, name: str) -> str | None:
        if name not in self._policy:
            handler = runtime.declared_handlers().get(name)
            if handler is None:
                return None
            self._policy[name] = declaration(handler)
        return self._policy[name]

    async def _clean_for(self, state: BaseState, owner: str) -> None:
        """Start from a clean state when the tab was another session's; a hydrate has every state loaded."""
        tab = await state.get_state(TabOwner)
        if tab._owner != owner:
            self._forget_tab(runtime.tab_token(state))
            runtime.clear_tab(state)
            tab._owner = owner

    @staticmethod
    def _sign_in(state: BaseState) -> StateUpdate:
        """Empty what the tab holds (hydrate comes back through the guard, now without an owner) and ask."""
        path = state.router.url.path
        if path.rstrip("/") == routes.SIGN_IN:
            return StateUpdate()  # a page has several handlers: the first that was refused has brought the tab here
        # in the place of the page that asked: going back must not lead into it again
        ask = rx.redirect(routes.sign_in(path if path.startswith("/") else ""), replace=True)
        return StateUpdate(events=[runtime.hydrate_event(), *Event.from_event_type(ask)])
