"""Who agreed to be written to: one page of the history, who is looked for, and what was taken back last."""

from dataclasses import dataclass

import reflex as rx
from sqlmodel import Session

from core.errors import PhantomError
from models.messaging import Channel
from models.sending import ConsentState
from phantom_app import live, runtime
from phantom_app.guard import allow, principal
from phantom_app.state import formats
from phantom_app.state.access import as_tenant, change_as_tenant, identifier, words_of
from phantom_app.state.paging import Trailed, turned_by
from phantom_app.theme import Tone
from services.identity.permissions import Permission
from services.messaging import consents, consents_search
from services.messaging.consents import ConsentPage, ConsentView

PAGE_SIZE = 25
_CHANNELS = {Channel.EMAIL: "Mail", Channel.SMS: "Text messages"}
_WITHDRAWN = {
    Channel.SMS: "Withdrawn: no text message goes to this number any more, unless they agree anew.",
    Channel.EMAIL: "Withdrawn: no mail goes to this address any more, unless they agree anew.",
}
_BY = {"member": "a member", "api_key": "a program"}


@dataclass(frozen=True)
class ConsentLine:
    """One entry in words. `state` says what holds now; what a later entry has replaced is grey."""

    id: str
    customer: str
    channel: str
    state: str
    tone: str
    given: str
    source: str
    version: str
    recorded: str
    may_withdraw: bool


def consent_line(view: ConsentView) -> ConsentLine:
    yes = view.state is ConsentState.GRANTED
    state = "Agreed" if yes else "Withdrawn"
    by = _BY.get(view.recorded_by.partition(":")[0], "")
    return ConsentLine(
        id=view.id,
        customer=view.customer_id or "Not named",
        channel=_CHANNELS[view.channel],
        state=state if view.current else f"{state} before",
        tone=(Tone.RECOVERED if yes and view.current else Tone.NEUTRAL).value,
        given=formats.moment(view.happened_at),
        source=view.source or formats.NONE,
        version=view.text_version,
        recorded=formats.moment(view.recorded_at) + (f" by {by}" if by else ""),
        may_withdraw=yes and view.current,
    )


@turned_by(Permission.MESSAGES_READ)
class Consents(Trailed, rx.State):
    """The list, and who is looked for in it."""

    loaded: bool = False
    may_read: bool = False
    may_withdraw: bool = False
    may_import: bool = False
    rows: list[ConsentLine] = []
    search: str = ""
    wrong: str = ""
    note: str = ""
    asking: str = ""  # the one whose withdrawal waits for a yes

    async def _fill(self) -> None:
        permissions = principal().permissions
        self.may_read = Permission.MESSAGES_READ in permissions
        self.may_withdraw = Permission.SETTINGS_MANAGE in permissions
        self.may_import = Permission.SECRETS_MANAGE in permissions
        self.asking, self.loaded = "", True
        if self.may_read:
            await self._read()

    async def _read(self) -> None:
        text, after = self.search, self._begins_after()

        def find(session: Session, merchant_id: str) -> ConsentPage:
            whose = consents_search.wanted(session, merchant_id, text)
            return consents.page(
                session, merchant_id, limit=PAGE_SIZE, cursor=after, customer_id=whose.customer_id, hashes=whose.hashes
            )

        try:
            found = await as_tenant(find)
        except consents.BadConsentError as error:
            found, self.wrong = ConsentPage((), ""), f"Not looked for: {error.detail}."
        else:
            self.wrong = ""
        self.rows = [consent_line(view) for view in found.entries]
        self._stand_before(found.cursor, size=PAGE_SIZE, shown=len(self.rows))

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        """Whoever may not read messages is told so."""
        live.forget(runtime.tab_token(self))
        self.search = self.note = ""
        self._from_the_start()
        await self._fill()

    @rx.event
    @allow(Permission.MESSAGES_READ)
    async def look_for(self, text: str) -> None:
        """By number, mail address or customer; nothing shows all again."""
        self.search, self.note = words_of(text).strip(), ""
        self._from_the_start()
        await self._fill()

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    def ask(self, consent_id: str) -> None:
        """Ask before a consent is withdrawn; an empty id takes the question back."""
        self.asking = identifier(consent_id)

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def withdraw(self, consent_id: str) -> None:
        """Take back what an entry granted. The history itself stays."""
        known, who = identifier(consent_id), f"member:{principal().user_id}"
        try:
            view = await change_as_tenant(lambda session, merchant: consents.withdraw(session, merchant, known, who))
        except PhantomError as error:
            self.note = f"{error.title}."
        else:
            self.note = _WITHDRAWN[view.channel]
        await self._fill()
