"""A real Chromium for tests that play a person: Playwright's synchronous API, one browser a module."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from cli.browser import find_browser, launch_flags


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
def page(browser_context: BrowserContext) -> Page:
    """One tab of a fresh visitor."""
    return browser_context.new_page()
