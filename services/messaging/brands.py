"""How a merchant shows itself in messages: name, colour, logo, signature, postal address, default language. Pure.

Stored as JSON on the merchant. What is stored is read back with care: a colour that is none becomes the default one,
so that no message fails for its looks.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.messaging.languages import DEFAULT_LANGUAGE, LANGUAGES
from services.messaging.lint import check_beside

DEFAULT_ACCENT = "#111111"
READABLE = 4.5  # WCAG 2.2, 1.4.3: text below 24 px
LONGEST = {"name": 80, "signature": 240, "address": 200, "logo_url": 400}
SIGNATURE_LINES = 4
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LINK_AS_NAME = re.compile(r"://|\bwww\.", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True)
class Brand:
    """How the merchant shows itself in a mail."""

    name: str
    accent: str = DEFAULT_ACCENT
    logo_url: str = ""
    signature: tuple[str, ...] = ()
    address: str = ""
    language: str = DEFAULT_LANGUAGE  # of customers whose own is not known


def brand_of(stored: Mapping[str, Any], merchant_name: str) -> Brand:
    """The brand stored on a merchant; its business name where it has set none."""

    def text(name: str) -> str:
        return str(stored.get(name) or "")

    accent, language, logo = text("accent"), text("language"), text("logo_url")
    return Brand(
        name=text("name") or merchant_name,
        accent=accent if _COLOUR.fullmatch(accent) else DEFAULT_ACCENT,
        logo_url=logo if logo and not logo_problem(logo) else "",
        signature=lines_of(text("signature")),
        address=one_line(text("address"), LONGEST["address"]),
        language=language if language in LANGUAGES else DEFAULT_LANGUAGE,
    )


def one_line(text: str, limit: int = 120) -> str:
    """`text` without control, direction and line-break characters: they forge headers and fake what is read.

    What is longer than `limit` ends with a whole word, where one ends in the second half.
    """
    whole = _CONTROL.sub(" ", text).strip()
    if len(whole) <= limit:
        return whole
    words = whole[: limit + 1].rpartition(" ")[0].rstrip(" &,-–")
    return words if len(words) > limit // 2 else whole[:limit].strip()


def lines_of(text: str) -> tuple[str, ...]:
    """A signature's lines, each a clean one."""
    lines = (one_line(line, 80) for line in text.splitlines())
    return tuple(line for line in lines if line)[:SIGNATURE_LINES]


def problems_of(form: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with a brand as somebody typed it, by field; empty when it may be saved."""
    found = {field: f"At most {most} characters." for field, most in LONGEST.items() if len(form.get(field, "")) > most}
    if (accent := form.get("accent", "")) and not _COLOUR.fullmatch(accent):
        found["accent"] = "A colour looks like #1d4ed8."
    if logo := form.get("logo_url", ""):
        found |= {"logo_url": why} if (why := logo_problem(logo)) else {}
    if (language := form.get("language", "")) and language not in LANGUAGES:
        found["language"] = "PHANTOM does not write this language."
    for field in ("signature", "address"):
        if wrong := check_beside(form.get(field, ""), is_address=field == "address"):
            found.setdefault(
                field, " ".join(f"Line {each.line}, column {each.column}: {each.message}" for each in wrong)
            )
    if _LINK_AS_NAME.search(form.get("name", "")):
        found.setdefault("name", "A name is no link.")
    if len([line for line in form.get("signature", "").splitlines() if line.strip()]) > SIGNATURE_LINES:
        found["signature"] = f"At most {SIGNATURE_LINES} lines."
    return found


def logo_problem(url: str) -> str:
    """Why a logo's address cannot be used; empty when it can. We never fetch it: the reader's mail program does."""
    if len(url) > LONGEST["logo_url"] or not url.isascii() or re.search(r"[\s\"'<>\\{}]", url):
        return "An address has no spaces, quotes or braces."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is no address."
    if parts.scheme != "https":
        return "It must begin with https://: mail programs show nothing else."
    if parts.username or parts.password or port not in (None, 443):
        return "It must be public: without a name, a password or a port."
    host = (parts.hostname or "").rstrip(".")
    if _is_address(host) or not _HOST.fullmatch(host):
        return "It must stand on a public host, like cdn.example.com."
    return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of `#rrggbb`."""

    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on `colour`. One of both always has a contrast of 4.58."""
    return max(("#ffffff", "#000000"), key=lambda ink: contrast(ink, colour))


def edge_of(colour: str, ground: str, edge: str) -> str:
    """The colour of a button's edge on `ground`: its own where it stands out, else `edge` (WCAG 2.2, 1.4.11)."""
    return colour if contrast(colour, ground) >= 3 else edge
