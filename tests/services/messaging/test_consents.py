"""Consents: the latest word holds, history is not rewritten, and a file gives its good rows whatever the bad ones."""

import tracemalloc
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import ProgrammingError
from sqlmodel import select, text

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from core.errors import BadRequestError
from models.messaging import Channel
from models.sending import Consent, ConsentState
from models.work import ScheduledTask
from services.messaging import consents, consents_csv, consents_repository, reach
from services.messaging.addresses import BadAddressError, masked, normal
from services.messaging.consents import BadConsentError, ConsentNotFoundError, NewConsent
from services.messaging.consents_csv import BadFileError, BadRow, Sheet, read_sheet
from services.messaging.consents_import import Imported, record_sheet
from tests.support.factories import make_merchant

ADA, BEN, SYDNEY = "+12025550143", "+4915112345678", "+61412345678"


def consent(address: str = ADA, days: float = 0, state: str = "granted", **more: str) -> NewConsent:
    moment = core_clock.now() - timedelta(days=days)
    return consents.read(channel="sms", address=address, happened_at=moment, state=state, **more)


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


def record(merchant: str, *given: NewConsent) -> list[str | None]:
    with db.tenant_session(merchant) as session:
        return consents.record(session, merchant, list(given), "usr_1")


@dataclass(frozen=True)
class Phone:
    """A customer of whom a number is known and nothing else."""

    customer_phone: str | None
    customer_id: str | None = None
    customer_email: str | None = None
    customer_country: str = ""


def take(merchant: str, text: str) -> Imported:
    with db.tenant_session(merchant) as session:
        return record_sheet(session, merchant, read_sheet(text.encode()), "usr_1")


def allowed(merchant: str, address: str = ADA) -> bool:
    with db.tenant_session(merchant) as session:
        (found,) = reach.closed(session, merchant, [Phone(address)], sms=True)
    return not found.no_sms


class TestLatestWord:
    def test_nobody_has_agreed_until_they_have(self, merchant: str) -> None:
        assert not allowed(merchant)
        record(merchant, consent())
        assert allowed(merchant)
        assert not allowed(make_merchant())

    def test_an_old_yes_that_is_imported_late_does_not_undo_a_no(self, merchant: str) -> None:
        record(merchant, consent(days=1, state="withdrawn"))
        record(merchant, consent(days=400))
        assert not allowed(merchant)
        record(merchant, consent())
        assert allowed(merchant)

    def test_at_one_moment_a_no_outranks_a_yes(self, merchant: str) -> None:
        record(merchant, consent(state="withdrawn"), consent())
        assert not allowed(merchant)

    def test_the_same_fact_is_recorded_once(self, merchant: str) -> None:
        assert record(merchant, consent())[0] is not None
        assert record(merchant, consent()) == [None]

    def test_withdrawing_adds_to_the_history_and_is_idempotent(self, merchant: str) -> None:
        (first,) = record(merchant, consent(customer_id="cus_1"))
        assert first is not None
        with db.tenant_session(merchant) as session:
            taken_back = consents.withdraw(session, merchant, first, "usr_2")
            again = consents.withdraw(session, merchant, first, "usr_2")
            assert not consents.get(session, merchant, first).current
        assert (taken_back.state, taken_back.customer_id, taken_back.current) == (ConsentState.WITHDRAWN, "cus_1", True)
        assert again.id == taken_back.id
        assert not allowed(merchant)

    def test_another_merchants_entry_is_not_there(self, merchant: str) -> None:
        (first,) = record(merchant, consent())
        other = make_merchant()
        with db.tenant_session(other) as session:
            for act in (consents.get, lambda *given: consents.withdraw(*given, "usr_1")):
                with pytest.raises(ConsentNotFoundError):
                    act(session, other, first or "")

    @pytest.mark.parametrize("statement", ["delete from consents", "update consents set state = 'granted'"])
    def test_the_history_cannot_be_rewritten(self, merchant: str, statement: str) -> None:
        with pytest.raises(ProgrammingError, match="permission denied"), db.tenant_session(merchant) as session:
            session.execute(text(statement))

    def test_no_address_is_stored(self, merchant: str) -> None:
        record(merchant, consent(source="checkout"))
        with db.tenant_session(merchant) as session:
            assert ADA not in str([vars(row) for row in session.exec(select(Consent)).all()])

    def test_pages_go_on_where_the_last_ended(self, merchant: str) -> None:
        made = record(merchant, *(consent(days=day) for day in range(5)))
        with db.tenant_session(merchant) as session:
            first = consents.page(session, merchant, limit=3)
            second = consents.page(session, merchant, limit=3, cursor=first.cursor)
        assert [each.id for each in (*first.entries, *second.entries)] == sorted(filter(None, made), reverse=True)
        assert second.cursor == ""
        assert [each.current for each in first.entries].count(True) + [e.current for e in second.entries].count(
            True
        ) == 1

    @pytest.mark.parametrize("cursor", ["x", "ä", "!!!", "Y29uX2E", "' or 1=1"])
    def test_a_bad_cursor_is_refused(self, merchant: str, cursor: str) -> None:
        with pytest.raises(BadRequestError), db.tenant_session(merchant) as session:
            consents.page(session, merchant, cursor=cursor)


