"""What people do: customers with their mail and their cards, mail scanners, and the merchant's own staff."""

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlmodel import col, select

from core import db
from models.ghost import OPEN_STATES, GhostTarget
from phantom_app.api import links
from sandbox.outbox.store import Message
from sandbox.stripe import lookups
from sandbox.stripe.errors import StripeError
from sandbox.stripe.store import Json
from services.recovery import service as recovery
from tests.simulation.scenario import DAY, HOUR, Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

_LINK = re.compile(r"https?://\S+/r/([\w-]+)")
ANSWERS = (
    ("ignore", 34), ("follow", 34), ("look", 5), ("alone", 6), ("unsubscribe", 7), ("leave", 5), ("card", 9),
)  # fmt: skip
BY_THEMSELVES = (("nothing", 60), ("alone", 14), ("card", 12), ("leave", 8), ("delete", 2), ("renew_card", 4))
REGRETS = (("", 72), ("refund", 12), ("partial", 5), ("dispute", 8), ("refund_twice", 3))


@dataclass
class People:
    """Everybody outside PHANTOM. Each act is one step of the play."""

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

    def plan_answer(self, message: Message) -> None:
        """A mail came: a scanner may look at its links at once, and its reader does something or nothing."""
        chance, customer = self.play.streams("mail"), self.play.by_email[message.to[0]]
        found = _LINK.search(message.body.get("text") or "")
        token = found[1] if found else ""
        stop = (message.body.get("headers") or {}).get("List-Unsubscribe", "").strip("<>").rpartition("/")[2]
        now = self.play.now()
        if chance.random() < 0.3:
            self.play.plan(now + chance.uniform(1, 60), f"{customer.name}: scan", lambda: self.scan(token, stop))
        what = _one_of(chance, ANSWERS)
        if what != "ignore":
            at = now + min(chance.lognormvariate(9, 1.6), 9 * DAY)
            self.play.plan(at, f"{customer.name}: {what}", lambda: self.act(what, customer, token, stop))

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
            for invoice in play.open_invoices(customer):
                self.pay(customer, invoice)
        elif what == "unsubscribe" and stop:
            self.unsubscribe(customer, stop)
        elif what == "card" and not self._deleted(customer):
            self.add_card(customer)
        elif what == "leave":
            self.leave(customer)
        elif what == "renew_card":
            self.renew_card(customer)
        elif what == "delete":
            self._refusable(lambda: play.delete_customer(customer))

    def scan(self, token: str, stop: str) -> None:
        """A mail filter: it reads pages and presses nothing."""
        self.play.machine.run("web", lambda: (links.show(token), links.ask_unsubscribe(stop)))

    def follow(self, customer: Customer, token: str, *, pays: bool) -> None:
        places: list[str] = []

        def visit() -> None:
            page = links.show(token)
            if page.status_code == 200 and b"<form" in bytes(page.body) and pays:
                places.append(links.follow(token).headers.get("location", ""))

        if not self.play.machine.run("web", visit):
            return  # the page did not come; this person gives up
        parts = urlsplit(places[0]).path.split("/") if places else [""]
        if len(parts) < 4 or self.play.streams("mail").random() < 0.1:
            return
        actions = self.play.actions
        if parts[1] == "i":
            invoice = actions.find_hosted_invoice(parts[2], parts[3])
            if invoice is not None:
                self.pay(customer, invoice)
        elif parts[1] == "p" and not self._deleted(customer):
            self.add_card(customer)

    def pay(self, customer: Customer, invoice: Json) -> None:
        """On Stripe's hosted page, with the usual card and its confirmation, else with another."""
        play, chance = self.play, self.play.streams("paying")
        if invoice["status"] != "open":
            return
        self._refusable(lambda: self._charge(invoice, None))
        if invoice["status"] == "open" and chance.random() < 0.6 and not self._deleted(customer):
            card = play.new_card(customer)
            self._refusable(lambda: self._charge(invoice, card["id"]))
            if invoice["status"] == "paid" and not self._deleted(customer):
                play.actions.attach_payment_method(play.account, card["id"], customer.id, default=True)

    def _charge(self, invoice: Json, method: str | None) -> None:
        play = self.play
        intent = lookups.intent_of(play.space, invoice)
        waits = intent is not None and intent["status"] == "requires_action"
        outcome = None if waits else play.actions.pay_invoice(play.account, invoice["id"], method)
        if waits or (outcome is not None and outcome.requires_action):
            succeed = play.streams("paying").random() < 0.8
            play.actions.complete_action(play.account, invoice["id"], succeed=succeed)

    def add_card(self, customer: Customer) -> None:
        play = self.play
        card = play.new_card(customer)
        play.actions.attach_payment_method(play.account, card["id"], customer.id, default=True)

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
        paid = next(one for one in play.charges_of(invoice) if one["status"] == "succeeded")
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

    # -- the merchant ---------------------------------------------------------------------------------------------

    def plan_staff(self, begins: float, ends: float) -> None:
        """The merchant's people: a few acts a seed."""
        chance = self.play.streams("staff")
        for _ in range(chance.choice((0, 1, 2, 4))):
            what = chance.choice(("pause", "pause", "lose", "void", "write_off", "stop", "unpayable"))
            self.play.plan(chance.uniform(begins, ends), f"staff: {what}", functools.partial(self.staff, what))

    def staff(self, what: str) -> None:
        play, chance = self.play, self.play.streams("staff")
        if what in ("pause", "lose"):
            ghosts = self.ghost_ids()
            if ghosts:
                chosen = [chance.choice(ghosts)]
                if what == "lose":
                    self.in_product(recovery.mark_lost, chosen)
                elif self.in_product(recovery.pause, chosen):
                    later = play.now() + chance.uniform(HOUR, 10 * DAY)
                    play.plan(later, "staff: resume", lambda: self.in_product(recovery.resume, chosen))
        elif what in ("void", "write_off"):
            opened = [invoice for one in play.scenario.customers for invoice in play.open_invoices(one)]
            if opened:
                act = play.actions.void_invoice if what == "void" else play.actions.mark_uncollectible
                act(play.account, chance.choice(opened)["id"])
        elif what == "stop":
            self._messages(on=False)
            play.plan(play.now() + chance.uniform(HOUR, 4 * DAY), "staff: start", lambda: self._messages(on=True))

    def _messages(self, *, on: bool) -> None:
        act = recovery.start_messages if on else recovery.stop_messages

        def change() -> None:
            with db.tenant_session(self.play.merchant) as session:
                act(session, self.play.merchant, "staff")

        if self.play.machine.run("web", change):
            self.play.ledger.messages_on(on)
            self.play.machine.announce()

    def tidy_up(self) -> None:
        """At the end the merchant decides what waits for a person: goes on with what is paused, drops the rest."""
        self._messages(on=True)
        self.in_product(recovery.resume, self.ghost_ids(state="paused"))
        with db.tenant_session(self.play.merchant) as session:
            waits = col(GhostTarget.next_action_at).is_(None)
            asked = select(GhostTarget.id).where(col(GhostTarget.state).in_(sorted(OPEN_STATES)), waits)
            left = list(session.exec(asked.order_by(col(GhostTarget.id))))
        self.in_product(recovery.mark_lost, left)

    def in_product(self, act: object, ghosts: list[str]) -> bool:
        def change() -> None:
            with db.tenant_session(self.play.merchant) as session:
                act(session, self.play.merchant, ghosts, "staff")  # type: ignore[operator]

        return bool(ghosts) and self.play.machine.run("web", change)

    def ghost_ids(self, *, state: str = "") -> list[str]:
        """Open ghosts as the merchant's screen lists them."""
        states = [state] if state else sorted(OPEN_STATES)
        with db.tenant_session(self.play.merchant) as session:
            found = select(GhostTarget.id).where(col(GhostTarget.state).in_(states)).order_by(col(GhostTarget.id))
            return list(session.exec(found))

    # -- small things ---------------------------------------------------------------------------------------------

    def _deleted(self, customer: Customer) -> bool:
        found = self.play.space.get("customer", customer.id)
        return found is None or bool(found.get("deleted"))

    def _refusable(self, act: object) -> None:
        """What Stripe refuses by now (paid already, refunded already) is no longer done."""
        try:
            act()  # type: ignore[operator]
        except (StripeError, ValueError) as error:
            self.play.ledger.trace.say(f"Stripe refuses: {type(error).__name__}")


def _one_of(chance: object, options: tuple[tuple[str, float], ...]) -> str:
    return str(chance.choices([name for name, _ in options], [weight for _, weight in options])[0])  # type: ignore[attr-defined]
