"""What could not be read: counted by kind and shape, never more than some rows, gone when it can be read again."""

from datetime import timedelta

import pytest

from core import db
from core.clock import ManualClock
from models.health import ReadVia
from services.audit import unreadable
from services.audit.unreadable import Unreadable, UnreadableKind
from tests.support.factories import make_merchant


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


def listed(merchant: str) -> tuple[UnreadableKind, ...]:
    with db.tenant_session(merchant) as session:
        return unreadable.list_kinds(session, merchant)


def hunted(merchant: str, hunt_id: str, *found: Unreadable, settle: bool = False) -> None:
    with db.tenant_session(merchant) as session:
        unreadable.note_of_hunt(session, merchant, hunt_id, found)
        if settle:
            unreadable.settle_hunt(session, merchant, hunt_id)


def told(merchant: str, *found: Unreadable) -> None:
    for each in found:
        with db.tenant_session(merchant) as session:
            unreadable.note_of_webhook(session, merchant, each)


class TestCounting:
    def test_by_reason_and_shape_the_most_first(self, merchant: str) -> None:
        hunted(
            merchant,
            "hu_1",
            Unreadable("no_currency", "basil", "in_1"),
            Unreadable("no_currency", "acacia", "in_2"),
            Unreadable("no_currency", "acacia", "in_3"),
        )
        assert [(each.reason, each.shape, each.number, each.examples) for each in listed(merchant)] == [
            ("no_currency", "acacia", 2, ("in_2", "in_3")),
            ("no_currency", "basil", 1, ("in_1",)),
        ]

    def test_pages_of_a_hunt_add_up_and_another_hunt_counts_anew(self, merchant: str, clock: ManualClock) -> None:
        began = clock.now()
        hunted(merchant, "hu_1", *(Unreadable("no_status", "basil", f"in_{each}") for each in range(4)))
        hunted(merchant, "hu_1", *(Unreadable("no_status", "basil", f"in_{each}") for each in range(2, 9)))
        (kind,) = listed(merchant)
        assert (kind.number, kind.examples) == (11, ("in_0", "in_1", "in_2", "in_3", "in_4"))
        clock.advance(timedelta(hours=12))
        hunted(merchant, "hu_2", Unreadable("no_status", "basil", "in_7"))
        (kind,) = listed(merchant)
        assert (kind.number, kind.examples) == (1, ("in_7",))
        assert (kind.first_at, kind.last_at) == (began, clock.now())

    def test_webhooks_go_on_counting_beside_hunts(self, merchant: str) -> None:
        told(merchant, Unreadable("no_id", "basil"), Unreadable("no_id", "basil"))
        hunted(merchant, "hu_1", Unreadable("no_id", "basil"))
        assert {(each.via, each.number, each.examples) for each in listed(merchant)} == {
            (ReadVia.WEBHOOK, 2, ()),
            (ReadVia.HUNT, 1, ()),
        }

    def test_a_hundred_thousand_are_one_row_of_five_ids(self, merchant: str) -> None:
        hunted(merchant, "hu_1", *(Unreadable("no_amount_due", "basil", f"in_{each}") for each in range(100_000)))
        (kind,) = listed(merchant)
        assert (kind.number, len(kind.examples)) == (100_000, unreadable.EXAMPLES)

    def test_what_was_rolled_back_was_not_counted(self, merchant: str) -> None:
        with db.tenant_session(merchant) as session:
            unreadable.note_of_webhook(session, merchant, Unreadable("no_id"))
            session.rollback()
        assert listed(merchant) == ()

    def test_another_merchants_are_not_seen_and_not_forgotten(self, merchant: str) -> None:
        other = make_merchant()
        hunted(other, "hu_1", Unreadable("no_id"))
        hunted(merchant, "hu_2", settle=True)
        assert listed(merchant) == ()
        assert len(listed(other)) == 1


class TestForgetting:
    def test_what_a_whole_hunt_did_not_meet_is_readable_again(self, merchant: str) -> None:
        hunted(merchant, "hu_1", Unreadable("no_id", "basil"), Unreadable("no_status", "basil"), settle=True)
        hunted(merchant, "hu_2", Unreadable("no_status", "basil"), settle=True)
        assert [each.reason for each in listed(merchant)] == ["no_status"]

    def test_what_webhooks_told_is_forgotten_after_a_week_without_one(self, merchant: str, clock: ManualClock) -> None:
        told(merchant, Unreadable("no_id"))
        clock.advance(unreadable.FORGOTTEN_AFTER)
        hunted(merchant, "hu_1", settle=True)
        assert len(listed(merchant)) == 1
        clock.advance(timedelta(seconds=1))
        hunted(merchant, "hu_2", settle=True)
        assert listed(merchant) == ()
