"""Importing a file of consents: all its good rows in one transaction, so that nothing is ever half done."""

from dataclasses import dataclass

from sqlmodel import Session

from services.audit import service as audit
from services.messaging import consents
from services.messaging.consents_csv import BadRow, Sheet


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file; `bad` names the first of the `rejected` lines."""

    recorded: int
    known: int
    rejected: int
    bad: tuple[BadRow, ...]
    encoding: str


def record_sheet(session: Session, merchant_id: str, sheet: Sheet, recorded_by: str) -> Imported:
    """Record a file's good rows; the caller commits. Importing it again records nothing twice."""
    new = consents.count_new(consents.record(session, merchant_id, sheet.good, recorded_by))
    known = len(sheet.good) - new
    text = f"Consents imported: {new} new, {known} known already, {sheet.rejected} rows left out."
    audit.log_event(session, merchant_id, "messaging.consents_imported", text)
    return Imported(new, known, sheet.rejected, tuple(sheet.bad), sheet.encoding)
