"""How a message will look: drawn with made-up values and the merchant's brand, and sent as a test."""

import reflex as rx
from sqlmodel import Session

from core import clock
from core.config import settings
from models.messaging import Channel, MessageState
from phantom_app import vendors
from phantom_app.guard import allow
from phantom_app.state import formats
from phantom_app.state.access import as_tenant
from services.identity.permissions import Permission
from services.messaging import brand_service, trials
from services.messaging.lint import Source, Target
from services.messaging.preview import Preview, in_scheme, preview
from services.messaging.trials import Outcome, Trial

_TRIED = {
    MessageState.SENT: "Sent to {to}. It begins by saying that it is a test.",
    MessageState.OUTBOX: "No sender is set, so it lies in the outbox on the System page.",
    MessageState.UNCERTAIN: "The provider did not answer: it may or may not arrive.",
}


class Look(rx.State):
    """The preview: drawn with made-up values, light or dark, wide or narrow."""

    html: str = ""
    plain: str = ""
    subject: str = ""
    cost: str = ""
    part: str = "html"
    dark: bool = False
    narrow: bool = False
    _drawn: str = ""

    def _take(self, found: Preview) -> None:
        self._drawn, self.plain, self.subject = found.html, found.plain, found.subject
        self.html = in_scheme(found.html, dark=self.dark)
        segments = formats.plural(found.segments, "segment")
        self.cost = f"{segments}, {found.units} {found.encoding} characters" if found.segments else ""

    @rx.event
    @allow(Permission.MESSAGES_READ)
    def choose_part(self, part: str) -> None:
        self.part = "plain" if part == "plain" else "html"

    @rx.event
    @allow(Permission.MESSAGES_READ)
    def choose_scheme(self, scheme: str) -> None:
        self.dark = scheme == "dark"
        self.html = in_scheme(self._drawn, dark=self.dark)

    @rx.event
    @allow(Permission.MESSAGES_READ)
    def choose_width(self, width: str) -> None:
        self.narrow = width == "narrow"


def drawn(
    session: Session, merchant_id: str, target: Target, source: Source | None, *, is_test: bool = False
) -> Preview:
    """A preview with the merchant's brand and currency."""
    found = brand_service.get_brand(session, merchant_id)
    return preview(
        target,
        source,
        brand=found.brand,
        currency=found.currency,
        today=clock.now().date(),
        public_url=settings().public_url,
        is_test=is_test,
    )


async def tried(target: Target, source: Source, to: str) -> str:
    """Send a test message in its three steps, as a mail or a text like its target; what to say of it."""

    def begin(session: Session, merchant_id: str) -> Trial:
        found = brand_service.get_brand(session, merchant_id)
        shown = drawn(session, merchant_id, target, source, is_test=True)
        return trials.begin(
            session,
            merchant_id,
            shown,
            recipient=to,
            merchant_name=found.brand.name,
            reply_to=found.reply_to,
            channel=Channel(target.channel),
        )

    trial = await as_tenant(begin)
    outcome: Outcome = await vendors.ask(trials.carry, trial)
    await as_tenant(lambda session, merchant_id: trials.settle(session, merchant_id, trial, outcome))
    if outcome.state == MessageState.FAILED:
        return f"It was not sent. {outcome.reason}."
    return _TRIED[outcome.state].replace("{to}", to)
