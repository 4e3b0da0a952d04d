"""A message as subject, HTML and plain text, or as SMS, in the customer's language. Pure apart from reading its
templates once.

What comes from outside (names, brand, a merchant's own words) is escaped in HTML, cut to one line in subject and plain
text. A merchant's own template fills the same layout; it has no say in where the links lead or in the way out.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unicodedata import bidirectional

from babel.dates import format_date, format_skeleton

from core.money import Money, format_money
from services.messaging import sms, wording
from services.messaging.brands import DEFAULT_ACCENT, Brand, edge_of, ink_on, one_line
from services.messaging.languages import language_of, locale_of, unbroken
from services.messaging.layout import html_layout, plain_layout
from services.messaging.lint import EMAIL, SMS
from services.messaging.markup import fill
from services.messaging.own import ANY_GROUP, NO_WORDS, Compiled, OwnWords, compiled
from services.messaging.wording import AHEAD_TEMPLATES, SINGLE_TEMPLATES, Frame

__all__ = [
    "DEFAULT_ACCENT",
    "Brand",
    "Occasion",
    "Rendered",
    "RenderedSms",
    "ink_on",
    "one_line",
    "render_mail",
    "render_sms",
]
_TEMPLATES = Path(__file__).parent / "templates"
_PLACE = re.compile(r"\{[a-z]+\}")
_LONGEST_SMS_NAME = 30
LIGHT_SHEET, DARK_SHEET = "#ffffff", "#1a1a1a"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a message is about and to whom it goes."""

    decline_group: str
    step: int
    last_step: int
    amount: Money
    customer_name: str | None
    locale: str = ""  # BCP 47 as Stripe gives it, may be empty
    country: str = ""
    strategy: str = ""
    card_last4: str = ""
    day: date | None = None  # of the invoice, or of the charge to come
    is_about: bool = False  # the amount is not known to the cent
    is_last: bool = False  # no message follows, though the count would allow one


@dataclass(frozen=True, slots=True)
class Rendered:
    template: str
    language: str
    subject: str
    html: str
    plain: str


@dataclass(frozen=True, slots=True)
class RenderedSms:
    template: str
    language: str
    text: str
    length: sms.SmsLength


def render_mail(
    about: Occasion,
    *,
    brand: Brand,
    pay_url: str,
    unsubscribe_url: str,
    own: OwnWords = NO_WORDS,
    is_test: bool = False,
) -> Rendered:
    """The mail of a ghost's step.

    Its language is that of the occasion's `locale`, else the country's, else the brand's, else English. `own` are the
    merchant's templates, of which one in that language is said where there is one.
    """
    message = _Message.of(about, brand)
    mine = message.own_of(own, EMAIL)
    said = _own_words(mine, message) if mine else _our_words(message)
    values = {
        **said,
        **_around(message, brand),
        "banner": message.frame.test_banner if is_test else "",
        "pay_url": pay_url,
        "unsubscribe_url": unsubscribe_url,
    }
    mark = f"{message.frame.test_mark} " if is_test else ""  # a list of mails shows no more than the subject
    return Rendered(
        template=message.template,
        language=message.language,
        subject=f"{mark}{values['subject']}"[:200],  # one line: what fills it is, and the lint holds it for words
        html=html_layout(_TEMPLATES / "message.mjml.j2").render(_unbroken(values, message.language)),
        plain=plain_layout(_TEMPLATES / "message.txt.j2").render(values),
    )


def render_sms(
    about: Occasion, *, brand: Brand, pay_url: str, own: OwnWords = NO_WORDS, is_test: bool = False
) -> RenderedSms:
    """The text message of a ghost's step, in the letters of GSM-7 wherever the names allow it."""
    message = _Message.of(about, brand, in_sms=True)
    known = {**message.known, "{link}": pay_url}
    if mine := message.own_of(own, SMS):
        opt_out = message.frame.opt_out
        text = fill(mine.body, _variables(known) | {"pay_link": pay_url, "opt_out": opt_out})
    else:
        words = wording.wording(message.template, message.moment, message.language)
        text = f"{_fill(words.sms, known)} {message.frame.opt_out}"
    text = sms.plainer(f"{message.frame.test_banner}\n{text}" if is_test else text)
    return RenderedSms(message.template, message.language, text, sms.length_of(text))


