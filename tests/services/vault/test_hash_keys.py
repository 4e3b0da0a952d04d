"""What hashes were made with outlives the master keys: a key that is dropped brings nobody back."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text

from core import db
from core.clock import ManualClock
from models.messaging import Channel
from models.privacy import TombstoneKind
from services.integrations.stripe.parsing import parse_invoice
from services.messaging import links, reach
from services.messaging.reach import ASKED, NO_CONSENT, Closed
from services.recovery import tombstones
from services.vault import hash_keys
from services.vault.errors import VaultError
from services.vault.keys import Purpose, derived_keys
from tests.support import environment
from tests.support.factories import make_merchant, raw_invoice

pytestmark = pytest.mark.usefixtures("database", "clock")

KEYS = {1: "11" * 32, 2: "22" * 32, 3: "33" * 32}


@contextlib.contextmanager
def configured(current: int, *older: int) -> Iterator[None]:
    """Settings after a rotation to `current`, with these older keys still there."""
    with environment.changed(
        ENCRYPTION_KEY=KEYS[current],
        ENCRYPTION_KEY_VERSION=str(current),
        ENCRYPTION_KEYS=json.dumps({str(version): KEYS[version] for version in older}),
    ):
        yield


def keep() -> int:
    with db.system_session() as session:
        return hash_keys.keep(session)


def masters() -> tuple[set[int], set[int]]:
    """Of the doctor's two questions: what is missing, what is still needed."""
    with db.system_session() as session:
        return hash_keys.missing_masters(session), hash_keys.needed_masters(session)


@pytest.fixture
def merchant(clock: ManualClock) -> str:
    """A merchant of whose people one unsubscribed, and one was removed, while master key 1 was current."""
    merchant = make_merchant()
    with configured(1), db.tenant_session(merchant) as session:
        assert links.suppress(session, merchant, Channel.EMAIL, "ada@example.com", "unsubscribed")
        assert links.suppress_customer(session, merchant, "cus_7", "unsubscribed")
        tombstones.bury(session, merchant, TombstoneKind.CUSTOMER, ["cus_9"], clock.now())
    return merchant


@dataclass(frozen=True)
class Customer:
    """Whom a message would go to. The person is known by their id as well as by their address."""

    customer_id: str | None
    customer_email: str | None
    customer_phone: str | None = "+12025550143"
    customer_country: str = "US"


def asked_for(merchant: str) -> tuple[list[Closed], list[str]]:
    """What a plan and a polite note ask: of the address that unsubscribed, of the person at another, of nobody."""
    asked = [
        Customer(None, "Ada@example.com"),
        Customer("cus_7", "new@example.com"),
        Customer("cus_8", "b@example.com"),
    ]
    with db.tenant_session(merchant) as session:
        return reach.closed(session, merchant, asked, sms=True), reach.opted_out(session, merchant, asked)


NO = Closed(ASKED, ASKED)
STAY_AWAY = ([NO, NO, Closed("", NO_CONSENT)], [ASKED, ASKED, ""])


def stays_away(merchant: str) -> tuple[bool, set[str]]:
    facts = parse_invoice(raw_invoice(1))
    facts = replace(facts, customer=replace(facts.customer, id="cus_9"))
    with db.tenant_session(merchant) as session:
        buried = tombstones.buried(session, merchant, [facts])
    return asked_for(merchant) == STAY_AWAY, buried


class TestAKeyThatIsDropped:
    def test_brings_nobody_back(self, merchant: str) -> None:
        with configured(2, 1):
            assert masters() == (set(), {1})
            assert keep() == 4
            assert masters() == (set(), set())
        with configured(2):
            assert stays_away(merchant) == (True, {"in_1"})

    def test_nor_after_two_rotations(self, merchant: str) -> None:
        with configured(2, 1):
            keep()
        with configured(3, 2):
            assert masters() == (set(), {2})
            assert keep() == 6
            assert keep() == 0
        with configured(3):
            assert stays_away(merchant) == (True, {"in_1"})

    def test_too_early_stops_what_would_ask(self, merchant: str) -> None:
        with configured(2, 1):
            keep()
        with configured(3):
            assert masters() == ({2}, set())
            assert keep() == 2  # its own; the others wait for key 2
            with pytest.raises(VaultError):
                stays_away(merchant)

    def test_is_not_taken_back_by_a_process_with_older_settings(self, merchant: str) -> None:
        with configured(2, 1):
            keep()
        with configured(1):
            assert keep() == 0
        with configured(2):
            assert masters() == (set(), set())


def test_what_was_tampered_with_does_not_open(merchant: str) -> None:
    with configured(2, 1):
        keep()
    with db.system_session() as session:
        session.execute(text("update hash_keys set version = 7 where version = 1"))
    with configured(2), db.system_session() as session, pytest.raises(VaultError):
        hash_keys.lasting_keys(session, Purpose.TOMBSTONES)
    with configured(3, 2):
        assert keep() == 4  # all but the two that do not open


def test_the_current_is_the_first() -> None:
    with configured(2, 1), db.system_session() as session:
        hash_keys.keep(session)
        assert hash_keys.lasting_keys(session, Purpose.TOMBSTONES) == derived_keys(Purpose.TOMBSTONES)
    with configured(1), db.system_session() as session:
        older = derived_keys(Purpose.TOMBSTONES)
    with configured(2), db.system_session() as session:
        assert hash_keys.lasting_keys(session, Purpose.TOMBSTONES) == (*derived_keys(Purpose.TOMBSTONES), *older)
