"""Rows made the short way are the rows the constructor makes."""

import pytest

from core import db
from core.clock import ManualClock
from models.ghost import GhostKind, GhostTarget
from models.work import Hunt
from tests.support.factories import make_merchant

VALUES = {"merchant_id": "mer_1", "id": "gh_1", "invoice_id": "in_1", "currency": "usd", "messages_sent": 2}


class TestFresh:
    def test_it_holds_what_the_constructor_gives_it(self) -> None:
        one, other = vars(GhostTarget(**VALUES)), vars(GhostTarget.fresh(**VALUES))
        assert {name: one[name] for name in one if name != "_sa_instance_state"} == {
            name: other[name] for name in other if name != "_sa_instance_state"
        }

    def test_no_two_rows_share_what_is_made_for_each(self) -> None:
        one, other = (Hunt.fresh(merchant_id="mer_1", id=each) for each in ("hu_1", "hu_2"))
        one.cursor["position"] = 1
        assert other.cursor == {}

    def test_what_is_no_column_is_refused(self) -> None:
        with pytest.raises(TypeError, match="no_such"):
            GhostTarget.fresh(**VALUES, no_such=1)

    def test_it_is_kept_changed_and_read_back_like_any_other(self, database: object, clock: ManualClock) -> None:
        merchant = make_merchant()
        now = clock.now()
        times = {"original_invoice_date": now, "found_at": now, "found_on": now.date(), "updated_at": now}
        with db.tenant_session(merchant) as session:
            row = GhostTarget.fresh(**{**VALUES, "merchant_id": merchant}, **times)
            session.add(row)
            row.amount_cents = 4900
            session.flush()
            row.card_brand = "visa"
        with db.tenant_session(merchant) as session:
            kept = session.get_one(GhostTarget, (merchant, "gh_1"))
            assert (kept.amount_cents, kept.card_brand, kept.kind) == (4900, "visa", GhostKind.FAILED)
