"""Sign-in: what went wrong the last time, and where to go afterwards."""

import reflex as rx

from phantom_app import routes
from phantom_app.guard import public

_REASONS = {
    "wrong_credentials": "This email and password do not belong together.",
    "too_many_sign_ins": "Too many attempts. Please wait a few minutes and try again.",
    "busy": "Too many people are signing in at this moment. Please try again.",
}
_OTHER = "Signing in did not work. Please try again."


class SignIn(rx.State):
    """The sign-in form's surroundings; the form itself is posted to the HTTP API, never through a socket."""

    problem: str = ""
    after: str = routes.DASHBOARD

    @rx.event
    @public
    def load(self) -> None:
        asked = self.router.url.query_parameters
        error, after = str(asked.get("error", ""))[:64], str(asked.get("next", ""))[:500]
        self.problem = _REASONS.get(error, _OTHER) if error else ""
        self.after = after if local(after) else routes.DASHBOARD


def local(path: str) -> bool:
    """Whether a path stays here: no scheme, no host, nothing a browser reads as one."""
    return path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
