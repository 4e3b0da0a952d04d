"""Who sends for a merchant on a channel, and the merchant's own senders: set, shown, paused, taken away."""

import base64
import hashlib
import secrets
from collections.abc import Collection
from datetime import timedelta

from sqlmodel import Session

from core import clock
from core.config import settings
from models.messaging import Channel
from models.sending import MerchantSender, SenderState
from services.audit import service as audit
from services.integrations.resend import ResendSender
from services.integrations.twilio import TwilioSender
from services.messaging.render import one_line
from services.messaging.senders import refusals, repository
from services.messaging.senders.carriers import RESEND_PATH, TWILIO_PATH, Carrier, MailCarrier, TextCarrier
from services.messaging.senders.errors import SenderNotFoundError
from services.messaging.senders.given import OwnMail, OwnText
from services.messaging.senders.schemas import Origin, SenderView, WebhookSecrets
from services.tasks import waiting
from services.vault import service as vault
from services.vault.secret import Secret
from services.vault.service import SecretNotFoundError

MAIL_KEY, MAIL_WEBHOOK, TEXT_TOKEN = "resend.api_key", "resend.webhook_secret", "twilio.auth_token"
PAUSED = "sender_paused"
LOOK_AGAIN = timedelta(minutes=5)  # a new key wakes what waits; this is for what slipped past it
LOOK_SELDOM = timedelta(hours=1)  # keys are brought in hours or days, and a merchant may have thousands of messages
MOST_UNFIT = 24  # tries by one task of a message that its provider does not take as it is: about a day
_SECRETS = {Channel.EMAIL: (MAIL_KEY, MAIL_WEBHOOK), Channel.SMS: (TEXT_TOKEN,)}
_PATHS = {Channel.EMAIL: RESEND_PATH, Channel.SMS: TWILIO_PATH}


def sender_for(session: Session, merchant_id: str, channel: Channel) -> Carrier | None:
    """The merchant's own sender, else the platform's; None where there is neither, and messages go to the outbox.

    A paused one says why in `paused`: its messages wait. Raises `VaultError` for a key that cannot be trusted.
    """
    row = repository.get_sender(session, merchant_id, channel)
    if row is None:
        return platform_sender(channel)
    key = vault.read_secret(session, merchant_id, _SECRETS[channel][0])
    paused = (row.paused_reason or "paused") if row.state == SenderState.PAUSED else ""
    return _carrier(row, key, paused)


def look_again(times: int) -> timedelta:
    """How long a message waits for its paused sender that was put off `times` times: longer each time, up to an hour.

    A new key wakes all that waits, so only what ran at that very moment has to look.
    """
    return min(LOOK_AGAIN * int(2 ** min(times, 10)), max(LOOK_AGAIN, LOOK_SELDOM))


def platform_sender(channel: Channel) -> Carrier | None:
    """The sender that the operator configured for everybody; None where there is none."""
    configured = settings()
    if channel == Channel.EMAIL:
        key = configured.resend_api_key
        return MailCarrier(ResendSender(key.get_secret_value()), print_of(key.get_secret_value())) if key else None
    account, token, sender = configured.twilio_account_sid, configured.twilio_auth_token, configured.twilio_from
    if not account or token is None or not sender:
        return None
    return TextCarrier(TwilioSender(account, token.get_secret_value()), print_of(account, token.get_secret_value()))


def origin_of(session: Session, merchant_id: str, channel: Channel, merchant_name: str) -> Origin:
    """What a message of this merchant begins with: its From, and which key that takes."""
    row = repository.get_sender(session, merchant_id, channel)
    if row is not None:
        line = _named(row.address, merchant_name) if channel == Channel.EMAIL else row.address
        return Origin(line, row.key_print)
    platform = platform_sender(channel)
    address = settings().email_from if channel == Channel.EMAIL else settings().twilio_from or ""
    line = _named(_bare(address), merchant_name) if channel == Channel.EMAIL else address
    return Origin(line, platform.key_print if platform else "")


def print_of(*parts: str) -> str:
    """Which key it is, for comparing; keys are long and random, so their hash gives nothing away."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:16]


def set_mail(session: Session, merchant_id: str, given: OwnMail, actor_id: str) -> SenderView:
    """Send the merchant's mail with its own key from now on. `given` must have been checked with the provider.

    What waited for a key goes on. An empty webhook secret keeps the one that is set.
    """
    vault.store_secret(session, merchant_id, MAIL_KEY, Secret(given.api_key))
    if given.webhook_secret:
        vault.store_secret(session, merchant_id, MAIL_WEBHOOK, Secret(given.webhook_secret))
    former = repository.get_sender(session, merchant_id, Channel.EMAIL)
    has_secret = bool(given.webhook_secret) or bool(former and former.has_webhook_secret)
    return _put(
        session,
        merchant_id,
        Channel.EMAIL,
        actor_id,
        provider="resend",
        account="",
        address=given.address,
        key_hint=given.api_key[-4:],
        key_print=print_of(given.api_key),
        has_webhook_secret=has_secret,
    )


def set_text(session: Session, merchant_id: str, given: OwnText, actor_id: str) -> SenderView:
    """Send the merchant's texts as its own account from now on. Twilio signs callbacks with the same token."""
    vault.store_secret(session, merchant_id, TEXT_TOKEN, Secret(given.auth_token))
    return _put(
        session,
        merchant_id,
        Channel.SMS,
        actor_id,
        provider="twilio",
        account=given.account,
        address=given.sender,
        key_hint=given.auth_token[-4:],
        key_print=print_of(given.account, given.auth_token),
        has_webhook_secret=True,
    )


