"""Each finding of the health card, with the facts on both sides of its boundary."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.health import ReadVia
from models.merchant import CredentialMode, StripeMails
from models.messaging import Channel
from services.audit.unreadable import UnreadableKind
from services.integrations.stripe.access import KEY_REFUSED, NOT_PERMITTED, REVOKED, Capability
from services.integrations.stripe.errors import StripePortalError
from services.operations.health_facts import (
    AccountFacts,
    HealthFacts,
    HuntFacts,
    MailOutcomes,
    Refusal,
    RefusedDeliveries,
    SenderFacts,
)
from services.operations.health_findings import findings
from services.operations.health_schemas import Finding, Place, Severity

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def hunt(ago: timedelta = HOUR, *, state: str = "done", trigger: str = "schedule", **changes: Any) -> HuntFacts:
    ended = None if state == "running" else NOW - ago
    known = HuntFacts(state, trigger, found=0, started_at=NOW - ago, finished_at=ended, seconds=20.0)
    return replace(known, **changes)


ACCOUNT = AccountFacts(connected_at=NOW - timedelta(days=90))
WELL = HealthFacts(
    now=NOW,
    account=ACCOUNT,
    hunts=(hunt(), hunt(13 * HOUR)),
    seen={"invoice.payment_failed": NOW - HOUR, "invoice.paid": NOW - HOUR},
    senders={Channel.EMAIL: SenderFacts()},
    mails=MailOutcomes(1000, 10, 0),
)


def codes(facts: HealthFacts) -> list[str]:
    return [finding.code for finding in findings(facts)]


def only(facts: HealthFacts) -> Finding:
    (finding,) = findings(facts)
    return finding


def refused(capability: Capability, code: str = NOT_PERMITTED) -> HealthFacts:
    return replace(WELL, refusals=(Refusal(capability, code, NOW - HOUR),))


def with_account(**changes: Any) -> HealthFacts:
    return replace(WELL, account=replace(ACCOUNT, **changes))


class TestNothingWrong:
    def test_says_nothing(self) -> None:
        assert findings(WELL) == ()

    def test_a_new_merchant_whose_first_hunt_runs_has_nothing_wrong(self) -> None:
        account = replace(ACCOUNT, connected_at=NOW - timedelta(minutes=1))
        assert codes(replace(WELL, account=account, seen={}, hunts=(hunt(SECOND, state="running"),))) == []

    def test_without_an_account_that_is_all_there_is_to_say(self) -> None:
        facts = replace(WELL, account=replace(ACCOUNT, connected=False), hunts=(), senders={}, seen={})
        assert (only(facts).code, only(facts).place) == ("not_connected", Place.SETTINGS)


class TestCredential:
    @pytest.mark.parametrize("code", [KEY_REFUSED, REVOKED])
    def test_a_lost_one_is_the_cause_of_all_else(self, code: str) -> None:
        facts = replace(
            refused(Capability.ACCOUNT, code),
            hunts=(hunt(state="failed"), hunt(40 * HOUR)),
        )
        facts = replace(facts, refusals=(*facts.refusals, Refusal(Capability.PAY, NOT_PERMITTED, NOW)))
        assert (only(facts).code, only(facts).severity) == ("access_lost", Severity.PROBLEM)

    @pytest.mark.parametrize(
        ("mode", "code", "said", "place"),
        [
            (CredentialMode.PLATFORM, KEY_REFUSED, "key_refused", Place.NOWHERE),
            (CredentialMode.PLATFORM, REVOKED, "access_lost", Place.SETTINGS),
            (CredentialMode.RESTRICTED_KEY, KEY_REFUSED, "access_lost", Place.SETTINGS),
        ],
    )
    def test_a_refused_one_is_put_right_by_whose_it_is(
        self, mode: CredentialMode, code: str, said: str, place: Place
    ) -> None:
        facts = replace(refused(Capability.ACCOUNT, code), account=replace(ACCOUNT, mode=mode))
        assert (only(facts).code, only(facts).place) == (said, place)

    @pytest.mark.parametrize(("scope", "found"), [("read_only", ["read_only"]), ("read_write", []), ("", [])])
    def test_its_scope(self, scope: str, found: list[str]) -> None:
        assert codes(with_account(scope=scope)) == found

    def test_one_that_reads_alone_explains_what_it_may_not_write(self) -> None:
        facts = replace(
            with_account(scope="read_only"),
            refusals=tuple(
                Refusal(each, NOT_PERMITTED, NOW)
                for each in (Capability.PAY, Capability.PORTAL, Capability.READ_CHARGES)
            ),
        )
        assert codes(facts) == ["read_only", "denied_read_charges"]


class TestPermissions:
    @pytest.mark.parametrize("capability", [each for each in Capability if each is not Capability.ACCOUNT])
    def test_each_one_says_what_is_not_done_and_which_permission_it_takes(self, capability: Capability) -> None:
        facts = refused(capability)
        assert (only(facts).code, only(facts).place) == (f"denied_{capability}", Place.SETTINGS)
        own = only(replace(facts, account=replace(ACCOUNT, mode=CredentialMode.RESTRICTED_KEY)))
        assert own.place is Place.STRIPE_KEYS
        assert own.remedy.startswith("Give PHANTOM's key in Stripe this permission: ")

    @pytest.mark.parametrize(
        ("capability", "severity"),
        [
            (Capability.READ_INVOICES, Severity.PROBLEM),
            (Capability.READ_SUBSCRIPTIONS, Severity.PROBLEM),
            (Capability.PAY, Severity.ATTENTION),
            (Capability.READ_DISPUTES, Severity.ATTENTION),
        ],
    )
    def test_what_stops_everything_is_a_problem(self, capability: Capability, severity: Severity) -> None:
        assert only(refused(capability)).severity is severity


class TestPortal:
    @pytest.mark.parametrize(
        "code", [StripePortalError.NOT_CONFIGURED, StripePortalError.NO_CARD_UPDATE, StripePortalError.REFUSED]
    )
    def test_is_put_right_in_stripe(self, code: str) -> None:
        finding = only(refused(Capability.PORTAL, code))
        assert (finding.code, finding.place) == (f"portal_{code}", Place.STRIPE_PORTAL)

    def test_without_the_permission_is_a_matter_of_the_key(self) -> None:
        assert codes(refused(Capability.PORTAL, NOT_PERMITTED)) == ["denied_portal"]


class TestHunts:
    @pytest.mark.parametrize(
        ("hunts", "found"),
        [
            ((hunt(13 * HOUR),), []),
            ((hunt(13 * HOUR + SECOND),), ["hunt_old"]),
            ((hunt(SECOND, state="running"), hunt(13 * HOUR + SECOND)), ["hunt_old"]),
            ((hunt(state="failed", error="Stripe is away"), hunt(12 * HOUR)), ["hunt_failed"]),
            ((hunt(state="failed"), hunt(20 * HOUR)), ["hunt_failed"]),  # old because it failed: said once
            ((hunt(), hunt(2 * HOUR, state="failed")), []),
            ((hunt(SECOND, state="running"), hunt(state="failed")), ["hunt_failed"]),
            ((), ["hunt_old"]),
            ((hunt(seconds=3599.9),), []),
            ((hunt(seconds=3600.0),), ["hunt_long"]),
        ],
    )
    def test_last_one(self, hunts: tuple[HuntFacts, ...], found: list[str]) -> None:
        assert codes(replace(WELL, hunts=hunts)) == found

    @pytest.mark.parametrize(("connected", "found"), [(13 * HOUR, []), (13 * HOUR + SECOND, ["hunt_old"])])
    def test_none_yet_counts_from_the_connection(self, connected: timedelta, found: list[str]) -> None:
        assert codes(replace(with_account(connected_at=NOW - connected), hunts=())) == found

    def test_a_failed_one_says_why(self) -> None:
        assert only(replace(WELL, hunts=(hunt(state="failed", error="Because."), hunt()))).details == ("Because.",)


DAY = timedelta(days=1)
TOLD_A_DAY_AGO = {"invoice.payment_failed": NOW - DAY - SECOND, "invoice.paid": NOW - DAY - SECOND}


class TestSilentWebhooks:
    @pytest.mark.parametrize(
        ("silent", "found", "said"),
        [
            (DAY, 1, []),
            (DAY + SECOND, 1, ["webhooks_silent"]),
            (DAY + SECOND, 0, []),  # nothing happened that they should have told of
        ],
    )
    def test_while_hunts_find_things(self, silent: timedelta, found: int, said: list[str]) -> None:
        seen = {"invoice.paid": NOW - silent, "invoice.payment_failed": NOW - silent - DAY}
        assert codes(replace(WELL, seen=seen, hunts=(hunt(found=found),))) == said

    @pytest.mark.parametrize("trigger", ["connect", "audit"])
    def test_a_hunt_through_the_past_proves_nothing(self, trigger: str) -> None:
        assert codes(replace(WELL, seen=TOLD_A_DAY_AGO, hunts=(hunt(found=9, trigger=trigger),))) == []

    def test_what_was_found_before_the_silence_proves_nothing(self) -> None:
        hunts = (hunt(), hunt(2 * DAY, found=9))
        assert codes(replace(WELL, seen=TOLD_A_DAY_AGO, hunts=hunts)) == []

    def test_never_seen_counts_from_the_connection(self) -> None:
        facts = replace(WELL, seen={}, hunts=(hunt(found=1),))
        assert only(facts).title == "No webhook has ever arrived"
        young = replace(facts, account=replace(ACCOUNT, connected_at=NOW - DAY))
        assert codes(young) == []

    def test_those_before_the_account_was_connected_again_are_another_connections(self) -> None:
        account = replace(ACCOUNT, connected_at=NOW - 2 * HOUR)
        assert codes(replace(WELL, account=account, seen=TOLD_A_DAY_AGO, hunts=(hunt(found=1),))) == []


class TestUntoldFailures:
    SEEN = {"invoice.paid": NOW - HOUR, "invoice.payment_failed": NOW - 3 * DAY}

    @pytest.mark.parametrize(
        ("hunts", "said"),
        [
            ((hunt(found=1), hunt(13 * HOUR, found=1)), ["failures_untold"]),
            ((hunt(found=1), hunt(13 * HOUR)), []),  # one lost event is no missing subscription
            ((hunt(found=1), hunt(4 * DAY, found=1)), []),
        ],
    )
    def test_two_hunts_find_what_no_event_told(self, hunts: tuple[HuntFacts, ...], said: list[str]) -> None:
        assert codes(replace(WELL, seen=self.SEEN, hunts=hunts)) == said

    def test_told_within_a_day_they_are_told(self) -> None:
        hunts = (hunt(found=1), hunt(13 * HOUR, found=1))
        seen = {"invoice.paid": NOW, "invoice.payment_action_required": NOW - DAY}
        assert codes(replace(WELL, seen=seen, hunts=hunts)) == []


def turned_away(number: int = 3, lasted: timedelta = HOUR, ago: timedelta = HOUR) -> RefusedDeliveries:
    return RefusedDeliveries(number, NOW - ago - lasted, NOW - ago)


class TestRefusedDeliveries:
    @pytest.mark.parametrize(
        ("bad", "said"),
        [
            (turned_away(), ["bad_signatures"]),
            (turned_away(number=2), []),
            (turned_away(lasted=HOUR - SECOND), []),
            (turned_away(ago=DAY), ["bad_signatures"]),
            (turned_away(ago=DAY + SECOND), []),
        ],
    )
    def test_bad_signatures_and_nothing_else_for_an_hour(self, bad: RefusedDeliveries, said: list[str]) -> None:
        assert codes(replace(WELL, bad_signatures=bad)) == said

    def test_they_explain_the_silence(self) -> None:
        facts = replace(WELL, seen=TOLD_A_DAY_AGO, hunts=(hunt(found=3),), bad_signatures=turned_away())
        assert codes(facts) == ["bad_signatures"]

    @pytest.mark.parametrize(("lasted", "said"), [(DAY, ["wrong_mode"]), (DAY - SECOND, [])])
    def test_events_of_the_other_mode_alone_for_a_day(self, lasted: timedelta, said: list[str]) -> None:
        assert codes(replace(WELL, wrong_mode=turned_away(lasted=lasted))) == said


class TestSenders:
    @pytest.mark.parametrize(("messages_on", "severity"), [(True, Severity.ATTENTION), (False, Severity.NOTE)])
    def test_none_means_the_outbox(self, messages_on: bool, severity: Severity) -> None:
        finding = only(replace(with_account(messages_on=messages_on), senders={}))
        assert (finding.code, finding.severity) == ("no_sender", severity)

    @pytest.mark.parametrize(
        ("channel", "reason", "code", "place"),
        [
            (Channel.EMAIL, "API key is invalid", "sender_refused_email", Place.SETTINGS),
            (Channel.EMAIL, "The acme.com domain is not verified.", "domain_unverified", Place.RESEND_DOMAINS),
            (Channel.SMS, "Authenticate", "sender_refused_sms", Place.SETTINGS),
            (Channel.SMS, "The number is not verified", "sender_refused_sms", Place.SETTINGS),
        ],
    )
    def test_a_refused_one(self, channel: Channel, reason: str, code: str, place: Place) -> None:
        senders = {Channel.EMAIL: SenderFacts(), channel: SenderFacts(paused=True, paused_reason=reason)}
        finding = only(replace(WELL, senders=senders))
        assert (finding.code, finding.place, finding.details) == (code, place, (reason,))
        assert finding.severity is Severity.PROBLEM

    @pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS])
    @pytest.mark.parametrize(("own", "place"), [(True, Place.NOWHERE), (False, Place.SETTINGS)])
    def test_one_whose_allowance_is_used_up(self, channel: Channel, own: bool, place: Place) -> None:
        used_up = SenderFacts(own=own, quota="You have reached your daily email quota.")
        finding = only(replace(WELL, senders={Channel.EMAIL: SenderFacts(), channel: used_up}))
        assert (finding.code, finding.severity, finding.place) == (f"quota_{channel}", Severity.PROBLEM, place)
        assert finding.details == (used_up.quota,)
        assert codes(replace(WELL, senders={Channel.EMAIL: SenderFacts(), channel: replace(used_up, paused=True)})) == [
            f"sender_refused_{channel}" if own else f"platform_refused_{channel}"
        ]

    @pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS])
    @pytest.mark.parametrize("own", [True, False])
    def test_messages_that_are_not_taken_as_they_are(self, channel: Channel, own: bool) -> None:
        unfit = SenderFacts(own=own, unfit="We may have found a security issue.")
        finding = only(replace(WELL, senders={Channel.EMAIL: SenderFacts(), channel: unfit}))
        assert (finding.code, finding.severity, finding.place) == (f"unfit_{channel}", Severity.PROBLEM, Place.SETTINGS)
        assert finding.details == (unfit.unfit,)

    @pytest.mark.parametrize(("own", "place"), [(True, Place.SETTINGS), (False, Place.NOWHERE)])
    def test_one_that_nothing_is_heard_back_from(self, own: bool, place: Place) -> None:
        finding = only(replace(WELL, senders={Channel.EMAIL: SenderFacts(own=own, hears_back=False)}))
        assert (finding.code, finding.place) == ("unheard", place)

    @pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS])
    def test_the_platforms_refused_key_is_nothing_the_merchant_can_mend(self, channel: Channel) -> None:
        refused = SenderFacts(own=False, paused=True, paused_reason="The x.com domain is not verified.")
        finding = only(replace(WELL, senders={Channel.EMAIL: SenderFacts(), channel: refused}))
        assert (finding.code, finding.severity) == (f"platform_refused_{channel}", Severity.PROBLEM)
        assert "runs this PHANTOM" in finding.remedy
        assert finding.details == (refused.paused_reason,)

    @pytest.mark.parametrize(
        ("account", "said"),
        [
            ({"texts_on": True}, [("no_text_sender", Severity.ATTENTION)]),
            ({"texts_on": True, "messages_on": False}, [("no_text_sender", Severity.NOTE)]),
            ({"texts_on": False}, []),
        ],
    )
    def test_text_messages_need_one_where_the_rules_allow_them(
        self, account: dict[str, bool], said: list[tuple[str, Severity]]
    ) -> None:
        facts = replace(with_account(**account), senders={Channel.EMAIL: SenderFacts()})
        assert [(each.code, each.severity) for each in findings(facts)] == said
        both = {Channel.EMAIL: SenderFacts(), Channel.SMS: SenderFacts(own=False)}
        assert codes(replace(facts, senders=both)) == []


class TestMailOutcomes:
    @pytest.mark.parametrize(
        ("mails", "said"),
        [
            (MailOutcomes(1000, 20, 0), []),  # 2 % is not above 2 %
            (MailOutcomes(1000, 21, 0), ["bounces"]),
            (MailOutcomes(50, 2, 0), ["bounces"]),
            (MailOutcomes(50, 1, 0), []),
            (MailOutcomes(49, 49, 0), []),  # too few to say
            (MailOutcomes(1000, 0, 1), []),  # 0.1 %
            (MailOutcomes(1000, 0, 2), ["complaints"]),
            (MailOutcomes(500, 0, 1), []),  # one person
            (MailOutcomes(20, 0, 2), ["complaints"]),
            (MailOutcomes(1000, 21, 2), ["complaints", "bounces"]),
            (MailOutcomes(), []),
        ],
    )
    def test_shares(self, mails: MailOutcomes, said: list[str]) -> None:
        assert codes(replace(WELL, mails=mails)) == said


class TestStripesOwnMails:
    @pytest.mark.parametrize(
        ("said", "code", "place"),
        [
            (StripeMails.YES, "double_mails", Place.STRIPE_MAILS),
            (StripeMails.UNKNOWN, "double_mails_unknown", Place.STRIPE_MAILS),
            (StripeMails.NOT_ASKED, "double_mails_unknown", Place.SETTINGS),
        ],
    )
    def test_are_warned_of_until_they_are_known_to_be_off(self, said: StripeMails, code: str, place: Place) -> None:
        finding = only(with_account(stripe_mails=said))
        assert (finding.code, finding.place, finding.severity) == (code, place, Severity.ATTENTION)
        assert "switch off the mails about failed card payments" in finding.remedy

    @pytest.mark.parametrize("said", [StripeMails.YES, StripeMails.UNKNOWN, StripeMails.NOT_ASKED])
    def test_are_a_note_while_we_write_to_nobody(self, said: StripeMails) -> None:
        assert only(with_account(stripe_mails=said, messages_on=False)).severity is Severity.NOTE

    def test_known_to_be_off_are_no_matter(self) -> None:
        assert codes(with_account(stripe_mails=StripeMails.NO)) == []


class TestReading:
    def test_says_how_many_of_what_in_which_form_since_when_with_examples(self) -> None:
        kinds = (
            UnreadableKind(ReadVia.HUNT, "no_currency", "acacia", 1200, ("in_1", "in_2"), NOW - 9 * DAY, NOW),
            UnreadableKind(ReadVia.WEBHOOK, "no_amount", "", 1, (), NOW - DAY, NOW),
        )
        finding = only(replace(WELL, unreadable=kinds))
        assert finding.title == "1,201 objects of Stripe's could not be read"
        assert "21 Feb 2026" in finding.meaning
        assert finding.details == (
            "1,200 by hunts: no currency, in the acacia form, since 21 Feb 2026 (such as in_1, in_2)",
            "1 by webhooks: no amount, since 1 Mar 2026",
        )


def everything_wrong() -> HealthFacts:
    return replace(
        with_account(stripe_mails=StripeMails.YES),
        refusals=(Refusal(Capability.READ_INVOICES, NOT_PERMITTED, NOW), Refusal(Capability.PAY, NOT_PERMITTED, NOW)),
        unreadable=(UnreadableKind(ReadVia.HUNT, "no_id", "basil", 1, (), NOW, NOW),),
        hunts=(hunt(state="failed"), hunt(20 * HOUR, seconds=9000)),
        bad_signatures=turned_away(),
        wrong_mode=turned_away(lasted=DAY),
        senders={Channel.EMAIL: SenderFacts(paused=True, hears_back=False)},
        mails=MailOutcomes(1000, 100, 100),
    )


class TestOrder:
    def test_the_worst_comes_first_and_no_code_twice(self) -> None:
        found = findings(everything_wrong())
        order = [Severity.PROBLEM, Severity.ATTENTION, Severity.NOTE]
        assert [order.index(each.severity) for each in found] == sorted(order.index(each.severity) for each in found)
        assert len({each.code for each in found}) == len(found) == 12

    def test_every_finding_is_a_sentence_with_something_to_do(self) -> None:
        for each in findings(everything_wrong()):
            assert each.title
            assert not each.title.endswith(".")
            assert each.meaning.endswith(".")
            assert each.remedy.endswith(".")
