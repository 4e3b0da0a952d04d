"""A real Chromium for tests that play a person: Playwright's synchronous API, one browser a module."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Response, sync_playwright

from cli.browser import find_browser, launch_flags
from tests.support.wait import wait_until

# Built pages show their buttons before the script that listens to them has run; what it has taken over it marks.
_LISTENS = """() => {
    if (!document.querySelector('[data-testid="theme-switch"], main')) return true;
    if (!document.querySelector('link[rel="modulepreload"]')) return true;
    return [...document.querySelectorAll('main, button')].every(
        (found) => Object.keys(found).some((key) => key.startsWith("__reactProps")));
}"""


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright's driver, for one module at a time.

    Its synchronous API keeps an event loop running in the thread, beside which no asynchronous test could run.
    """
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The machine's Chromium or Chrome, else the one `playwright install` brought. Fails when there is none."""
    chromium = playwright.chromium.launch(executable_path=find_browser(), args=launch_flags())
    yield chromium
    chromium.close()


@pytest.fixture
def browser_context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor: cookies and storage of its own. Times are UTC and the language English, wherever tests run."""
    context = browser.new_context(locale="en-US", timezone_id="UTC", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(browser_context: BrowserContext, monkeypatch: pytest.MonkeyPatch) -> Page:
    """One tab of a fresh visitor, who is no faster than the page: after `goto` its buttons listen."""
    tab = browser_context.new_page()
    plain_goto = tab.goto

    def goto(url: str, **options: Any) -> Response | None:
        answer = plain_goto(url, **options)
        wait_until(lambda: bool(tab.evaluate(_LISTENS)), what=f"{url} listens to clicks")
        return answer

    monkeypatch.setattr(tab, "goto", goto)
    return tab