class TestPlanning:
    @staticmethod
    def pulses(merchant: str) -> list[ScheduledTask]:
        with db.tenant_session(merchant) as session:
            return list(session.exec(select(ScheduledTask).where(ScheduledTask.kind == "pulse")))

    def test_a_merchant_who_records_all_the_time_has_ghosts_planned_anew_once_an_hour(
        self, merchant: str, clock: ManualClock
    ) -> None:
        begun = clock.now()
        for number in range(180):
            address = f"ada{number}@example.com"
            record(merchant, consents.read(channel="email", address=address, happened_at=clock.now()))
            clock.advance(timedelta(minutes=1))
        planned = self.pulses(merchant)
        assert 3 <= len(planned) <= 4
        assert {str(task.payload) for task in planned} == {"{'replan': True}"}
        assert all(begun < task.run_at <= clock.now() + timedelta(hours=1, seconds=5) for task in planned)
        assert max(task.run_at for task in planned) >= clock.now() - timedelta(minutes=1)  # the last one's, too


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "country", "spelled"),
        [
            ("+1 (202) 555-0143", "", ADA),
            ("0151 12345678", "de", BEN),
            ("004915112345678", "DE", BEN),
            ("+49 151 12345678", "", BEN),
        ],
    )
    def test_numbers_have_one_spelling(self, text: str, country: str, spelled: str) -> None:
        assert normal(Channel.SMS, text, country) == spelled

    @pytest.mark.parametrize(
        ("text", "country", "why"),
        [
            ("", "", "no address"),
            ("0151 12345678", "", "needs a country"),
            ("0151 12345678", "XX", "country is unknown"),
            ("+1 202 555", "", "no such"),
            ("+999 12345678", "", "cannot be read"),
            ("call me", "US", "cannot be read"),
            ("1" * 400, "", "too long"),
            ("\x00", "", "cannot be read"),
        ],
    )
    def test_bad_numbers_say_why(self, text: str, country: str, why: str) -> None:
        with pytest.raises(BadAddressError, match=why):
            normal(Channel.SMS, text, country)

    def test_emails_too(self) -> None:
        assert normal(Channel.EMAIL, " Ada@Example.COM ") == "ada@example.com"
        with pytest.raises(BadAddressError):
            normal(Channel.EMAIL, "ada")

    def test_a_log_gets_no_address(self) -> None:
        assert (masked("ada@example.com"), masked(ADA), masked("+1")) == ("a…@example.com", "+12…43", "…")


def sheet(text: str) -> Sheet:
    return read_sheet(text.encode())


