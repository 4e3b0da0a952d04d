"""Charges at risk that were made safe, by the engine itself and without a Stripe."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core import clock, db
from models.ghost import FoundVia, Mechanism
from services.integrations.stripe.facts import CardFacts, CustomerFacts
from services.integrations.stripe.renewals import MethodFacts, RenewalFacts
from services.recovery import repository
from services.recovery.credit.attribution import Credit
from services.recovery.protection import impending, outcomes
from services.recovery.work import merchant_context


def made_safe(
    merchant_id: str, number: int = 1, amount: int = 4900, currency: str = "usd", by: Mechanism | None = None
) -> str:
    """A charge of subscription `sub_<number>` in ten days without a card, and then with one; the ghost's id.

    The merit is `by`, or whose the engine finds it is.
    """
    now = clock.now()
    without = RenewalFacts(
        subscription_id=f"sub_{number}", status="active", currency=currency, amount=amount, monthly_value=amount,
        charge_at=now + timedelta(days=10), no_charge="", method=None, customer=CustomerFacts(id=f"cus_{number}"),
    )  # fmt: skip
    given = replace(without, method=MethodFacts(card=CardFacts(payment_method_id=f"pm_{number}")))
    with pytest.MonkeyPatch.context() as patched:
        if by is not None:
            patched.setattr(outcomes, "credit_of", lambda _evidence: Credit(by))
        for renewal in (without, given):
            with db.tenant_session(merchant_id) as session:
                merchant = merchant_context(session, merchant_id)
                assert impending.watch(session, merchant, [renewal], FoundVia.HUNT, now) is not None
    with db.tenant_session(merchant_id) as session:
        return repository.lock_by_invoices(session, merchant_id, [without.id])[without.id].id
