"""Consents out of a CSV file as people and other systems write them: each bad line is named, good ones are kept. Pure.

The first line names the columns. `address` (or `phone`, `email`) and `date` are needed; where there are several
of addresses, `channel` says which one a row means. The file may be UTF-8 with or without a mark, UTF-16, or what Excel
writes on Windows, separated by commas, semicolons or tabs.
"""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from core import clock
from models.messaging import Channel
from models.sending import ConsentState
from services.messaging.consents import FUTURE, BadConsentError, NewConsent, read

LONGEST_FILE = 32 * 1024 * 1024
MOST_ROWS = 250_000  # lines, the empty ones too
MOST_NAMED = 1000  # of the lines left out; nobody reads more, and a file may have nothing else
LONGEST_LINE = 32_000
LONGEST_FIELD = 2000
FARTHEST_EAST, FARTHEST_WEST = timedelta(hours=14), timedelta(hours=12)  # where a day begins first, and ends last
_BEGIN = "\ufeff"
_LINE_END = re.compile(r"\r\n|\n|\r")
_NAMES = {
    "address": "address", "phone": "sms", "phone_number": "sms", "number": "sms", "email": "email",
    "date": "date", "given_at": "date", "happened_at": "date", "consented_at": "date",
    "channel": "channel", "state": "state", "status": "state", "customer": "customer_id", "customer_id": "customer_id",
    "country": "country", "source": "source", "text_version": "text_version", "version": "text_version",
}  # fmt: skip
_ADDRESSES = (*Channel, "address")


class BadFileError(BadConsentError):
    """Nothing of the file can be read, and why."""

    code, title = "bad_file", "This file cannot be read"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that was left out. `line` counts from 1, the heading included, as an editor shows it."""

    line: int
    reason: str


@dataclass
class Sheet:
    """What a file holds. `bad` has the first of the lines left out, `rejected` says how many there were."""

    encoding: str
    good: list[NewConsent] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    rejected: int = 0

    def leave_out(self, line: int, reason: str) -> None:
        """Count a bad line; the first of them are named."""
        self.rejected += 1
        if len(self.bad) < MOST_NAMED:
            self.bad.append(BadRow(line, reason))


def read_sheet(raw: bytes) -> Sheet:
    """Every row, good or bad. Raises `BadFileError` for a file without usable columns, too large or binary."""
    if len(raw) > LONGEST_FILE:
        raise BadFileError(f"It is larger than {LONGEST_FILE // (1024 * 1024)} MB.")
    text, encoding = _decoded(raw)
    separator = max(",;\t", key=next(_lines(text)).count)
    sheet = Sheet(encoding)
    rows = _rows(_lines(text), separator, sheet)
    columns = _columns(next(rows, (0, []))[1])
    first: dict[object, int] = {}
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        try:
            consent = _consent(row, columns)
        except BadConsentError as error:
            sheet.leave_out(line, error.detail)
            continue
        if (before := first.setdefault(consent.fact, line)) != line:
            sheet.leave_out(line, f"the same as line {before}")
        else:
            sheet.good.append(consent)
    return sheet


def _lines(text: str) -> Iterator[str]:
    """One by one: all lines of a large file at once would take many times its size."""
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
    if start < len(text) or not text:
        yield text[start:]


def _rows(lines: Iterable[str], separator: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Each line's row with its number. A row is one line: a quotation mark left open must not eat the rest.

    Raises `BadFileError` where there are too many lines, whatever is in them.
    """
    for number, line in enumerate(lines, start=1):
        if number > MOST_ROWS + 1:
            raise BadFileError(f"It has more than {MOST_ROWS:,} rows; please split it.")
        if len(line) > LONGEST_LINE:
            sheet.leave_out(number, "the line is too long")
            continue
        try:
            yield number, next(csv.reader([line], delimiter=separator, strict=True), [])
        except csv.Error as error:
            sheet.leave_out(number, f"not readable as CSV: {error}")


def _decoded(raw: bytes) -> tuple[str, str]:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if raw.startswith(mark):
            try:
                return raw[len(mark) :].decode(name), name
            except UnicodeDecodeError:
                raise BadFileError(f"It begins as {name.upper()} and is not.") from None
    if b"\x00" in raw[:4096]:
        raise BadFileError("This is no text file.")
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace"), "windows-1252"


def _columns(heading: list[str]) -> dict[str, int]:
    """Where each column stands; that of addresses by the channel that its heading means, where it means one."""
    columns: dict[str, int] = {}
    for place, cell in enumerate(heading):
        name = cell.strip().strip(_BEGIN).lower().replace(" ", "_").replace("-", "_")
        if known := _NAMES.get(name):
            columns.setdefault(known, place)
    addresses = [name for name in _ADDRESSES if name in columns]
    missing = [*([] if addresses else ["address"]), *([] if "date" in columns else ["date"])]
    if missing:
        raise BadFileError(f"The first line names no column {' and no column '.join(missing)}.")
    if len(addresses) > 1 and "channel" not in columns:
        raise BadFileError(
            "The first line names more than one column of addresses. Keep one, or add a column channel "
            f"({' or '.join(Channel)}) that says which one each row means."
        )
    return columns


def _consent(row: list[str], columns: dict[str, int]) -> NewConsent:
    def cell(name: str) -> str:
        place = columns.get(name, len(row))
        return row[place].strip() if place < len(row) else ""

    if any(len(text) > LONGEST_FIELD for text in row):
        raise BadConsentError("a field is too long")
    addresses = [name for name in _ADDRESSES if name in columns]
    usual = Channel.SMS if addresses == ["address"] else addresses[0] if len(addresses) == 1 else ""
    channel = cell("channel") or usual
    named, state = channel.lower(), cell("state") or ConsentState.GRANTED
    return read(
        channel=channel,
        address=cell(named if named in addresses else addresses[-1]).removeprefix("'"),  # how spreadsheets keep a +
        happened_at=moment(cell("date"), state),
        state=state,
        customer_id=cell("customer_id"),
        country=cell("country"),
        source=cell("source"),
        text_version=cell("text_version"),
    )


def moment(text: str, state: str = ConsentState.GRANTED) -> datetime:
    """An ISO 8601 date or time; without a zone it is UTC. Raises `BadConsentError` for one that does not exist.

    A day alone may be anybody's, wherever they are: what was agreed to counts from the first moment it can have been,
    and what was taken back from the last, or from now on. So no yes outranks a no that was said after it.
    """
    if not text:
        raise BadConsentError("there is no date")
    try:
        if len(text) <= 10:
            return _of_day(date.fromisoformat(text), state)
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadConsentError(f"there is no date {text[:40]}; dates are like 2026-03-31") from None
    except OverflowError:
        raise BadConsentError("the date is too long ago") from None
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        raise BadConsentError("the date is too long ago") from None


def _of_day(day: date, state: str) -> datetime:
    midnight, now = datetime.combine(day, time(0), UTC), clock.now()
    first = midnight - FARTHEST_EAST
    if state.strip().lower() != ConsentState.WITHDRAWN or first > now + FUTURE:
        return first
    return min(midnight + timedelta(days=1) + FARTHEST_WEST, max(now, first))
