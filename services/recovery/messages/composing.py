"""What a ghost's message says, from the ghost and its merchant; the same for sending and for looking ahead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.money import Money
from models.ghost import GhostState
from models.messaging import Channel
from services.messaging.own import NO_WORDS, OwnWords
from services.messaging.render import Occasion, render_mail, render_sms
from services.messaging.schedule import SEND, Action
from services.recovery.protection.risk import group_of_risk
from services.recovery.work import MerchantContext


class About(Protocol):
    """What of a ghost stands in its messages: the entity, or just these columns of it."""

    @property
    def decline_group(self) -> str: ...
    @property
    def amount_cents(self) -> int: ...
    @property
    def amount_is_about(self) -> bool: ...
    @property
    def currency(self) -> str: ...
    @property
    def customer_name(self) -> str | None: ...
    @property
    def customer_language(self) -> str: ...
    @property
    def customer_country(self) -> str: ...
    @property
    def strategy(self) -> str: ...
    @property
    def card_last4(self) -> str: ...
    @property
    def original_invoice_date(self) -> datetime: ...
    @property
    def state(self) -> str: ...
    @property
    def risk(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Composed:
    """A message as it goes out; `html` and `subject` are a mail's."""

    template: str
    language: str
    plain: str
    subject: str = ""
    html: str = ""


def compose(
    merchant: MerchantContext,
    ghost: About,
    number: int,
    *,
    pay_url: str,
    unsubscribe_url: str,
    channel: Channel = Channel.EMAIL,
    own: OwnWords = NO_WORDS,
    is_last: bool = False,
) -> Composed:
    """The message of a ghost on a channel, in the merchant's `own` words where it has some.

    `number` says which of those that the customer gets it is: the first one that arrives is nobody's reminder.

    `is_last` says that none follows although the number of messages would allow it: then words of the merchant's that
    speak of another attempt are passed over. That it is the last is said by the count alone: plans change.
    """
    about = Occasion(
        decline_group=_group_of(ghost),
        step=number,
        last_step=merchant.policy.messages_per_ghost,
        amount=Money(ghost.amount_cents, ghost.currency),
        is_about=ghost.amount_is_about,
        customer_name=ghost.customer_name,
        locale=ghost.customer_language,
        country=ghost.customer_country,
        strategy=ghost.strategy,
        card_last4=ghost.card_last4,
        day=ghost.original_invoice_date.date(),
        is_last=is_last,
    )
    if channel is Channel.SMS:
        text = render_sms(about, brand=merchant.brand, pay_url=pay_url, own=own)
        return Composed(text.template, text.language, text.text)
    mail = render_mail(about, brand=merchant.brand, pay_url=pay_url, unsubscribe_url=unsubscribe_url, own=own)
    return Composed(mail.template, mail.language, mail.plain, mail.subject, mail.html)


def ends_with(step: int, actions: Sequence[Action]) -> bool:
    """Whether no message follows this one, of all that a ghost gets if nothing else happens."""
    return not any(each.name == SEND and each.step > step for each in actions)


def _group_of(ghost: About) -> str:
    """What the words go by: the bank's refusal, or what is wrong with a charge that has not failed."""
    return group_of_risk(ghost.risk) if ghost.state == GhostState.IMPENDING else ghost.decline_group
