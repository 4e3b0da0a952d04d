"""What a socket may do with consents: only who may read them, only one's own, and taking back what was given."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from core import clock, db
from models.identity import Membership, Role
from phantom_app import runtime
from phantom_app.state.consents import PAGE_SIZE, Consents, consent_line
from services.messaging import consents
from tests.phantom_app.served import Person, Served, Tab, sign_up
from tests.phantom_app.test_served import answered

PATH = "/settings/consents"
LOOK, FORWARD, BACK, WITHDRAW = (
    runtime.handler_name(each) for each in (Consents.look_for, Consents.go_forward, Consents.go_back, Consents.withdraw)
)


def put(merchant_id: str, number: int = 1, *, source: str = "checkout") -> list[str]:
    """So many customers who agreed to texts, the last one newest; the entries' ids."""
    now = clock.now()
    given = [
        consents.read(
            channel="sms",
            address=f"+1202555{100 + index:04}",
            happened_at=now - timedelta(days=number - index),
            customer_id=f"cus_{index}",
            source=source,
            text_version="v2",
        )
        for index in range(number)
    ]
    with db.tenant_session(merchant_id) as session:
        return [each for each in consents.record(session, merchant_id, given, "api_key:key_1") if each]


def agreed(merchant_id: str, consent_id: str) -> bool:
    with db.tenant_session(merchant_id) as session:
        return consents.get(session, merchant_id, consent_id).current


async def opened(tab: Tab) -> None:
    """The page as its own loading fills it; a second load could come after what a test does next."""
    await tab.load()
    await tab.until(lambda: "'loaded_rx_state_': True" in tab.heard())


class TestSocket:
    async def test_pages_follow_one_another_and_back(self, served: Served, ada: Person) -> None:
        put(ada.merchant_id, PAGE_SIZE + 3)
        async with Tab(served.url, ada.cookie, path=PATH) as tab:
            await opened(tab)
            await tab.until(lambda: f"1–{PAGE_SIZE}, and more" in tab.heard())
            assert "cus_2'" not in tab.heard()
            await tab.call(FORWARD)
            await tab.until(lambda: f"{PAGE_SIZE + 1}–{PAGE_SIZE + 3}'" in tab.heard())
            await tab.call(FORWARD)  # nothing follows
            await answered(tab)
            before = len(tab.received)
            await tab.call(BACK)
            await tab.until(lambda: "and more" in str(tab.received[before:]))

    async def test_a_number_is_looked_for_as_it_is_typed(self, served: Served, ada: Person) -> None:
        put(ada.merchant_id, 3)
        async with Tab(served.url, ada.cookie, path=PATH) as tab:
            await opened(tab)
            await tab.until(lambda: "1–3'" in tab.heard())
            await tab.call(LOOK, text="(202) 555-0101")
            await tab.until(lambda: "Not looked for: the telephone number cannot be read" in tab.heard())
            await tab.call(LOOK, text="+1 (202) 555-0101")
            await tab.until(lambda: "1–1'" in tab.heard())

    async def test_a_mail_consent_that_is_withdrawn_is_told_as_one(self, served: Served, ada: Person) -> None:
        address = consents.read(channel="email", address="ada@example.com", happened_at=clock.now())
        with db.tenant_session(ada.merchant_id) as session:
            (given,) = consents.record(session, ada.merchant_id, [address], "usr_1")
        async with Tab(served.url, ada.cookie, path=PATH) as tab:
            await opened(tab)
            await tab.call(WITHDRAW, consent_id=given)
            await tab.until(lambda: "no mail goes to this address any more" in tab.heard())

    async def test_withdrawn_is_withdrawn_and_says_by_whom(self, served: Served, ada: Person) -> None:
        (given,) = put(ada.merchant_id)
        async with Tab(served.url, ada.cookie, path=PATH) as tab:
            await opened(tab)
            await tab.call(WITHDRAW, consent_id=given)
            await tab.until(lambda: "no text message goes to this number any more" in tab.heard())
        with db.tenant_session(ada.merchant_id) as session:
            newest = consents.page(session, ada.merchant_id).entries[0]
        assert (newest.state.value, newest.recorded_by.partition(":")[0]) == ("withdrawn", "member")
        assert not agreed(ada.merchant_id, given)

    @pytest.mark.parametrize("role", [Role.MEMBER, Role.ANALYST])
    async def test_who_may_not_withdraws_nothing(self, served: Served, ada: Person, role: Role) -> None:
        (given,) = put(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=role))
        async with Tab(served.url, ada.cookie, path=PATH) as tab:
            await opened(tab)
            await tab.call(WITHDRAW, consent_id=given)
            await answered(tab)
            assert ("cus_0" in tab.heard()) == (role is Role.MEMBER)
        assert agreed(ada.merchant_id, given)

    async def test_another_merchants_entry_is_not_there(self, served: Served, ada: Person) -> None:
        other = sign_up("Borealis")
        (theirs,) = put(other.merchant_id)
        async with Tab(served.url, ada.cookie, path=PATH) as tab:
            await opened(tab)
            await tab.call(WITHDRAW, consent_id=theirs)
            await tab.until(lambda: "There is no such consent." in tab.heard())
            assert "cus_0" not in tab.heard()
        assert agreed(other.merchant_id, theirs)


class TestWords:
    def test_an_entry_in_words(self, ada: Person) -> None:
        (given,) = put(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            yes = consent_line(consents.get(session, ada.merchant_id, given))
            no = consent_line(consents.withdraw(session, ada.merchant_id, given, "member:usr_1"))
            then = consent_line(consents.get(session, ada.merchant_id, given))
        assert (yes.state, yes.channel, yes.source, yes.version, yes.may_withdraw) == (
            "Agreed", "Text messages", "checkout", "v2", True,
        )  # fmt: skip
        assert yes.recorded.endswith(" by a program")
        assert (no.state, no.may_withdraw, no.recorded.endswith(" by a member")) == ("Withdrawn", False, True)
        assert (then.state, then.tone, then.may_withdraw) == ("Agreed before", "neutral", False)


pytestmark = pytest.mark.usefixtures("database")
