"""A merchant's own senders: asked of the provider, sealed, never shown again, paused and taken away."""

from collections.abc import Iterator

import pytest
from sqlmodel import select

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from models.audit import AuditLog
from models.messaging import Channel
from models.sending import MerchantSender, SenderAddress, SenderState
from models.vault import VaultSecret
from models.work import ScheduledTask
from sandbox.stripe.faults import Fault
from sandbox.stripe.world import Settings, World
from services.messaging.senders import service
from services.messaging.senders.carriers import MailCarrier, TextCarrier
from services.messaging.senders.errors import BadSenderError, SenderNotFoundError, SenderRefusedError
from services.messaging.senders.given import OwnMail, OwnText
from services.tasks import service as tasks
from tests.support import environment
from tests.support.factories import make_merchant
from tests.support.post_office import PostOffice

KEY, ACCOUNT, TOKEN = "re_northwind_0123456789", "AC" + "a" * 32, "0123456789abcdef" * 2
WEBHOOK = "whsec_bm9ydGh3aW5kLXdlYmhvb2stc2VjcmV0"
MAIL = OwnMail.read(KEY, "Northwind <billing@northwind.example>", WEBHOOK)
TEXT = OwnText.read(ACCOUNT, TOKEN, "+1 (202) 555-0143")


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


@pytest.fixture
def office(clock: ManualClock) -> Iterator[PostOffice]:
    world = World(Settings(deliver=False))
    with PostOffice.of(world) as office:
        yield office
    world.close()


def set_mail(merchant: str, given: OwnMail = MAIL) -> None:
    with db.tenant_session(merchant) as session:
        service.set_mail(session, merchant, given, "usr_1")


class TestReading:
    @pytest.mark.parametrize(
        ("key", "address", "secret"),
        [
            ("", "a@b.example", ""),
            ("sk_live_123456789", "a@b.example", ""),
            ("re_0123456789\r\nX: y", "a@b.example", ""),
            (KEY, "", ""),
            (KEY, "billing", ""),
            (KEY, "a@b.example\r\nBcc: c@d.example", ""),
            (KEY, 'Evil" <x@y.example>, "z <a@b.example>', ""),
            (KEY, "a@b.example", "whsec_"),
            (KEY, "a@b.example", "whsec_c2hvcnQ="),
            (KEY, "a@b.example", "secret"),
        ],
    )
    def test_what_cannot_be_a_mail_sender_is_refused(self, key: str, address: str, secret: str) -> None:
        with pytest.raises(BadSenderError):
            OwnMail.read(key, address, secret)

    @pytest.mark.parametrize("odd", ["\x00", "\ud800", "\u202e", "\u2028", "\x0b"])
    def test_a_name_is_cleaned_of_what_cannot_be_kept_or_fakes_what_is_read(self, merchant: str, odd: str) -> None:
        given = OwnMail.read(KEY, f"North{odd}wind <billing@northwind.example>")
        assert given.address in {f'"North{between}wind" <billing@northwind.example>' for between in ("", " ")}
        set_mail(merchant, given)

    @pytest.mark.parametrize(
        ("account", "token", "sender"),
        [
            ("AC123", TOKEN, "+12025550143"),
            (ACCOUNT, "short", "+12025550143"),
            (ACCOUNT, TOKEN, "202 555 0143"),
            (ACCOUNT, TOKEN, "+1"),
            (ACCOUNT, TOKEN, "MG1"),
        ],
    )
    def test_what_cannot_be_a_text_sender_is_refused(self, account: str, token: str, sender: str) -> None:
        with pytest.raises(BadSenderError):
            OwnText.read(account, token, sender)

    def test_a_number_is_kept_in_one_spelling(self) -> None:
        assert TEXT.sender == "+12025550143"

    def test_secrets_are_in_no_repr(self) -> None:
        assert KEY not in repr(MAIL)
        assert WEBHOOK not in repr(MAIL)
        assert TOKEN not in repr(TEXT)


class TestChecking:
    def test_a_key_that_works_is_good_and_nothing_is_sent(self, office: PostOffice) -> None:
        MAIL.check()
        TEXT.check()
        assert office.outbox.count() == 0

    def test_a_bad_one_is_refused_in_the_providers_words(self, office: PostOffice) -> None:
        office.outbox.set("keys", ["re_another"])
        office.outbox.set("twilio_accounts", {ACCOUNT: "another"})
        with pytest.raises(SenderRefusedError, match="API key is invalid"):
            MAIL.check()
        with pytest.raises(SenderRefusedError, match="Authenticate"):
            TEXT.check()

    def test_a_provider_that_is_away_is_not_the_keys_fault(self, office: PostOffice) -> None:
        office.resend.faults.add(Fault("unavailable", times=1))
        with pytest.raises(SenderRefusedError, match="does not answer"):
            MAIL.check()


