"""Words of the merchant's own for its mail: said in their languages, and no promise of another charge in a last one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core import db
from sandbox.outbox.store import Message
from services.messaging import own_service
from services.messaging.lint import Source
from services.messaging.own import ANY_GROUP
from services.messaging.wording import Moment
from tests.simulation.ledger import Mail
from tests.simulation.words import got_before

if TYPE_CHECKING:
    from tests.simulation.play import Play

MARK = "Northwind HQ"
# Subject, heading, first lines, what speaks of another attempt, and the button.
WORDS: dict[str, tuple[str, str, str, str, str]] = {
    "en": (
        "Your payment to {{ merchant }}", "A word about your payment",
        "The payment of {{ amount }} for your plan is open. Please look at the card you pay with.",
        "We will try your card again in the next days.", "Look at the payment",
    ),
    "de": (
        "Ihre Zahlung an {{ merchant }}", "Ein Wort zu Ihrer Zahlung",
        "Die Zahlung von {{ amount }} für Ihren Tarif ist offen. Bitte sehen Sie nach der Karte, mit der Sie zahlen.",
        "Wir versuchen es mit Ihrer Karte in den nächsten Tagen noch einmal.", "Zur Zahlung",
    ),
    "es": (
        "Su pago a {{ merchant }}", "Unas palabras sobre su pago",
        "El pago de {{ amount }} está abierto. Puede ver aquí la tarjeta con la que paga los recibos.",
        "Intentaremos el pago con su tarjeta en los próximos días.", "Ver el pago",
    ),
    "fr": (
        "Votre paiement à {{ merchant }}", "Un mot sur votre paiement",
        "Le paiement de {{ amount }} pour votre abonnement est ouvert. Vous pouvez voir la carte avec votre banque.",
        "Nous allons présenter votre carte dans les prochains jours.", "Voir le paiement",
    ),
    "pt": (
        "Seu pagamento a {{ merchant }}", "Uma palavra sobre seu pagamento",
        "O pagamento de {{ amount }} da sua assinatura não foi feito. Você pode ver o cartão com que paga.",
        "Tentaremos o pagamento com seu cartão nos próximos dias.", "Ver o pagamento",
    ),
}  # fmt: skip


def save(play: "Play") -> None:
    """The merchant writes its mail about failed payments in its own words, for every moment of a sequence."""
    scenario = play.scenario
    with db.tenant_session(play.merchant) as session:
        for language in scenario.own_words:
            subject, heading, body, promise, button = WORDS[language]
            for moment in Moment:
                promising = scenario.promises and moment is Moment.FIRST
                said = f"{body}\n\n{promise if promising else ''}\n\n{MARK}"
                target = own_service.target_of(ANY_GROUP, moment, "email", language)
                words = Source(subject, heading, said, button)
                own_service.save(session, play.merchant, target, words, based_on=0, actor_id="staff")


def none_can_follow(policy: Mapping[str, Any]) -> bool:
    """Whether the first message of every ghost is its last, whatever else happens."""
    return bool(policy["messages_per_ghost"] == 1 or policy["cooldown_hours"] >= 24 * policy["window_days"])


def are_said(play: "Play", mail: Mail, message: Message) -> None:
    """Theirs where they have some; ours in other languages, for what is said once, and in place of a late promise.

    A promise may be late before the count says so: where a ghost's days or its customer's weeks leave no room for
    another message, which only the plan of that moment knows.
    """
    scenario, customer = play.scenario, play.by_address[mail.recipient]
    promise = scenario.promises and not got_before(play, mail)
    theirs = customer.reads in scenario.own_words and mail.channel == "email" and not mail.is_said_once
    said = MARK in message.body["text"]
    if said > (theirs and not (promise and none_can_follow(play.rules.of(mail)))) or said < (theirs and not promise):
        play.ledger.violated("messages are in the merchant's own words", f"{mail.message_id} in {customer.reads}")
