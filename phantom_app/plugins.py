"""Steps of our own in Reflex's build: design tokens in, no fixed addresses and a schema stamp out."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import reflex as rx

from phantom_app import runtime, theme

SOCKETS, ENDPOINTS = 1, 5
"""How many addresses Reflex writes into a bundle; another number means an upgrade changed the file."""


class UnexpectedBundleError(Exception):
    """Reflex wrote something else than this plugin was made for; serving it would give pages that never connect."""


def same_origin(text: str) -> str:
    """The endpoints module with every `localhost:<port>` replaced by the page's own origin."""
    text, sockets = re.subn(r"`ws://localhost:\d+(/[^`]*)`", r'location.origin.replace(/^http/,"ws")+`\1`', text)
    text, endpoints = re.subn(r"`http://localhost:\d+(/[^`]*)`", r"location.origin+`\1`", text)
    if (sockets, endpoints) != (SOCKETS, ENDPOINTS):
        raise UnexpectedBundleError(f"found {sockets} socket and {endpoints} http addresses in the bundle")
    return text


class SameOriginEndpoints(rx.plugins.Plugin):
    """Make one build serve any host and port."""

    def post_build(self, **context: Any) -> None:
        files = list((context["static_dir"] / "assets").glob("reflex-env-*.js"))
        if len(files) != 1:
            raise UnexpectedBundleError(f"{len(files)} endpoint modules in the bundle")
        files[0].write_text(same_origin(files[0].read_text()))


class ThemeTokens(rx.plugins.Plugin):
    """Put the design tokens of `phantom_app.theme` in front of all other style sheets."""

    def get_static_assets(self, **context: Any) -> Sequence[tuple[Path, str | bytes]]:
        return [(Path("styles") / "tokens.css", theme.stylesheet())]

    def get_stylesheet_paths(self, **context: Any) -> Sequence[str]:
        return ["tokens.css"]


class SchemaStamp(rx.plugins.Plugin):
    """Leave the states' schema beside the build, so that a server with other states refuses it at start."""

    def post_build(self, **context: Any) -> None:
        stamp = {"schema": runtime.state_schema()}
        (context["static_dir"].parent.parent / "backend" / "phantom.json").write_text(json.dumps(stamp))
