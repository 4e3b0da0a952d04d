"""Money going back: refunds and disputes."""

from typing import TYPE_CHECKING

from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def refund(
    world: "World",
    space: Space,
    charge: Json,
    *,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """Give a charge's money back, all that is left by default."""
    left = charge["amount_captured"] - charge["amount_refunded"]
    wanted = left if amount is None else amount
    if not charge["paid"] or left <= 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if not 0 < wanted <= left:
        raise invalid(f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({left})", param="amount")
    made: Json = {
        "id": world.ids.new("re"),
        "object": "refund",
        "amount": wanted,
        "balance_transaction": world.ids.new("txn"),
        "charge": charge["id"],
        "created": world.now(),
        "currency": charge["currency"],
        "destination_details": {
            "card": {"reference": None, "reference_status": "pending", "reference_type": None, "type": "refund"},
            "type": "card",
        },
        "metadata": metadata or {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    space.save("refund", made)
    total = charge["amount_refunded"] + wanted
    change(charge, amount_refunded=total, refunded=total == charge["amount_captured"])
    space.save("charge", charge)
    emit(world, space, "refund.created", made)
    emit(world, space, "charge.refunded", charge)
    return made


def fail_refund(world: "World", space: Space, refund: Json, *, reason: str = "expired_or_canceled_card") -> Json:
    """The customer's bank sends a refund back, days or weeks later: the money is on the balance again."""
    if refund["status"] == "failed":
        raise invalid("This refund has failed already")
    failed = {"failure_balance_transaction": world.ids.new("txn"), "failure_reason": reason, "status": "failed"}
    previous = change(refund, **failed)
    space.save("refund", refund)
    charge = space.table("charge").objects[refund["charge"]]
    change(charge, amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
    space.save("charge", charge)
    emit(world, space, "refund.failed", refund)
    for name in ("refund.updated", "charge.refund.updated"):
        emit(world, space, name, refund, previous)
    return refund


def open_dispute(world: "World", space: Space, charge: Json, *, reason: str = "fraudulent") -> Json:
    """The cardholder's bank takes the money back for now."""
    due = world.now() + 9 * 86_400
    made: Json = {
        "id": world.ids.new("du"),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": world.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": due,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": space.livemode,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": (charge["payment_method_details"].get("card") or {}).get("brand", "visa"),
                "case_type": "chargeback",
                "network": "visa",
                "network_reason_code": "10",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }
    space.save("dispute", made)
    charge["disputed"] = True
    space.save("charge", charge)
    emit(world, space, "charge.dispute.created", made)
    emit(world, space, "charge.dispute.funds_withdrawn", made)
    return made


def close_dispute(world: "World", space: Space, dispute: Json, *, won: bool) -> Json:
    """The bank decides."""
    if dispute["status"] in ("won", "lost"):
        raise invalid("This dispute is already closed")
    change(dispute, status="won" if won else "lost")
    space.save("dispute", dispute)
    if won:
        emit(world, space, "charge.dispute.funds_reinstated", dispute)
    emit(world, space, "charge.dispute.closed", dispute)
    return dispute


_EVIDENCE = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
]
