"""What customers are told: PHANTOM's words or the merchant's own, message by message, with a preview of each."""

from typing import Any

import reflex as rx

from core import clock
from core.errors import TooManyRequestsError
from models.messaging import Channel
from phantom_app import live, runtime
from phantom_app.guard import allow, principal
from phantom_app.state.access import as_tenant, words_of
from phantom_app.state.message_look import Look, drawn, tried
from phantom_app.state.message_views import Edition, Flaw, Row, edition, flaws, rows, whose
from services.identity.permissions import Permission
from services.messaging import lint, own_service
from services.messaging.addresses import BadAddressError, normal
from services.messaging.lint import EMAIL, SMS, Source, Target
from services.messaging.own import ANY_GROUP, ours_as_source
from services.messaging.own_service import TemplateMovedError, TemplateRefusedError, UnknownVersionError
from services.messaging.senders.trial import AskedToStopError, NotConfirmedError
from services.messaging.wording import Moment, frame, template_of

FIELDS = ("subject", "heading", "body", "button")
VERSIONS_SHOWN = 20
MOST_VERSIONS = 1_000_000  # more than anybody saves, and what a column holds
MOVED = "Somebody else saved this message meanwhile. Their version is shown; yours was not saved."


class Messages(rx.State):
    """The message that is chosen, its words as they are typed, and what the lint says of them."""

    loaded: bool = False
    may_read: bool = False
    may_edit: bool = False
    group: str = ANY_GROUP
    moment: str = Moment.FIRST.value
    channel: str = EMAIL
    language: str = "en"
    rows: list[Row] = []
    draft: dict[str, str] = dict.fromkeys(FIELDS, "")
    edited: int = 0
    """Counts what was loaded into the fields, so that the browser draws them anew."""
    version: int = 0
    own: bool = False
    whose: str = ""
    flaws: list[Flaw] = []
    editions: list[Edition] = []
    note: str = ""
    busy: bool = False

    def _target(self) -> Target:
        return own_service.target_of(self.group, self.moment, self.channel, self.language)

    def _source(self) -> Source:
        return Source(**{field: self.draft.get(field, "") for field in FIELDS}).normalised()

    def _ours(self, target: Target) -> Source:
        group = "funds" if target.decline_group == ANY_GROUP else target.decline_group
        return ours_as_source(template_of(group), target.moment, target.channel, target.language)

    async def _fill(self) -> None:
        """Read the overview and the chosen message."""
        self.may_read = Permission.MESSAGES_READ in principal().permissions
        self.may_edit = Permission.SETTINGS_MANAGE in principal().permissions
        self.loaded = True
        if not self.may_read:
            return
        target = self._target()
        own = await as_tenant(own_service.own_words)
        history = await as_tenant(lambda session, merchant: own_service.history(session, merchant, target))
        now = clock.now()
        self.rows = rows({each: found.version for each, found in own.templates.items()}, self.channel, self.language)
        self.version = history[0].version if history else 0
        self.editions = [edition(each, now, self.version) for each in history[:VERSIONS_SHOWN]]
        mine = own.templates.get(target)
        source = mine.source if mine else self._ours(target)
        self.draft = {field: getattr(source, field) for field in FIELDS}
        self.own = mine is not None
        self.whose = whose(target, self.version if mine else 0)
        self.edited += 1
        self.flaws = []
        await self._show(source if mine else None)

    async def _show(self, source: Source | None) -> None:
        shown = await self.get_state(Look)
        target = self._target()
        shown._take(await as_tenant(lambda session, merchant: drawn(session, merchant, target, source)))

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        live.forget(runtime.tab_token(self))
        self.note, self.busy = "", False
        await self._fill()

    @rx.event
    @allow(Permission.MESSAGES_READ)
    async def choose(self, group: str, moment: str) -> None:
        """Another message of the overview; one that is never sent changes nothing."""
        own_service.target_of(group, moment, self.channel, self.language)
        self.group, self.moment, self.note = group, moment, ""
        await self._fill()

    @rx.event
    @allow(Permission.MESSAGES_READ)
    async def choose_channel(self, channel: str) -> None:
        own_service.target_of(self.group, self.moment, channel, self.language)
        self.channel, self.note = channel, ""
        await self._fill()

    @rx.event
    @allow(Permission.MESSAGES_READ)
    async def choose_language(self, language: str) -> None:
        own_service.target_of(self.group, self.moment, self.channel, language)
        self.language, self.note = language, ""
        await self._fill()

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def write(self, field: str, edited: int, text: str) -> None:
        """What was typed so far: looked at, drawn, and not yet saved.

        `edited` is what the browser had in its fields: words for one message never arrive in another.
        """
        if field not in FIELDS or edited != self.edited:
            return
        text = str(text)[: lint.LONGEST[field] + 200].encode(errors="ignore").decode()
        if text == self.draft[field]:
            return
        self.draft = {**self.draft, field: text}
        self.note = ""
        await self._look()

    async def _look_again(self) -> None:
        """The brand has changed: draw what stands in the fields with it."""
        await self._look()

    async def _look(self) -> bool:
        source, target = self._source(), self._target()
        problems = lint.check(source, target, frame(target.language).opt_out)
        self.flaws = flaws(problems, source)
        if not problems:
            await self._show(source)
        return not problems

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def save(self) -> None:
        target, source, based_on, actor = self._target(), self._source(), self.version, principal().user_id
        try:
            await as_tenant(
                lambda session, merchant: own_service.save(
                    session, merchant, target, source, based_on=based_on, actor_id=actor
                )
            )
        except TemplateRefusedError as error:
            self.flaws = flaws(error.problems, source)
            self.note = "Not saved: see what is marked."
            return
        except TemplateMovedError:
            self.note = MOVED
        else:
            self.note = "Saved. Messages use it from now on."
        await self._fill()

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def reset_to_ours(self) -> None:
        target, based_on, actor = self._target(), self.version, principal().user_id
        try:
            await as_tenant(
                lambda session, merchant: own_service.reset(
                    session, merchant, target, based_on=based_on, actor_id=actor
                )
            )
            self.note = "PHANTOM’s words are used again. Yours are kept among the versions."
        except TemplateMovedError:
            self.note = MOVED
        await self._fill()

    @rx.event
    @allow(Permission.SETTINGS_MANAGE)
    async def put_back(self, version: int) -> None:
        """Say again what a former version said; what is said now is kept among the versions."""
        target, based_on, actor = self._target(), self.version, principal().user_id
        number = version if isinstance(version, int) and 0 < version < MOST_VERSIONS else 0
        try:
            await as_tenant(
                lambda session, merchant: own_service.restore(
                    session, merchant, target, number, based_on=based_on, actor_id=actor
                )
            )
            self.note = f"Version {number} is said again, as a new version."
        except TemplateRefusedError as error:
            self.note = f"Not put back: it may not be sent any more. {error.detail}"
        except TemplateMovedError:
            self.note = MOVED
        except UnknownVersionError as error:
            self.note = f"{error.title}."
        await self._fill()

    @rx.event(background=True)
    @allow(Permission.SETTINGS_MANAGE)
    async def send_test(self) -> None:
        """The mail as it stands in the fields, to whoever asks for it."""
        if self.channel == EMAIL:
            await self._send_test(principal().email)

    @rx.event(background=True)
    @allow(Permission.SETTINGS_MANAGE)
    async def send_test_text(self, form: dict[str, Any]) -> None:
        """The text as it stands in the fields, to the number that is given."""
        if self.channel != SMS:
            return
        try:
            to = normal(Channel.SMS, words_of(form.get("number", "")))
        except BadAddressError as error:
            async with self:
                self.note = f"Not sent: {error}."
            return
        await self._send_test(to)

    async def _send_test(self, to: str) -> None:
        async with self:
            if self.busy or not await self._look():
                return
            self.busy, self.note = True, ""
            target, source = self._target(), self._source()
        try:
            said = await tried(target, source, to)
        except (TooManyRequestsError, AskedToStopError, NotConfirmedError) as error:
            said = f"{error.title}."
        finally:
            async with self:
                self.busy = False
        async with self:
            self.note = said
