"""The page behind a link in a real browser: scanners that run scripts are no people, and people get on at once."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, Route, expect
from sqlmodel import select
from starlette.testclient import TestClient

from cli.browser import find_browser, launch_flags
from core import db
from core.clock import ManualClock
from models.ghost import GhostTarget
from models.messaging import Click, LinkPurpose
from services.messaging import links
from tests.support.shop import Shop

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PERSON = "Object.defineProperty(Navigator.prototype, 'webdriver', {get: () => false})"
HIDDEN = "Object.defineProperty(Document.prototype, 'visibilityState', {get: () => 'hidden'})"


class _Bridge(BaseHTTPRequestHandler):
    """Hands what a browser asks over a socket to the API in this process, where the sandbox is."""

    api: TestClient

    def _hand_over(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        answer = self.api.request(
            self.command, self.path, headers=dict(self.headers.items()), content=self.rfile.read(length)
        )
        self.send_response(answer.status_code)
        for name, value in answer.headers.multi_items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_HEAD = _hand_over

    def log_message(self, *_: object) -> None:
        """Nothing: a test's log is not for requests."""


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """A browser with a screen, so to speak; `browser` is one without in this folder."""
    started = playwright.chromium.launch(executable_path=find_browser(), args=launch_flags())
    yield started
    started.close()


@pytest.fixture
def address(browse: Callable[..., TestClient]) -> Iterator[str]:
    bridge = type("Bridge", (_Bridge,), {"api": browse()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bridge)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Visit:
    """One browser before the page of a customer's link; what it posts is remembered."""

    shop: Shop
    page: Page
    url: str
    posted: list[str] = field(default_factory=list)

    @property
    def clicks(self) -> list[str]:
        return [click.confirmed_by for click in self.shop.rows(Click)]

    def open(self) -> None:
        self.page.clock.install()
        self.page.goto(self.url)

    def let_pass(self, seconds: int) -> None:
        """Time as the page knows it: timers fire, the clock moves."""
        self.page.clock.run_for(seconds * 1000)

    def move(self) -> None:
        self.page.mouse.move(100, 100)
        self.page.mouse.move(180, 160)

    def is_still_here(self) -> bool:
        """Whatever the page had begun has gone out by now: two turns of its event loop, then the page itself."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.page.url == self.url and not self.posted and not self.clicks


Visitor = Callable[..., Visit]


@pytest.fixture
def visitor(
    database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, chromium: Browser, address: str
) -> Iterator[Visitor]:
    shop = Shop.open(clock, monkeypatch)
    shop.subscriber(decline_code="insufficient_funds")
    shop.pass_time(days=31, hours=2)
    with db.tenant_session(shop.merchant) as session:
        ghost = session.exec(select(GhostTarget)).one()
        link = links.create(session, shop.merchant, ghost.id, "msg_1", LinkPurpose.PAY)
    contexts: list[BrowserContext] = []

    def visit(*scripts: str, javascript: bool = True) -> Visit:
        context = chromium.new_context(locale="en-US", java_script_enabled=javascript)
        contexts.append(context)
        context.set_default_timeout(15_000)
        for script in scripts:
            context.add_init_script(script)
        found = Visit(shop, context.new_page(), f"{address}/{link.split('/', 3)[-1]}")

        def elsewhere(route: Route, request: Request) -> None:
            """Stripe's pages are far away; ours are let through."""
            if request.method == "POST":
                found.posted.append(request.url)
            if request.url.startswith(address):
                route.continue_()
            else:
                route.fulfill(body="<h1>Stripe's page</h1>", content_type="text/html")

        context.route("**/*", elsewhere)
        return found

    yield visit
    for context in contexts:
        context.close()


class TestScanners:
    def test_one_that_runs_scripts_at_once_and_stays_for_minutes_posts_nothing(self, visitor: Visitor):
        visit = visitor(PERSON)  # it hides what it is
        visit.open()
        visit.let_pass(300)
        assert visit.is_still_here()

    def test_one_that_says_it_is_driven_may_move_as_it_likes(self, visitor: Visitor):
        visit = visitor()
        visit.open()
        visit.let_pass(5)
        visit.move()
        assert visit.is_still_here()

    def test_one_that_makes_up_events_is_not_believed(self, visitor: Visitor):
        visit = visitor(PERSON)
        visit.open()
        visit.let_pass(5)
        visit.page.evaluate("() => document.dispatchEvent(new PointerEvent('pointermove', {bubbles: true}))")
        assert visit.is_still_here()

    def test_a_movement_at_the_very_moment_of_loading_is_no_persons(self, visitor: Visitor):
        visit = visitor(PERSON)
        visit.open()
        visit.move()
        assert visit.is_still_here()

    def test_a_page_nobody_sees_stays(self, visitor: Visitor):
        visit = visitor(PERSON, HIDDEN)
        visit.open()
        visit.let_pass(5)
        visit.move()
        assert visit.is_still_here()


class TestPeople:
    @pytest.mark.parametrize("how", ["moves", "scrolls"])
    def test_who_shows_is_taken_on_without_a_press(self, visitor: Visitor, how: str):
        visit = visitor(PERSON)
        visit.open()
        visit.let_pass(2)
        if how == "moves":
            visit.move()
        else:
            visit.page.mouse.wheel(0, 80)
        expect(visit.page.get_by_role("heading", name="Stripe's page")).to_be_visible()
        assert visit.clicks == ["page"]

    def test_the_button_works_for_everybody(self, visitor: Visitor):
        visit = visitor()
        visit.open()
        visit.page.get_by_role("button", name="Continue to the secure page").click()
        expect(visit.page.get_by_role("heading", name="Stripe's page")).to_be_visible()
        assert visit.clicks == ["button"]

    def test_a_keyboard_reads_in_peace_and_presses_enter(self, visitor: Visitor):
        visit = visitor(PERSON)
        visit.open()
        visit.let_pass(2)
        visit.page.keyboard.press("Tab")
        assert visit.is_still_here()
        expect(visit.page.get_by_role("button")).to_be_focused()
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="Stripe's page")).to_be_visible()
        assert visit.clicks == ["button"]

    def test_without_scripts_there_is_the_button(self, visitor: Visitor):
        visit = visitor(javascript=False)
        visit.page.goto(visit.url)
        visit.page.get_by_role("button").click()
        expect(visit.page.get_by_role("heading", name="Stripe's page")).to_be_visible()
        assert visit.clicks == ["button"]
