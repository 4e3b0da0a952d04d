"""The judge of what a message says: in the customer's language, no promise of another charge, no bank's reason.

By words of the judge's own: the product's lint would be blind to what it does not know.
"""

import re
from typing import TYPE_CHECKING

from sandbox.outbox.store import Message
from tests.simulation.ledger import Mail

if TYPE_CHECKING:
    from tests.simulation.play import Play

# What only this language says, in every message: its few smallest words around paying.
TONGUES = {
    "en": re.compile(r"\b(your|the|for|you|to)\b", re.I),
    "de": re.compile(r"\b(ihr|ihre|ihrer|ihren|die|der|für|und|bitte)\b", re.I),
    "es": re.compile(r"\b(su|el|los|usted|para|pago|con)\b", re.I),
    "fr": re.compile(r"\b(votre|vous|le|les|pour|paiement|avec)\b", re.I),
    "pt": re.compile(r"\b(seu|sua|não|você|para|pagamento|com|o)\b", re.I),
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


def fit(play: "Play", mail: Mail, message: Message) -> None:
    """What the customer reads, as it was rendered."""
    ledger, customer = play.ledger, play.by_address[mail.recipient]
    text = re.sub(r"https?://\S+", "", f"{message.subject}\n{message.body['text']}")
    scores = {tongue: len(pattern.findall(text)) for tongue, pattern in TONGUES.items()}
    if max(scores, key=lambda tongue: scores[tongue]) != customer.reads:
        ledger.violated("messages are in the customer's language", f"{mail.message_id} to {customer.reads}: {scores}")
    last = mail.step == play.scenario.policy["messages_per_ghost"]
    if last and (found := PROMISES.search(text)):
        ledger.violated("the last message promises nothing", f"{mail.message_id}: {found[0]}")
    if found := SECRETS.search(text):
        ledger.violated("a bank's reason stays private", f"{mail.message_id}: {found[0]}")
