"""Typed, bounded readers of JSON that others wrote: each takes any value and never raises.

What comes out fits our columns: no NUL, no lone surrogate, no control or direction-changing character in a text, no
number beyond its column, no time that a date library stumbles over.
"""

import re
from datetime import datetime
from typing import Any

from core.clock import from_timestamp

Plain = dict[str, Any]

ID_LENGTH = 64
URL_LENGTH = 2048
COUNT_LIMIT = 2**31 - 1
MONEY_LIMIT = 10**15
"""Minor units. Stripe takes 12 digits at most; with room for that, thousands of the largest still add up in 64 bits."""
_EARLIEST, _LATEST = 946_684_800, 7_258_118_400  # the years 2000 to 2199, in Unix seconds

_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
# Control characters, lone surrogates, and what turns the direction of the text around it: a name is no instruction.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_IDENTIFIER = re.compile(f"[!-~]{{1,{ID_LENGTH}}}")
_BLANK = re.compile(r"\s")


def mapping(value: Any) -> Plain:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Plain]:
    """The objects of a JSON list; empty for whatever else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any, limit: int = 512) -> str:
    """A string fit for a text column of `limit` characters, on one line; empty for whatever is no string."""
    if not isinstance(value, str):
        return ""
    found: str = value
    if not found.isprintable():  # which none of the characters is that are looked for: a hunt reads millions of texts
        found = _UNFIT.sub("", _BREAKS.sub(" ", found))
    return found[:limit].strip()


def word(value: Any, limit: int) -> str:
    """A code or name in lower case, which can be longer than what it was made of."""
    return text(value.lower(), limit) if isinstance(value, str) else ""


def address(value: Any, limit: int = 512) -> str | None:
    """An e-mail or web address: whole and without blanks or control characters inside, or none at all."""
    found = value.strip() if isinstance(value, str) else ""
    return None if not found or len(found) > limit or _UNFIT.search(found) or _BLANK.search(found) else found


def identifier(value: Any) -> str | None:
    """The id of a reference that may be expanded, deleted, absent, or not what Stripe calls an id."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and _IDENTIFIER.fullmatch(found) else None


def number(value: Any, low: int, high: int) -> int | None:
    """An integer in these bounds; texts, fractions, and truth values are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def money(value: Any) -> int | None:
    """An amount in minor units that adds up."""
    return number(value, -MONEY_LIMIT, MONEY_LIMIT)


def moment(value: Any) -> datetime | None:
    """Unix seconds of this century or the next as aware UTC."""
    seconds = number(value, _EARLIEST, _LATEST - 1)
    return None if seconds is None else from_timestamp(seconds)