def remove(session: Session, merchant_id: str, channel: Channel, actor_id: str) -> None:
    """Forget the merchant's sender and its secrets; the platform's sends again. Raises `SenderNotFoundError`."""
    if not repository.delete_sender(session, merchant_id, channel):
        raise SenderNotFoundError
    for name in _SECRETS[channel]:
        vault.delete_secret(session, merchant_id, name)
    for reason in (PAUSED, refusals.UNFIT):
        waiting.hasten(session, merchant_id, "send_message", reason)
    audit.record_audit(session, merchant_id, "sender.removed", actor_id=actor_id, target=f"sender:{channel}")


def pause(session: Session, merchant_id: str, channel: Channel, carrier: Carrier, reason: str) -> bool:
    """The provider refused the key: messages wait until there is a new one. False when that is known already.

    The platform's own sender has no row, because no merchant can mend it; the log and the health card tell them all
    the same.
    """
    said = one_line(reason, 200)
    if not carrier.own:
        refusals.note(carrier.key_print, said or PAUSED)
    if carrier.own and not repository.pause_sender(session, merchant_id, channel, carrier.key_print, said, clock.now()):
        return False
    whose = "Your sender" if carrier.own else "The sender"
    kind = "mail" if channel == Channel.EMAIL else "text messages"
    text = f"{whose} for {kind} was refused by its provider: {said} Messages wait until it works again."
    audit.log_event(session, merchant_id, "messaging.sender_paused", text, level="error")
    return True


def senders_of(session: Session, merchant_id: str) -> list[SenderView]:
    """The merchant's own senders, for Settings."""
    return [_view(row) for row in repository.list_senders(session, merchant_id)]


def channel_of_address(session: Session, token: str) -> tuple[str, Channel] | None:
    """Whose webhook address this is; None for nobody's. System session: no tenant is known yet."""
    if not 1 <= len(token) <= 64:
        return None
    row = repository.get_address(session, _token_hash(token))
    return (row.merchant_id, Channel(row.channel)) if row else None


def addresses_among(session: Session, tokens: Collection[str]) -> dict[str, Channel]:
    """Which of these are webhook addresses, each with its channel: one query, however many are not. System session."""
    named = {_token_hash(token): token for token in tokens}
    found = repository.list_addresses(session, list(named))
    return {named[token_hash]: Channel(channel) for token_hash, channel in found}


def webhook_secrets(session: Session, merchant_id: str, channel: Channel) -> WebhookSecrets | None:
    """What signs the webhooks of a merchant's sender; None where it has no sender or no secret."""
    row = repository.get_sender(session, merchant_id, channel)
    if row is None:
        return None
    try:
        secret = vault.read_secret(session, merchant_id, _SECRETS[channel][-1])
    except SecretNotFoundError:
        return None
    return WebhookSecrets(merchant_id, channel, (secret.reveal(),), row.account)


def _carrier(row: MerchantSender, key: Secret, paused: str) -> Carrier:
    if row.channel == Channel.EMAIL:
        return MailCarrier(ResendSender(key.reveal()), row.key_print, own=True, paused=paused)
    twilio = TwilioSender(row.account, key.reveal())
    return TextCarrier(twilio, row.key_print, row.webhook_token, own=True, paused=paused)


def _put(session: Session, merchant_id: str, channel: Channel, actor_id: str, **fields: object) -> SenderView:
    now, token = clock.now(), base64.urlsafe_b64encode(secrets.token_bytes(18)).decode()
    row = {
        **fields,
        "merchant_id": merchant_id,
        "channel": channel,
        "webhook_token": token,
        "state": SenderState.READY,
        "paused_reason": "",
        "paused_at": None,
        "created_at": now,
        "updated_at": now,
    }
    repository.put_sender(session, row)
    session.expire_all()
    stored = repository.get_sender(session, merchant_id, channel)
    assert stored is not None  # noqa: S101  # just put
    repository.add_address(session, _token_hash(stored.webhook_token), merchant_id, channel, now)
    for reason in (PAUSED, refusals.UNFIT):
        waiting.hasten(session, merchant_id, "send_message", reason)
    audit.record_audit(session, merchant_id, "sender.set", actor_id=actor_id, target=f"sender:{channel}")
    return _view(stored)


def _view(row: MerchantSender) -> SenderView:
    channel = Channel(row.channel)
    return SenderView(
        channel=channel,
        provider=row.provider,
        account=row.account,
        address=row.address,
        key_hint=row.key_hint,
        has_webhook_secret=row.has_webhook_secret,
        webhook_url=f"{settings().public_url}{_PATHS[channel]}/{row.webhook_token}",
        state=SenderState(row.state),
        paused_reason=row.paused_reason,
        paused_at=row.paused_at,
        updated_at=row.updated_at,
    )


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _named(address: str, merchant_name: str) -> str:
    """The merchant's name before the address: a customer knows the merchant, not PHANTOM. A name given stays."""
    if "<" in address:
        return address
    name = one_line(merchant_name, 60).replace('"', "").replace("\\", "")
    return f'"{name}" <{address}>' if name else address


def _bare(line: str) -> str:
    return line.rsplit("<", 1)[-1].rstrip(">").strip()
