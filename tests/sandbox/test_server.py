"""The sandbox as a process: sockets, pushed webhooks, SIGTERM, SIGKILL."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stripe

from core import clock
from tests.sandbox.process import SandboxProcess


def client(server: SandboxProcess, key: str = "sk_test_Acme") -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses=server.addresses())


class Receiver(ThreadingHTTPServer):
    """Takes webhooks; answers 500 as often as told."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.signatures: list[str] = []
        self.refusals = 0
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 200
        if self.server.refusals:
            self.server.refusals -= 1
            status = 500
        else:
            self.server.bodies.append(body.decode())
            self.server.signatures.append(self.headers["Stripe-Signature"])
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestServing:
    def test_it_serves_the_sdk_pushes_webhooks_and_stops_cleanly(self, tmp_path: Path, receiver: Receiver) -> None:
        with SandboxProcess(data=tmp_path / "data", clock_file=tmp_path / "clock.json") as server:
            server.act("create_account", name="Acme", email="a@acme.test", account_id="acct_Acme")
            _, secret = server.act("create_webhook_endpoint", account="acct_Acme", url=_url(receiver))
            client(server).v1.customers.create({"name": "Ada"})
            state = server.control("deliveries?wait=1")
            assert (state["idle"], state["delivered"]) == (True, 1)
            # Both run on the machine's clock here, so the SDK's own check applies in full.
            event = stripe.Webhook.construct_event(receiver.bodies[0], receiver.signatures[0], secret)
            assert event.type == "customer.created"
            assert server.control("health")["status"] == "ok"
            assert server.stop() == 0

    def test_a_refused_webhook_comes_again_when_its_time_has_come(self, tmp_path: Path, receiver: Receiver) -> None:
        with SandboxProcess(clock_file=tmp_path / "clock.json") as server:
            server.act("create_account", name="Acme", email="a@acme.test", account_id="acct_Acme")
            server.act("create_webhook_endpoint", account="acct_Acme", url=_url(receiver))
            server.control("deliveries/behaviour", {"retry_seconds": [600]})
            receiver.refusals = 1
            client(server).v1.customers.create({"name": "Ada"})
            state = server.control("deliveries?wait=1")
            assert (state["delivered"], state["failed"], state["waiting"]) == (0, 1, 1)
            server.control("advance", {"seconds": 601})
            assert server.control("deliveries?wait=1")["delivered"] == 1

    def test_nothing_acknowledged_is_lost_by_sigkill(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        with SandboxProcess(data=data, options=("--pull",)) as server:
            server.act("create_account", name="Acme", email="a@acme.test", account_id="acct_Acme")
            _, secret = server.act("create_webhook_endpoint", account="acct_Acme", url="http://127.0.0.1:9/")
            customer = server.act("create_customer", account="acct_Acme", name="Ada")
            card = server.act("create_card", account="acct_Acme", decline_code="lost_card")
            server.act(
                "attach_payment_method",
                account="acct_Acme",
                payment_method=card["id"],
                customer=customer["id"],
                default=True,
            )
            price = server.act("create_price", account="acct_Acme", unit_amount=900, currency="usd")
            options: stripe.RequestOptions = {"idempotency_key": "once"}
            made = client(server).v1.products.create({"name": "Pro"}, options=options)
            invoice = server.act(
                "create_invoice", account="acct_Acme", customer=customer["id"], amount=5, currency="usd"
            )
            before = server.control("deliveries")["due"]
            server.kill()
            with SandboxProcess(data=data, options=("--pull",)) as again:
                assert client(again).v1.products.create({"name": "Pro"}, options=options).id == made.id
                assert again.control("deliveries")["due"] == before
                page = client(again).v1.invoices.retrieve(invoice["id"]).hosted_invoice_url
                assert page == invoice["hosted_invoice_url"].replace(server.base, again.base), (
                    "pages moved with the port"
                )
                subscription = again.act(
                    "create_subscription", account="acct_Acme", customer=customer["id"], price=price["id"]
                )
                assert subscription["status"] == "incomplete", "the card's behaviour survived"
                fresh = again.act("create_customer", account="acct_Acme", name="Bob")
                assert fresh["id"] != customer["id"]
                assert secret.startswith("whsec_")

    def test_time_passes_for_everyone_on_the_clock_file(self, tmp_path: Path) -> None:
        path = tmp_path / "clock.json"
        shared = clock.OffsetClock(path)
        with SandboxProcess(clock_file=path) as server:
            server.act("create_account", name="Acme", email="a@acme.test", account_id="acct_Acme")
            customer = server.act("create_customer", account="acct_Acme", name="Ada")
            price = server.act("create_price", account="acct_Acme", unit_amount=900, currency="usd")
            server.act(
                "create_subscription",
                account="acct_Acme",
                customer=customer["id"],
                price=price["id"],
                collection_method="send_invoice",
                days_until_due=7,
            )
            due = server.control("next_due")["next_due"]
            done = server.control("advance", {"to": due + 40 * 86_400})
            assert done["processed"] >= 3
            assert int(shared.now().timestamp()) >= due + 40 * 86_400

    def test_in_the_living_mode_due_things_happen_by_themselves(self, tmp_path: Path) -> None:
        path = tmp_path / "clock.json"
        with SandboxProcess(clock_file=path, options=("--living", "--pull")) as server:
            server.act("create_account", name="Acme", email="a@acme.test", account_id="acct_Acme")
            server.act("set_rules", account="acct_Acme", draft_seconds=0)
            customer = server.act("create_customer", account="acct_Acme", name="Ada")
            card = server.act("create_card", account="acct_Acme")
            attached = {"payment_method": card["id"], "customer": customer["id"], "default": True}
            server.act("attach_payment_method", account="acct_Acme", **attached)
            price = server.act("create_price", account="acct_Acme", unit_amount=900, currency="usd")
            server.act("create_subscription", account="acct_Acme", customer=customer["id"], price=price["id"])
            # Another process moves the shared clock; nobody tells the sandbox.
            clock.set_now(path, clock.OffsetClock(path).now() + timedelta(days=33))
            assert server.control("deliveries?wait=1")["idle"] is True
            invoices = client(server).v1.invoices.list({"status": "paid"}).data
            assert {invoice.billing_reason for invoice in invoices} == {"subscription_create", "subscription_cycle"}

    def test_a_hanging_answer_does_not_keep_it_from_stopping(self) -> None:
        with SandboxProcess() as server:
            server.control("faults", {"kind": "hang", "path": "/v1/account", "seconds": 300})
            platform = server.control("health")["platform_key"]
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(client(server, platform).raw_request, "get", "/v1/account")
                while server.control("requests")["total"] == 0:
                    pass  # until the request hangs
                assert server.stop() == 0
                assert answer.exception(timeout=10) is None

    def test_a_cut_connection_is_a_connection_error(self) -> None:
        with SandboxProcess() as server:
            server.act("create_account", name="Acme", email="a@acme.test", account_id="acct_Acme")
            server.control("faults", {"kind": "cut_after", "path": "/v1/customers", "times": 1})
            with pytest.raises(stripe.APIConnectionError):
                client(server).v1.customers.create({"name": "Ada"})
            assert len(client(server).v1.customers.list().data) == 1


def _url(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.server_address[1]}/hook"