class TestSetting:
    def test_the_merchants_own_key_sends_before_the_platforms(self, merchant: str) -> None:
        with db.tenant_session(merchant) as session:
            before = service.sender_for(session, merchant, Channel.EMAIL)
        set_mail(merchant)
        with db.tenant_session(merchant) as session:
            after = service.sender_for(session, merchant, Channel.EMAIL)
            origin = service.origin_of(session, merchant, Channel.EMAIL, "Northwind Analytics")
        assert isinstance(before, MailCarrier)
        assert isinstance(after, MailCarrier)
        assert (before.own, after.own, after.resend.api_key) == (False, True, KEY)
        assert before.key_print != after.key_print
        assert origin.line == '"Northwind" <billing@northwind.example>'
        assert origin.key_print == after.key_print

    def test_without_any_key_there_is_no_sender(self, merchant: str) -> None:
        with environment.changed(RESEND_API_KEY=""), db.tenant_session(merchant) as session:
            assert service.sender_for(session, merchant, Channel.EMAIL) is None
            assert service.sender_for(session, merchant, Channel.SMS) is None
            assert service.origin_of(session, merchant, Channel.EMAIL, "Northwind").key_print == ""

    def test_the_platforms_number_sends_for_all(self, merchant: str) -> None:
        platform = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_FROM": "+15005550006"}
        with environment.changed(**platform), db.tenant_session(merchant) as session:
            sender = service.sender_for(session, merchant, Channel.SMS)
            assert isinstance(sender, TextCarrier)
            assert (sender.own, sender.repeats_safely) == (False, False)
            assert service.origin_of(session, merchant, Channel.SMS, "x").line == "+15005550006"

    def test_nothing_shows_a_secret_again(self, merchant: str) -> None:
        set_mail(merchant)
        with db.tenant_session(merchant) as session:
            service.set_text(session, merchant, TEXT, "usr_1")
            views = service.senders_of(session, merchant)
            rows = session.exec(select(MerchantSender)).all()
            sealed = session.exec(select(VaultSecret)).all()
            audited = session.exec(select(AuditLog)).all()
        shown = f"{views} {rows} {sealed} {audited}"
        for secret in (KEY, WEBHOOK, TOKEN):
            assert secret not in shown
        assert [view.key_hint for view in views] == [KEY[-4:], TOKEN[-4:]]
        assert {row.action for row in audited} == {"sender.set"}

    def test_a_new_key_keeps_the_webhook_address_and_its_secret(self, merchant: str) -> None:
        set_mail(merchant)
        with db.tenant_session(merchant) as session:
            (before,) = service.senders_of(session, merchant)
        set_mail(merchant, OwnMail.read("re_another_0123456789", "billing@northwind.example"))
        with db.tenant_session(merchant) as session:
            (after,) = service.senders_of(session, merchant)
            secrets = service.webhook_secrets(session, merchant, Channel.EMAIL)
        assert (after.webhook_url, after.key_hint) == (before.webhook_url, "6789")
        assert secrets is not None
        assert secrets.secrets == (WEBHOOK,)

    def test_another_merchant_sees_none_of_it(self, merchant: str) -> None:
        set_mail(merchant)
        other = make_merchant()
        with db.tenant_session(other) as session:
            assert service.senders_of(session, merchant) == []
            assert service.webhook_secrets(session, merchant, Channel.EMAIL) is None

    def test_removed_means_forgotten(self, merchant: str) -> None:
        set_mail(merchant)
        with db.tenant_session(merchant) as session:
            service.remove(session, merchant, Channel.EMAIL, "usr_1")
        with db.tenant_session(merchant) as session:
            assert session.exec(select(VaultSecret)).all() == []
            sender = service.sender_for(session, merchant, Channel.EMAIL)
            assert sender is not None
            assert not sender.own
        with db.system_session() as session:
            assert session.exec(select(SenderAddress)).all() == []
        with pytest.raises(SenderNotFoundError), db.tenant_session(merchant) as session:
            service.remove(session, merchant, Channel.EMAIL, "usr_1")


class TestPausing:
    def test_once_and_only_for_the_key_that_was_refused(self, merchant: str) -> None:
        set_mail(merchant)
        with db.tenant_session(merchant) as session:
            former = service.sender_for(session, merchant, Channel.EMAIL)
            assert former is not None
            assert service.pause(session, merchant, Channel.EMAIL, former, "API key is invalid.")
            assert not service.pause(session, merchant, Channel.EMAIL, former, "API key is invalid.")
        with db.tenant_session(merchant) as session:
            (view,) = service.senders_of(session, merchant)
            assert (view.state, view.paused_reason) == (SenderState.PAUSED, "API key is invalid.")
        set_mail(merchant, OwnMail.read("re_another_0123456789", "billing@northwind.example"))
        with db.tenant_session(merchant) as session:
            assert not service.pause(session, merchant, Channel.EMAIL, former, "late")  # of a call with the old key
            (view,) = service.senders_of(session, merchant)
            assert view.state == SenderState.READY

    def test_a_new_key_lets_what_waited_go_on_at_once(self, merchant: str) -> None:
        set_mail(merchant)
        with db.system_session() as session:
            tasks.schedule(session, kind="send_message", merchant_id=merchant, payload={"ghost_id": "gh_1", "step": 1})
        with db.system_session() as session:
            (claimed,) = tasks.claim(session, "test", 10)
            later = core_clock.now() + service.LOOK_AGAIN
            tasks.postpone(session, claimed, run_at=later, reason=service.PAUSED)
        with db.system_session() as session:
            assert tasks.claim(session, "test", 10) == []
        set_mail(merchant, OwnMail.read("re_another_0123456789", "billing@northwind.example"))
        with db.system_session() as session:
            assert len(tasks.claim(session, "test", 10)) == 1
            assert session.exec(select(ScheduledTask)).one().attempts == 1
