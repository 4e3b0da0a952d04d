"""The dry run in words: who would be written to within two weeks, when it is there, and why the others are not."""

from dataclasses import dataclass, field

import reflex as rx

from core.errors import NotFoundError
from models.messaging import Channel
from phantom_app import live, routes, runtime
from phantom_app.guard import allow, principal
from phantom_app.state import formats, words
from phantom_app.state.access import as_tenant, identifier
from phantom_app.state.paging import Numbered, turned_by
from phantom_app.theme import Tone
from services.identity.permissions import Permission
from services.recovery.plans import ahead

_CHANNELS = {Channel.EMAIL: "Email", Channel.SMS: "SMS"}
STANDINGS = {
    ahead.Standing.PAUSED: ("Paused", Tone.NEUTRAL),
    ahead.Standing.PERSON: ("A person decides", Tone.AT_RISK),
    ahead.Standing.HELD: ("Held", Tone.IN_RECOVERY),
}
NONE = "No message"


@dataclass(frozen=True)
class ComingView:
    """One message that would go out; `key` names it for its preview."""

    key: str
    ghost_id: str
    step: int
    subject: str
    about: str
    when: str
    zone: str
    reason: str


@dataclass(frozen=True)
class OutlookView:
    """A ghost, its messages, and what comes after them or instead."""

    ghost_id: str
    link: str
    customer: str
    amount: str
    ending: str
    silent: bool
    standing: str = ""
    tone: str = Tone.NEUTRAL.value
    messages: list[ComingView] = field(default_factory=list)


def coming_view(ghost_id: str, message: ahead.Coming) -> ComingView:
    return ComingView(
        key=f"{ghost_id}:{message.step}",
        ghost_id=ghost_id,
        step=message.step,
        subject=message.subject,
        about=f"{words.plain(message.name)} · {_CHANNELS[message.channel]} · {message.recipient}",
        when=formats.local(message.local),
        zone=str(message.local.tzinfo).rpartition("/")[2].replace("_", " "),
        reason=message.reason,
    )


def outlook_view(outlook: ahead.Outlook) -> OutlookView:
    standing, tone = (
        STANDINGS[outlook.standing] if outlook.standing else ("" if outlook.messages else NONE, Tone.NEUTRAL)
    )
    return OutlookView(
        ghost_id=outlook.ghost_id,
        link=routes.ghost(outlook.ghost_id),
        customer=outlook.customer or "Unknown customer",
        amount=formats.money(outlook.amount, outlook.currency),
        ending=outlook.ending,
        silent=not outlook.messages,
        standing=standing,
        tone=tone.value,
        messages=[coming_view(outlook.ghost_id, each) for each in outlook.messages],
    )


@turned_by(Permission.MESSAGES_READ)
class DryRun(Numbered, rx.State):
    """One page of the dry run, and the message of it that is being read."""

    loaded: bool = False
    may_read: bool = False
    connected: bool = True
    on: bool = False
    total: int = 0
    summary: str = ""
    rows: list[OutlookView] = []
    reading: str = ""
    html: str = ""
    plain: str = ""

    async def _fill(self) -> None:
        self.may_read = Permission.MESSAGES_READ in principal().permissions
        if not self.may_read:
            self.loaded = True
            return
        page = self.page
        self._show(await as_tenant(lambda session, merchant: ahead.dry_run(session, merchant, page)))

    def _show(self, seen: ahead.DryRun) -> None:
        self.connected, self.on, self.total = seen.is_connected, seen.is_on, seen.ghosts
        self.rows = [outlook_view(each) for each in seen.outlooks]
        self.summary = summary(seen)
        self._stand_at(
            seen.page, seen.pages, size=ahead.PAGE_SIZE, shown=len(self.rows), total=seen.ghosts, none="No ghosts"
        )
        self.reading = self.html = self.plain = ""
        self.loaded = True

    @rx.event
    @allow(Permission.GHOSTS_READ)
    async def load(self) -> None:
        """Whoever may not read messages is told so."""
        live.forget(runtime.tab_token(self))
        self.page = 1
        await self._fill()

    @rx.event
    @allow(Permission.MESSAGES_READ)
    async def toggle(self, ghost_id: str, step: int) -> None:
        """Show a message as it would be rendered now, or put it away when it is shown already."""
        key = f"{identifier(ghost_id)}:{step}"
        if self.reading == key:
            self.reading = self.html = self.plain = ""
            return
        try:
            whole = await as_tenant(
                lambda session, merchant: ahead.preview(session, merchant, identifier(ghost_id), int(step))
            )
        except NotFoundError:  # paid, or the policy changed, since the page was made
            await self._fill()
            return
        self.reading, self.html, self.plain = key, whole.html, whole.plain


def summary(seen: ahead.DryRun) -> str:
    """What all of it comes to, in a sentence."""
    until = formats.day(seen.until)
    if seen.messages is None or seen.silent is None:
        return f"{formats.plural(seen.ghosts, 'open ghost')}; each page shows its messages until {until}."
    told = f"{formats.plural(seen.messages, 'message')} until {until} about {formats.plural(seen.ghosts, 'open ghost')}"
    if not seen.silent:
        return f"{told}."
    return f"{told}; {formats.count(seen.silent)} {'gets' if seen.silent == 1 else 'get'} none."
