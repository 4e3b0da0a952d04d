"""A message as subject, HTML and plain text, in the customer's language. Pure apart from reading its templates once.

What comes from outside (names, brand) is escaped in HTML, cut to one line in subject and plain text.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from core.money import Money, format_money
from services.messaging import wording
from services.messaging.layout import html_layout, plain_layout
from services.messaging.wording import TEMPLATE_OF_GROUP

DEFAULT_ACCENT = "#111111"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Brand:
    """How the merchant shows itself in a mail."""

    name: str
    accent: str = DEFAULT_ACCENT


@dataclass(frozen=True, slots=True)
class Rendered:
    template: str
    language: str
    subject: str
    html: str
    plain: str


def one_line(text: str, limit: int = 120) -> str:
    """`text` without control, direction and line-break characters: they forge headers and fake what is read."""
    return _CONTROL.sub(" ", text).strip()[:limit].strip()


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on `colour` (`#rrggbb`): WCAG 2.2's relative luminance."""

    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#111111"


def render(
    *,
    decline_group: str,
    step: int,
    last_step: int,
    amount: Money,
    customer_name: str | None,
    brand: Brand,
    pay_url: str,
    unsubscribe_url: str,
    locale: str = "",
) -> Rendered:
    """The message of a ghost's step, in the language of `locale` (BCP 47 as Stripe gives it, may be empty: English)."""
    template = TEMPLATE_OF_GROUP.get(decline_group, wording.Template.DECLINED)
    language = wording.language_of(locale)
    words = wording.wording(template, wording.moment_of(step, last_step), language)
    around = wording.frame(language)
    name = one_line(customer_name or "", 60)
    known = {
        "{merchant}": one_line(brand.name) or around.nameless,
        "{amount}": format_money(amount, wording.locale_of(locale)),
        "{name}": name,
    }
    accent = brand.accent if _COLOUR.fullmatch(brand.accent) else DEFAULT_ACCENT
    values = {
        "language": language,
        "merchant": known["{merchant}"],
        "subject": _fill(words.subject, known),
        "heading": _fill(words.heading, known),
        "greeting": _fill(around.greeting if name else around.greeting_without_name, known),
        "lines": [_fill(line, known) for line in words.lines],
        "button": words.button,
        "reason": _fill(around.reason, known),
        "safety": around.safety,
        "unsubscribe": around.unsubscribe,
        "accent": accent,
        "on_accent": ink_on(accent),
        "pay_url": pay_url,
        "unsubscribe_url": unsubscribe_url,
    }
    return Rendered(
        template=template,
        language=language,
        subject=_fill(words.subject, known),
        html=html_layout(_TEMPLATES / "message.mjml.j2").render(values),
        plain=plain_layout(_TEMPLATES / "message.txt.j2").render(values),
    )


_PLACE = re.compile(r"\{[a-z]+\}")


def _fill(text: str, known: dict[str, str]) -> str:
    """One pass, so that a merchant called `{amount}` stays what it is."""
    return _PLACE.sub(lambda found: known[found[0]], text)
