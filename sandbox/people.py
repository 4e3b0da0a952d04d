"""Customers who act: they read their mail, follow its link as people do, pay, add a card, unsubscribe, or ignore it.

On PHANTOM's side they are strangers with a browser: GET of the page behind the link, POST of its form, and wherever
that leads. On the vendor's pages they act through the world's actions. What they decide comes from the seed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from sandbox.outbox.store import Message, outbox_of
from sandbox.population.business import Agenda, Business
from sandbox.population.draws import Draws
from sandbox.population.persons import DAY, HOUR, Nature, Person
from sandbox.stripe import lookups
from sandbox.stripe.errors import StripeError
from sandbox.stripe.store import Json

# How many of a nature answer their first mail.
ANSWERS = {
    Nature.SECURE: 0.58, Nature.EXPIRING: 0.46, Nature.FLAGGED: 0.42, Nature.UNUSABLE: 0.4, Nature.VAGUE: 0.32,
    Nature.PAYDAY: 0.26, Nature.STEADY: 0.28, Nature.LEAVER: 0.04,
}  # fmt: skip
_LATER_MAILS = (1.0, 0.75, 0.6)
_PAY_LINK = re.compile(r"https?://\S+/r/[\w-]+")
_FORM = re.compile(rb"<form\b[^>]*\bmethod=[\"']?post", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """What a browser got: `location` is empty unless it was sent on."""

    status: int
    location: str
    body: bytes


class Browser(Protocol):
    """Whatever carries a person's requests to PHANTOM. It follows no redirects."""

    def open(self, method: str, url: str) -> Seen: ...


@dataclass(frozen=True)
class Letter:
    """A mail in a person's hands: their `number`-th from this merchant, counted from 0."""

    person: Person
    message: Message
    number: int

    @property
    def draws(self) -> Draws:
        return self.person.draws.of("mail", self.number)

    @property
    def pay_link(self) -> str | None:
        found = _PAY_LINK.search(self.message.body.get("text") or "")
        return found[0] if found else None

    @property
    def unsubscribe_link(self) -> str | None:
        told = (self.message.body.get("headers") or {}).get("List-Unsubscribe", "")
        return told.strip("<>") or None


