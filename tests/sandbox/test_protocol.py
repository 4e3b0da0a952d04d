"""Keys, modes, isolation, idempotency, paging, expansion and errors, as the real SDK meets them."""

import pytest
import stripe

from sandbox.stripe import accounts
from sandbox.stripe.api import Request
from sandbox.stripe.seeding import Seed, seed
from tests.sandbox.conftest import DAY, Play


class TestKeys:
    def test_a_missing_key_is_401(self, play: Play) -> None:
        answer = play.api.handle(Request("GET", "/v1/customers"))
        assert answer.status == 401
        assert answer.headers["request-id"].startswith("req_")

    def test_an_unknown_key_is_an_authentication_error_that_hides_it(self, play: Play) -> None:
        with pytest.raises(stripe.AuthenticationError) as caught:
            play.client("sk_test_nobody_knows_this_key").v1.customers.list()
        assert "nobody_knows" not in str(caught.value)

    def test_live_and_test_objects_do_not_meet(self, play: Play) -> None:
        customer = play.customer()
        live = play.client(accounts.secret_key(play.account, live=True))
        assert live.v1.customers.list().data == []
        with pytest.raises(stripe.InvalidRequestError, match="similar object exists in test mode") as caught:
            live.v1.customers.retrieve(customer["id"])
        assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")

    def test_a_restricted_key_does_what_it_may(self, play: Play) -> None:
        key = accounts.create_restricted_key(play.world, play.account, {"invoices": "read", "customers": "write"})
        client = play.client(key)
        client.v1.invoices.list()
        client.v1.customers.create({"name": "Ada"})
        with pytest.raises(stripe.PermissionError, match="required permissions"):
            client.v1.invoices.create({"customer": "cus_1"})
        with pytest.raises(stripe.PermissionError):
            client.v1.subscriptions.list()


class TestIsolation:
    def test_the_platform_acts_only_for_connected_accounts(self, play: Play) -> None:
        customer = play.customer()
        platform = play.client(play.world.settings.platform_secret_key)
        options: stripe.RequestOptions = {"stripe_account": play.account}
        with pytest.raises(stripe.PermissionError) as caught:
            platform.v1.customers.retrieve(customer["id"], options=options)
        assert caught.value.error is not None
        assert caught.value.error.code == "account_invalid"
        play.actions.connect(play.account)
        assert platform.v1.customers.retrieve(customer["id"], options=options).name == "Ada"

    def test_another_accounts_id_does_not_exist(self, play: Play) -> None:
        customer = play.customer()
        other = play.actions.create_account(name="Other", email="o@other.test")["id"]
        client = play.client(accounts.secret_key(other))
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.customers.retrieve(customer["id"])
        assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")

    def test_one_account_may_not_act_for_another(self, play: Play) -> None:
        other = play.actions.create_account(name="Other", email="o@other.test")["id"]
        with pytest.raises(stripe.PermissionError):
            play.client().v1.customers.list(options={"stripe_account": other})


class TestIdempotency:
    def test_the_same_request_is_answered_again_without_a_second_effect(self, play: Play) -> None:
        client = play.client()
        first = client.v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k1"})
        second = client.v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k1"})
        assert first.id == second.id
        assert second.last_response is not None
        assert second.last_response.headers["idempotent-replayed"] == "true"
        assert len(client.v1.customers.list().data) == 1

    def test_other_parameters_under_the_same_key_are_refused(self, play: Play) -> None:
        client = play.client()
        client.v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k1"})
        with pytest.raises(stripe.IdempotencyError):
            client.v1.customers.create({"name": "Bob"}, options={"idempotency_key": "k1"})

    def test_a_declined_payment_is_replayed_too(self, play: Play) -> None:
        customer, _, invoice = play.failed_invoice()
        for _attempt in range(2):
            with pytest.raises(stripe.CardError):
                play.client().v1.invoices.pay(invoice["id"], options={"idempotency_key": "pay-1"})
        assert len(play.space.table("charge").where("customer", customer["id"])) == 3  # first, renewal, one retry

    def test_a_request_that_began_nothing_leaves_its_key_free(self, play: Play) -> None:
        client = play.client()
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.prices.create({"currency": "usd", "unit_amount": 5}, options={"idempotency_key": "k"})
        client.v1.products.create({"name": "Pro"}, options={"idempotency_key": "k"})

    def test_keys_are_forgotten_after_a_day(self, play: Play) -> None:
        client = play.client()
        first = client.v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k1"})
        play.pass_time(days=1.1)
        assert client.v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k1"}).id != first.id

    def test_keys_of_two_accounts_do_not_meet(self, play: Play) -> None:
        other = play.actions.create_account(name="Other", email="o@other.test")["id"]
        first = play.client().v1.customers.create({"name": "Ada"}, options={"idempotency_key": "k"})
        second = play.client(accounts.secret_key(other)).v1.customers.create(
            {"name": "Ada"}, options={"idempotency_key": "k"}
        )
        assert first.id != second.id


