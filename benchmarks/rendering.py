"""How many messages can a core render a second: PHANTOM's words against a merchant's own, mail and text?

`python -m benchmarks.rendering [MESSAGES]`; beside `phantom bench`, whose names are fixed. Counted is this process's
CPU time, so that neighbours on the machine do not count. Every group, step and language takes its turn, with
amounts, names and links of its own; the control are PHANTOM's words, in alternating rounds. Each message must carry its
own amount and link: else there is no figure.
"""

import sys
import time
from collections.abc import Sequence
from datetime import date
from functools import partial

from benchmarks.__main__ import table
from benchmarks.harness import ROUNDS, Row, alone, alternate, audit, compared
from benchmarks.machine import environment
from core.money import Money, format_money
from services.messaging.brands import Brand
from services.messaging.languages import LANGUAGES
from services.messaging.lint import EMAIL, SMS, Source, Target
from services.messaging.own import ANY_GROUP, NO_WORDS, OwnTemplate, OwnWords
from services.messaging.render import Occasion, render_mail, render_sms
from services.messaging.wording import SINGLE_TEMPLATES, TEMPLATE_OF_GROUP, Moment

MESSAGES, GOAL = 2_000, 200
BRAND = Brand("Northwind Analytics", "#1d4ed8", "https://cdn.northwind.example/logo.png", ("Yours", "Ada"), "Street 1")
"""As much of a brand as can be."""
_GROUPS = sorted(group for group, template in TEMPLATE_OF_GROUP.items() if template not in SINGLE_TEMPLATES)
_LINES = 'Hello {{ name | default("there") }}, {{ amount }} to {{ merchant | upper }} is open, due {{ when }}.'
_OWN = Source("{{ merchant }}: {{ amount }}", "Hi {{ name | default('you') }}", "\n\n".join([_LINES] * 8), "Pay now")
_OWN_SMS = Source(body="{{ merchant }}: {{ amount }} is open. {{ pay_link }} {{ opt_out }}")
"""A long mail, with many values; and a text."""


def own_words() -> OwnWords:
    """A merchant that has its own words for everything."""
    return OwnWords(
        {
            target: OwnTemplate(source, target)
            for language in LANGUAGES
            for moment in Moment
            for channel, source in ((EMAIL, _OWN), (SMS, _OWN_SMS))
            for target in (Target(ANY_GROUP, moment, channel, language),)
        }
    )


def per_second(number: int, own: OwnWords, channel: str) -> float:
    """Messages a second of CPU time. Raises `AuditError` for one that is not its customer's."""
    began = time.process_time()
    done = [_one(each, own, channel) for each in range(number)]
    spent = time.process_time() - began
    for each, said in enumerate(done):
        about, link = _occasion(each), f"https://pay.example/r/{each}-"
        amount = format_money(about.amount, about.locale).replace("\u00a0", " ").replace("\u202f", " ")
        plain = said.replace("\u00a0", " ").replace("\u202f", " ")
        audit(expected=(True, True), found=(amount in plain, link in plain), what=f"amount and link of message {each}")
    return number / spent


def _one(number: int, own: OwnWords, channel: str) -> str:
    about, link = _occasion(number), f"https://pay.example/r/{number}-{'x' * 38}"
    if channel == SMS:
        return render_sms(about, brand=BRAND, pay_url=link, own=own).text
    mail = render_mail(about, brand=BRAND, pay_url=link, unsubscribe_url=f"https://pay.example/u/{number}", own=own)
    return mail.html + mail.plain


def _occasion(number: int) -> Occasion:
    return Occasion(
        decline_group=_GROUPS[number % len(_GROUPS)],
        step=number % 3 + 1,
        last_step=3,
        amount=Money(100 + number, ("usd", "eur", "jpy", "kwd")[number % 4]),
        customer_name=f"Customer {number}",
        locale=LANGUAGES[number % len(LANGUAGES)],
        card_last4=f"{number % 10_000:04d}",
        day=date(2026, 1 + number % 12, 1 + number % 28),
    )


def run(number: int = MESSAGES) -> list[Row]:
    """Mails in own words against ours, and texts of both."""
    own, goal = own_words(), f"≥ {GOAL}/s a core"
    taken = alternate(
        {
            "mail": partial(per_second, number, NO_WORDS, EMAIL),
            "own mail": partial(per_second, number, own, EMAIL),
            "text": partial(per_second, number, NO_WORDS, SMS),
            "own text": partial(per_second, number, own, SMS),
        },
        ROUNDS,
    )
    return [
        alone("mails rendered", taken["mail"], "/s of CPU", goal),
        compared("mails in a merchant's own words", taken["own mail"], "/s of CPU", "ours", taken["mail"], goal),
        alone("texts rendered", taken["text"], "/s of CPU", goal),
        compared("texts in a merchant's own words", taken["own text"], "/s of CPU", "ours", taken["text"], goal),
    ]


def main(arguments: Sequence[str]) -> int:
    print(table(environment(), run(int(arguments[0]) if arguments else MESSAGES)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