@dataclass
class People:
    """All customers of a business. `when` says at which moment a letter is answered."""

    business: Business
    browser: Browser
    agenda: Agenda
    when: Callable[[Letter], int]
    eager: float = 1.0  # more than one: they answer more readily than customers do
    since: float = 0.0  # mail from before is old
    paid: int = 0
    _seen: set[str] = field(default_factory=set)

    def read_mail(self) -> int:
        """Plan an answer to each mail that came since the last look; how many came."""
        outbox = outbox_of(self.business.world)
        fresh = [one for one in outbox.messages(since=self.since, channel="email") if one.id not in self._seen]
        for message in reversed(fresh):
            self._seen = {one for one in self._seen if self.since == message.created} | {message.id}
            self.since = message.created
            found = self.business.person_at(message.to[0])
            if found:
                number = len(outbox.messages(to=message.to[0], channel="email")) - 1
                self._plan(Letter(found[0], message, number))
        return len(fresh)

    def _plan(self, letter: Letter) -> None:
        arrived = int(letter.message.created)
        if letter.person.draws.chance(0.2, "scanner"):
            self.agenda.add(arrived + 5 + int(letter.draws.between(0, 20, "scan")), "scan", letter)
        what = decision(letter, self.eager)
        if what != "ignore":
            self.agenda.add(max(arrived + 20, self.when(letter)), what, letter)

    def act(self, what: str, letter: Letter) -> None:
        """Do what was planned; a page that is closed by now ends it."""
        if what == "scan":
            self._scan(letter)
        elif what == "look":
            self._open(letter)
        elif what == "answer":
            self._answer(letter)
        elif what == "pay alone":
            self._pay_alone(letter)
        elif what == "unsubscribe" and letter.unsubscribe_link:
            self.browser.open("POST", letter.unsubscribe_link)
        elif what == "leave":
            self.business.leave(letter.person)

    def _scan(self, letter: Letter) -> None:
        """The company's mail filter looks at the links first; it is no person."""
        if letter.pay_link:
            self.browser.open("HEAD", letter.pay_link)
            self.browser.open("GET", letter.pay_link)

    def _open(self, letter: Letter) -> bool:
        """Look at the page; whether there is a form to go on with."""
        if letter.pay_link is None:
            return False
        page = self.browser.open("GET", letter.pay_link)
        return page.status == 200 and bool(_FORM.search(page.body))

    def _pay_alone(self, letter: Letter) -> None:
        """Reminded by the mail, they find their invoice without its link."""
        customer = self.business.customer_of(letter.person)
        invoices = self.business.space.table("invoice").where("customer", customer["id"]) if customer else []
        for invoice in invoices:
            if invoice["status"] == "open" and invoice["attempted"]:
                self.pay(letter, invoice)

    def _answer(self, letter: Letter) -> None:
        if not self._open(letter):
            return
        sent_on = self.browser.open("POST", letter.pay_link or "")
        if sent_on.status != 303:
            return
        parts = urlsplit(sent_on.location).path.split("/")
        if letter.draws.chance(0.08, "gives up"):
            return  # a click without a payment: most funnels lose some here
        if parts[1] == "i":
            invoice = self.business.actions.find_hosted_invoice(parts[2], parts[3])
            if invoice and self.pay(letter, invoice):
                self.paid += 1
                self._may_regret(letter, invoice)
        elif parts[1] == "p":
            session = self.business.actions.find_portal_session(parts[3], parts[4])
            if session:
                self.business.add_card(letter.person, session["customer"])

    # -- on the vendor's pages -----------------------------------------------------------------------------------

    def pay(self, letter: Letter, invoice: Json) -> bool:
        """Pay on the hosted invoice page, with another card where the usual one will not do. Whether it is paid."""
        if invoice["status"] != "open":
            return False
        hopeless = letter.person.nature in (Nature.EXPIRING, Nature.FLAGGED, Nature.UNUSABLE)
        if not hopeless and self._charge(letter, invoice, None):
            return True
        if hopeless or letter.draws.chance(0.5, "another card"):
            return self._with_new_card(letter, invoice)
        return False

    def _charge(self, letter: Letter, invoice: Json, method: str | None) -> bool:
        business = self.business
        intent = lookups.intent_of(business.space, invoice)
        waiting = intent is not None and intent["status"] == "requires_action" and method is None
        outcome = None if waiting else business.actions.pay_invoice(business.account, invoice["id"], method)
        if waiting or (outcome is not None and outcome.requires_action):
            succeeds = letter.draws.chance(0.94, "3ds")
            outcome = business.actions.complete_action(business.account, invoice["id"], succeed=succeeds)
        return outcome is not None and outcome.approved

    def _with_new_card(self, letter: Letter, invoice: Json) -> bool:
        business, customer = self.business, invoice["customer"]
        card = business.next_card(letter.person, customer)
        paid = self._charge(letter, invoice, card["id"])
        if paid:  # "save for later" is ticked
            business.actions.attach_payment_method(business.account, card["id"], customer, default=True)
        return paid

    # -- money back ----------------------------------------------------------------------------------------------

    def _may_regret(self, letter: Letter, invoice: Json) -> None:
        intent = lookups.intent_of(self.business.space, invoice)
        regrets = (("refund", 0.06), ("dispute", 0.03), ("", 0.91))
        what = letter.draws.weighted(regrets, "regret")
        if what and intent:
            days = letter.draws.between(3, 18, "regret after")
            self.agenda.add(self.business.world.now() + int(days * DAY), what, str(intent["latest_charge"]))

    def regret(self, what: str, charge: str) -> None:
        """A refund, a dispute, or how a dispute ends; one that is pointless by now is passed over."""
        actions, account = self.business.actions, self.business.account
        try:
            if what == "refund":
                actions.refund(account, charge)
            elif what == "dispute":
                actions.open_dispute(account, charge)
                self.agenda.add(self.business.world.now() + 9 * DAY, "dispute_lost", charge)
            else:
                for dispute in self.business.space.table("dispute").where("charge", charge):
                    actions.close_dispute(account, dispute["id"], won=False)
        except StripeError:
            return


def decision(letter: Letter, eager: float = 1.0) -> str:
    """What a person does about a letter: answer, pay alone, look, unsubscribe, leave or ignore."""
    draws, nature = letter.draws, letter.person.nature
    step = _LATER_MAILS[min(letter.number % 3, 2)]
    hour = letter.person.local(int(letter.message.created)).hour
    alert = 1.15 if 8 <= hour < 12 else 1.05 if 12 <= hour < 22 else 0.8
    if draws.chance(ANSWERS[nature] * step * alert * eager, "answers"):
        return "pay alone" if draws.chance(0.1, "alone") else "answer"
    rest = 0.3 if nature is Nature.LEAVER else 0.04
    options = (("leave", rest), ("unsubscribe", 0.03), ("look", 0.12), ("ignore", 0.81))
    return draws.weighted(options, "instead")


def in_their_own_time(letter: Letter) -> int:
    """Hours later while awake; who waits for money often waits for payday."""
    person, draws, arrived = letter.person, letter.draws, int(letter.message.created)
    if person.nature is Nature.PAYDAY and draws.chance(0.45, "waits for payday"):
        local = person.local(arrived)
        days = (person.payday - local.day) % 30 + 1
        if days <= 9:
            return _at_hour(local + timedelta(days=days), draws.between(8, 11, "payday hour"))
    moment = arrived + int(min(draws.around(2.2, 1.2, "delay"), 80) * HOUR)
    local = person.local(moment)
    if 7 <= local.hour < 23:
        return moment
    morning = local if local.hour < 7 else local + timedelta(days=1)
    return _at_hour(morning, draws.between(7.5, 10, "morning"))


def _at_hour(day: datetime, hour: float) -> int:
    start = day.replace(hour=0, minute=0, second=0, microsecond=0)
    return int(start.timestamp() + hour * HOUR)
