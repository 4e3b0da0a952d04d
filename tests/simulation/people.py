"""What customers do with their mail and their cards, and what mail scanners do."""

import functools
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core import clock
from models.messaging import Channel
from phantom_app.api import links
from sandbox.outbox.store import Message
from sandbox.stripe import lookups
from sandbox.stripe.errors import StripeError
from sandbox.stripe.store import Json
from tests.simulation.ledger import Click
from tests.simulation.scenario import DAY, HOUR, Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

_LINK = re.compile(r"https?://\S+/r/([\w-]+)")
ANSWERS = (
    ("ignore", 34), ("follow", 34), ("look", 5), ("alone", 6), ("unsubscribe", 7), ("leave", 5), ("card", 9),
)  # fmt: skip
COUNTED = (303, 503)  # what a click is answered with: on to Stripe, or that there is no page now
REPLIES = (("ignore", 42), ("follow", 25), ("card", 8), ("stop", 18), ("withdraw", 7))
BY_THEMSELVES = (("nothing", 60), ("alone", 14), ("card", 12), ("leave", 8), ("delete", 2), ("renew_card", 4))
BEFORE_IT_ENDS = (("nothing", 45), ("card", 20), ("renew_card", 25), ("leave", 10))
REGRETS = (("", 72), ("refund", 12), ("partial", 5), ("dispute", 8), ("refund_twice", 3))


