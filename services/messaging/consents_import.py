"""Importing a file of consents: all its good rows in one transaction, so that nothing is ever half done."""

from dataclasses import dataclass

from sqlmodel import Session

from services.audit import service as audit
from services.messaging import consents
from services.messaging.consents_csv import BadRow, Sheet


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file."""

    recorded: int
    known: int
    bad: tuple[BadRow, ...]
    encoding: str


def record_sheet(session: Session, merchant_id: str, sheet: Sheet, recorded_by: str) -> Imported:
    """Record a file's good rows; the caller commits. Importing it again records nothing twice."""
    new = consents.count_new(consents.record(session, merchant_id, sheet.good, recorded_by))
    known, bad = len(sheet.good) - new, tuple(sheet.bad)
    text = f"Consents imported: {new} new, {known} known already, {len(bad)} rows left out."
    audit.log_event(session, merchant_id, "messaging.consents_imported", text)
    return Imported(new, known, bad, sheet.encoding)
