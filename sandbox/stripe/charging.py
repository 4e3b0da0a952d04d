"""PaymentIntents and charges: making one attempt, and what success, decline and 3-D Secure leave behind."""

from typing import TYPE_CHECKING

from sandbox.stripe import cards
from sandbox.stripe.cards import Attempt, Outcome
from sandbox.stripe.events import change, emit
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def new_intent(
    world: "World",
    space: Space,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    description: str | None = None,
    payment_method: str | None = None,
    capture_method: str = "automatic_async",
    metadata: dict[str, str] | None = None,
) -> Json:
    """A PaymentIntent that has not been tried yet."""
    identifier = world.ids.new("pi")
    intent: Json = {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": capture_method,
        "client_secret": f"{identifier}_secret_{world.ids.token(24)}",
        "confirmation_method": "automatic",
        "created": world.now(),
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": description,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": space.livemode,
        "metadata": metadata or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_confirmation" if payment_method else "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    space.save("payment_intent", intent)
    emit(world, space, "payment_intent.created", intent)
    return intent


def charge(
    world: "World",
    space: Space,
    intent: Json,
    payment_method: Json,
    *,
    invoice: Json | None = None,
    source: str = "api",
    authenticated: bool = False,
) -> Outcome:
    """Try `payment_method` once on `intent`; leaves intent, charge and their events as Stripe would."""
    attempt = Attempt(
        account=space.account,
        customer=space.get("customer", intent["customer"]),
        payment_method=payment_method,
        invoice=invoice,
        amount=intent["amount"],
        currency=intent["currency"],
        number=len(space.table("charge").where("payment_intent", intent["id"])) + 1,
        now=world.now(),
        behaviour=space.private(payment_method["id"]),
        source=source,
        authenticated=authenticated,
    )
    outcome = world.decide(attempt)
    if outcome.requires_action:
        require_action(world, space, intent, payment_method)
    elif outcome.processing:
        change(intent, status="processing", payment_method=payment_method["id"], last_payment_error=None)
        space.save("payment_intent", intent)
        emit(world, space, "payment_intent.processing", intent)
    elif outcome.approved:
        approve(world, space, intent, payment_method, invoice)
    else:
        decline(world, space, intent, payment_method, invoice, outcome)
    return outcome


def require_action(world: "World", space: Space, intent: Json, payment_method: Json) -> None:
    """The bank wants 3-D Secure first."""
    intent.update(
        status="requires_action",
        payment_method=payment_method["id"],
        next_action={
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {
                "type": "three_d_secure_redirect",
                "stripe_js": f"{world.settings.public_url}/3ds/{intent['id']}",
                "source": world.ids.new("payatt"),
            },
        },
    )
    space.save("payment_intent", intent)
    emit(world, space, "payment_intent.requires_action", intent)


def approve(world: "World", space: Space, intent: Json, payment_method: Json, invoice: Json | None) -> None:
    """The money came."""
    manual = intent["capture_method"] == "manual"
    made = _new_charge(world, space, intent, payment_method, invoice, captured=not manual)
    intent.update(
        status="requires_capture" if manual else "succeeded",
        amount_received=0 if manual else intent["amount"],
        amount_capturable=intent["amount"] if manual else 0,
        latest_charge=made["id"],
        payment_method=payment_method["id"],
        last_payment_error=None,
        next_action=None,
    )
    space.save("payment_intent", intent)
    emit(world, space, "charge.succeeded", made)
    emit(world, space, "payment_intent.amount_capturable_updated" if manual else "payment_intent.succeeded", intent)
    reason = space.private(payment_method["id"]).get("dispute")
    if reason:
        from sandbox.stripe import reversals

        reversals.open_dispute(world, space, made, reason=reason)


def decline(
    world: "World", space: Space, intent: Json, payment_method: Json, invoice: Json | None, outcome: Outcome
) -> None:
    """The bank refused."""
    made = _new_charge(world, space, intent, payment_method, invoice, outcome=outcome)
    intent.update(
        status="requires_payment_method",
        latest_charge=made["id"],
        # After a decline the intent lets go of the payment method; the error keeps a copy.
        payment_method=None,
        next_action=None,
        last_payment_error=payment_error(outcome, made["id"], dict(payment_method)),
    )
    space.save("payment_intent", intent)
    emit(world, space, "charge.failed", made)
    emit(world, space, "payment_intent.payment_failed", intent)


def payment_error(outcome: Outcome, charge_id: str, payment_method: Json) -> Json:
    """The `last_payment_error` of a decline."""
    code = outcome.decline_code or "generic_decline"
    kind = cards.error_code(code)
    error: Json = {
        "charge": charge_id,
        "code": kind,
        "decline_code": code,
        "doc_url": f"https://stripe.com/docs/error-codes/{kind.replace('_', '-')}",
        "message": cards.message(code),
        "payment_method": payment_method,
        "type": "card_error",
    }
    if outcome.advice_code:
        error["advice_code"] = outcome.advice_code
    if outcome.network_decline_code:
        error["network_decline_code"] = outcome.network_decline_code
    return error


def _new_charge(
    world: "World",
    space: Space,
    intent: Json,
    payment_method: Json,
    invoice: Json | None,
    *,
    captured: bool = True,
    outcome: Outcome | None = None,
) -> Json:
    identifier = world.ids.new("ch")
    code = outcome.decline_code if outcome else None
    receipt = f"{world.settings.public_url}/receipts/{identifier}"
    made: Json = {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured and not code else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None if code else world.ids.new("txn"),
        "billing_details": payment_method["billing_details"],
        "calculated_statement_descriptor": "PHANTOM SANDBOX",
        "captured": captured and not code,
        "created": world.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": cards.error_code(code) if code else None,
        "failure_message": cards.message(code) if code else None,
        "fraud_details": {},
        "livemode": space.livemode,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _bank_outcome(outcome if code else None),
        "paid": not code,
        "payment_intent": intent["id"],
        "payment_method": payment_method["id"],
        "payment_method_details": _method_details(payment_method),
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None if code else receipt,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if code else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }
    if invoice:
        made["description"] = intent["description"]
    return space.save("charge", made)


def _bank_outcome(outcome: Outcome | None) -> Json:
    if outcome is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 20,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    blocked = outcome.decline_code == "highest_risk_level"
    return {
        "advice_code": outcome.advice_code,
        "network_advice_code": None,
        "network_decline_code": outcome.network_decline_code,
        "network_status": "not_sent_to_network" if blocked else "declined_by_network",
        "reason": outcome.decline_code,
        "risk_level": "highest" if blocked else "normal",
        "risk_score": 90 if blocked else 20,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "blocked" if blocked else "issuer_declined",
    }


def _method_details(payment_method: Json) -> Json:
    kind = payment_method["type"]
    card = payment_method.get("card")
    if card is None:
        return {"type": kind, kind: {}}
    return {
        "card": {
            "amount_authorized": None,
            "authorization_code": None,
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None,
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    }


def cancel_intent(world: "World", space: Space, intent: Json, reason: str | None) -> None:
    """End an intent that was not paid."""
    if intent["status"] in ("succeeded", "canceled"):
        return
    change(intent, status="canceled", canceled_at=world.now(), cancellation_reason=reason, next_action=None)
    space.save("payment_intent", intent)
    emit(world, space, "payment_intent.canceled", intent)
