"""What a merchant is billed for reaches the operator's meter once, through crashes, repeats, reversals, late rows."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import db, ids
from core.clock import ManualClock
from core.errors import BadRequestError, NotFoundError
from jobs import report_usage
from models.audit import SystemLog
from models.money import Recovery, RecoveryKind
from models.usage import ReportState, UsageReport
from models.work import ScheduledTask
from sandbox.stripe.faults import Fault
from sandbox.stripe.store import Json
from services.audit import service as audit
from services.integrations.stripe import meters
from services.merchants import service as merchants
from services.operations.signs import Health, merchant_signs
from services.outbound import usage
from services.tasks import upkeep
from services.tasks.errors import Retry
from services.tasks.schedules import USAGE
from services.tasks.schemas import ClaimedTask
from tests.support import environment
from tests.support.death import dying_at
from tests.support.factories import make_merchant
from tests.support.shop import Shop

DAY = timedelta(days=1)


class Operator:
    """Who runs PHANTOM, with a Stripe account and a meter a currency, and bills one merchant."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.clock, self.merchant = shop, shop.clock, shop.merchant
        self.account = shop.world.settings.platform_account
        for currency in ("usd", "eur"):
            self.open_meter(currency)
        self.customer = shop.actions.create_customer(self.account, name="Northwind", email="billing@example.com")["id"]
        with db.tenant_session(self.merchant) as session:
            usage.bill(session, self.merchant, self.customer)

    def open_meter(self, currency: str) -> str:
        name = f"phantom_recovered_{currency}"
        made = {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
        return str(meters.platform().raw_post("/v1/billing/meters", made, idempotency_key=name)["id"])

    @property
    def events(self) -> list[Json]:
        """What the meters hold."""
        return list(self.shop.world.space(self.account).table("billing.meter_event").objects.values())

    @property
    def billed(self) -> dict[str, int]:
        """What the customer will pay, a currency."""
        sums: dict[str, int] = {}
        for event in self.events:
            assert event["payload"]["stripe_customer_id"] == self.customer
            currency = event["event_name"].rsplit("_", 1)[-1]
            sums[currency] = sums.get(currency, 0) + int(event["payload"]["value"])
        return sums

    def earn(self, amount: int, ghost: str = "", *, currency: str = "usd", session: Any = None) -> str:
        """A ghost is recovered, as `settle.recover` writes it down."""
        ghost = ghost or ids.new_id("gh")
        self._write(ghost, "recovery.recovered", RecoveryKind.RECOVERED, amount, currency, session)
        return ghost

    def give_back(self, amount: int, ghost: str, *, currency: str = "usd") -> None:
        self._write(ghost, "recovery.reversed", RecoveryKind.REVERSED, -amount, currency, None)

    def _write(self, ghost: str, kind: str, entry: RecoveryKind, amount: int, currency: str, session: Any) -> None:
        if session is None:
            with db.tenant_session(self.merchant) as own:
                self._write(ghost, kind, entry, amount, currency, own)
            return
        audit.record_usage(session, self.merchant, kind, amount, currency=currency, reference=ghost)
        now = self.clock.now()
        session.add(
            Recovery(
                merchant_id=self.merchant, id=ids.new_id("rc"), ghost_id=ghost, kind=entry, source_id=ids.new_id("x"),
                amount_cents=amount, currency=currency, found_at=now, occurred_at=now, recorded_at=now,
            )
        )  # fmt: skip

    def night(self, days: int = 1) -> None:
        """Until shortly after the next midnight."""
        self.clock.current = (self.clock.now() + days * DAY).replace(hour=0, minute=20)

    def report(self) -> dict[str, Any]:
        task = ClaimedTask(1, "report_usage", self.merchant, {}, 1, 5, 0, "", "worker", self.clock.now())
        return report_usage.run(task) or {}

    def begin(self) -> list[usage.Report]:
        with db.tenant_session(self.merchant) as session:
            return usage.begin(session, self.merchant, self.clock.now())

    def rows(self) -> list[UsageReport]:
        with db.tenant_session(self.merchant) as session:
            return list(session.exec(select(UsageReport).order_by(UsageReport.day, UsageReport.currency)).all())


@pytest.fixture
def operator(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
    with environment.changed(USAGE_METER="phantom_recovered"):
        yield Operator(Shop.open(clock, monkeypatch))


class TestReporting:
    def test_a_day_is_reported_when_it_is_over(self, operator: Operator):
        operator.earn(4900)
        operator.earn(100)
        today = operator.clock.now().date()
        assert operator.report() == {"sent": 0, "refused": 0}
        operator.night()
        assert operator.report() == {"sent": 1, "refused": 0}
        (event,) = operator.events
        assert event["identifier"] == f"phantom:{operator.merchant}:usd:{today}"
        assert operator.billed == {"usd": 5000}
        assert date.fromtimestamp(event["timestamp"]) == today  # noqa: DTZ012  # the suite runs in UTC

    def test_again_and_again_is_once(self, operator: Operator):
        operator.earn(4900)
        operator.night()
        for _ in range(3):
            operator.report()
        assert operator.billed == {"usd": 4900}

    def test_currencies_are_never_added(self, operator: Operator):
        operator.earn(4900)
        operator.earn(3000, currency="eur")
        operator.night()
        operator.report()
        assert operator.billed == {"usd": 4900, "eur": 3000}

    def test_days_missed_are_caught_up_each_at_its_own_date(self, operator: Operator):
        for _ in range(4):
            operator.earn(1000)
            operator.night()
        operator.report()
        assert operator.billed == {"usd": 4000}
        assert len({event["timestamp"] // 86_400 for event in operator.events}) == 4

    def test_what_waited_longer_than_stripe_takes_comes_with_a_later_day(self, operator: Operator):
        operator.earn(1000)
        operator.night(40)
        operator.report()
        assert operator.billed == {}  # forty days back: not counted any more, and shown nowhere as sent
        operator.earn(500)
        operator.night(34)
        operator.report()
        assert operator.billed == {"usd": 500}

    def test_a_reversal_is_carried_over_because_meters_take_nothing_negative(self, operator: Operator):
        first = operator.earn(4900)
        operator.night()
        operator.report()
        operator.give_back(4900, first)
        operator.night()
        operator.report()
        assert operator.billed == {"usd": 4900}
        operator.earn(6000)
        operator.night()
        operator.report()
        assert operator.billed == {"usd": 6000}

    def test_a_reversal_of_the_same_day_is_not_billed_at_all(self, operator: Operator):
        operator.give_back(4900, operator.earn(4900))
        operator.night()
        operator.report()
        assert operator.billed == {}

    def test_what_was_recovered_before_billing_began_is_neither_billed_nor_given_back(self, operator: Operator):
        with db.tenant_session(operator.merchant) as session:
            usage.bill(session, operator.merchant, None)
        old = operator.earn(4900)
        operator.night()
        with db.tenant_session(operator.merchant) as session:
            usage.bill(session, operator.merchant, operator.customer)
        operator.give_back(4900, old)
        operator.earn(1000)
        operator.night()
        operator.report()
        assert operator.billed == {"usd": 1000}

    def test_nor_is_it_given_back_because_it_was_paid_once_more(self, operator: Operator):
        with db.tenant_session(operator.merchant) as session:
            usage.bill(session, operator.merchant, None)
        old = operator.earn(4900)
        operator.night()
        with db.tenant_session(operator.merchant) as session:
            usage.bill(session, operator.merchant, operator.customer)
        operator.give_back(4900, old)
        operator.night()
        operator.earn(4900, old)
        operator.night()
        operator.report()
        assert operator.billed == {"usd": 4900}
        operator.give_back(4900, old)
        operator.night()
        operator.report()
        assert sum(row.counted_cents for row in operator.rows()) == 0

    def test_a_row_committed_after_its_day_was_reported_is_not_lost(self, operator: Operator):
        """A transaction that began before midnight and commits after the report: no stretch between marks misses it."""
        operator.earn(1000)
        with db.tenant_session(operator.merchant) as slow:
            operator.earn(700, session=slow)
            slow.flush()
            operator.night()
            operator.report()
            assert operator.billed == {"usd": 1000}
        operator.report()
        assert operator.billed == {"usd": 1000}  # its day has had its report
        operator.night()
        operator.report()
        assert operator.billed == {"usd": 1700}
        assert sum(row.counted_cents for row in operator.rows()) == 1700


class TestTrouble:
    @pytest.mark.parametrize("point", ["usage.intended", "usage.told"])
    def test_a_process_that_dies_before_or_after_telling_tells_each_day_once(self, operator: Operator, point: str):
        operator.earn(4900)
        operator.earn(3000, currency="eur")
        operator.night()
        with dying_at(point):
            operator.report()
        assert ReportState.SENDING in {row.state for row in operator.rows()}
        operator.report()
        assert operator.billed == {"usd": 4900, "eur": 3000}
        assert {row.state for row in operator.rows()} == {ReportState.SENT}

    def test_a_crash_before_the_call_is_made_good(self, operator: Operator):
        operator.earn(4900)
        operator.night()
        assert len(operator.begin()) == 1  # committed as begun; then the process dies
        operator.report()
        assert operator.billed == {"usd": 4900}

    def test_a_crash_after_the_call_sends_nothing_twice(self, operator: Operator):
        operator.earn(4900)
        operator.night()
        (report,) = operator.begin()
        assert usage.send(meters.platform(), report, operator.clock.now()) == (usage.Fate.SENT, "")
        operator.report()  # the same identifier: Stripe says that it has it
        assert (operator.billed, [row.state for row in operator.rows()]) == ({"usd": 4900}, [ReportState.SENT])

    @pytest.mark.parametrize("arrived", [True, False])
    def test_past_stripes_memory_the_meter_itself_is_asked(self, operator: Operator, arrived: bool):
        operator.earn(4900)
        operator.night()
        (report,) = operator.begin()
        if arrived:
            usage.send(meters.platform(), report, operator.clock.now())
        operator.night(3)  # by now Stripe would take the identifier a second time
        operator.report()
        assert (operator.billed, len(operator.events)) == ({"usd": 4900}, 1)

    def test_never_received_and_too_old_by_now_it_is_owed_again(self, operator: Operator):
        operator.earn(4900)
        operator.night()
        operator.begin()
        operator.night(37)
        assert operator.report() == {"sent": 0, "refused": 1}
        assert operator.rows()[0].error == "too_old"
        operator.night()
        operator.report()
        assert operator.billed == {"usd": 4900}

    @pytest.mark.parametrize(
        "kind", ["rate_limit", "unavailable", "unavailable_after", "cut", "cut_after", "error_after"]
    )
    def test_with_stripe_in_trouble_it_waits_and_then_sends_once(self, operator: Operator, kind: str):
        operator.earn(4900)
        operator.night()
        operator.shop.world.faults.add(Fault(kind, path="meter_events", times=30))
        with pytest.raises(Retry):
            operator.report()
        operator.shop.world.faults.clear()
        operator.report()
        assert operator.billed == {"usd": 4900}

    def test_without_a_meter_it_is_refused_shown_and_carried(self, operator: Operator):
        operator.earn(4900, currency="gbp")
        operator.night()
        assert operator.report() == {"sent": 0, "refused": 1}
        with db.tenant_session(operator.merchant) as session:
            assert usage.told(session, operator.merchant).error == "no_meter"
            assert "usage.refused" in {line.event for line in session.exec(select(SystemLog)).all()}
        operator.open_meter("gbp")
        operator.night()
        operator.report()
        assert operator.billed == {"gbp": 4900}

    def test_two_at_once_send_once(self, operator: Operator):
        operator.earn(4900)
        operator.night()
        first, second = operator.begin(), operator.begin()
        assert first == second
        for report in (*first, *second):
            fate = usage.send(meters.platform(), report, operator.clock.now())
            with db.tenant_session(operator.merchant) as session:
                usage.settle(session, report, *fate, operator.clock.now())
        assert operator.billed == {"usd": 4900}

    def test_a_clock_that_was_set_back_reports_nothing_again(self, operator: Operator):
        operator.earn(4900)
        operator.night(2)
        operator.report()
        operator.clock.current -= 2 * DAY
        operator.report()
        assert operator.billed == {"usd": 4900}


class TestWhoIsBilled:
    def test_nobody_unless_the_operator_says_so(self, operator: Operator):
        with db.tenant_session(operator.merchant) as session:
            usage.bill(session, operator.merchant, None)
        operator.earn(4900)
        operator.night()
        assert operator.report() == {"sent": 0, "refused": 0}
        with environment.changed(USAGE_METER=""):
            assert operator.begin() == []
        assert operator.events == []

    def test_the_sentinel_leaves_it_out_without_a_meter(self, database: object, clock: ManualClock):
        make_merchant()
        with db.system_session() as session:
            assert upkeep.schedule_present(session, [USAGE], clock.now()).total() == 0
            with environment.changed(USAGE_METER="phantom_recovered"):
                assert upkeep.schedule_present(session, [USAGE], clock.now()).total() == 1

    def test_each_merchant_by_its_own_customer(self, operator: Operator):
        other = make_merchant()
        with db.tenant_session(other) as session:
            assert usage.begin(session, other, operator.clock.now()) == []

    def test_bad_customers_and_merchants_are_refused(self, operator: Operator):
        with db.tenant_session(operator.merchant) as session, pytest.raises(BadRequestError):
            usage.bill(session, operator.merchant, "acct_1")
        with db.tenant_session("mer_none") as session, pytest.raises(NotFoundError):
            usage.bill(session, "mer_none", "cus_1")

    def test_days_that_can_no_longer_be_reported_are_refused_and_the_first_that_can_is_named(self, operator: Operator):
        """They would be left out, and the operator would think that they are billed."""
        today, other = operator.clock.now().date(), make_merchant()
        earliest = today - usage.REPORTED_BACK
        with db.tenant_session(other) as session:
            with pytest.raises(BadRequestError, match=earliest.isoformat()):
                usage.bill(session, other, "cus_1", since=earliest - DAY)
            usage.bill(session, other, "cus_1", since=earliest)

    def test_who_is_billed_since_then_stays_so_with_another_customer(self, operator: Operator):
        since = operator.clock.now().date()
        operator.clock.advance(100 * DAY)
        with db.tenant_session(operator.merchant) as session:
            usage.bill(session, operator.merchant, "cus_another", since=since)
            with pytest.raises(BadRequestError):
                usage.bill(session, operator.merchant, "cus_another", since=since - DAY)

    def test_after_a_disconnect_the_last_day_is_billed_too(self, operator: Operator):
        with db.tenant_session(operator.merchant) as session:
            merchants.mark_disconnected(session, operator.merchant, at=operator.clock.now(), reason="test")
        with db.system_session() as session:
            kinds = {task.kind for task in session.exec(select(ScheduledTask)).all()}
        assert {"report_usage", "purge_pii"} <= kinds

    def test_the_system_page_has_a_line_for_who_is_billed(self, operator: Operator):
        def health() -> dict[str, Health]:
            with db.tenant_session(operator.merchant) as session:
                return {sign.part: sign.health for sign in merchant_signs(session, operator.merchant)}

        assert health()["usage"] is Health.WORKING
        operator.earn(4900, currency="gbp")
        operator.night()
        operator.report()
        assert health()["usage"] is Health.TROUBLE
        with environment.changed(USAGE_METER=""):
            assert "usage" not in health()

    def test_screens_are_told(self, operator: Operator):
        operator.earn(4900)
        operator.night()
        operator.report()
        with db.tenant_session(operator.merchant) as session:
            shown = usage.told(session, operator.merchant)
        assert (shown.is_billed, shown.amount, shown.currency) == (True, 4900, "usd")
        assert shown.sent_at == operator.clock.now()
