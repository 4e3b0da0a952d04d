"""Events about a customer's cards, each of which may pay what is open: the word of it only makes a task."""

from core import db
from services.handshake.schemas import IncomingEvent
from services.integrations.stripe.reading import identifier
from services.recovery.charging import new_cards
from services.recovery.charging.new_cards import Came, News


def added(event: IncomingEvent) -> str:
    """A customer added a card: their open invoices are paid with it at once."""
    customer_id, method_id = identifier(event.object.get("customer")), identifier(event.object)
    return _pay_with(event, customer_id, method_id, Came.SAVED)


def renewed(event: IncomingEvent) -> str:
    """The network gave a saved card new data: the same card, which is worth one more charge."""
    customer_id, method_id = identifier(event.object.get("customer")), identifier(event.object)
    return _pay_with(event, customer_id, method_id, Came.RENEWED)


def chosen(event: IncomingEvent) -> str:
    """A customer's default card changed, which is how some portals set a card that was attached before."""
    settings = event.object.get("invoice_settings")
    before = event.previous_attributes.get("invoice_settings")
    if not isinstance(settings, dict) or not isinstance(before, dict) or "default_payment_method" not in before:
        return "no_new_card"
    method_id = identifier(settings.get("default_payment_method"))
    return _pay_with(event, identifier(event.object), method_id, Came.CHOSEN)


def _pay_with(event: IncomingEvent, customer_id: str | None, method_id: str | None, came: Came) -> str:
    if customer_id is None or method_id is None:
        return "no_id"
    renewal, choice = (event.id if came is kind else "" for kind in (Came.RENEWED, Came.CHOSEN))
    news = News(method_id, came, renewal, choice=choice)
    with db.tenant_session(event.merchant_id) as session:
        scheduled = new_cards.schedule(session, event.merchant_id, customer_id, news, event.created)
    return "payment_scheduled" if scheduled else "no_ghost"
