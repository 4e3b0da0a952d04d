"""The merchant's own senders: set, tried, taken away. What was typed as a key is in no variable and is never shown."""

from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel import Session

from core.errors import PhantomError
from models.messaging import Channel
from models.sending import SenderState
from phantom_app import vendors
from phantom_app.guard import allow, principal
from phantom_app.state import formats
from phantom_app.state.access import as_tenant, change_as_tenant
from services.identity.permissions import Permission
from services.messaging.addresses import BadAddressError, number
from services.messaging.senders import service, trial
from services.messaging.senders.given import OwnMail, OwnText
from services.messaging.senders.schemas import SenderView

MAIL, TEXT = Channel.EMAIL.value, Channel.SMS.value
NO_SENDER = "There is no sender for this: messages go to the outbox."
_PROVIDERS = {"resend": "Resend", "twilio": "Twilio"}


@dataclass(frozen=True)
class SenderLine:
    """One way out, in words."""

    channel: str = ""
    own: bool = False
    provider: str = ""
    address: str = ""
    hint: str = ""
    webhook_url: str = ""
    signed: bool = False
    paused: str = ""
    since: str = ""


def sender_line(view: SenderView) -> SenderLine:
    paused = view.paused_reason or "Its provider refused it."
    return SenderLine(
        channel=view.channel.value,
        own=True,
        provider=_PROVIDERS.get(view.provider, view.provider),
        address=view.address,
        hint=view.key_hint,
        webhook_url=view.webhook_url,
        signed=view.has_webhook_secret,
        paused=paused if view.state is SenderState.PAUSED else "",
        since=formats.moment(view.updated_at),
    )


def _typed(form: dict[str, Any], name: str) -> str:
    return str(form.get(name, ""))[:400]


def _channel(text: object) -> Channel | None:
    return Channel(text) if text in (MAIL, TEXT) else None


class Senders(rx.State):
    """What sends for the merchant, and what came of the last thing that was done."""

    loaded: bool = False
    may_manage: bool = False
    mail: SenderLine = SenderLine()
    text: SenderLine = SenderLine()
    platform_mail: bool = False
    platform_text: bool = False
    busy: str = ""
    asking: str = ""
    notes: dict[str, str] = {MAIL: "", TEXT: ""}
    wrong: dict[str, str] = {MAIL: "", TEXT: ""}
    edited: int = 0

    def _take(self, views: list[SenderView]) -> None:
        found = {view.channel.value: sender_line(view) for view in views}
        self.mail, self.text = found.get(MAIL, SenderLine()), found.get(TEXT, SenderLine())
        self.platform_mail = service.platform_sender(Channel.EMAIL) is not None
        self.platform_text = service.platform_sender(Channel.SMS) is not None
        self.may_manage = Permission.SECRETS_MANAGE in principal().permissions
        self.loaded, self.busy, self.asking = True, "", ""

    def _say(self, channel: Channel, note: str = "", wrong: str = "") -> None:
        self.notes = {**self.notes, channel.value: note}
        self.wrong = {**self.wrong, channel.value: wrong}

    @rx.event
    @allow(Permission.SETTINGS_READ)
    async def load(self) -> None:
        self._say(Channel.EMAIL)
        self._say(Channel.SMS)
        self._take(await as_tenant(service.senders_of))

    @rx.event(background=True)
    @allow(Permission.SECRETS_MANAGE)
    async def save_mail(self, form: dict[str, Any]) -> None:
        """Ask the provider whether it knows the key, then seal it; what waited for a key goes on."""
        names = ("api_key", "address", "webhook_secret")
        await self._save(Channel.EMAIL, lambda: OwnMail.read(*(_typed(form, name) for name in names)), service.set_mail)

    @rx.event(background=True)
    @allow(Permission.SECRETS_MANAGE)
    async def save_text(self, form: dict[str, Any]) -> None:
        names = ("account", "auth_token", "sender")
        await self._save(Channel.SMS, lambda: OwnText.read(*(_typed(form, name) for name in names)), service.set_text)

    async def _save(self, channel: Channel, read: Any, keep: Any) -> None:
        async with self:
            self.busy = channel.value
            self._say(channel)
        actor = principal().user_id

        def work(session: Session, merchant: str) -> None:
            keep(session, merchant, given, actor)

        try:
            given = read()
            await vendors.ask(given.check)
            await change_as_tenant(work)
        except PhantomError as error:
            await self._settle(channel, wrong=f"Not saved. {error.detail}")
        else:
            await self._settle(channel, note="Saved. Messages go out with it from now on.", fresh=True)
        finally:
            await self._rest()

    async def _settle(self, channel: Channel, note: str = "", wrong: str = "", fresh: bool = False) -> None:
        views = await as_tenant(service.senders_of)
        async with self:
            self._take(views)
            self._say(channel, note, wrong)
            self.edited += fresh

    @rx.event(background=True)
    @allow(Permission.SECRETS_MANAGE)
    async def test_mail(self) -> None:
        """A mail to the person who asks."""
        await self._test(Channel.EMAIL, principal().email)

    @rx.event(background=True)
    @allow(Permission.SECRETS_MANAGE)
    async def test_text(self, form: dict[str, Any]) -> None:
        """A text to the number that the person who asks has typed."""
        try:
            recipient = number(_typed(form, "number"))
        except BadAddressError as error:
            await self._settle(Channel.SMS, wrong=f"Not sent: {error}.")
            return
        await self._test(Channel.SMS, recipient)

    async def _test(self, channel: Channel, recipient: str) -> None:
        who = principal()
        async with self:
            self.busy = channel.value
            self._say(channel)

        def ready(session: Session, merchant: str) -> tuple[Any, str]:
            carrier = service.sender_for(session, merchant, channel)
            if carrier is not None:
                trial.admit(session, merchant, channel, carrier, recipient)
            return carrier, service.origin_of(session, merchant, channel, who.merchant_name).line

        try:
            carrier, line = await as_tenant(ready)
            if carrier is None:
                await self._settle(channel, wrong=NO_SENDER)
                return
            await vendors.ask(trial.send, carrier, line, who.merchant_id, channel, recipient)
        except PhantomError as error:
            await self._settle(channel, wrong=f"The test was not sent. {error.detail}")
        else:
            await self._settle(channel, note=f"A test is on its way to {recipient}.")
        finally:
            await self._rest()

    async def _rest(self) -> None:
        """Whatever it met, the buttons can be pressed again."""
        async with self:
            self.busy = ""

    @rx.event
    @allow(Permission.SECRETS_MANAGE)
    def ask(self, channel: str) -> None:
        """Ask before a sender is removed; an empty channel takes the question back."""
        self.asking = channel if _channel(channel) else ""

    @rx.event
    @allow(Permission.SECRETS_MANAGE)
    async def remove(self, channel: str) -> None:
        """Forget a sender and its secrets."""
        known, actor = _channel(channel), principal().user_id
        if known is None:
            return
        try:
            await change_as_tenant(lambda session, merchant: service.remove(session, merchant, known, actor))
        except PhantomError as error:
            self._say(known, wrong=error.title + ".")
        else:
            self._say(known, note="Removed, with its secrets.")
        self._take(await as_tenant(service.senders_of))
