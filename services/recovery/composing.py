"""What a ghost's message says, from the ghost and its merchant; the same for sending and for looking ahead."""

from dataclasses import dataclass
from typing import Protocol

from core.money import Money
from services.messaging.render import Brand, render
from services.recovery.work import MerchantContext


class About(Protocol):
    """What of a ghost stands in its messages: the entity, or just these columns of it."""

    @property
    def decline_group(self) -> str: ...
    @property
    def amount_cents(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def customer_name(self) -> str | None: ...
    @property
    def customer_language(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Composed:
    """A message as it goes out; `html` and `subject` are a mail's."""

    template: str
    language: str
    plain: str
    subject: str = ""
    html: str = ""


def compose(merchant: MerchantContext, ghost: About, step: int, *, pay_url: str, unsubscribe_url: str) -> Composed:
    """The message of a ghost's step."""
    rendered = render(
        decline_group=ghost.decline_group,
        step=step,
        last_step=merchant.policy.messages_per_ghost,
        amount=Money(ghost.amount_cents, ghost.currency),
        customer_name=ghost.customer_name,
        brand=Brand(merchant.name, merchant.accent),
        pay_url=pay_url,
        unsubscribe_url=unsubscribe_url,
        locale=ghost.customer_language,
    )
    return Composed(rendered.template, rendered.language, rendered.plain, rendered.subject, rendered.html)
