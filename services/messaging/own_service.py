"""Merchants' own words: what they are now, saved as the next version, and back to ours. Tenant sessions.

A version is never changed, so what a customer was told can be looked up, and who wrote it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from core import clock
from core.errors import BadRequestError, ConflictError, NotFoundError
from models.templates import MessageTemplate
from services.audit import service as audit
from services.messaging import own_repository as repository
from services.messaging.languages import LANGUAGES
from services.messaging.lint import EMAIL, FIELDS, LONGEST, SMS, Source, Target, check
from services.messaging.markup import Problem
from services.messaging.own import ANY_GROUP, OwnTemplate, OwnWords
from services.messaging.wording import TEMPLATE_OF_GROUP, Moment, frame, moments_of, template_of

KEPT_VERSIONS = 50


class TemplateRefusedError(BadRequestError):
    """`problems` says what is wrong, by field, line and column."""

    code, title = "template_refused", "This text cannot be sent to customers"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        super().__init__(f"{first.field}, line {first.line}, column {first.column}: {first.message}")
        self.problems = problems


class UnknownTemplateError(BadRequestError):
    code, title = "unknown_template", "There is no such message"


class UnknownVersionError(NotFoundError):
    code, title = "unknown_version", "This version is not kept any more"


class TemplateMovedError(ConflictError):
    code, title = "template_moved", "Somebody else has saved this message meanwhile"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a message's words; a retired one went back to PHANTOM's."""

    version: int
    source: Source
    retired: bool
    created_by: str
    created_at: datetime


def target_of(decline_group: str, moment: str, channel: str, language: str) -> Target:
    """The message somebody names. Raises `UnknownTemplateError` for one that is never sent."""
    known = decline_group == ANY_GROUP or decline_group in TEMPLATE_OF_GROUP
    if not known or channel not in (EMAIL, SMS) or language not in LANGUAGES or moment not in set(Moment):
        raise UnknownTemplateError
    if decline_group != ANY_GROUP and Moment(moment) not in moments_of(template_of(decline_group)):
        raise UnknownTemplateError
    return Target(decline_group, Moment(moment), channel, language)


def own_words(session: Session, merchant_id: str) -> OwnWords:
    """Everything a merchant says in its own words now, in one query: what messages are rendered with."""
    rows = repository.list_current(session, merchant_id)
    return OwnWords(
        {_target(row): OwnTemplate(_source(row), _target(row), row.version) for row in rows if not row.retired}
    )


def history(session: Session, merchant_id: str, target: Target) -> tuple[Version, ...]:
    """The versions of one message, newest first."""
    rows = repository.list_versions(session, merchant_id, target, KEPT_VERSIONS)
    return tuple(Version(row.version, _source(row), row.retired, row.created_by, row.created_at) for row in rows)


def save(session: Session, merchant_id: str, target: Target, source: Source, *, based_on: int, actor_id: str) -> int:
    """Say it in the merchant's words from now on; the new version.

    `based_on` is the version that was read (0: none). Raises `TemplateRefusedError` with everything that is wrong,
    and `TemplateMovedError` when there is a newer version.
    """
    _bounded(source)
    source = source.normalised()
    if problems := check(source, target, frame(target.language).opt_out):
        raise TemplateRefusedError(problems)
    version = _add(session, merchant_id, target, source, based_on=based_on, actor_id=actor_id)
    audit.record_audit(
        session, merchant_id, "template.saved", actor_id=actor_id, target=_name(target), facts={"version": version}
    )
    return version


def reset(session: Session, merchant_id: str, target: Target, *, based_on: int, actor_id: str) -> int:
    """Say it in PHANTOM's words again. Raises `TemplateMovedError` when there is a newer version."""
    version = _add(session, merchant_id, target, Source(), based_on=based_on, actor_id=actor_id, retired=True)
    audit.record_audit(
        session, merchant_id, "template.reset", actor_id=actor_id, target=_name(target), facts={"version": version}
    )
    return version


def restore(session: Session, merchant_id: str, target: Target, version: int, *, based_on: int, actor_id: str) -> int:
    """Say again what a former version said, as the next version: versions are never changed. The new one.

    Raises `UnknownVersionError`, `TemplateMovedError` when there is a newer version than `based_on`, and
    `TemplateRefusedError` where words of then may not be said any more.
    """
    row = repository.get_version(session, merchant_id, target, version)
    if row is None:
        raise UnknownVersionError
    if not row.retired and (problems := check(_source(row), target, frame(target.language).opt_out)):
        raise TemplateRefusedError(problems)
    new = _add(session, merchant_id, target, _source(row), based_on=based_on, actor_id=actor_id, retired=row.retired)
    facts = {"version": new, "restored": version}
    audit.record_audit(session, merchant_id, "template.restored", actor_id=actor_id, target=_name(target), facts=facts)
    return new


def _add(
    session: Session,
    merchant_id: str,
    target: Target,
    source: Source,
    *,
    based_on: int,
    actor_id: str,
    retired: bool = False,
) -> int:
    if repository.latest_version(session, merchant_id, target) != based_on:
        raise TemplateMovedError
    row = {
        "merchant_id": merchant_id,
        "decline_group": target.decline_group,
        "moment": target.moment.value,
        "channel": target.channel,
        "language": target.language,
        "version": based_on + 1,
        **{field: getattr(source, field) for field in FIELDS[EMAIL]},
        "retired": retired,
        "created_by": actor_id,
        "created_at": clock.now(),
    }
    if not repository.add_version(session, row):  # between the look and this, somebody else was faster
        raise TemplateMovedError
    repository.drop_versions_up_to(session, merchant_id, target, based_on + 1 - KEPT_VERSIONS)
    return based_on + 1


def _bounded(source: Source) -> None:
    """Refuse what is far too long before it is looked at letter by letter."""
    for field in FIELDS[EMAIL]:
        if len(getattr(source, field)) > 2 * LONGEST[field] + 1_000:
            problem = Problem(1, 1, "too_long", f"At most {LONGEST[field]:,} characters fit.", field)
            raise TemplateRefusedError((problem,))


def _target(row: MessageTemplate) -> Target:
    return Target(row.decline_group, Moment(row.moment), str(row.channel), row.language)


def _source(row: MessageTemplate) -> Source:
    return Source(row.subject, row.heading, row.body, row.button)


def _name(target: Target) -> str:
    return f"template:{target.decline_group}:{target.moment}:{target.channel}:{target.language}"
