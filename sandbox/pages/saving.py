"""Saving a card through the portal: what a SetupIntent does, with its events and refusals."""

from typing import TYPE_CHECKING

from sandbox.stripe import methods
from sandbox.stripe.errors import StripeError
from sandbox.stripe.events import change, emit
from sandbox.stripe.resources import setup_intents
from sandbox.stripe.routing import Call
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


class CardRefusedError(Exception):
    """The bank did not accept the card; the message is what a customer is told."""


def begin(world: "World", space: Space, customer: str, method: Json) -> Json:
    """Try to save a card: the SetupIntent, `succeeded` or `requires_action`. Raises `CardRefusedError`."""
    given = {"customer": customer, "payment_method": method["id"], "confirm": "true", "usage": "off_session"}
    with world.transaction():
        try:
            made: Json = setup_intents.create(Call(world, space, given, {}))
        except StripeError as error:
            raise CardRefusedError(error.message) from None
        return made


def finish(world: "World", space: Space, intent: Json, *, succeed: bool) -> Json | None:
    """The customer answered the bank: the saved card, or None when it was not confirmed."""
    with world.transaction():
        method = space.table("payment_method").objects[intent["payment_method"]]
        if not succeed:
            error = {
                "code": "setup_intent_authentication_failure",
                "message": "We are unable to authenticate your payment method.",
                "type": "invalid_request_error",
            }
            change(
                intent, status="requires_payment_method", next_action=None, last_setup_error=error, payment_method=None
            )
            space.save("setup_intent", intent)
            emit(world, space, "setup_intent.setup_failed", intent)
            return None
        change(intent, status="succeeded", next_action=None)
        if method["customer"] is None:
            methods.attach_to(world, space, method, space.table("customer").objects[intent["customer"]])
        space.save("setup_intent", intent)
        emit(world, space, "setup_intent.succeeded", intent)
        return method
