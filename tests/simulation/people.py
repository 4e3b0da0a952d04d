"""What customers do with their mail and their cards."""

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.messaging import Channel
from phantom_app.api import links
from sandbox.outbox.store import Message
from sandbox.stripe import lookups
from sandbox.stripe.errors import StripeError
from sandbox.stripe.store import Json
from tests.simulation import visits
from tests.simulation.scenario import DAY, HOUR, Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

_LINK = re.compile(r"https?://\S+/r/([\w-]+)")
ANSWERS = (
    ("ignore", 32), ("follow", 34), ("look", 5), ("alone", 6), ("unsubscribe", 7), ("leave", 5), ("card", 9),
    ("withdraw", 2),
)  # fmt: skip
REPLIES = (("ignore", 42), ("follow", 25), ("card", 8), ("stop", 18), ("withdraw", 7))
BY_THEMSELVES = (("nothing", 60), ("alone", 14), ("card", 12), ("leave", 8), ("delete", 2), ("renew_card", 4))
BEFORE_IT_ENDS = (("nothing", 45), ("card", 20), ("renew_card", 25), ("leave", 10))
STAYS = 0.6  # of those who leave with their period's end
REGRETS = (("", 66), ("refund", 12), ("partial", 5), ("dispute", 8), ("refund_twice", 3), ("refund_fails", 6))


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
            scan = functools.partial(visits.scan, self.play, token, stop)
            self.play.plan(now + chance.uniform(1, 60), f"{customer.name}: scan", scan)
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
            visits.follow(play, customer, token, pays=what == "follow")
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
        elif what == "withdraw":
            play.providers.withdraw(customer, Channel.EMAIL)
        elif what == "delete":
            self._refusable(lambda: play.shop.delete(customer))

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
        self.play.ledger.answered.add(customer.email)
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
                play.ledger.kept.discard(subscription)
        chance = play.streams("second thoughts")
        if at_end and not play.draining and chance.random() < STAYS:
            later = min(play.now() + chance.uniform(HOUR, 8 * DAY), play.ends - HOUR)
            play.plan(later, f"{customer.name}: stay", lambda: self.stay(customer))

    def stay(self, customer: Customer) -> None:
        """They take their cancellation back, where it has not taken effect."""
        play, subscriptions = self.play, self.play.space.table("subscription").objects
        for name in customer.subscription_ids:
            found = subscriptions[name]
            if found["cancel_at_period_end"] and found["status"] not in ("canceled", "incomplete_expired"):
                play.actions.keep_subscription(play.account, name)
                play.ledger.kept.add(name)
                play.ledger.came_of_it["cancellations taken back"] += 1

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
        elif what == "refund_fails":
            self._refusable(lambda: self._refund_in_vain(charge, amount))
        else:
            self._refusable(lambda: play.actions.refund(account, charge, max(1, amount // 2)))
            at = play.now() + play.streams("regret").uniform(10, 3 * DAY)
            play.plan(at, f"rest of {charge}", lambda: self._refusable(lambda: play.actions.refund(account, charge)))

    def _refund_in_vain(self, charge: str, amount: int) -> None:
        """All or a part of it goes to a card that is closed by now: weeks later the money is back, and may go again."""
        play, chance, account = self.play, self.play.streams("regret"), self.play.account
        made = play.actions.refund(account, charge, None if chance.random() < 0.5 else max(1, amount // 2))["id"]
        at = play.now() + chance.uniform(HOUR, 12 * DAY)

        def fail() -> None:
            play.actions.fail_refund(account, made)
            play.ledger.came_of_it["refunds that failed"] += 1

        play.plan(at, f"refund {made} fails", fail)
        if chance.random() < 0.3:
            again = functools.partial(play.actions.refund, account, charge)
            play.plan(at + chance.uniform(10, 4 * DAY), f"{charge} again", lambda: self._refusable(again))

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