@dataclass(frozen=True, slots=True)
class _Message:
    """What is known of a message before its words are chosen."""

    decline_group: str
    template: wording.Template
    moment: wording.Moment
    is_last: bool
    by_strategy: bool
    language: str
    frame: Frame
    known: dict[str, str]

    @classmethod
    def of(cls, about: Occasion, brand: Brand, *, in_sms: bool = False) -> "_Message":
        template = wording.template_of(about.decline_group, about.strategy)
        language = language_of(about.locale, about.country, brand.language)
        frame = wording.frame(language)
        return cls(
            decline_group=about.decline_group,
            template=template,
            moment=wording.Moment.FIRST
            if template in SINGLE_TEMPLATES
            else wording.moment_of(about.step, about.last_step),
            is_last=about.is_last or about.step >= about.last_step or template in SINGLE_TEMPLATES,
            by_strategy=wording.is_by_strategy(about.decline_group, about.strategy),
            language=language,
            frame=frame,
            known=_known(about, brand, frame, in_sms=in_sms),
        )

    def own_of(self, own: OwnWords, channel: str) -> Compiled | None:
        """The merchant's words for it, if any.

        What it wrote for one group is passed over where the strategy asks for other words than that group's: for
        passing reasons it may ask for the very card that the bank advises against.
        """
        group = ANY_GROUP if self.by_strategy else self.decline_group
        found = own.choose(group, self.template, self.moment, channel, self.language, is_last=self.is_last)
        return compiled(found) if found else None


def _known(about: Occasion, brand: Brand, frame: Frame, *, in_sms: bool) -> dict[str, str]:
    locale = locale_of(about.locale, about.country, brand.language)
    amount = format_money(about.amount, locale)
    merchant, name = one_line(brand.name) or frame.nameless, one_line(about.customer_name or "", 60)
    if in_sms:
        merchant, name = sms.name_in_gsm(merchant[:_LONGEST_SMS_NAME].strip()), sms.name_in_gsm(name)
        day = format_skeleton("yMd", about.day, locale=locale) if about.day else ""
    else:
        merchant, name = _isolated(merchant), _isolated(name)
        day = format_date(about.day, "long", locale=locale) if about.day else ""
    return {
        "{merchant}": merchant,
        "{amount}": frame.about.replace("{amount}", amount) if about.is_about else amount,
        "{name}": name,
        "{card}": about.card_last4 if re.fullmatch(r"[0-9]{4}", about.card_last4) else "",
        "{date}": day,
        "{when}": frame.on_date.replace("{date}", day) if day else frame.soon,
    }


def _our_words(message: _Message) -> dict[str, Any]:
    words = wording.wording(message.template, message.moment, message.language)
    return {
        "subject": _fill(words.subject, message.known),
        "heading": _fill(words.heading, message.known),
        "lines": [_fill(line, message.known) for line in words.lines],
        "button": words.button,
    }


def _own_words(mine: Compiled, message: _Message) -> dict[str, Any]:
    values = _variables(message.known)
    return {
        "subject": fill(mine.subject, values),
        "heading": fill(mine.heading, values),
        "lines": [fill(line, values) for line in mine.lines],
        "button": fill(mine.button, values),
    }


def _around(message: _Message, brand: Brand) -> dict[str, Any]:
    """What stands around the words: the same in ours and a merchant's own."""
    frame, known = message.frame, message.known
    ahead = message.template in AHEAD_TEMPLATES
    accent = brand.accent if re.fullmatch(r"#[0-9a-fA-F]{6}", brand.accent) else DEFAULT_ACCENT
    return {
        "language": message.language,
        "merchant": known["{merchant}"],
        "logo": brand.logo_url,
        "greeting": _fill(frame.greeting if known["{name}"] else frame.greeting_without_name, known),
        "signature": [_isolated(line) for line in brand.signature],
        "address": brand.address,
        "reason": _fill(frame.reason_ahead if ahead else frame.reason, known),
        "safety": frame.safety,
        "unsubscribe": frame.unsubscribe,
        "accent": accent,
        "on_accent": ink_on(accent),
        "edge": edge_of(accent, LIGHT_SHEET, "#111111"),
        "edge_dark": edge_of(accent, DARK_SHEET, "#a8a8a8"),
    }


def _unbroken(values: dict[str, Any], language: str) -> dict[str, Any]:
    return {
        name: [unbroken(line, language) for line in value] if isinstance(value, list) else unbroken(value, language)
        for name, value in values.items()
    }


def _variables(known: dict[str, str]) -> dict[str, str]:
    return {name.strip("{}"): value for name, value in known.items()}


def _fill(text: str, known: dict[str, str]) -> str:
    """One pass, so that a merchant called `{amount}` stays what it is."""
    return _PLACE.sub(lambda found: known[found[0]], text)


def _isolated(name: str) -> str:
    """A name with letters written from right to left, kept from turning the numbers and stops beside it around."""
    if any(bidirectional(letter) in ("R", "AL") for letter in name):
        return f"\u2068{name}\u2069"
    return name
