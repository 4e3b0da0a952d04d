"""A mail as its readers see it, measured in a real browser: narrow and wide, in the light and in the dark."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

_LOOK = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
HEIGHT = 900


@dataclass(frozen=True, slots=True)
class View:
    """How wide the reader's window is, in pixels, and which of the two schemes their system prefers."""

    width: int
    scheme: Literal["light", "dark"]

    def __str__(self) -> str:
        return f"{self.width} {self.scheme}"


VIEWS = (View(320, "light"), View(320, "dark"), View(600, "dark"), View(600, "light"))


@contextmanager
def reader(browser: Browser) -> Iterator[Page]:
    """A page for any number of mails. What they would load from elsewhere is blocked, as most mail programs do."""
    page = browser.new_page(locale="en-US", timezone_id="UTC")
    page.route("**/*", lambda route: route.abort())
    yield page
    page.context.close()


def faults(page: Page, html: str, *, action: str, way_out: str = "") -> dict[str, list[str]]:
    """What is wrong with it, by view; empty when nothing is. Its button leads to `action`, its way out to `way_out`."""
    page.set_content(html)
    found = {}
    for view in VIEWS:
        page.set_viewport_size({"width": view.width, "height": HEIGHT})
        page.emulate_media(color_scheme=view.scheme)
        if wrong := page.evaluate(_LOOK, {"action": action, "wayOut": way_out}):
            found[str(view)] = wrong
    return found
