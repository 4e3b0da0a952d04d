"""A merchant's own words: chosen, filled into our layout, saved as versions and taken back."""

import pytest
from sqlmodel import select

from core import db, ids
from core.money import Money
from models.audit import AuditLog
from services.messaging import own_service
from services.messaging.brands import Brand
from services.messaging.lint import Source, Target
from services.messaging.markup import Problem
from services.messaging.own import OwnTemplate, OwnWords
from services.messaging.own_service import (
    TemplateMovedError,
    TemplateRefusedError,
    UnknownTemplateError,
    UnknownVersionError,
    target_of,
)
from services.messaging.render import Occasion, Rendered, render_mail, render_sms
from services.messaging.wording import _OF_STRATEGY, Moment
from tests.support.factories import make_merchant

MINE = Source(
    "A word from {{ merchant }}",
    "Hi {{ name | default('friend') }}",
    "It is {{ amount }}.\n\nCard {{ card | default('on file') }}.",
    "Go",
)
PAY, STOP = "https://phantom.example/r/token", "https://phantom.example/u/token"


def words(*entries: tuple[Target, Source]) -> OwnWords:
    return OwnWords({target: OwnTemplate(source, target) for target, source in entries})


def mail(own: OwnWords, *, group: str = "funds", step: int = 1, last: int = 3, **more: object) -> Rendered:
    brand = more.pop("brand", Brand("Acme"))
    about = {"customer_name": "Ada", **more}
    return render_mail(
        Occasion(group, step, last, Money(4900, "usd"), **about),  # type: ignore[arg-type]
        brand=brand,  # type: ignore[arg-type]
        pay_url=PAY,
        unsubscribe_url=STOP,
        own=own,
    )


def target(group: str = "*", moment: Moment = Moment.FIRST, channel: str = "email", language: str = "en") -> Target:
    return Target(group, moment, channel, language)


class TestRendered:
    def test_own_words_stand_in_our_layout_with_our_links(self):
        rendered = mail(words((target(), MINE)), card_last4="4242")
        assert rendered.subject == "A word from Acme"
        for part in (rendered.html, rendered.plain):
            for needed in ("Hi Ada", "It is $49.00.", "Card 4242.", PAY, STOP, "Hello Ada,"):
                assert needed in part

    def test_what_is_missing_has_its_default(self):
        rendered = mail(words((target(), MINE)), customer_name=None)
        assert "Hi friend" in rendered.plain
        assert "Card on file." in rendered.plain

    def test_the_groups_own_comes_before_that_of_all_groups(self):
        other = Source("Just for cards", "x", "x", "x")
        own = words((target(), MINE), (target("card_data"), other))
        assert mail(own, group="card_data").subject == "Just for cards"
        assert mail(own, group="funds").subject == "A word from Acme"

    def test_another_language_moment_or_channel_says_ours(self):
        own = words((target(language="de"), MINE), (target(moment=Moment.LAST), MINE), (target(channel="sms"), MINE))
        assert mail(own).subject == "Your payment to Acme did not go through"
        assert mail(own, locale="de").subject == "A word from Acme"

    def test_words_for_every_group_are_not_for_what_has_not_failed(self):
        assert mail(words((target(), MINE)), group="card_expiring").template == "card_expires_soon"
        assert "ends before" in mail(words((target(), MINE)), group="card_expiring").subject

    def test_a_first_message_that_promises_is_not_said_when_it_is_also_the_last(self):
        """The merchant wrote it when there were three messages; now there is one."""
        own = words((target(), Source("Hi", "Hi", "We will try again soon.", "Pay")))
        assert "try again" in mail(own, last=3).plain
        assert "try again" not in mail(own, last=1).plain

    @pytest.mark.parametrize(("group", "strategy"), sorted(_OF_STRATEGY))
    @pytest.mark.parametrize("channel", ["email", "sms"])
    def test_words_for_a_group_are_passed_over_where_the_strategy_contradicts_them(
        self, group: str, strategy: str, channel: str
    ):
        """Written for money that was short: that very card again. Here the bank advises against it."""

        def source(said: str) -> Source:
            body = f"{{{{ merchant }}}}: {said} {{{{ pay_link }}}} {{{{ opt_out }}}}"
            return Source(body=body) if channel == "sms" else Source("Hi", "Hi", said, "Pay")

        def said(own: OwnWords, by: str) -> str:
            about = Occasion(group, 1, 3, Money(4900, "usd"), "Ada", strategy=by)
            if channel == "sms":
                return render_sms(about, brand=Brand("Acme"), pay_url=PAY, own=own).text
            return render_mail(about, brand=Brand("Acme"), pay_url=PAY, unsubscribe_url=STOP, own=own).plain

        theirs = (target(group, channel=channel), source("Take that very card."))
        everyones = (target(channel=channel), source("Whatever failed."))
        assert "Take that very card." in said(words(theirs, everyones), "smart_retry")
        assert "Take that very card." not in said(words(theirs), strategy)
        assert "Whatever failed." in said(words(theirs, everyones), strategy)

    def test_values_are_escaped_and_never_read_as_templates(self):
        rendered = mail(
            words((target(), MINE)), customer_name="<b>{{ amount }}</b>", brand=Brand("<script>alert(1)</script>")
        )
        assert "<b>" not in rendered.html
        assert "<script>" not in rendered.html
        assert "Hi <b>{{ amount }}</b>" in rendered.plain

    def test_sms_in_own_words(self):
        about = Occasion("funds", 1, 3, Money(4900, "usd"), "Ada")
        own = words((target(channel="sms"), Source(body="{{ merchant }}: {{ amount }} {{ pay_link }} {{ opt_out }}")))
        sms = render_sms(about, brand=Brand("Acme"), pay_url=PAY, own=own)
        assert sms.text == f"Acme: $49.00 {PAY} Reply STOP for no more."
        assert sms.length.segments == 1

    def test_our_sms_keeps_to_gsm7_with_names_of_any_spelling(self):
        about = Occasion("issuer_vague", 2, 3, Money(123456, "eur"), "João", locale="pt-BR")
        sms = render_sms(about, brand=Brand("Fundação Açaí"), pay_url=PAY)
        assert sms.text.startswith("Fundacao Acai: ")
        assert (sms.length.encoding, sms.length.segments) == ("GSM-7", 2)


