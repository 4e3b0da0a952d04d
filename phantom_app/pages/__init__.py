"""One module a page; each has a state of the same name in `phantom_app.state`."""

from phantom_app.pages import start
from phantom_app.pages.page import Page

PAGES: tuple[Page, ...] = (start.PAGE,)
