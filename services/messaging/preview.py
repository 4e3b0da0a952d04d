"""A message as it would look, with made-up values: for the editor, and for mails to oneself. Pure."""

from dataclasses import dataclass
from datetime import date

from core.money import Money, exponent
from services.messaging.brands import Brand
from services.messaging.lint import EMAIL, SMS, Source, Target
from services.messaging.own import ANY_GROUP, NO_WORDS, OwnTemplate, OwnWords
from services.messaging.render import Occasion, render_mail, render_sms
from services.messaging.wording import Moment

_STEP = {Moment.FIRST: 1, Moment.REMINDER: 2, Moment.LAST: 3}
_EXAMPLE_GROUP = "funds"  # what words for all groups are shown with
_NAME, _CARD = "Ada Example", "4242"
_DARK, _AS_READER = "@media (prefers-color-scheme: dark)", "@media not all"


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail has a subject and HTML; a text message its encoding and how many segments it takes."""

    plain: str
    subject: str = ""
    html: str = ""
    encoding: str = ""
    units: int = 0
    segments: int = 0


def preview(
    target: Target,
    source: Source | None,
    *,
    brand: Brand,
    currency: str,
    today: date,
    public_url: str,
    is_test: bool = False,
) -> Preview:
    """How `target` looks in the words of `source` (normalised, without problems), or in PHANTOM's where it is None."""
    own = OwnWords({target: OwnTemplate(source, target)}) if source else NO_WORDS
    group = _EXAMPLE_GROUP if target.decline_group == ANY_GROUP else target.decline_group
    about = Occasion(
        decline_group=group,
        step=_STEP[target.moment],
        last_step=3,
        amount=Money(49 * 10 ** exponent(currency), currency),
        customer_name=_NAME,
        locale=target.language,
        card_last4=_CARD,
        day=today,
    )
    pay_url, stop_url = f"{public_url}/r/{'x' * 43}", f"{public_url}/u/{'x' * 43}"
    if target.channel == SMS:
        text = render_sms(about, brand=brand, pay_url=pay_url, own=own, is_test=is_test)
        return Preview(text.text, encoding=text.length.encoding, units=text.length.units, segments=text.length.segments)
    assert target.channel == EMAIL  # noqa: S101  # there are two
    mail = render_mail(about, brand=brand, pay_url=pay_url, unsubscribe_url=stop_url, own=own, is_test=is_test)
    return Preview(mail.plain, mail.subject, mail.html)


def in_scheme(html: str, *, dark: bool) -> str:
    """The mail as a reader in the dark or in the light sees it, whatever the browser that shows it prefers."""
    return html.replace(_DARK, "@media all" if dark else _AS_READER)
