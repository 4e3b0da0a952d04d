"""A look at Stripe that waited for its turn while newer word came: it takes nothing back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from services.integrations.stripe.client import ScopedStripe
from services.recovery.messages import fresh
from tests.services.recovery.messages.test_outreach import FAILED, Story, story  # noqa: F401  # a fixture
from tests.support.factories import raw_invoice


class Slow:
    """Says what the invoice was when it was asked for."""

    def retrieve_invoice(self, *_: Any) -> dict[str, Any]:
        return raw_invoice()


def test_the_mail_does_not_ask_for_what_was_paid_meanwhile(story: Story):  # noqa: F811
    seen = fresh.look(cast(ScopedStripe, Slow()), fresh.Subject(invoice_id=FAILED.id))
    story.clock.advance(timedelta(seconds=20))
    story.see(replace(FAILED, amount_remaining=2900, amount_paid=2000, read_at=story.clock.now()))
    story.clock.advance(timedelta(seconds=1))
    prepared = story.prepare(seen)
    assert story.ghost.amount_cents == 2900
    assert prepared.message is not None
    assert "$29.00" in prepared.message.plain
    assert "$49.00" not in prepared.message.plain