@pytest.mark.usefixtures("database", "clock")
class TestSaved:
    def save(self, merchant: str, source: Source = MINE, based_on: int = 0, **of: object) -> int:
        with db.tenant_session(merchant) as session:
            return own_service.save(
                session, merchant, target(**of), source, based_on=based_on, actor_id="usr_1"  # type: ignore[arg-type]
            )  # fmt: skip

    def current(self, merchant: str) -> OwnWords:
        with db.tenant_session(merchant) as session:
            return own_service.own_words(session, merchant)

    def test_saved_words_are_said(self):
        merchant = make_merchant()
        assert self.save(merchant) == 1
        assert mail(self.current(merchant)).subject == "A word from Acme"

    def test_each_save_is_a_version_and_who_wrote_it_is_kept(self):
        merchant = make_merchant()
        self.save(merchant)
        self.save(merchant, Source("Second", "x", "x", "x"), based_on=1)
        with db.tenant_session(merchant) as session:
            newest, oldest = own_service.history(session, merchant, target())
        assert (newest.version, newest.source.subject, newest.created_by) == (2, "Second", "usr_1")
        assert (oldest.version, oldest.source.subject) == (1, MINE.subject)
        assert mail(self.current(merchant)).subject == "Second"

    def test_back_to_ours_and_again_to_theirs(self):
        merchant = make_merchant()
        self.save(merchant)
        with db.tenant_session(merchant) as session:
            assert own_service.reset(session, merchant, target(), based_on=1, actor_id="usr_2") == 2
        assert mail(self.current(merchant)).subject == "Your payment to Acme did not go through"
        assert self.save(merchant, based_on=2) == 3
        assert mail(self.current(merchant)).subject == "A word from Acme"

    def put_back(self, merchant: str, version: int, based_on: int) -> int:
        with db.tenant_session(merchant) as session:
            return own_service.restore(session, merchant, target(), version, based_on=based_on, actor_id="usr_2")

    def test_an_old_version_is_put_back_as_a_new_one(self):
        merchant = make_merchant()
        self.save(merchant)
        self.save(merchant, Source("Second", "x", "x", "x"), based_on=1)
        assert self.put_back(merchant, 1, based_on=2) == 3
        assert mail(self.current(merchant)).subject == "A word from Acme"
        with db.tenant_session(merchant) as session:
            versions = own_service.history(session, merchant, target())
            [entry] = session.exec(select(AuditLog).where(AuditLog.action == "template.restored")).all()
        assert [(each.version, each.source.subject, each.created_by) for each in versions] == [
            (3, MINE.subject, "usr_2"), (2, "Second", "usr_1"), (1, MINE.subject, "usr_1"),
        ]  # fmt: skip
        assert entry.facts == {"version": 3, "restored": 1}

    def test_going_back_to_ours_is_put_back_too(self):
        merchant = make_merchant()
        self.save(merchant)
        with db.tenant_session(merchant) as session:
            own_service.reset(session, merchant, target(), based_on=1, actor_id="usr_2")
        self.save(merchant, based_on=2)
        assert self.put_back(merchant, 2, based_on=3) == 4
        assert mail(self.current(merchant)).subject == "Your payment to Acme did not go through"

    def test_who_saw_another_version_puts_nothing_back(self):
        merchant = make_merchant()
        self.save(merchant)
        self.save(merchant, based_on=1)
        with pytest.raises(TemplateMovedError):
            self.put_back(merchant, 1, based_on=1)
        with pytest.raises(UnknownVersionError):
            self.put_back(merchant, 9, based_on=2)
        with pytest.raises(UnknownVersionError):
            self.put_back(make_merchant(), 1, based_on=0)

    def test_what_may_not_be_said_any_more_is_not_put_back(self, monkeypatch: pytest.MonkeyPatch):
        """The lint may have learned something since that version was saved."""
        merchant = make_merchant()
        self.save(merchant)
        self.save(merchant, Source("Second", "x", "x", "x"), based_on=1)
        why = Problem(1, 1, "sales", "This sells.", "subject")
        monkeypatch.setattr(own_service, "check", lambda source, *_: (why,) if "word" in source.subject else ())
        with pytest.raises(TemplateRefusedError):
            self.put_back(merchant, 1, based_on=2)
        assert mail(self.current(merchant)).subject == "Second"

    def test_who_read_an_older_version_overwrites_nothing(self):
        merchant = make_merchant()
        self.save(merchant)
        with pytest.raises(TemplateMovedError):
            self.save(merchant, Source("Late", "x", "x", "x"))
        assert mail(self.current(merchant)).subject == "A word from Acme"

    def test_what_the_lint_refuses_is_not_stored(self):
        merchant = make_merchant()
        with pytest.raises(TemplateRefusedError) as refused:
            self.save(merchant, Source("x", "x", "first\n{{ amout }} stolen", "x"))
        assert [(each.line, each.column) for each in refused.value.problems] == [(2, 4), (2, 13)]
        assert refused.value.detail.startswith("body, line 2, column 4: ")
        assert self.current(merchant) == OwnWords()

    def test_what_is_far_too_long_is_refused_unread(self):
        with pytest.raises(TemplateRefusedError):
            self.save(make_merchant(), Source("x", "x", "{{" * 5_000_000, "x"))

    def test_line_ends_and_letters_are_stored_in_one_form(self):
        merchant = make_merchant()
        self.save(merchant, Source(" e\u0301 ", "x", "a\r\n\r\nb\rc ", "x"))
        with db.tenant_session(merchant) as session:
            [version] = own_service.history(session, merchant, target())
        assert version.source == Source("é", "x", "a\n\nb\nc", "x")

    def test_another_merchants_words_are_not_seen(self):
        mine, other = make_merchant(), make_merchant()
        self.save(mine)
        assert self.current(other) == OwnWords()
        with db.tenant_session(other) as session:
            assert own_service.history(session, other, target()) == ()

    def test_fifty_versions_are_kept(self):
        merchant = make_merchant()
        with db.tenant_session(merchant) as session:
            for number in range(53):
                own_service.save(
                    session, merchant, target(), Source(f"v{number}", "x", "x", "x"), based_on=number, actor_id="u"
                )
            kept = own_service.history(session, merchant, target())
        assert [kept[0].version, kept[-1].version, len(kept)] == [53, 4, 50]

    @pytest.mark.parametrize(
        "named",
        [
            ("nothing", "first", "email", "en"),
            ("funds", "second", "email", "en"),
            ("funds", "first", "fax", "en"),
            ("funds", "first", "email", "ja"),
            ("customer_stopped", "last", "email", "en"),  # there is one such note
            ("not_a_failure", "first", "email", "en"),
        ],
    )
    def test_messages_that_are_never_sent_have_no_words(self, named: tuple[str, str, str, str]):
        with pytest.raises(UnknownTemplateError):
            target_of(*named)


def test_an_unknown_merchant_has_no_words(database: object):
    merchant = ids.new_id("mer")
    with db.tenant_session(merchant) as session:
        assert own_service.own_words(session, merchant) == OwnWords()
