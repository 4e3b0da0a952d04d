"""Mail layouts: MJML made into HTML with inlined styles once a process, then filled like any Jinja template."""

import functools
from pathlib import Path

import css_inline
import mrml
from jinja2 import Environment, StrictUndefined, Template


@functools.cache
def html_layout(path: Path) -> Template:
    """The layout in an MJML file. Placeholders pass through both steps; what fills them is escaped."""
    html = mrml.to_html(path.read_text(encoding="utf-8")).content
    inlined = css_inline.inline(html, keep_style_tags=True, load_remote_stylesheets=False)
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(inlined)


@functools.cache
def plain_layout(path: Path) -> Template:
    """The plain-text part's layout, where nothing is escaped: entities would be shown."""
    environment = Environment(
        autoescape=False,  # noqa: S701  # no HTML
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.from_string(path.read_text(encoding="utf-8"))
