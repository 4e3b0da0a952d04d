"""What a merchant may write in a template: text, and `{{ variable }}` out of a closed list. Pure.

Nothing else has a meaning: no HTML, no expressions, no loops, so a template can neither run nor grow. Text is read
once, from left to right, in time linear in its length, and a mistake is told with its line and column, both counted
from 1 in characters as a person sees them typed (Unicode code points), whatever bytes they take.

    {{ amount }}                       a value
    {{ name | default("there") }}      a value that may be missing, and what stands in its place
    {{ merchant | upper }}             in capitals
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

FILTERS = ("default", "upper")
_TOKEN = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}")
_INSIDE = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*(?:\|(?P<filter>.*))?", re.DOTALL)
_DEFAULT = re.compile(r"\s*default\s*\(\s*(?P<quote>[\"'“”])(?P<text>[^\"'“”]{1,60})[\"'“”]\s*\)\s*")
_UPPER = re.compile(r"\s*upper\s*")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a text is refused; `field` is empty until whoever reads several fields names it."""

    line: int
    column: int
    code: str
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A variable in a text: where it stands, and what is done with its value."""

    name: str
    begins: int
    ends: int
    default: str | None = None
    upper: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text taken apart: strings and places in their order, and what is wrong with it."""

    pieces: tuple[str | Place, ...]
    problems: tuple[Problem, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(each for each in self.pieces if isinstance(each, Place))


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character of `text`, both from 1."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def problem_at(text: str, offset: int, code: str, message: str) -> Problem:
    line, column = position(text, offset)
    return Problem(line, column, code, message)


def parse(text: str, variables: Mapping[str, bool]) -> Parsed:
    """Take `text` apart. `variables` are the names that may stand in it, and whether each may be without a value."""
    pieces: list[str | Place] = []
    problems: list[Problem] = []
    at = 0
    tokens = list(_TOKEN.finditer(text))
    number = 0
    while number < len(tokens):
        token = tokens[number]
        number += 1
        if token[0] != "{{":
            problems.append(_stray(text, token))
            continue
        end = tokens[number] if number < len(tokens) else None
        if end is None or end[0] != "}}":
            problems.append(problem_at(text, token.start(), "unclosed", "These braces are never closed: add }}."))
            continue
        number += 1
        pieces.append(text[at : token.start()])
        at = end.end()
        found = _place(text, token.start(), end.end(), variables)
        (problems if isinstance(found, Problem) else pieces).append(found)  # type: ignore[arg-type]  # either list's
    pieces.append(text[at:])
    return Parsed(tuple(each for each in pieces if each != ""), tuple(problems))


def fill(pieces: tuple[str | Place, ...], values: Mapping[str, str]) -> str:
    """The text with its values, in one pass: a customer called `{{ amount }}` stays what they are called."""
    return "".join(each if isinstance(each, str) else _value(each, values) for each in pieces)


def _value(place: Place, values: Mapping[str, str]) -> str:
    value = values.get(place.name, "") or place.default or ""
    return value.upper() if place.upper else value


def _stray(text: str, token: "re.Match[str]") -> Problem:
    if token[0] == "}}":
        return problem_at(text, token.start(), "unopened", "These braces were never opened: add {{ before the name.")
    return problem_at(text, token.start(), "not_allowed", f"{token[0]} means nothing here; only {{{{ name }}}} does.")


def _place(text: str, begins: int, ends: int, variables: Mapping[str, bool]) -> Place | Problem:
    inside = text[begins + 2 : ends - 2]
    found = _INSIDE.fullmatch(inside)
    name = found["name"] if found else inside.strip()
    first = begins + 2 + len(inside) - len(inside.lstrip())
    if found is None or name not in variables:
        return problem_at(text, first if inside.strip() else begins, "unknown_variable", _unknown(name, variables))
    if found["filter"] is None:
        if variables[name]:
            return problem_at(
                text,
                first,
                "no_default",
                f'It may be missing: write {{{{ {name} | default("…") }}}} with words for then.',
            )
        return Place(name, begins, ends)
    if default := _DEFAULT.fullmatch(found["filter"]):
        return Place(name, begins, ends, default=default["text"])
    if _UPPER.fullmatch(found["filter"]) and not variables[name]:
        return Place(name, begins, ends, upper=True)
    after = begins + 2 + found.start("filter")
    shift = len(found["filter"]) - len(found["filter"].lstrip())
    return problem_at(text, after + shift, "bad_filter", 'After | only default("…") or upper may stand.')


def _unknown(name: str, variables: Mapping[str, bool]) -> str:
    if not name:
        return f"There is no name in these braces; known are {', '.join(variables)}."
    near = difflib.get_close_matches(name[:40].lower(), list(variables), n=1)
    if near:
        return f"There is no “{name[:40]}” here. Did you mean {near[0]}?"
    return f"There is no “{name[:40]}” here; known are {', '.join(variables)}."
