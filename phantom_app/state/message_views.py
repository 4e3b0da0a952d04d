"""Messages as the editor lists them: which are PHANTOM's and which the merchant's, what is wrong and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from phantom_app.state import formats, words
from services.messaging.lint import Source, Target
from services.messaging.markup import Problem
from services.messaging.own import ANY_GROUP
from services.messaging.own_service import Version
from services.messaging.wording import TEMPLATE_OF_GROUP, Moment, moments_of, template_of

LANGUAGES = {"en": "English", "de": "Deutsch", "es": "Español", "fr": "Français", "pt": "Português"}
SHOWN = 60  # letters of a version that tell which it is
FIELDS = {"subject": "Subject", "heading": "Heading", "body": "Text", "button": "Button"}  # as the editor has them
MOST_FLAWS = 20
PASSED_OVER = (
    "Words for one kind of failure are not used where the bank advises against the card or refuses the amount."
)
MOMENTS = {Moment.FIRST: "First", Moment.REMINDER: "Reminder", Moment.LAST: "Last"}
KINDS = {
    ANY_GROUP: "Every failed payment",
    **{group: words.GROUPS.get(group, "") for group in TEMPLATE_OF_GROUP},
    "customer_stopped": "Customer stopped it: one note",
    "card_expiring": "Card about to expire",
    "card_missing": "No card for the next charge",
    "charge_ahead": "Charge ahead",
}


@dataclass(frozen=True)
class Slot:
    """A message's place in the overview; empty `label`: there is none."""

    group: str
    moment: str
    label: str
    own: bool


@dataclass(frozen=True)
class Row:
    group: str
    name: str
    slots: list[Slot]


@dataclass(frozen=True)
class Flaw:
    """What is wrong and where: the line with the place it is about, which is between `before` and `after`."""

    field: str
    place: str
    message: str
    before: str
    here: str
    after: str


@dataclass(frozen=True)
class Edition:
    """A version in words; `begins` is how its text begins, and `present` the one that is said now."""

    number: int
    version: str
    what: str
    when: str
    begins: str
    present: bool


def rows(own: dict[Target, int], channel: str, language: str) -> list[Row]:
    """The overview of a channel and language; `own` holds the versions of the merchant's own words."""
    found = []
    for group, name in KINDS.items():
        wanted = tuple(Moment) if group == ANY_GROUP else moments_of(template_of(group))
        slots = []
        for moment in Moment:
            version = own.get(Target(group, moment, channel, language), 0)
            label = ("" if moment not in wanted else f"Yours, v{version}") if version else "PHANTOM’s"
            if group == ANY_GROUP and not version:
                label = "Not used"
            slots.append(Slot(group, moment.value, label if moment in wanted else "", bool(version)))
        found.append(Row(group, name, slots))
    return found


def flaws(problems: Sequence[Problem], source: Source) -> list[Flaw]:
    """What is wrong, in the order in which it is read, the first few."""
    place = {field: number for number, field in enumerate(FIELDS)}
    read = sorted(problems, key=lambda each: (place[each.field], each.line, each.column))
    return [flaw(each, source) for each in read[:MOST_FLAWS]]


def flaw(problem: Problem, source: Source) -> Flaw:
    lines = getattr(source, problem.field).split("\n") or [""]
    line, at = lines[min(problem.line, len(lines)) - 1], problem.column - 1
    begins = max(0, at - 24)
    return Flaw(
        field=FIELDS.get(problem.field, problem.field),
        place=f"line {problem.line}, column {problem.column}",
        message=problem.message,
        before=("…" if begins else "") + line[begins:at],
        here=line[at : at + 1] or "▏",
        after=line[at + 1 : at + 24] + ("…" if len(line) > at + 24 else ""),
    )


def edition(version: Version, now: datetime, latest: int) -> Edition:
    what = "PHANTOM’s words" if version.retired else "Your words"
    begins = " ".join((version.source.subject or version.source.body).split())
    return Edition(
        number=version.version,
        version=f"Version {version.version}",
        what=what,
        when=formats.distance(version.created_at, now),
        begins=begins[:SHOWN] + ("…" if len(begins) > SHOWN else ""),
        present=version.version == latest,
    )


def whose(target: Target, version: int) -> str:
    if version:
        return f"Your words, version {version}."
    if target.decline_group == ANY_GROUP:
        return (
            "Nothing is written here yet: each kind of failure has PHANTOM’s own words. What you save is used for all."
        )
    return "PHANTOM’s words. What you save is used instead, unless you go back."
