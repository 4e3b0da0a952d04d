"""What surrounds every page: who is signed in, and the notice that something went wrong."""

import reflex as rx

from phantom_app.guard import public


class Shell(rx.State):
    """Shared by all pages."""

    problem: str = ""

    @rx.event
    @public
    def report_failure(self) -> None:
        """Says that the last action failed; the text is fixed, so a forged call shows nothing foreign."""
        self.problem = "That did not work. Nothing was changed; please try again."

    @rx.event
    @public
    def dismiss_problem(self) -> None:
        self.problem = ""
