"""One object that is gone or cannot be read hides none of a customer's others."""

import pytest

from core import db
from core.clock import ManualClock
from jobs.hunt import hunt
from models.ghost import GhostState
from sandbox.stripe.store import Json
from services.handshake import invoices, renewals
from services.hunter.schemas import HuntRequest
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.reading import identifier
from services.recovery import service as recovery
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


@pytest.fixture
def at_risk(shop: Shop) -> Json:
    """A subscription whose card ends before the charge."""
    subscription = shop.subscriber()
    give_card(shop, subscription, exp_month=3, exp_year=2026)
    shop.pass_time(days=2)
    hunt(shop.merchant, HuntRequest())
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.IMPENDING]
    return subscription


def give_card(shop: Shop, subscription: Json, **card: int) -> None:
    new = shop.actions.create_card(shop.account, "visa", **card)
    shop.actions.attach_payment_method(shop.account, new["id"], subscription["customer"], default=True)


class TestRisks:
    def test_a_subscription_that_is_gone(self, shop: Shop, at_risk: Json, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(renewals, "_at_risk", lambda _event: ["sub_gone", at_risk["id"]])
        give_card(shop, at_risk)
        shop.deliver()
        assert ("customer.updated", "object_missing") in shop.outcomes
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.PROTECTED]

    @pytest.mark.parametrize("first", [True, False])
    def test_one_that_cannot_be_read(self, shop: Shop, at_risk: Json, monkeypatch: pytest.MonkeyPatch, first: bool):
        odd, parse = shop.subscriber(email="odd@example.com"), renewals.parse_renewal

        def parse_all_but_one(found: Json) -> object:
            if identifier(found) == odd["id"]:
                raise UnreadableInvoiceError("no_period")
            return parse(found)

        monkeypatch.setattr(renewals, "parse_renewal", parse_all_but_one)
        ids = [odd["id"], at_risk["id"]]
        monkeypatch.setattr(renewals, "_at_risk", lambda _event: ids if first else ids[::-1])
        give_card(shop, at_risk)
        shop.deliver()
        assert ("customer.updated", "unreadable") in shop.outcomes
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.PROTECTED]


def test_an_invoice_that_is_gone_hides_no_charge_to_come(shop: Shop, at_risk: Json, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(invoices.repository, "unpaid_invoices_of_subscription", lambda *_: ["in_gone"])
    shop.actions.cancel_subscription(shop.account, at_risk["id"])
    (ended,) = [each for each in shop.take() if each.type == "customer.subscription.deleted"]
    assert shop.handle(ended) == "object_missing"
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.LOST]


@pytest.mark.parametrize("by_a_person", [True, False])
def test_what_was_lost_with_its_invoice_is_not_read_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, by_a_person: bool
):
    """A subscription, or a customer, may have a long history of them; what a person wrote off may still be paid."""
    subscription = shop.subscriber(decline_code="insufficient_funds")
    shop.pass_time(days=31, hours=2)
    (ghost,) = shop.ghosts
    if by_a_person:
        with db.tenant_session(shop.merchant) as session:
            recovery.mark_lost(session, shop.merchant, [ghost.id], "usr_1")
    else:
        shop.actions.void_invoice(shop.account, ghost.invoice_id)
        shop.deliver()
    assert shop.ghosts[0].state == GhostState.LOST
    read: list[str] = []
    fresh = invoices.read_invoice
    monkeypatch.setattr(invoices, "read_invoice", lambda *asked: [read.append(asked[1]), fresh(*asked)][1])
    for kind, found in (
        ("customer.subscription.updated", subscription),
        ("customer.deleted", {"id": subscription["customer"], "object": "customer"}),
    ):
        shop.actions.send_event(shop.account, kind, found)
    for each in shop.take():
        if each.type in ("customer.subscription.updated", "customer.deleted"):
            shop.handle(each)
    assert read == ([ghost.invoice_id] * 2 if by_a_person else [])


def test_an_invoice_that_is_gone(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    subscription = shop.subscriber(decline_code="insufficient_funds")
    shop.pass_time(days=31, hours=2)
    invoice = shop.invoice(subscription)["id"]
    monkeypatch.setattr(invoices.repository, "unpaid_invoices_of_subscription", lambda *_: ["in_gone", invoice])
    shop.actions.cancel_subscription(shop.account, subscription["id"])
    (ended,) = [each for each in shop.take() if each.type == "customer.subscription.deleted"]
    assert shop.handle(ended) == "object_missing"
    assert [ghost.state for ghost in shop.ghosts] == [GhostState.STOPPED]
