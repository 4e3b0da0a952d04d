"""Two shapes of the same invoice: before and after Stripe's change of 2025-03-31."""

from typing import Any

import orjson
import stripe

from sandbox.stripe.versions import ACACIA
from tests.sandbox.conftest import Play


def only(play: Play, path: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = play.client(**options).raw_request("get", path).data
    found: dict[str, Any] = answer["data"][0] if answer.get("object") == "list" else answer
    return found


class TestShapes:
    def test_the_older_version_shows_the_older_invoice(self, play: Play) -> None:
        _, subscription, invoice = play.failed_invoice()
        old = only(play, f"/v1/invoices/{invoice['id']}?expand[]=payment_intent", stripe_version=ACACIA)
        assert old["subscription"] == subscription["id"]
        assert old["paid"] is False
        assert old["payment_intent"]["last_payment_error"]["decline_code"] == "insufficient_funds"
        assert old["payment_intent"]["invoice"] == invoice["id"]
        assert "parent" not in old

    def test_the_newer_version_shows_the_newer_one(self, play: Play) -> None:
        _, subscription, invoice = play.failed_invoice()
        new = only(play, f"/v1/invoices/{invoice['id']}")
        assert new["parent"]["subscription_details"]["subscription"] == subscription["id"]
        assert not {"payment_intent", "paid", "subscription"} & set(new)

    def test_the_period_end_moved_into_the_items(self, play: Play) -> None:
        _, subscription = play.subscriber()
        path = f"/v1/subscriptions/{subscription['id']}"
        old, new = only(play, path, stripe_version=ACACIA), only(play, path)
        assert old["current_period_end"] == new["items"]["data"][0]["current_period_end"]
        assert "current_period_end" not in new
        assert "current_period_end" not in old["items"]["data"][0]

    def test_what_was_paid_outside_stripe_is_paid_in_the_newer_one_alone(self, play: Play) -> None:
        """Changelog of 2025-03-31: `amount_paid` now reflects out of band payments; `paid_out_of_band` is gone."""
        _, _, invoice = play.failed_invoice()
        play.client().v1.invoices.pay(invoice["id"], {"paid_out_of_band": True})
        path = f"/v1/invoices/{invoice['id']}?expand[]=payments.data.payment.payment_intent"
        old, new = only(play, f"/v1/invoices/{invoice['id']}", stripe_version=ACACIA), only(play, path)
        assert (new["status"], new["amount_paid"], new["amount_remaining"]) == ("paid", 4900, 0)
        assert "paid_out_of_band" not in new
        assert new["payments"]["data"][0]["payment"]["payment_intent"]["status"] == "canceled"
        assert (old["amount_paid"], old["amount_remaining"], old["paid_out_of_band"]) == (0, 4900, True)

    def test_an_account_can_force_its_shape_on_any_client(self, play: Play) -> None:
        _, _, invoice = play.failed_invoice()
        play.actions.set_rules(play.account, force_shape="acacia")
        assert "payment_intent" in only(play, f"/v1/invoices/{invoice['id']}")

    def test_webhooks_follow_their_endpoints_version(self, play: Play) -> None:
        play.actions.create_webhook_endpoint(play.account, "http://127.0.0.1:9/old", api_version=ACACIA)
        play.actions.create_webhook_endpoint(play.account, "http://127.0.0.1:9/new", ["invoice.payment_failed"])
        play.failed_invoice()
        bodies = {
            request.url[-3:]: orjson.loads(request.body)
            for request in play.world.deliveries.take_deliveries()
            if request.event_type == "invoice.payment_failed"
        }
        assert bodies["old"]["id"] == bodies["new"]["id"]
        assert bodies["old"]["api_version"] == ACACIA
        assert bodies["old"]["data"]["object"]["payment_intent"].startswith("pi_")
        assert bodies["new"]["data"]["object"]["parent"]["type"] == "subscription_details"

    def test_an_account_made_old_has_old_endpoints(self, play: Play) -> None:
        account = play.actions.create_account(name="Old", email="o@old.test", shape="acacia")["id"]
        endpoint, _ = play.actions.create_webhook_endpoint(account, "http://127.0.0.1:9/x")
        assert endpoint["api_version"] == ACACIA
        assert stripe.api_version != ACACIA
