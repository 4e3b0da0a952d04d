"""A merchant's own templates: which of them is said when, and ready to be filled. Pure."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.messaging.lint import SMS, VARIABLES, Source, Target, paragraphs, promises_again
from services.messaging.markup import Place, parse
from services.messaging.wording import SINGLE_TEMPLATES, Moment, Template, wording


@dataclass(frozen=True, slots=True)
class OwnTemplate:
    """One saved version of what a merchant wrote, and the message it is for."""

    source: Source
    target: Target
    version: int = 1


ANY_GROUP = "*"


@dataclass(frozen=True, slots=True)
class OwnWords:
    """All templates a merchant has now, by the message they are for."""

    templates: Mapping[Target, OwnTemplate] = field(default_factory=dict)

    def choose(
        self, decline_group: str, template: Template, moment: Moment, channel: str, language: str, *, is_last: bool
    ) -> OwnTemplate | None:
        """The one that is said, the group's own before that of all groups; None where PHANTOM's words are.

        One that speaks of another attempt is passed over in a message that turns out to be the last. What is not
        about a failed payment has no words in common with the rest, so `*` does not stand for it.
        """
        groups = (decline_group,) if template in SINGLE_TEMPLATES else (decline_group, ANY_GROUP)
        for group in groups:
            found = self.templates.get(Target(group, moment, channel, language))
            if found is not None and not (is_last and compiled(found).promises):
                return found
        return None


NO_WORDS = OwnWords()
Pieces = tuple[str | Place, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template taken apart. `promises` says that it speaks of another attempt."""

    subject: Pieces
    heading: Pieces
    lines: tuple[Pieces, ...]
    button: Pieces
    body: Pieces
    promises: bool


@functools.lru_cache(maxsize=1_024)
def compiled(template: OwnTemplate) -> Compiled:
    """Taken apart once a process; a new version is another key, so nothing here can be stale."""
    source, variables = template.source, VARIABLES[template.target.channel]

    def pieces(text: str) -> Pieces:
        return parse(text, variables).pieces

    return Compiled(
        subject=pieces(source.subject),
        heading=pieces(source.heading),
        lines=tuple(pieces(text) for text in paragraphs(source.body)),
        button=pieces(source.button),
        body=pieces(source.body),
        promises=promises_again(source, template.target),
    )


_OURS = re.compile(r"\{(merchant|amount|when|link)\}")


def ours_as_source(template: Template, moment: Moment, channel: str, language: str) -> Source:
    """PHANTOM's own words as a merchant would write them: what an editor begins with."""
    words = wording(template, moment, language)

    def as_theirs(text: str) -> str:
        return _OURS.sub(lambda found: f"{{{{ {'pay_link' if found[1] == 'link' else found[1]} }}}}", text)

    if channel == SMS:
        return Source(body=f"{as_theirs(words.sms)} {{{{ opt_out }}}}")
    return Source(
        as_theirs(words.subject), as_theirs(words.heading), "\n\n".join(map(as_theirs, words.lines)), words.button
    )
