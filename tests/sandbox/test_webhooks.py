"""Events reach their endpoints: signed, on the right ones, and as badly as a test asks."""

import orjson
import pytest
import stripe

from sandbox.stripe.deliveries import Behaviour
from tests.sandbox.conftest import Play

URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def secret(play: Play) -> str:
    return play.actions.create_webhook_endpoint(play.account, URL)[1]


class TestSignatures:
    def test_the_sdk_accepts_the_signature_with_the_right_secret_only(self, play: Play, secret: str) -> None:
        play.customer()
        request = play.world.deliveries.take_deliveries()[0]
        header = request.headers["Stripe-Signature"]
        # The SDK compares with the machine's clock; the sandbox's stands in January, hence no tolerance here.
        body = request.body.decode()
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body, header, "whsec_other", tolerance=None)

    def test_both_secrets_sign_while_one_is_rolled(self, play: Play, secret: str) -> None:
        endpoint = next(iter(play.space.table("webhook_endpoint").objects))
        fresh = play.actions.roll_webhook_secret(play.account, endpoint, keep_seconds=3600)
        play.customer()
        request = play.world.deliveries.take_deliveries()[0]
        assert request.headers["Stripe-Signature"].count("v1=") == 2
        for key in (secret, fresh):
            header = request.headers["Stripe-Signature"]
            stripe.WebhookSignature.verify_header(request.body.decode(), header, key, tolerance=None)
        play.pass_time(days=1)
        play.customer()
        assert play.world.deliveries.take_deliveries()[0].headers["Stripe-Signature"].count("v1=") == 1


class TestRouting:
    def test_only_wanted_events_are_sent(self, play: Play) -> None:
        play.actions.create_webhook_endpoint(play.account, URL, ["invoice.paid"])
        play.subscriber()
        assert {request.event_type for request in play.world.deliveries.take_deliveries()} == {"invoice.paid"}

    def test_connect_endpoints_hear_connected_accounts_and_say_which(self, play: Play) -> None:
        platform = play.world.settings.platform_account
        play.actions.create_webhook_endpoint(platform, URL, connect=True)
        play.customer()
        assert play.world.deliveries.take_deliveries() == [], "not connected yet"
        play.actions.connect(play.account)
        play.customer()
        taken = play.world.deliveries.take_deliveries()
        assert {orjson.loads(request.body)["account"] for request in taken} == {play.account}

    def test_a_live_connect_endpoint_also_gets_test_events(self, play: Play) -> None:
        live = play.world.space(play.world.settings.platform_account, live=True)
        play.actions.create_webhook_endpoint(live, URL, connect=True)
        play.actions.connect(play.account)
        play.customer()
        assert {orjson.loads(r.body)["livemode"] for r in play.world.deliveries.take_deliveries()} == {False}

    def test_with_automations_the_next_attempt_comes_later(self, play: Play) -> None:
        play.actions.set_rules(play.account, automations=True)
        play.actions.create_webhook_endpoint(play.account, URL, ["invoice.payment_failed", "invoice.updated"])
        _, _, invoice = play.failed_invoice()
        bodies = [orjson.loads(r.body) for r in play.world.deliveries.take_deliveries()]
        told = {body["type"]: body["data"]["object"]["next_payment_attempt"] for body in bodies}
        assert told == {"invoice.payment_failed": None, "invoice.updated": invoice["next_payment_attempt"]}

    def test_oddities_can_be_sent(self, play: Play, secret: str) -> None:
        customer = play.customer()
        invoice = play.actions.create_invoice(play.account, customer["id"], 900, "usd")
        play.actions.edit_object(play.account, "invoice", invoice["id"], {"customer": None, "amount_due": -5})
        play.actions.send_event(play.account, "horse.neighed", {"id": "horse_1", "object": "horse"})
        last = orjson.loads(play.world.deliveries.take_deliveries()[-1].body)
        assert (last["type"], last["data"]["object"]["object"]) == ("horse.neighed", "horse")
        assert play.client().v1.invoices.retrieve(invoice["id"]).customer is None

    def test_disconnecting_is_announced(self, play: Play) -> None:
        play.actions.create_webhook_endpoint(play.world.settings.platform_account, URL, connect=True)
        connection = play.actions.connect(play.account)
        token = connection["tokens"][-1]
        play.client(token).v1.customers.list()
        play.actions.disconnect(play.account)
        assert [r.event_type for r in play.world.deliveries.take_deliveries()] == ["account.application.deauthorized"]
        with pytest.raises(stripe.AuthenticationError):
            play.client(token).v1.customers.list()

    def test_the_event_names_the_request_that_caused_it(self, play: Play, secret: str) -> None:
        play.client().v1.customers.create({"name": "Ada"}, options={"idempotency_key": "abc"})
        event = orjson.loads(play.world.deliveries.take_deliveries()[0].body)
        assert event["request"]["idempotency_key"] == "abc"
        assert event["request"]["id"].startswith("req_")

    def test_an_event_is_a_snapshot(self, play: Play, secret: str) -> None:
        customer = play.customer()
        play.actions.update_customer(play.account, customer["id"], name="Countess")
        names = [
            orjson.loads(r.body)["data"]["object"]["name"]
            for r in play.world.deliveries.take_deliveries()
            if r.event_type.startswith("customer.")
        ]
        assert names[0] == "Ada"
        assert names[-1] == "Countess"


class TestMisbehaviour:
    def test_duplicates_and_shuffling(self, play: Play, secret: str) -> None:
        play.world.deliveries.configure(Behaviour(duplicate=3, shuffle=True, seed="s"))
        for _ in range(5):
            play.customer()
        taken = [request.event_id for request in play.world.deliveries.take_deliveries()]
        assert all(taken.count(identifier) == 3 for identifier in taken)
        assert taken != sorted(taken, key=lambda i: play.space.table("event").arrival(i))

    def test_dropped_deliveries_never_come(self, play: Play, secret: str) -> None:
        play.world.deliveries.configure(Behaviour(drop=0.5, seed="d"))
        for _ in range(20):
            play.customer()
        counters = play.world.deliveries.counters
        assert 0 < counters.dropped < counters.enqueued
        assert len(play.world.deliveries.take_deliveries()) == counters.enqueued - counters.dropped

    def test_delays_are_on_the_sandboxs_clock(self, play: Play, secret: str) -> None:
        play.world.deliveries.configure(Behaviour(delay=(60, 120)))
        play.customer()
        assert play.world.deliveries.take_deliveries() == []
        play.pass_time(seconds=121)
        assert len(play.world.deliveries.take_deliveries()) > 0

    def test_a_refused_delivery_is_tried_again_with_back_off_and_given_up(self, play: Play, secret: str) -> None:
        deliveries = play.world.deliveries
        deliveries.retry_seconds = (10, 100)
        play.actions.create_customer(play.account, name="Ada")
        for attempt, wait in ((1, 10), (2, 100), (3, 0)):
            request = deliveries.take_deliveries()[0]
            assert request.attempt == attempt
            deliveries.failed(request)
            assert deliveries.take_deliveries() == []
            play.pass_time(seconds=wait)
        assert deliveries.counters.given_up == 1
        assert deliveries.pending() == {"due": 0, "waiting": 0}