class TestFiles:
    def test_each_bad_row_is_named_by_its_line_and_good_ones_are_kept(self, clock: ManualClock) -> None:
        found = sheet(
            "customer_id,phone,country,given_at,source,text_version\n"
            f"cus_1,{ADA},,2026-01-15,checkout,v2\n"
            "cus_2,0151 12345678,DE,2026-02-30,checkout,v2\n"
            "\n"
            "cus_3,0151 12345678,XX,2026-01-15,checkout,v2\n"
            "cus_4,12,US,2026-01-15,checkout,v2\n"
            f"cus_1,{ADA},,2026-01-15,checkout,v2\n"
            f"cus_5,{BEN},,2030-01-15,checkout,v2\n"
            f'cus_6,"{BEN},,2026-01-15,checkout,v2\n'
            f"cus_7,{BEN},,,checkout,v2\n"
            f"cus_8,{BEN}\n"
            f"cus_9,{BEN},,2026-01-31T10:00:00+02:00,checkout,v2\n"
        )
        assert found.bad == [
            BadRow(3, "there is no date 2026-02-30; dates are like 2026-03-31"),
            BadRow(5, "the country is unknown"),
            BadRow(6, "there is no such telephone number"),
            BadRow(7, "the same as line 2"),
            BadRow(8, "the date lies in the future"),
            BadRow(9, "not readable as CSV: unexpected end of data"),
            BadRow(10, "there is no date"),
            BadRow(11, "there is no date"),
        ]
        assert [(each.customer_id, each.address) for each in found.good] == [("cus_1", ADA), ("cus_9", BEN)]
        assert found.good[1].happened_at == datetime(2026, 1, 31, 8, tzinfo=UTC)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "cp1252"])
    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_of_whatever_encoding_separator_and_line_ends(
        self, clock: ManualClock, encoding: str, separator: str, end: str
    ) -> None:
        rows = [["Phone", "Date", "Source"], [ADA, "2026-01-15", "Anmeldung für Kunden"]]
        text = end.join(separator.join(row) for row in rows)
        raw = ("\ufeff" + text).encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)
        found = read_sheet(raw)
        assert found.bad == []
        assert [each.source for each in found.good] == ["Anmeldung für Kunden"]

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"phone\n+12025550143",
            b"a,b\n1,2",
            b"\x89PNG\r\n\x00\x00",
            b"PK\x03\x04\x14\x00\x00\x00",
            b"\xff\xfea\x00b",
            b'"phone,date\n',
        ],
    )
    def test_a_file_that_is_no_such_table_is_refused_whole(self, raw: bytes) -> None:
        with pytest.raises(BadFileError):
            read_sheet(raw)

    def test_too_many_rows_and_too_large_a_file_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consents_csv, "MOST_ROWS", 2)
        with pytest.raises(BadFileError, match="more than 2 rows"):
            sheet("phone,date\n" + "1,2\n" * 3)
        monkeypatch.setattr(consents_csv, "LONGEST_FILE", 5)
        with pytest.raises(BadFileError, match="larger"):
            sheet("phone,date")

    @pytest.mark.parametrize("line", ['"a', "", ",", "1,2", "a" * 40_000])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_lines_of_whatever_kind_count(self, monkeypatch: pytest.MonkeyPatch, line: str, end: str) -> None:
        monkeypatch.setattr(consents_csv, "MOST_ROWS", 20)
        assert sheet("phone,date" + end + (line + end) * 20).good == []
        with pytest.raises(BadFileError, match="more than 20 rows"):
            sheet("phone,date" + end + (line + end) * 21)

    @pytest.mark.parametrize("line", [b'"a\n', b"x\n", b"\n,\nx\n"])
    def test_of_bad_lines_the_first_are_named_and_all_are_counted(self, clock: ManualClock, line: bytes) -> None:
        found = read_sheet(b"phone,date\n" + line * 1500)
        assert (found.rejected, len(found.bad), found.good) == (1500, consents_csv.MOST_NAMED, [])

    def test_a_file_of_broken_lines_takes_little_more_memory_than_itself(self) -> None:
        raw = b"phone,date\n" + b'"ab\n' * 1_000_000
        tracemalloc.start()
        try:
            with pytest.raises(BadFileError, match="more than"):
                read_sheet(raw)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 3 * len(raw)

    def test_email_columns_mean_email_and_states_are_read(self, clock: ManualClock) -> None:
        found = sheet("email,date,status\nada@example.com,2026-01-15,Withdrawn\nben@example.com,2026-01-15,maybe\n")
        assert [(each.channel, each.state) for each in found.good] == [(Channel.EMAIL, ConsentState.WITHDRAWN)]
        assert found.bad == [BadRow(3, "the state is granted or withdrawn")]

    def test_of_several_columns_of_addresses_a_row_means_its_channels(self, clock: ManualClock) -> None:
        rows = (
            "ada@example.com,+12025550143,2026-01-15,sms", "ben@example.com,,2026-01-15,Email",
            "cem@example.com,+12025550144,2026-01-15,", ",+12025550145,2026-01-15,email",
        )  # fmt: skip
        found = sheet("email,phone,date,channel\n" + "\n".join(rows))
        assert [(each.channel, each.address) for each in found.good] == [
            (Channel.SMS, "+12025550143"),
            (Channel.EMAIL, "ben@example.com"),
        ]
        assert [row.line for row in found.bad] == [4, 5]
        assert "the channel is" in found.bad[0].reason

    @pytest.mark.parametrize("heading", ["email,phone,date", "phone,email,date", "address,email,date"])
    def test_without_one_nobody_guesses_what_was_agreed_to(self, clock: ManualClock, heading: str) -> None:
        """What a CRM exports: mail would be recorded for each, and no text would ever go."""
        with pytest.raises(BadFileError, match="add a column channel") as refused:
            sheet(f"{heading}\n+12025550143,ada@example.com,2026-01-15\n")
        assert "more than one column of addresses" in refused.value.detail

    def test_a_single_column_is_of_whatever_channel_its_rows_say(self, clock: ManualClock) -> None:
        found = sheet("phone,date,channel\nada@example.com,2026-01-15,email\n+12025550143,2026-01-15,\n")
        assert [each.channel for each in found.good] == [Channel.EMAIL, Channel.SMS]

    def test_a_day_that_has_begun_in_the_east_lies_in_no_future(self, clock: ManualClock) -> None:
        clock.current = datetime(2026, 3, 2, 22, tzinfo=UTC)
        found = sheet("phone,date\n+12025550143,2026-03-03\n+12025550144,2026-03-04\n+12025550145,2026-03-02\n")
        assert [each.happened_at for each in found.good] == [
            datetime(2026, 3, 2, 10, tzinfo=UTC),
            datetime(2026, 3, 1, 10, tzinfo=UTC),
        ]
        assert found.bad == [BadRow(3, "the date lies in the future")]
        clock.current = datetime(2026, 3, 2, 9, 54, tzinfo=UTC)  # nowhere yet
        assert sheet("phone,date\n+12025550143,2026-03-03\n").good == []

    @pytest.mark.parametrize("imported_before", [True, False])
    def test_a_no_stays_whatever_file_of_that_day_comes_after_it(
        self, merchant: str, clock: ManualClock, imported_before: bool
    ) -> None:
        """Agreed at half past seven in Sydney, where it is the 3rd already, and taken back at eight."""
        nightly = f"phone,date\n{SYDNEY},2026-03-03\n"
        clock.current = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
        if imported_before:
            assert take(merchant, nightly).recorded == 1
            assert allowed(merchant, SYDNEY)
        clock.current = datetime(2026, 3, 2, 21, tzinfo=UTC)
        with db.tenant_session(merchant) as session:
            no = consents.read(channel="sms", address=SYDNEY, happened_at=clock.current, state="withdrawn")
            consents.record(session, merchant, [no], "usr_1")
        for hours in (1, 2, 24):  # the same export each time
            clock.current = datetime(2026, 3, 2, 21, tzinfo=UTC) + timedelta(hours=hours)
            assert take(merchant, nightly).recorded == int(not imported_before and hours == 1)
            assert not allowed(merchant, SYDNEY)

    def test_a_no_of_a_day_outranks_each_yes_of_that_day(self, merchant: str, clock: ManualClock) -> None:
        """Whoever it is may be in the far west, where the 3rd ends at noon of the 4th in UTC."""
        clock.current = datetime(2026, 3, 6, tzinfo=UTC)
        with db.tenant_session(merchant) as session:
            at = datetime(2026, 3, 4, 11, 59, tzinfo=UTC)
            consents.record(session, merchant, [consents.read(channel="sms", address=ADA, happened_at=at)], "usr_1")
        nightly = f"phone,date,state\n{ADA},2026-03-03,Withdrawn\n"
        assert [take(merchant, nightly).recorded, take(merchant, nightly).recorded] == [1, 0]
        assert not allowed(merchant, ADA)

    def test_a_no_of_today_is_in_no_future(self, clock: ManualClock) -> None:
        clock.current = datetime(2026, 3, 3, 9, tzinfo=UTC)
        found = sheet("phone,date,state\n+12025550143,2026-03-03,withdrawn\n+12025550144,2026-03-04,withdrawn\n")
        assert ([each.happened_at for each in found.good], [row.line for row in found.bad]) == ([clock.current], [3])

    @pytest.mark.parametrize("state", ["granted", "withdrawn"])
    @pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
    def test_the_ends_of_the_calendar_are_no_dates(self, clock: ManualClock, day: str, state: str) -> None:
        found = sheet(f"phone,date,state\n+12025550143,{day},{state}\n")
        assert [row.reason for row in found.bad] == [
            "the date lies in the future" if day[0] == "9" else "the date is too long ago"
        ]

    def test_what_a_formula_would_be_is_only_text(self, clock: ManualClock) -> None:
        found = sheet(f'phone,date,source\n\'{ADA},2026-01-15,"=HYPERLINK(""http://x"")"\n')
        assert [each.source for each in found.good] == ['=HYPERLINK("http://x")']

    def test_again_changes_nothing(self, merchant: str) -> None:
        def once() -> Imported:
            with db.tenant_session(merchant) as session:
                return record_sheet(
                    session, merchant, sheet(f"phone,date\n{ADA},2026-01-15\n{BEN},2026-01-15\n"), "usr_1"
                )

        assert (once().recorded, once().known) == (2, 2)

    def test_an_error_in_the_middle_leaves_nothing_half_done(
        self, merchant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consents_repository, "_AT_ONCE", 1)
        good = sheet(f"phone,date\n{ADA},2026-01-15\n{BEN},2026-01-15\n").good
        broken = Sheet(
            "utf-8", [good[0], NewConsent(Channel.SMS, BEN, ConsentState.GRANTED, good[1].happened_at, "x" * 99)]
        )
        with pytest.raises(Exception, match="too long"), db.tenant_session(merchant) as session:
            record_sheet(session, merchant, broken, "usr_1")
        assert not allowed(merchant)

    def test_a_hundred_thousand_rows(self, merchant: str) -> None:
        lines = (f"+1{area}555{number:04},2026-01-15" for area in (202, 212, 213, 214, 215) for number in range(10_000))
        twice = [line for line in lines for _ in range(2)]
        found = sheet("phone,date\n" + "\n".join(twice))
        with db.tenant_session(merchant) as session:
            done = record_sheet(session, merchant, found, "usr_1")
        assert (done.recorded, done.known, done.rejected) == (50_000, 0, 50_000)
        assert [row.line for row in done.bad[:2]] == [3, 5]


def test_reading_refuses_what_no_consent_is(clock: ManualClock) -> None:
    for wrong in ({"channel": "fax"}, {"state": "maybe"}, {"customer_id": "a b"}, {"address": "x"}):
        given = {"channel": "sms", "address": ADA, "happened_at": core_clock.now(), **wrong}
        with pytest.raises(BadConsentError):
            consents.read(**given)  # type: ignore[arg-type]
    with pytest.raises(BadConsentError, match="long ago"):
        consents.read(channel="sms", address=ADA, happened_at=datetime(1900, 1, 1, tzinfo=UTC))
