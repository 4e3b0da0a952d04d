"""One module a page; each has a state of the same name in `phantom_app.state`."""

from phantom_app.pages import (
    consents,
    dashboard,
    dry_run,
    ghost,
    manual_tasks,
    messages,
    not_found,
    recoveries,
    rules,
    settings,
    sign_in,
    start,
    system,
    welcome,
)
from phantom_app.pages.page import Page

PAGES: tuple[Page, ...] = (
    start.PAGE,
    sign_in.PAGE,
    welcome.PAGE,
    dashboard.PAGE,
    recoveries.PAGE,
    ghost.PAGE,
    manual_tasks.PAGE,
    dry_run.PAGE,
    system.PAGE,
    settings.PAGE,
    messages.PAGE,
    rules.PAGE,
    consents.PAGE,
    not_found.PAGE,
)
