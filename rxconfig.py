"""What Reflex's builder and server need to know before any page is read.

Nothing here depends on a machine: addresses come from the page's own origin, Redis is handed over at start by
`phantom_app.serve`, and the origin of a socket is checked in `phantom_app.limits`, so no CORS header is ever sent.
"""

import reflex as rx

from phantom_app.plugins import SameOriginEndpoints, SchemaStamp, ThemeTokens

config = rx.Config(
    app_name="phantom_app",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    cors_allowed_origins=[],
    default_color_mode="system",
    plugins=[ThemeTokens(), SameOriginEndpoints(), SchemaStamp()],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
