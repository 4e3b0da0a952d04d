"""A message as subject, HTML and plain text. Pure apart from reading its templates once.

Everything that comes from outside (names, brand) is escaped in HTML, cut to one line in the subject and plain text.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.money import Money, format_money
from services.messaging.wording import TEMPLATE_OF_GROUP, Template, wording

DEFAULT_ACCENT = "#111111"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")


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


@functools.cache
def _environment(*, html: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=html,  # noqa: S701  # the plain-text part is no HTML: escaping it would show entities
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


def one_line(text: str, limit: int = 120) -> str:
    """`text` without control, direction and line-break characters: they forge headers and fake what is read."""
    return _CONTROL.sub(" ", text).strip()[:limit].strip()


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
    language: str = "en",
) -> Rendered:
    """The message of a ghost's step in the customer's language (English until others are written)."""
    template = TEMPLATE_OF_GROUP.get(decline_group, Template.DECLINED)
    words = wording(template, step, last_step)
    merchant = one_line(brand.name) or "Your provider"
    name = one_line(customer_name or "", 60)
    filled = {"merchant": merchant, "amount": format_money(amount)}

    def fill(text: str) -> str:
        return text.replace("{merchant}", filled["merchant"]).replace("{amount}", filled["amount"])

    values = {
        "language": language,
        "merchant": merchant,
        "subject": fill(words.subject),
        "heading": fill(words.heading),
        "greeting": f"Hello {name}," if name else "Hello,",
        "lines": [fill(line) for line in words.lines],
        "button": words.button,
        "accent": brand.accent if _COLOUR.fullmatch(brand.accent) else DEFAULT_ACCENT,
        "pay_url": pay_url,
        "unsubscribe_url": unsubscribe_url,
    }
    return Rendered(
        template=template,
        language=language,
        subject=fill(words.subject),
        html=_environment(html=True).get_template("message.html.j2").render(values),
        plain=_environment(html=False).get_template("message.txt.j2").render(values),
    )
