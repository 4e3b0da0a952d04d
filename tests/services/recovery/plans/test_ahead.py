"""The dry run: what would go out for real ghosts, with nothing written and Stripe not asked."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from core import db
from core.clock import ManualClock
from models.ghost import FoundVia, GhostTarget, ManualTask
from models.messaging import LinkToken, Message
from models.work import ScheduledTask
from services.integrations.stripe.parsing import parse_invoice
from services.manual_tasks import service as manual_tasks
from services.merchants import service as merchants
from services.messaging import own_service
from services.messaging.lint import Source
from services.recovery import service
from services.recovery.messages import outreach, settlement
from services.recovery.observe import observe
from services.recovery.plans import ahead
from services.recovery.plans.ahead import Standing
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_intent, raw_invoice

FAILED = parse_invoice(raw_invoice())


class Shop:
    """A merchant whose messages are off, as after the first hunt."""

    def __init__(self, clock: ManualClock, **fields: Any) -> None:
        self.clock, self.merchant = clock, make_merchant(paused=True, **fields)

    def find(self, *facts: Any) -> None:
        with db.tenant_session(self.merchant) as session:
            observe(session, merchant_context(session, self.merchant), list(facts), FoundVia.HUNT, self.clock.now())

    def look(self, page: int = 1) -> ahead.DryRun:
        with db.tenant_session(self.merchant) as session:
            return ahead.dry_run(session, self.merchant, page)

    def rows(self, table: Any) -> list[Any]:
        with db.tenant_session(self.merchant) as session:
            return list(session.exec(select(table).order_by(*table.__table__.primary_key.columns)).all())


def german(number: int = 1, customer: int | None = None) -> Any:
    invoice = raw_invoice(number)
    facts = parse_invoice(invoice)
    who = replace(facts.customer, country="de", id=f"cus_{customer or number}")
    return replace(facts, customer=who)


@pytest.fixture
def shop(database: object, clock: ManualClock) -> Shop:
    return Shop(clock)


class TestWhatIsShown:
    def test_each_message_with_its_hour_where_the_customer_is(self, shop: Shop):
        shop.find(german())
        (outlook,) = shop.look().outlooks
        assert [(each.step, each.local.hour, str(each.local.tzinfo)) for each in outlook.messages] == [
            (1, 10, "Europe/Berlin"), (2, 10, "Europe/Berlin"), (3, 10, "Europe/Berlin"),
        ]  # fmt: skip
        assert {each.recipient for each in outlook.messages} == {"customer1@example.com"}
        assert all("Northwind Analytics" in each.subject or each.subject for each in outlook.messages)
        assert outlook.messages[0].reason.startswith("Golden Hour")
        assert outlook.ending == "After the last message's cooldown PHANTOM stops asking."

    @pytest.mark.parametrize("days", [0, 27, 40])
    def test_it_is_what_then_goes_out(self, shop: Shop, days: int):
        """The preview is no second opinion: switched on, the first message is the one it showed, however long the
        merchant took to decide."""
        shop.find(german())
        shop.clock.advance(timedelta(days=days))
        looked = shop.look()
        (outlook,) = looked.outlooks
        assert (len(outlook.messages), looked.messages) == (3, 3)
        with db.tenant_session(shop.merchant) as session:
            service.start_messages(session, shop.merchant, "usr_1")
        with db.tenant_session(shop.merchant) as session:
            prepared = outreach.prepare(session, shop.merchant, outlook.ghost_id, 1, german())
        assert prepared.message is not None
        assert (prepared.message.subject, prepared.message.recipient) == (
            outlook.messages[0].subject, outlook.messages[0].recipient,
        )  # fmt: skip
        with db.tenant_session(shop.merchant) as session:
            settlement.settle_sent(session, shop.merchant, prepared.message_id, "resend", "re_1")
        assert shop.rows(GhostTarget)[0].next_action_at == outlook.messages[1].at

    def test_the_whole_of_a_message_on_demand(self, shop: Shop):
        shop.find(german())
        (outlook,) = shop.look().outlooks
        with db.tenant_session(shop.merchant) as session:
            whole = ahead.preview(session, shop.merchant, outlook.ghost_id, 2)
        assert whole.subject == outlook.messages[1].subject
        assert "/r/preview" in whole.html
        assert whole.plain

    @pytest.mark.parametrize(
        ("days", "subject"), [(2, "Your payment to Northwind Analytics did not go through"), (28, "We try again")]
    )
    def test_a_promise_of_the_merchants_stands_only_where_another_message_follows(
        self, database: object, clock: ManualClock, days: int, subject: str
    ):
        shop = Shop(clock, policy={"window_days": days})
        target = own_service.target_of("*", "first", "email", "en")
        promise = Source("We try again", "Hi", "We will try your card again in three days.", "Pay")
        with db.tenant_session(shop.merchant) as session:
            own_service.save(session, shop.merchant, target, promise, based_on=0, actor_id="usr_1")
        shop.find(FAILED)
        (outlook,) = shop.look().outlooks
        assert outlook.messages[0].subject == subject
        with db.tenant_session(shop.merchant) as session:
            assert ahead.preview(session, shop.merchant, outlook.ghost_id, 1).subject == subject

    @pytest.mark.parametrize(("ghost", "step"), [("gh_unknown", 1), ("", 1), (None, 9)])
    def test_what_does_not_come_has_no_preview(self, shop: Shop, ghost: str | None, step: int):
        shop.find(german())
        ghost_id = shop.look().outlooks[0].ghost_id if ghost is None else ghost
        with db.tenant_session(shop.merchant) as session, pytest.raises(ahead.NothingComingError):
            ahead.preview(session, shop.merchant, ghost_id, step)

    def test_another_merchants_ghost_has_none_either(self, shop: Shop, clock: ManualClock):
        shop.find(german())
        other = Shop(clock)
        with db.tenant_session(other.merchant) as session, pytest.raises(ahead.NothingComingError):
            ahead.preview(session, other.merchant, shop.look().outlooks[0].ghost_id, 1)


class TestNothingHappens:
    def test_nothing_is_written(self, shop: Shop):
        shop.find(german())
        before = [ghost.__dict__ | {"_sa_instance_state": None} for ghost in shop.rows(GhostTarget)]
        shop.look()
        after = [ghost.__dict__ | {"_sa_instance_state": None} for ghost in shop.rows(GhostTarget)]
        assert (after, len(after)) == (before, 1)
        assert (shop.rows(Message), shop.rows(ScheduledTask)) == ([], [])
        with db.system_session() as session:
            assert session.exec(select(LinkToken)).all() == []


class TestBadInput:
    def test_no_ghosts(self, shop: Shop):
        seen = shop.look()
        assert (seen.outlooks, seen.ghosts, seen.messages, seen.silent, seen.page, seen.pages) == ((), 0, 0, 0, 1, 1)

    @pytest.mark.parametrize("page", [-5, 0, 99])
    def test_a_page_that_is_none(self, shop: Shop, page: int):
        shop.find(german())
        assert len(shop.look(page).outlooks) == 1

    def test_a_disconnected_account(self, shop: Shop):
        shop.find(german())
        with db.tenant_session(shop.merchant) as session:
            merchants.mark_disconnected(session, shop.merchant, at=shop.clock.now(), reason="taken back")
        seen = shop.look()
        assert (seen.is_connected, seen.messages, seen.silent) == (False, 0, 1)
        assert "disconnected" in seen.outlooks[0].ending

    def test_a_customer_with_forty_ghosts_gets_two_messages_a_week(self, shop: Shop):
        shop.find(*[german(number, customer=1) for number in range(1, 41)])
        pages = [shop.look(1), shop.look(2)]
        assert [page.pages for page in pages] == [2, 2]
        outlooks = [outlook for page in pages for outlook in page.outlooks]
        sent = sorted(message.at for outlook in outlooks for message in outlook.messages)
        assert (len(sent), pages[0].messages, pages[0].silent) == (6, 6, 34)
        assert all(later - former >= timedelta(days=7) for former, later in zip(sent, sent[2:], strict=False))
        waiting = [outlook for outlook in outlooks if not outlook.messages]
        assert all("at most 2 messages a week" in outlook.ending for outlook in waiting)

    def test_a_policy_that_changed_meanwhile(self, shop: Shop):
        shop.find(german())
        assert shop.look().messages == 3
        with db.tenant_session(shop.merchant) as session:
            merchants.change_policy(session, shop.merchant, {"messages_per_ghost": 1}, actor_id="usr_1")
        assert shop.look().messages == 1

    def test_who_gets_none_and_why(self, shop: Shop):
        nameless = replace(german(2), customer=replace(german(2).customer, email=None))
        dear = replace(german(3), amount_remaining=500_000)
        shop.find(nameless, dear)
        endings = {outlook.ending for outlook in shop.look().outlooks}
        assert endings == {
            "Stripe knows no email address of this customer.",
            "Not enough funds or a limit reached; the same card usually works after payday. "
            "It is above your high-value line, so a person decides.",
        }
        assert shop.look().silent == 2


class TestWhatWaits:
    """What no hour frees says so, and does not look due."""

    def ghost(self, shop: Shop) -> GhostTarget:
        (found,) = shop.rows(GhostTarget)
        return found

    def test_paused_by_a_person(self, shop: Shop):
        shop.find(german())
        with db.tenant_session(shop.merchant) as session:
            service.pause(session, shop.merchant, [self.ghost(shop).id], "usr_1")
        (outlook,) = shop.look().outlooks
        assert (outlook.standing, outlook.messages, outlook.ending) == (Standing.PAUSED, (), "Paused by a person.")

    @pytest.mark.parametrize("amount", [500_000, 4900])
    def test_with_a_person_and_why(self, shop: Shop, amount: int):
        """Above the line, or because the bank refuses the amount itself: then the line is not the reason."""
        refused = parse_invoice(raw_invoice(intent=raw_intent("invalid_amount" if amount == 4900 else "do_not_honor")))
        shop.find(replace(refused, amount_remaining=amount))
        (outlook,) = shop.look().outlooks
        assert (outlook.standing, outlook.messages) == (Standing.PERSON, ())
        assert ("above your high-value line" in outlook.ending) == (amount == 500_000)

    def test_released_by_a_person_it_is_free(self, shop: Shop):
        shop.find(replace(german(), amount_remaining=500_000))
        with db.tenant_session(shop.merchant) as session:
            service.start_messages(session, shop.merchant, "usr_1")
            (task,) = session.exec(select(ManualTask)).all()
        with db.tenant_session(shop.merchant) as session:
            manual_tasks.release(session, shop.merchant, task.id, actor_id="usr_1")
        (outlook,) = shop.look().outlooks
        assert (len(outlook.messages), outlook.standing) == (1, Standing.FREE)
        assert outlook.ending.endswith("so a person decides.")

    def test_held_for_another_look_at_stripe(self, shop: Shop, clock: ManualClock):
        shop.find(german())
        with db.tenant_session(shop.merchant) as session:
            service.start_messages(session, shop.merchant, "usr_1")
        with db.tenant_session(shop.merchant) as session:
            outreach.hold(session, shop.merchant, self.ghost(shop).id, 1, "the payment is still under way at the bank")
        (outlook,) = shop.look().outlooks
        assert outlook.standing is Standing.HELD
        assert outlook.messages[0].reason.startswith("Held: the payment is still under way at the bank.")
        assert outlook.messages[0].at >= clock.now() + timedelta(hours=6)
        clock.advance(timedelta(hours=7))
        assert shop.look().outlooks[0].standing is Standing.FREE  # the look is due

    def test_nothing_waits(self, shop: Shop):
        shop.find(german())
        assert shop.look().outlooks[0].standing is Standing.FREE
