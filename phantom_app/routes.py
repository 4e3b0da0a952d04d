"""Every path a person or a page uses, in one place; the builders quote what they are given."""

from collections.abc import Iterable
from urllib.parse import quote, urlencode

START = "/"
SIGN_IN = "/sign-in"
WELCOME = "/welcome"
DASHBOARD = "/dashboard"
RECOVERIES = "/recoveries"
GHOST = "/recoveries/[ghost_id]"
TASKS = "/tasks"
DRY_RUN = "/dry-run"
SYSTEM = "/system"
SETTINGS = "/settings"
MESSAGES = "/settings/messages"
RULES = "/settings/rules"
CONSENTS = "/settings/consents"
NOT_FOUND = "404"  # Reflex's name for every other address

AUTH_SIGN_IN = "/auth/sign-in"
AUTH_SIGN_OUT = "/auth/sign-out"
AUTH_DEMO = "/auth/demo"
CONNECT_STRIPE = "/api/auth/stripe"
EXPORT_RECOVERIES = "/export/recoveries.csv"
IMPORT_CONSENTS = "/import/consents"


def ghost(ghost_id: str) -> str:
    """The page of one ghost."""
    return f"{RECOVERIES}/{quote(ghost_id, safe='')}"


def system(tab: str) -> str:
    """The System page with one of its tabs open."""
    return f"{SYSTEM}?{urlencode({'tab': tab})}"


def export_recoveries(states: Iterable[str], strategies: Iterable[str], search: str) -> str:
    """The list as a file, filtered as it is on the screen."""
    query = [("state", each) for each in states] + [("strategy", each) for each in strategies]
    if search:
        query.append(("search", search))
    return f"{EXPORT_RECOVERIES}?{urlencode(query)}" if query else EXPORT_RECOVERIES


def sign_in(after: str = "") -> str:
    """The sign-in page, coming back to `after` (a path of ours) when it is done."""
    return f"{SIGN_IN}?{urlencode({'next': after})}" if after else SIGN_IN