@dataclass
class People:
    """The merchant's customers. Each act is one step of the play."""

    play: "Play"

    # -- plans ----------------------------------------------------------------------------------------------------

    def plan_lives(self) -> None:
        """Some act without ever reading a mail."""
        chance = self.play.streams("lives")
        for customer in self.play.scenario.customers:
            what = _one_of(chance, BY_THEMSELVES)
            if what != "nothing" and customer.code:
                at = customer.renews_at + chance.uniform(0, 12 * DAY)
                self.play.plan(at, f"{customer.name}: {what}", functools.partial(self.act, what, customer))
            what = _one_of(chance, BEFORE_IT_ENDS) if customer.expires else "nothing"
            if what != "nothing":
                at = chance.uniform(self.play.scenario.begins, customer.renews_at)
                self.play.plan(at, f"{customer.name}: {what}", functools.partial(self.act, what, customer))

    def plan_answer(self, message: Message) -> None:
        """A mail came: a scanner may look at its links at once, and its reader does something or nothing."""
        chance, customer = self.play.streams("mail"), self.play.by_address[message.to[0]]
        found = _LINK.search(message.body.get("text") or "")
        token = found[1] if found else ""
        self.play.ledger.links[token] = self.play.ledger.mails[-1]
        stop = (message.body.get("headers") or {}).get("List-Unsubscribe", "").strip("<>").rpartition("/")[2]
        now = self.play.now()
        if chance.random() < 0.3:
            self.play.plan(now + chance.uniform(1, 60), f"{customer.name}: scan", lambda: self.scan(token, stop))
        what = _one_of(chance, ANSWERS)
        if what != "ignore":
            at = now + min(chance.lognormvariate(9, 1.6), 9 * DAY)
            self.play.plan(at, f"{customer.name}: {what}", lambda: self.act(what, customer, token, stop))

    def plan_reply(self, message: Message) -> None:
        """A text came: its reader does something, answers STOP, and perhaps START some time later."""
        play, chance, customer = self.play, self.play.streams("texts"), self.play.by_address[message.to[0]]
        found = _LINK.search(message.body["text"])
        token = found[1] if found else ""
        play.ledger.links[token] = play.ledger.mails[-1]
        what, at = _one_of(chance, REPLIES), play.now() + min(chance.lognormvariate(8, 1.6), 5 * DAY)
        if what == "stop":
            play.plan(at, f"{customer.name}: STOP", lambda: play.providers.reply(customer, "STOP"))
            if chance.random() < 0.4:
                later = at + chance.uniform(HOUR, 4 * DAY)
                play.plan(later, f"{customer.name}: START", lambda: play.providers.reply(customer, "Start."))
        elif what == "withdraw":
            play.plan(at, f"{customer.name}: {what}", lambda: play.providers.withdraw(customer, Channel.SMS))
        elif what != "ignore":
            play.plan(at, f"{customer.name}: {what}", lambda: self.act(what, customer, token))

    def plan_regret(self, invoice: str) -> None:
        """What was paid may be taken back."""
        chance = self.play.streams("regret")
        what = _one_of(chance, REGRETS)
        if what:
            at = self.play.now() + chance.uniform(0.01, 8 * DAY)
            self.play.plan(at, f"{what} of {invoice}", lambda: self.regret(what, invoice))

    # -- customers ------------------------------------------------------------------------------------------------

    def act(self, what: str, customer: Customer, token: str = "", stop: str = "") -> None:
        play = self.play
        if what in ("follow", "look"):
            self.follow(customer, token, pays=what == "follow")
        elif what == "alone":
            for invoice in play.shop.open_invoices(customer):
                self.pay(customer, invoice)
        elif what == "unsubscribe" and stop:
            self.unsubscribe(customer, stop)
        elif what == "card" and not self.play.shop.is_deleted(customer):
            self.add_card(customer)
        elif what == "leave":
            self.leave(customer)
        elif what == "renew_card":
            self.renew_card(customer)
        elif what == "delete":
            self._refusable(lambda: play.shop.delete(customer))

    def scan(self, token: str, stop: str) -> None:
        """A mail filter: it reads pages and presses nothing."""
        self.play.machine.run("web", lambda: (links.show(token), links.ask_unsubscribe(stop)))

    def follow(self, customer: Customer, token: str, *, pays: bool) -> None:
        places: list[str] = []
        pressed: list[datetime] = []

        def visit() -> None:
            page = links.show(token)
            if page.status_code == 200 and b"<form" in bytes(page.body) and pays:
                pressed.append(clock.now())
                answer = links.follow(token)
                places.append(answer.headers.get("location", ""))
                if answer.status_code not in COUNTED:
                    pressed.clear()

        came = self.play.machine.run("web", visit)
        if pressed:
            self._note_click(token, pressed[0], sure=came)
        if not came:
            return  # the page did not come; this person gives up
        parts = urlsplit(places[0]).path.split("/") if places else [""]
        if len(parts) < 4 or self.play.streams("mail").random() < 0.1:
            return
        actions = self.play.actions
        if parts[1] == "i":
            invoice = actions.find_hosted_invoice(parts[2], parts[3])
            if invoice is not None:
                self.pay(customer, invoice)
        elif parts[1] == "p" and not self.play.shop.is_deleted(customer):
            self.add_card(customer)

    def _note_click(self, token: str, at: datetime, *, sure: bool) -> None:
        mail = self.play.ledger.links[token]
        self.play.ledger.click(Click(at, mail.ghost_id, mail.message_id, sure))

    def pay(self, customer: Customer, invoice: Json) -> None:
        """On Stripe's hosted page, with the usual card and its confirmation, else with another."""
        play, chance = self.play, self.play.streams("paying")
        if invoice["status"] != "open":
            return
        self._refusable(lambda: self._charge(invoice, None))
        if invoice["status"] == "open" and chance.random() < 0.6 and not self.play.shop.is_deleted(customer):
            card = play.shop.new_card(customer)
            self._refusable(lambda: self._charge(invoice, card["id"]))
            if invoice["status"] == "paid" and not self.play.shop.is_deleted(customer):
                play.shop.prefer(customer, card)

    def _charge(self, invoice: Json, method: str | None) -> None:
        play = self.play
        intent = lookups.intent_of(play.space, invoice)
        waits = intent is not None and intent["status"] == "requires_action"
        outcome = None if waits else play.actions.pay_invoice(play.account, invoice["id"], method)
        if waits or (outcome is not None and outcome.requires_action):
            succeed = play.streams("paying").random() < 0.8
            play.actions.complete_action(play.account, invoice["id"], succeed=succeed)

    def add_card(self, customer: Customer) -> None:
        self.play.shop.prefer(customer, self.play.shop.new_card(customer))

    def renew_card(self, customer: Customer) -> None:
        """The network's updater gives the failing card new data."""
        play = self.play
        method = play.space.get("customer", customer.id)
        usual = method and (method.get("invoice_settings") or {}).get("default_payment_method")
        if usual:
            customer.cured_at = min(customer.cured_at, play.now())
            play.ledger.renewed.add(str(usual))
            play.actions.automatically_update_card(play.account, usual, exp_month=1, exp_year=2037)

    def unsubscribe(self, customer: Customer, stop: str) -> None:
        if self.play.machine.run("web", lambda: links.unsubscribe(stop)):
            self.play.ledger.unsubscribe(customer.email)

    def leave(self, customer: Customer) -> None:
        play = self.play
        at_end = play.streams("lives").random() < 0.4
        for subscription in customer.subscription_ids:
            if play.space.table("subscription").objects[subscription]["status"] not in (
                "canceled",
                "incomplete_expired",
            ):
                play.actions.cancel_subscription(play.account, subscription, at_period_end=at_end)

    def regret(self, what: str, invoice: str) -> None:
        play, account = self.play, self.play.account
        paid = next(one for one in play.shop.charges_of(invoice) if one["status"] == "succeeded")
        charge, amount = paid["id"], paid["amount"]
        if what == "dispute":
            self._refusable(lambda: self._dispute(charge))
        elif what == "refund":
            self._refusable(lambda: play.actions.refund(account, charge))
        elif what == "partial":
            self._refusable(lambda: play.actions.refund(account, charge, max(1, amount // 3)))
        else:
            self._refusable(lambda: play.actions.refund(account, charge, max(1, amount // 2)))
            at = play.now() + play.streams("regret").uniform(10, 3 * DAY)
            play.plan(at, f"rest of {charge}", lambda: self._refusable(lambda: play.actions.refund(account, charge)))

    def _dispute(self, charge: str) -> None:
        play, chance = self.play, self.play.streams("regret")
        dispute, won = play.actions.open_dispute(play.account, charge)["id"], chance.random() < 0.4
        at = play.now() + chance.uniform(HOUR, 6 * DAY)
        play.plan(at, f"dispute {dispute} ends", lambda: play.actions.close_dispute(play.account, dispute, won=won))

    # -- small things ---------------------------------------------------------------------------------------------

    def _refusable(self, act: object) -> None:
        """What Stripe refuses by now (paid already, refunded already) is no longer done."""
        try:
            act()  # type: ignore[operator]
        except (StripeError, ValueError) as error:
            self.play.ledger.trace.say(f"Stripe refuses: {type(error).__name__}")


def _one_of(chance: object, options: tuple[tuple[str, float], ...]) -> str:
    return str(chance.choices([name for name, _ in options], [weight for _, weight in options])[0])  # type: ignore[attr-defined]