class TestPaging:
    def test_a_cursor_walks_everything_once_newest_first(self, play: Play) -> None:
        seed(play.world, Seed(account=play.account, customers=25))
        client = play.client()
        walked = [i.id for i in client.v1.invoices.list({"limit": 10, "status": "open"}).auto_paging_iter()]
        assert len(walked) == len(set(walked)) == 25
        created = [play.space.table("invoice").objects[identifier]["created"] for identifier in walked]
        assert created == sorted(created, reverse=True)

    def test_paging_backwards_gives_the_same_order(self, play: Play) -> None:
        seed(play.world, Seed(account=play.account, customers=9))
        client = play.client()
        everything = [i.id for i in client.v1.invoices.list({"limit": 9}).data]
        page = client.v1.invoices.list({"limit": 3, "ending_before": everything[6]})
        assert [i.id for i in page.data] == everything[3:6]
        assert page.has_more

    def test_filters_narrow_the_list(self, play: Play) -> None:
        customer, subscription, invoice = play.failed_invoice()
        client = play.client()
        moment = invoice["created"]
        assert [i.id for i in client.v1.invoices.list({"status": "open"}).data] == [invoice["id"]]
        assert len(client.v1.invoices.list({"subscription": subscription["id"]}).data) == 2
        assert len(client.v1.invoices.list({"customer": customer["id"], "created": {"lt": moment}}).data) == 1
        assert len(client.v1.invoices.list({"created": {"gte": moment, "lte": moment + DAY}}).data) == 1
        assert [s.id for s in client.v1.subscriptions.list({"status": "past_due"}).data] == [subscription["id"]]
        payment = client.v1.invoice_payments.list({"invoice": invoice["id"]}).data[0]
        assert isinstance(payment.payment.payment_intent, str)
        found = client.v1.invoice_payments.list(
            {"payment": {"type": "payment_intent", "payment_intent": payment.payment.payment_intent}}
        )
        assert [p.invoice for p in found.data] == [invoice["id"]]

    @pytest.mark.parametrize("params", ["limit=0", "limit=101", "limit=x", "starting_after=in_none", "status=opened"])
    def test_bad_parameters_are_refused(self, play: Play, params: str) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            play.client().raw_request("get", f"/v1/invoices?{params}")
        assert caught.value.http_status == 400


class TestExpansion:
    def test_four_levels_are_given_and_five_refused(self, play: Play) -> None:
        play.failed_invoice()
        client = play.client()
        four = client.raw_request("get", "/v1/invoices", expand=["data.payments.data.payment"]).data
        assert four["data"][0]["payments"]["data"][0]["payment"]["type"] == "payment_intent"
        with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
            client.raw_request("get", "/v1/invoices", expand=["data.payments.data.payment.payment_intent"])

    def test_the_sweep_of_invoice_payments_reaches_the_intent(self, play: Play) -> None:
        play.failed_invoice(decline_code="insufficient_funds")
        payments = play.client().v1.invoice_payments.list({"status": "open", "expand": ["data.payment.payment_intent"]})
        intent = payments.data[0].payment.payment_intent
        assert isinstance(intent, stripe.PaymentIntent)
        assert intent.last_payment_error is not None
        assert intent.last_payment_error.decline_code == "insufficient_funds"
        assert intent.last_payment_error.code == "card_declined"
        assert intent.last_payment_error.advice_code == "try_again_later"

    def test_what_is_no_reference_cannot_be_expanded(self, play: Play) -> None:
        play.failed_invoice()
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            play.client().raw_request("get", "/v1/invoices", expand=["data.status"])


class TestErrors:
    def test_an_unknown_path_says_so(self, play: Play) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
            play.client().raw_request("get", "/v1/horses")

    def test_a_missing_parameter_is_named(self, play: Play) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            play.client().raw_request("post", "/v1/prices", currency="usd", product_data={"name": "x"})
        assert (caught.value.code, caught.value.param) == ("parameter_missing", "unit_amount")

    def test_an_unknown_parameter_is_refused_so_that_a_typing_error_shows(self, play: Play) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="Received unknown parameter: custmer") as caught:
            play.client().raw_request("get", "/v1/invoices", custmer="cus_1")
        assert caught.value.code == "parameter_unknown"


class TestSubscriptionLists:
    def test_those_that_renew_within_a_time(self, play: Play) -> None:
        _, subscription = play.subscriber()
        end = subscription["items"]["data"][0]["current_period_end"]
        client = play.client()

        def listed(**bounds: int) -> int:
            found = client.raw_request("get", "/v1/subscriptions", status="active", current_period_end=bounds).data
            return len(found["data"])

        assert listed(gte=end, lte=end) == 1
        assert listed(gt=end) == listed(lt=end) == 0
