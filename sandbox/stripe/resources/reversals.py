"""Refunds and disputes."""

from typing import Any

from sandbox.stripe import forms, reversals
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.routing import Call, route


@route("POST", "/v1/refunds")
def create(call: Call) -> Any:
    params = call.params
    if params.get("payment_intent"):
        intent = call.parameter("payment_intent", "payment_intent")
        if intent["status"] != "succeeded":
            raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
        charge = call.space.table("charge").objects[intent["latest_charge"]]
    else:
        charge = call.parameter("charge", "charge")
    return reversals.refund(
        call.world,
        call.space,
        charge,
        amount=forms.integer(params, "amount"),
        reason=params.get("reason") or None,
        metadata=forms.metadata({}, params),
    )


@route("POST", "/v1/charges/{id}/refunds")
def create_below(call: Call) -> Any:
    return reversals.refund(call.world, call.space, call.object("charge"), amount=forms.integer(call.params, "amount"))


@route("GET", "/v1/refunds/{id}")
def retrieve(call: Call) -> Any:
    return call.object("refund")


@route("POST", "/v1/refunds/{id}")
def update(call: Call) -> Any:
    refund = call.object("refund")
    previous = change(refund, metadata=forms.metadata(refund["metadata"], call.params))
    call.space.save("refund", refund)
    emit(call.world, call.space, "refund.updated", refund, previous)
    emit(call.world, call.space, "charge.refund.updated", refund, previous or None)
    return refund


@route("GET", "/v1/refunds")
def list_refunds(call: Call) -> Any:
    filters = {"charge": call.params.get("charge"), "payment_intent": call.params.get("payment_intent")}
    return call.page("refund", "/v1/refunds", filters)


@route("GET", "/v1/disputes/{id}")
def retrieve_dispute(call: Call) -> Any:
    return call.object("dispute")


@route("POST", "/v1/disputes/{id}")
def update_dispute(call: Call) -> Any:
    dispute, params = call.object("dispute"), call.params
    evidence = dispute["evidence"] | {name: value or None for name, value in (params.get("evidence") or {}).items()}
    previous = change(dispute, evidence=evidence, metadata=forms.metadata(dispute["metadata"], params))
    dispute["evidence_details"]["has_evidence"] = any(evidence.values())
    call.space.save("dispute", dispute)
    emit(call.world, call.space, "charge.dispute.updated", dispute, previous)
    # Stripe's test evidence decides test disputes.
    verdict = str(evidence.get("uncategorized_text") or "")
    if verdict in ("winning_evidence", "losing_evidence"):
        reversals.close_dispute(call.world, call.space, dispute, won=verdict == "winning_evidence")
    return dispute


@route("POST", "/v1/disputes/{id}/close")
def close_dispute(call: Call) -> Any:
    return reversals.close_dispute(call.world, call.space, call.object("dispute"), won=False)


@route("GET", "/v1/disputes")
def list_disputes(call: Call) -> Any:
    filters = {"charge": call.params.get("charge"), "payment_intent": call.params.get("payment_intent")}
    return call.page("dispute", "/v1/disputes", filters)
