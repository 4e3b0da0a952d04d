"""Consents found by number, mail address and customer, whatever key the address was hashed with."""

from datetime import timedelta

import pytest

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from services.messaging import consents, consents_search
from services.messaging.consents import BadConsentError, ConsentView
from services.messaging.links import address_hash
from services.vault.keys import Purpose, derive_key
from tests.support.factories import make_merchant

ADA, BEN = "+12025550143", "+4915112345678"


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    merchant_id = make_merchant(country="DE")
    given = [("sms", ADA, "cus_ada"), ("sms", BEN, "cus_ben"), ("email", "ada@example.com", "cus_ada")]
    with db.tenant_session(merchant_id) as session:
        for day, (channel, address, customer) in enumerate(given):
            moment = core_clock.now() - timedelta(days=day)
            one = consents.read(channel=channel, address=address, happened_at=moment, customer_id=customer)
            consents.record(session, merchant_id, [one], "usr_1")
    return merchant_id


def found(merchant: str, text: str) -> list[ConsentView]:
    with db.tenant_session(merchant) as session:
        whose = consents_search.wanted(session, merchant, text)
        return list(consents.page(session, merchant, customer_id=whose.customer_id, hashes=whose.hashes).entries)


class TestFound:
    @pytest.mark.parametrize(
        ("text", "customers"),
        [
            ("+1 (202) 555-0143", ["cus_ada"]),
            ("0151 12345678", ["cus_ben"]),  # of the merchant's country
            ("Ada@Example.com", ["cus_ada"]),
            ("cus_ada", ["cus_ada", "cus_ada"]),
            ("cus_nobody", []),
            ("+12025550144", []),
            ("", ["cus_ada", "cus_ben", "cus_ada"]),
        ],
    )
    def test_by_what_is_typed(self, merchant: str, text: str, customers: list[str]) -> None:
        assert [each.customer_id for each in found(merchant, text)] == customers

    @pytest.mark.parametrize("text", ["ada", "1", "+999 1", "@", "+1 202 555", "cus_\x00", "cus_a b"])
    def test_what_is_nobodys_is_said(self, merchant: str, text: str) -> None:
        with pytest.raises(BadConsentError):
            found(merchant, text)

    def test_another_merchants_are_not(self, merchant: str) -> None:
        assert found(make_merchant(), ADA) == []

    def test_under_every_key_it_may_have_been_hashed_with(self, merchant: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """As after a rotation: the current key is another one, the former still lasts."""
        former = derive_key(Purpose.SUPPRESSIONS)
        monkeypatch.setattr(consents_search, "lasting_keys", lambda *_: (b"new" * 11, former))
        with db.tenant_session(merchant) as session:
            hashes = consents_search.wanted(session, merchant, ADA).hashes
        assert address_hash(former, merchant, consents_search.Channel.SMS, ADA) in hashes
        assert [each.customer_id for each in found(merchant, ADA)] == ["cus_ada"]
