"""Stripe's official scenarios, played by Stripe's own tool against the sandbox."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from tests.contract import stripe_cli
from tests.sandbox.process import SandboxProcess

# `stripe trigger --help` of 1.52.0: all of invoice.*, customer.subscription.*, payment_intent.* and their kin.
SCENARIOS = [
    "invoice.created",
    "invoice.deleted",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.sent",
    "invoice.updated",
    "invoice.voided",
    "invoiceitem.created",
    "invoiceitem.deleted",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.partially_funded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.updated",
    "charge.captured",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.failed",
    "charge.refunded",
    "charge.refund.updated",
    "charge.succeeded",
    "setup_intent.created",
    "setup_intent.canceled",
    "setup_intent.requires_action",
    "setup_intent.setup_failed",
    "setup_intent.succeeded",
    "billing_portal.configuration.created",
    "billing_portal.session.created",
    "price.created",
    "product.created",
]
# Triggers named after what happens rather than after one event.
PLAYS = {"subscription.payment_failed": "invoice.payment_failed", "subscription.payment_succeeded": "invoice.paid"}


@pytest.fixture(scope="module")
def tool() -> Path:
    return stripe_cli.install()


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with SandboxProcess(options=("--pull",)) as running:
        yield running


@pytest.mark.parametrize("scenario", [*SCENARIOS, *PLAYS])
def test_the_scenario_plays_and_its_event_happens(
    tool: Path, server: SandboxProcess, tmp_path: Path, scenario: str
) -> None:
    account = server.act("create_account", name=scenario, email="cli@example.test")["id"]
    key = f"sk_test_{account.removeprefix('acct_')}"
    done = stripe_cli.trigger(tool, scenario, base=server.base, key=key, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Trigger succeeded" in done.stdout
    client = stripe.StripeClient(key, base_addresses=server.addresses(), http_client=stripe.UrllibClient())
    wanted = PLAYS.get(scenario, scenario)
    happened = {event.type for event in client.v1.events.list({"limit": 100}).data}
    assert wanted in happened, f"the tool was satisfied, but only {sorted(happened)} happened"
