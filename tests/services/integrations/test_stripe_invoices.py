"""An invoice read by its id: what was known when Stripe was asked, not when it answered."""

from datetime import timedelta
from typing import Any, cast

from core.clock import ManualClock
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.invoices import invoice_and_facts, read_invoice
from services.integrations.stripe.parsing import INVOICE_EXPAND
from tests.support.factories import raw_invoice


class Slow:
    """Answers after a minute."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.asked = clock, list[tuple[Any, ...]]()

    def retrieve_invoice(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        self.clock.advance(timedelta(minutes=1))
        return raw_invoice(id="in_slow")


def test_the_facts_tell_when_stripe_was_asked(clock: ManualClock):
    stripe, before = Slow(clock), clock.now()
    facts = read_invoice(cast(ScopedStripe, stripe), "in_slow")
    assert (facts.id, facts.read_at) == ("in_slow", before)
    assert stripe.asked == [("in_slow", INVOICE_EXPAND)]


def test_who_needs_more_of_it_gets_the_object_too(clock: ManualClock):
    stripe, before = Slow(clock), clock.now()
    invoice, facts = invoice_and_facts(cast(ScopedStripe, stripe), "in_slow", ("payments",))
    assert invoice == raw_invoice(id="in_slow")
    assert facts.read_at == before
    assert stripe.asked == [("in_slow", ("payments",))]
