"""The few pages that must work without the application's own: one calm sentence and one way on.

No script, no request to anywhere, and everything that is put in is escaped.
"""

import base64
import hashlib
from dataclasses import dataclass
from html import escape

from fastapi.responses import HTMLResponse

from phantom_app.theme import DARK, LIGHT

_NAMES = {"ground": "ground", "text": "ink", "soft": "ink-soft", "line": "hairline"}


def _colours(theme: dict[str, str]) -> str:
    return " ".join(f"--{name}: {theme[token]};" for name, token in _NAMES.items())


_STYLE = f"""
:root {{ color-scheme: light dark; {_colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_colours(DARK)} }} }}
"""
_STYLE += """
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px; background: var(--ground);
  color: var(--text); font: 16px/1.6 Inter, system-ui, sans-serif; }
main { width: 100%; max-width: 480px; border: 1px solid var(--line); padding: 40px; }
p.name { margin: 0 0 32px; font-size: 13px; letter-spacing: .16em; color: var(--soft); }
h1 { margin: 0 0 12px; font-size: 22px; line-height: 1.3; font-weight: 600; }
p { margin: 0 0 24px; color: var(--soft); }
a.way, button { display: inline-block; margin: 0 16px 0 0; padding: 10px 18px; border: 1px solid var(--text);
  background: var(--text); color: var(--ground); font: inherit; text-decoration: none; cursor: pointer; }
a.other { color: var(--text); text-underline-offset: 3px; }
label { display: block; margin: 0 0 24px; color: var(--soft); }
input { display: block; width: 100%; margin-top: 6px; padding: 10px; border: 1px solid var(--line);
  background: var(--ground); color: var(--text); font: inherit; }
:focus-visible { outline: 2px solid var(--text); outline-offset: 3px; }
p.reference { margin: 32px 0 0; font-size: 13px; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class Way:
    """A link on: a path of ours and what it says."""

    href: str
    label: str


CONNECT = Way("/api/auth/stripe", "Connect Stripe")
SIGN_IN = Way("/sign-in", "Sign in")
DASHBOARD = Way("/dashboard", "Go to the dashboard")
START = Way("/", "Go to the start page")


def page(heading: str, text: str, *ways: Way, status: int = 200, reference: str = "", form: str = "") -> HTMLResponse:
    """A page with a heading, a text and ways on. `form` is trusted HTML of ours; everything else is escaped."""
    links = "".join(
        f'<a class="{"other" if number else "way"}" href="{escape(way.href)}">{escape(way.label)}</a>'
        for number, way in enumerate(ways)
    )
    note = f'<p class="reference">Reference {escape(reference)}</p>' if reference else ""
    body = f"<p>{escape(text)}</p>" if text else ""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(heading)} · PHANTOM</title><style>{_STYLE}</style></head>"
        f'<body><main><p class="name">PHANTOM</p><h1>{escape(heading)}</h1>'
        f"{body}{form}{links}{note}</main></body></html>"
    )
    return HTMLResponse(html, status, {"content-security-policy": _POLICY, "cache-control": "no-store"})
