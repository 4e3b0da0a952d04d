"""The composition root of the screens: pages, guard, live updates and failure handling become one Reflex app."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import reflex as rx

from core.config import Settings
from phantom_app import failures, live, runtime, theme
from phantom_app.guard import Guard, Sessions
from phantom_app.pages import PAGES
from phantom_app.state.shell import Shell
from services.identity.cookies import session_cookie_from_header
from services.identity.service import resolve_session

app = rx.App(
    stylesheets=theme.STYLESHEETS,
    html_lang="en",
    toaster=None,
    head_components=[
        rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
        rx.el.meta(name="theme-color", content=theme.LIGHT["ground"], media="(prefers-color-scheme: light)"),
        rx.el.meta(name="theme-color", content=theme.DARK["ground"], media="(prefers-color-scheme: dark)"),
    ],
    backend_exception_handler=failures.make_handler(Shell.report_failure),
    frontend_exception_handler=failures.on_page_failure,
)

for page in PAGES:
    app.add_page(page.component, route=page.route, title=page.title, description=page.description, on_load=page.on_load)


def serve_with(served: rx.App, settings: Settings, *lives: AbstractAsyncContextManager[object]) -> None:
    """What a worker adds before it starts serving: who is who, live updates, and the lives of its neighbours."""
    runtime.keep_tab_states(served)
    sessions = Sessions(resolve_session, partial(session_cookie_from_header, configured=settings))
    served.add_middleware(Guard(sessions, live.forget))

    @contextlib.asynccontextmanager
    async def neighbours() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for each in lives:
                await stack.enter_async_context(each)
            yield

    served.register_lifespan_task(neighbours)
    served.register_lifespan_task(live.run, url=settings.redis_url.get_secret_value())
