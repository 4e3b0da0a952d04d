"""The bugs that other dunning products shipped, each by its name."""

import stripe

from core import db
from core.clock import ManualClock
from models.merchant import StripeMails
from services.merchants import service as merchants
from services.operations import health
from tests.support.factories import make_merchant


class TestDoubleMailNextToStripesOwn:
    """Stripe can mail customers about failed payments itself; then each of ours is a second one."""

    def test_is_warned_of_from_the_first_message_until_the_merchant_says_no(
        self, database: object, clock: ManualClock
    ) -> None:
        merchant = make_merchant()  # messages are on, and nobody was asked
        assert self.warnings(merchant) == ["double_mails_unknown"]
        for answer, warned in (
            (StripeMails.YES, ["double_mails"]),
            (StripeMails.UNKNOWN, ["double_mails_unknown"]),
            (StripeMails.NO, []),
        ):
            with db.tenant_session(merchant) as session:
                merchants.answer_stripe_mails(session, merchant, answer, actor_id="usr_1")
            assert self.warnings(merchant) == warned

    @staticmethod
    def warnings(merchant: str) -> list[str]:
        with db.tenant_session(merchant) as session:
            found = health.judge(health.merchant_facts(session, merchant)).findings
        return [each.code for each in found if each.code.startswith("double_mails")]

    def test_stripe_still_has_no_field_that_tells(self) -> None:
        """An SDK that knows one would fail here: then it can be read instead of asked."""
        fields = set(stripe.Account.Settings.__annotations__)
        assert {"branding", "dashboard", "invoices", "payments"} <= fields
        inner = {
            name
            for each in vars(stripe.Account.Settings).values()
            if isinstance(each, type)
            for name in getattr(each, "__annotations__", {})
        }
        telling = ("email", "mail", "dunning", "recovery", "notif")
        assert [name for name in fields | inner if any(word in name for word in telling)] == []
