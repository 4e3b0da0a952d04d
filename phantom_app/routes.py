"""Every path a person or a page uses, in one place; the builders quote what they are given."""

from urllib.parse import quote, urlencode

START = "/"
SIGN_IN = "/sign-in"
WELCOME = "/welcome"
DASHBOARD = "/dashboard"
RECOVERIES = "/recoveries"
GHOST = "/recoveries/[ghost_id]"
SYSTEM = "/system"
SETTINGS = "/settings"

AUTH_SIGN_IN = "/auth/sign-in"
AUTH_SIGN_OUT = "/auth/sign-out"
AUTH_DEMO = "/auth/demo"
CONNECT_STRIPE = "/api/auth/stripe"


def ghost(ghost_id: str) -> str:
    """The page of one ghost."""
    return f"{RECOVERIES}/{quote(ghost_id, safe='')}"


def sign_in(after: str = "") -> str:
    """The sign-in page, coming back to `after` (a path of ours) when it is done."""
    return f"{SIGN_IN}?{urlencode({'next': after})}" if after else SIGN_IN
