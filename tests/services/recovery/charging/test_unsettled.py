"""What Stripe refuses to charge is given up at once, and what nobody can ask about any more is settled by the pulse."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
import stripe
from sqlalchemy import text

from core import db
from core.clock import ManualClock
from jobs import pulse
from models.ghost import GhostEvent, GhostState
from models.money import AttemptSource, AttemptState, PaymentAttempt
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripeAuthenticationError, StripePermissionError
from services.recovery.charging import paying, unsettled
from tests.services.recovery.charging.test_new_cards import add, dies_at, failed, run
from tests.services.recovery.charging.test_retrying import Day, claimed, own
from tests.services.recovery.charging.test_retrying import failed as failed_for_funds
from tests.support.database import WorkerDatabase
from tests.support.plans import reads_of
from tests.support.shop import Shop

SETTLED_THOUSANDS = """
insert into payment_attempts (merchant_id, id, ghost_id, invoice_id, source, state, idempotency_key, card_brand,
    card_fingerprint, decline_code, attempted_at, settled_at)
select merchant_id, 'pa_' || number, ghost_id, invoice_id, source, (array['declined', 'succeeded'])[1 + number % 2],
    'pay:' || number, '', '', '', attempted_at - number * interval '1 minute', attempted_at
from payment_attempts, generate_series(1, 5000) number where idempotency_key = 'pay:begun'
"""


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def refuse(monkeypatch: pytest.MonkeyPatch, code: str | None = None) -> None:
    """Stripe answers each payment with a 400 that is on no list."""
    real = stripe.StripeClient.raw_request

    def request(self: stripe.StripeClient, method: str, path: str, **params: Any) -> Any:
        if path.endswith("/pay"):
            raise stripe.InvalidRequestError(
                "The currency provided (usd) is invalid for one or more of the payment methods", None, code,
                http_status=400,
            )  # fmt: skip
        return real(self, method, path, **params)

    monkeypatch.setattr(stripe.StripeClient, "raw_request", request)


def hourly(shop: Shop) -> None:
    pulse.run(claimed(shop, None))


def states(shop: Shop) -> list[AttemptState]:
    return [row.state for row in own(shop)]


class TestRefused:
    def test_nothing_was_charged_and_the_page_says_why(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        with monkeypatch.context() as then:
            refuse(then, "payment_intent_invalid_parameter")
            assert run(shop) == [{"attempt": "given_up", "reason": "stripe_payment_refused"}]
        assert states(shop) == [AttemptState.GIVEN_UP]
        (event,) = [each for each in shop.rows(GhostEvent) if each.name == "own_attempt_given_up"]
        assert event.reason == "Nothing was charged. Stripe does not make this payment."
        assert event.facts == {"code": "payment_intent_invalid_parameter"}
        shop.pass_time(hours=1)
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card)
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "organic")

    def test_what_the_customer_tries_after_it_is_theirs(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        subscription = failed(shop)
        add(shop, subscription)
        shop.deliver()
        with monkeypatch.context() as then:
            refuse(then)
            run(shop)
        shop.pass_time(hours=1)
        theirs = shop.actions.create_card(shop.account, decline_code="insufficient_funds")["id"]
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, theirs)
        shop.deliver()
        assert [row.source for row in shop.rows(PaymentAttempt)].count(AttemptSource.CUSTOMER) == 1

    def test_an_own_retry_that_is_refused_counts_as_one_and_the_next_is_planned(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ):
        shop.actions.set_rules(shop.account, retry_days=[])
        failed_for_funds(shop)
        day = Day(shop)
        with monkeypatch.context() as then:
            refuse(then)
            while not own(shop):
                day.hours(6)
        assert (states(shop), shop.ghosts[0].own_retries) == ([AttemptState.GIVEN_UP], 1)
        assert shop.ghosts[0].next_retry_at is not None


class TestBegunForEver:
    """The task that had begun it is dead."""

    def left_over(self, shop: Shop, point: str, **card: str) -> str:
        new = add(shop, failed(shop), **card)
        shop.deliver()
        dies_at(shop, point)
        return new

    def test_the_pulse_settles_it_once_nobody_can_ask_any_more(self, shop: Shop):
        card = self.left_over(shop, "charge.intended")
        shop.clock.advance(paying.KEY_MEMORY)
        hourly(shop)
        assert states(shop) == [AttemptState.STARTED]
        shop.clock.advance(timedelta(hours=2))
        hourly(shop)
        (attempt,) = own(shop)
        assert (attempt.state, attempt.settled_at) == (AttemptState.UNCERTAIN, shop.clock.now())
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card)
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "organic")

    def test_it_claims_no_payment_of_days_later(self, shop: Shop):
        """Though no pulse has come by."""
        card = self.left_over(shop, "charge.intended")
        shop.clock.advance(timedelta(days=2))
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, card)
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "organic")

    def test_what_it_is_known_to_have_paid_is_a_success(self, shop: Shop):
        self.left_over(shop, "charge.made")
        shop.deliver()
        shop.clock.advance(timedelta(days=2))
        hourly(shop)
        assert (states(shop), shop.ghosts[0].mechanism) == ([AttemptState.SUCCEEDED], "own_attempt")

    def test_own_retries_go_on_after_it(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        shop.actions.set_rules(shop.account, retry_days=[])
        failed_for_funds(shop)
        day = Day(shop)

        def die(*_: object) -> None:
            raise ArithmeticError

        with monkeypatch.context() as dead:
            dead.setattr(paying, "charge", die)
            with pytest.raises(ArithmeticError):
                day.hours(24 * 7)
        assert (states(shop), shop.ghosts[0].own_retries) == ([AttemptState.STARTED], 0)
        shop.clock.advance(timedelta(days=2))
        hourly(shop)
        assert (states(shop), shop.ghosts[0].own_retries) == ([AttemptState.UNCERTAIN], 1)


def no_more(error: type[Exception]) -> Any:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


class TestCharged:
    """The card was charged, and then Stripe is out of reach: what came of it is not known, and nothing is given up."""

    @pytest.mark.parametrize("error", [StripeAuthenticationError, StripePermissionError])
    @pytest.mark.parametrize("call", ["retrieve_invoice", "pay_invoice"])
    def test_before_the_next_run(self, shop: Shop, monkeypatch: pytest.MonkeyPatch, call: str, error: type[Exception]):
        add(shop, failed(shop))
        shop.deliver()
        dies_at(shop, "charge.made")
        with monkeypatch.context() as away:
            away.setattr(ScopedStripe, call, no_more(error))
            assert [each["attempt"] for each in run(shop)] == ["held"]
        self.is_ours_in_the_end(shop)

    def test_before_it_was_read_back(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        add(shop, failed(shop))
        shop.deliver()
        real = ScopedStripe.pay_invoice

        def pay(self: ScopedStripe, *given: Any, **named: Any) -> Any:
            answered = real(self, *given, **named)
            away.setattr(ScopedStripe, "retrieve_invoice", no_more(StripePermissionError))
            return answered

        with monkeypatch.context() as away:
            away.setattr(ScopedStripe, "pay_invoice", pay)
            assert run(shop) == [{"attempt": "held", "reason": "stripe_permission"}]
        self.is_ours_in_the_end(shop)

    def is_ours_in_the_end(self, shop: Shop) -> None:
        assert states(shop) == [AttemptState.STARTED]
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert run(shop) == [{"attempt": "succeeded"}]
        assert states(shop) == [AttemptState.SUCCEEDED]


class TestLookingForThem:
    def test_it_reads_those_alone_of_a_merchant_with_many_charges(self, shop: Shop, database: WorkerDatabase):
        """With each pulse of each merchant: what was settled is not read again and again."""
        failed(shop)
        (ghost,) = shop.ghosts
        begun = PaymentAttempt(
            merchant_id=shop.merchant,
            id="pa_begun",
            ghost_id=ghost.id,
            invoice_id=ghost.invoice_id,
            source=AttemptSource.PHANTOM,
            state=AttemptState.STARTED,
            idempotency_key="pay:begun",
            attempted_at=shop.clock.now() - timedelta(days=2),
        )
        with db.tenant_session(shop.merchant) as session:
            session.add(begun)
            session.flush()
            session.connection().execute(text(SETTLED_THOUSANDS))
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            owner.execute("vacuum analyze payment_attempts")
        with db.tenant_session(shop.merchant) as session:
            (read,) = reads_of(session, lambda: unsettled.has_old(session, shop.merchant))
            assert unsettled.has_old(session, shop.merchant)
        assert (read.table, read.index) == ("payment_attempts", "ix_payment_attempts_unsettled")
        assert (read.rows, read.removed) == (1, 0)
