"""The judge of what a message says: in the customer's language, no promise of another charge, no bank's reason.

By words of the judge's own: the product's lint would be blind to what it does not know.
"""

import re
from typing import TYPE_CHECKING

from sandbox.outbox.store import Message
from tests.simulation.ledger import Mail

if TYPE_CHECKING:
    from tests.simulation.play import Play

# What of these five languages only one says, and says in every message: small words, and those around paying.
TONGUES = {
    "en": re.compile(r"\b(?:your|you|the|for|please|card|reply|payment)\b", re.I),
    "de": re.compile(r"\b(?:ihre?[nrms]?|sie|der|die|das|für|fur|mit|und|bitte|karte|zahlung|antworten)\b", re.I),
    "es": re.compile(r"\b(?:su|los|pago|tarjeta|aquí|aqui|puede|más|mas|suscripción|suscripcion|el|recibir)\b", re.I),
    "fr": re.compile(r"\b(?:votre|vous|carte|paiement|banque|pour|avec|abonnement|et|plus|répondez|repondez)\b", re.I),
    "pt": re.compile(r"\b(?:seu|sua|pagamento|cartão|cartao|não|nao|você|assinatura|pode|mais|uma?|pagar)\b", re.I),
}
PROMISES = re.compile(
    r"\bwe(?:'|’)?(?: wi)?ll (?:try|charge|retry)|\bagain\b|\bretry|\berneut|\bnoch einmal|\bnochmals|\bversuchen wir"
    r"|\bwir (?:werden|versuchen|buchen)|\bde nuevo|\bnuevamente|\bvolveremos|\breintent|\bà nouveau|\bde nouveau"
    r"|\bréessa|\bnous (?:allons|essa)|\bnovamente|\bde novo|\btentaremos|\bautomati",
    re.I,
)
SECRETS = re.compile(
    r"lost|stolen|fraud|insufficient|funds|verloren|gestohlen|betrug|gedeckt|guthaben|robad|perdid|fondos|volée?\b|perdue"
    r"|provision|roubad|saldo|stop.payment|do.not.honor|decline_code",
    re.I,
)


def got_before(play: "Play", mail: Mail) -> int:
    """How many messages about the same failed invoice its customer got before; what came back they did not get."""
    return sum(one.ghost_id == mail.ghost_id and one.arrives and not one.is_ahead for one in play.ledger.mails)


def fit(play: "Play", mail: Mail, message: Message) -> None:
    """What the customer reads, as it was rendered."""
    ledger, customer = play.ledger, play.by_address[mail.recipient]
    text = re.sub(r"https?://\S+", "", f"{message.subject}\n{message.body['text']}")
    scores = {tongue: len(pattern.findall(text)) for tongue, pattern in TONGUES.items()}
    if max(scores, key=lambda tongue: scores[tongue]) != customer.reads:
        ledger.violated("messages are in the customer's language", f"{mail.message_id} to {customer.reads}: {scores}")
    last = not mail.is_ahead and got_before(play, mail) + 1 >= play.rules.of(mail)["messages_per_ghost"]
    if last and (found := PROMISES.search(text)):
        ledger.violated("the last message promises nothing", f"{mail.message_id}: {found[0]}")
    if found := SECRETS.search(text):
        ledger.violated("a bank's reason stays private", f"{mail.message_id}: {found[0]}")
