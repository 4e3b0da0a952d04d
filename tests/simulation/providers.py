"""The merchant's senders: its keys at Resend and Twilio, what becomes of mail, and what is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core import clock, db
from core.config import settings
from models.messaging import Channel
from sandbox.outbox.resend import ResendApi
from sandbox.outbox.store import Message, outbox_of
from sandbox.outbox.twilio import TwilioApi
from sandbox.outbox.webhooks import postman_of
from sandbox.stripe.api import Request
from sandbox.stripe.store import Json
from services.messaging import consents
from services.messaging.schedule import SEND
from services.messaging.senders import service as senders
from services.messaging.senders.given import OwnMail, OwnText
from services.messaging.team_mail import KIND_TAG
from services.recovery.messages import texts
from tests.simulation import letters
from tests.simulation.callbacks import Callbacks
from tests.simulation.scenario import DAY, HOUR, Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

ACCOUNT, TOKEN, NUMBER = "AC" + "5" * 32, "0123456789abcdef" * 2, "+15005550006"  # the sandbox's
PATIENCE = 4 * DAY  # the longest that a Sentinel is away, an outage of Stripe's after it, and some
FATES = (("complained", 0.03), ("delivery_delayed", 0.02), ("failed", 0.01))
SECRET = "whsec_c2ltdWxhdGlvbi1vZi1hLW1lcmNoYW50LXNlY3JldA=="


@dataclass
class Providers:
    """Resend and Twilio as the play has them, and the merchant's accounts there."""

    play: "Play"

    def __post_init__(self) -> None:
        world = self.play.world
        self.outbox, self.postman = outbox_of(world), postman_of(world)
        self.resend, self.twilio = ResendApi(self.outbox, self.postman), TwilioApi(self.outbox, self.postman)
        self.chance = self.play.streams("fates")
        self.callbacks = Callbacks(
            self.postman, self.play.machine, self.play.ledger, self.play.streams("callbacks"), self._told
        )
        self.callbacks.never = self.chance.choice((0.05, 0.1, 0.4))
        self.callbacks.untold = self.chance.choice((0.5, 0.9, 1.0))
        self._fate, self.postman.outcome_for = self.postman.outcome_for, self._outcome  # type: ignore[method-assign]
        self.key = 0
        self.is_revoked = False
        self._watch_mail()
        self._watch_texts()

    # -- the merchant's accounts ----------------------------------------------------------------------------------

    def connect(self) -> None:
        """The merchant's senders as it sets them: a mail key of its own in some seeds, texts where it wants them."""
        scenario = self.play.scenario
        webhook = {
            "url": f"{settings().public_url}/api/webhooks/resend",
            "secret": settings().resend_webhook_secrets()[0],
        }
        self.outbox.set("webhook", webhook)
        if scenario.own_mail:
            self.new_key()
            if self.chance.random() < 0.5:  # of all times when somebody is about to be written to
                about = self.chance.choice(scenario.customers).renews_at
                at = max(scenario.begins, about - self.chance.uniform(0, 6) * HOUR)
                self.play.plan(at, "staff: mail key revoked", self.revoke)
        if scenario.policy["sms"]:
            with db.tenant_session(self.play.merchant) as session:
                shown = senders.set_text(session, self.play.merchant, OwnText(ACCOUNT, TOKEN, NUMBER), "staff")
            self.outbox.set("sms_url", shown.webhook_url)
            self._record([self._word(Channel.SMS, one.phone) for one in scenario.customers if one.agrees and one.phone])

    def new_key(self) -> None:
        """The merchant makes itself a key at Resend and gives it to PHANTOM. What waited goes on within days."""
        self.key += 1
        key = f"re_simulation_{self.key:04d}"
        self._see_that_it_goes_on(key)
        self.is_revoked = False
        self.outbox.set("keys", [key, _platform_key()])
        given = OwnMail(key, "billing@northwind.example", SECRET)
        with db.tenant_session(self.play.merchant) as session:
            shown = senders.set_mail(session, self.play.merchant, given, "staff")
        self.outbox.set("webhook", {"url": shown.webhook_url, "secret": SECRET})
        self.play.machine.announce()
        self.play.ledger.trace.say(f"mail key {self.key}")

    def revoke(self) -> None:
        """Somebody deletes the key at Resend; hours or days later there is another one."""
        play, chance = self.play, self.chance
        self.is_revoked = True
        self.outbox.set("keys", [_platform_key()])
        play.ledger.fault("sender_key_revoked")
        play.plan(play.now() + chance.uniform(0.5, 48) * HOUR, "staff: new mail key", self.new_key)

    def _see_that_it_goes_on(self, key: str) -> None:
        """Where somebody waited to be written to, the new key is used, unless there is nothing left to be sent."""
        play = self.play
        asked = "select id from ghost_targets where next_action = %s and next_action_at <= %s"
        waited = [row[0] for row in play.place.owner.execute(asked, (SEND, clock.now()))]

        def look() -> None:
            still = play.place.owner.execute(f"{asked} and id = any(%s)", (SEND, clock.now(), waited)).fetchall()
            if still and f"Bearer {key}" not in play.ledger.knocks:
                play.ledger.violated("what waited for a key goes on", ", ".join(row[0] for row in still))

        if waited:
            play.plan(play.now() + PATIENCE, "what waited for the key", look)

    def withdraw(self, customer: Customer, channel: Channel) -> None:
        """A customer takes the consent to a channel back, and the merchant records it."""
        address = customer.email if channel is Channel.EMAIL else customer.phone
        if not address:
            return
        self.play.ledger.last_words[customer.id] = clock.now()  # before: whoever dies after the commit has said so
        if self._record([self._word(channel, address, "withdrawn")]):
            self.play.ledger.withdrawn.setdefault(address, self.play.ledger.trace.steps)
            self.play.ledger.trace.say(f"{address} has withdrawn")

    def _word(self, channel: Channel, address: str, state: str = "granted") -> consents.NewConsent:
        early = timedelta(days=100) if state == "granted" else timedelta()
        return consents.read(channel=channel, address=address, happened_at=clock.now() - early, state=state)

    def _record(self, words: list[consents.NewConsent]) -> bool:
        def record() -> None:
            with db.tenant_session(self.play.merchant) as session:
                consents.record(session, self.play.merchant, words, "staff")

        return bool(words) and self.play.machine.run("web", record)

    # -- what becomes of messages ---------------------------------------------------------------------------------

    def _outcome(self, recipient: str, team: str) -> str:
        """What the mailbox does: some addresses are dead, and some people complain."""
        known = self._fate(recipient, team)
        customer = self.play.by_address.get(recipient)
        if known != "delivered" or customer is None or self.play.draining:
            return known
        if customer.bounces:
            return "bounced"
        drawn = self.chance.random()
        for fate, share in FATES:
            if drawn < share:
                return fate
            drawn -= share
        return "delivered"

    def _told(self, told: Any, body: Mapping[str, Any]) -> None:
        """PHANTOM has taken what a provider told: from when it is handled on it holds."""
        ledger = self.play.ledger
        name = f"{told.source}:{told.delivery_id}"
        is_new = name not in ledger.acknowledged
        ledger.acknowledged.setdefault(name, clock.now())
        self.play.engine.on_acknowledged([name])
        if told.kind in ("email.bounced", "email.complained", "email.failed", "email.suppressed"):
            ledger.shut[name] = (body["data"]["to"][0], told.kind)
        elif told.kind == texts.REPLY and is_new:
            if told.stops:
                ledger.stops[told.number] = ledger.trace.steps
            else:
                ledger.stops.pop(told.number, None)

    def reply(self, customer: Customer, word: str) -> None:
        """A customer answers a text. Some accounts leave it to PHANTOM what STOP means."""
        self.play.ledger.answered.add(customer.phone)
        self.twilio.reply(customer.phone, NUMBER, word, account=ACCOUNT)
        if not self.play.scenario.carrier_stops:
            self.outbox.set("opted_out", [])

    def peace(self) -> None:
        """Nothing is lost, late or refused any more."""
        self.callbacks.never, self.callbacks.untold, self.callbacks.twice, self.callbacks.late = 0.0, 1.0, 0.0, False
        if self.is_revoked:
            self.new_key()

    # -- the judge's ear ------------------------------------------------------------------------------------------

    def _watch_mail(self) -> None:
        accept = self.resend._accept

        def accepted(email: Json, team: str) -> Message:
            message = accept(email, team)
            if KIND_TAG in message.tags:
                self.play.team.accepted(message)
                return message
            letters.accepted(self.play, message, self.play.senders.key)
            self.play.people.plan_answer(message)
            return message

        self.resend._accept = accepted  # type: ignore[method-assign]

    def _watch_texts(self) -> None:
        send = self.twilio._send

        def sent(request: Request, account: str, token: str) -> Json:
            letters.handed(self.play, request)
            answer = send(request, account, token)
            message = self.outbox.get(answer["sid"])
            assert message is not None
            letters.accepted(self.play, message, "")
            self.play.people.plan_reply(message)
            return answer

        self.twilio._send = sent  # type: ignore[method-assign]


def _platform_key() -> str:
    """The operator's own, which the team's mail goes with."""
    key = settings().resend_api_key
    assert key is not None
    return key.get_secret_value()
