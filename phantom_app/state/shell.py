"""What surrounds every page: who is signed in, and the notice that something went wrong."""

import os

import reflex as rx

from core.config import settings
from phantom_app import live, runtime
from phantom_app.guard import allow, principal, public, visitor
from phantom_app.state.access import as_tenant
from services.manual_tasks import service as manual_tasks


def _demo_is_ready() -> bool:
    """Whether a demo account was made: `phantom up --no-history` makes none, and its first start takes a while."""
    configured = settings()
    file = configured.phantom_demo_file
    return configured.is_demo and file is not None and os.access(file, os.R_OK)


class Shell(rx.State):
    """Shared by all pages."""

    problem: str = ""
    signed_in: bool = False
    demo: bool = False  # there is a demo account to open
    person: str = ""
    email: str = ""
    role: str = ""
    merchant: str = ""
    open_tasks: int = 0  # what waits for a person

    def _introduce(self) -> None:
        who = visitor()
        self.problem = ""
        self.demo = _demo_is_ready()
        self.signed_in = who is not None
        self.person = (who.name or who.email) if who else ""
        self.email = who.email if who else ""
        self.role = who.role.value if who else ""
        self.merchant = (who.merchant_name or "Your account") if who else ""

    @rx.event
    @allow()
    async def enter(self) -> None:
        """First on_load of every page behind the sign-in."""
        principal()
        self._introduce()
        self.open_tasks = await as_tenant(manual_tasks.count_open)

    @rx.event
    @public
    def visit(self) -> None:
        """First on_load of every public page; it shows no figures, so nothing is refreshed in it."""
        live.forget(runtime.tab_token(self))
        self._introduce()

    @rx.event
    @public
    def report_failure(self) -> None:
        """Says that the last action failed; the text is fixed, so a forged call shows nothing foreign."""
        self.problem = "That did not work. Nothing was changed; please try again."

    @rx.event
    @public
    def dismiss_problem(self) -> None:
        self.problem = ""
