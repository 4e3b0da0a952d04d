"""Every mail as its readers see it: in all languages, narrow and wide, light and dark, with the longest values.

Amounts are of a currency without decimals and of one with three, because those are the widest; names are such as exist.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from playwright.sync_api import Browser, Page
from sqlmodel import select

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from core.money import Money, format_money
from models.ghost import FoundVia, ManualTask
from services.analytics import digest
from services.integrations.stripe.parsing import parse_invoice
from services.manual_tasks import alerts
from services.messaging import wording
from services.messaging.brands import Brand
from services.messaging.languages import LANGUAGES
from services.messaging.lint import EMAIL, Source, Target
from services.messaging.own import ANY_GROUP, NO_WORDS, OwnTemplate, OwnWords
from services.messaging.render import Occasion, Rendered, render_mail
from services.messaging.wording import TEMPLATE_OF_GROUP, Moment, Template
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.support.factories import make_merchant, raw_invoice
from tests.support.mail_view import VIEWS, faults, reader

pytestmark = pytest.mark.browser

PAY, STOP = f"https://pay.example/r/{'x' * 43}", f"https://pay.example/u/{'x' * 43}"
LONG_MERCHANT = "Donaudampfschifffahrtsgesellschaft Elektrizitätenhauptbetriebswerk GmbH & Co. KG"
LONG_NAME = "Maximiliana-Theophania Freifrau von Württemberg-Hohenzollern"
LONG_ADDRESS = "maximiliana-theophania.von.wuerttemberg-hohenzollern@donaudampfschifffahrt.example"
AMOUNTS = (Money(1_234_567_890, "jpy"), Money(1_234_567_890, "kwd"), Money(4_900, "eur"))
ONE_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
BRANDS = (
    Brand(LONG_MERCHANT),
    Brand("Acme", accent="#ffffff", address="1 Long Lane, Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogo"),
    Brand(ONE_WORD, accent="#1d4ed8", logo_url="https://cdn.acme.com/logo.png", signature=("Yours", LONG_NAME)),
)  # fmt: skip
PAIRS = len(AMOUNTS) * len(BRANDS)
MAILS = [(template, moment) for template in Template for moment in wording.moments_of(template)]
GROUP = {template: group for group, template in TEMPLATE_OF_GROUP.items()}
STEP = {Moment.FIRST: 1, Moment.REMINDER: 2, Moment.LAST: 3}


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    with reader(browser) as page:
        yield page


def mail(
    template: Template, moment: Moment, language: str, number: int, *, own: OwnWords = NO_WORDS, is_test: bool = False
) -> tuple[Rendered, str]:
    """A mail and its amount as that stands in it; amounts and brands take turns by `number`."""
    amount, brand = AMOUNTS[number % len(AMOUNTS)], BRANDS[number // len(AMOUNTS) % len(BRANDS)]
    about = Occasion(
        GROUP[template], STEP[moment], 3, amount, LONG_NAME, language, card_last4="4242", day=date(2027, 9, 30)
    )
    rendered = render_mail(about, brand=brand, pay_url=PAY, unsubscribe_url=STOP, own=own, is_test=is_test)
    return rendered, format_money(amount, "en_US" if language == "en" else language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("template", "moment"), MAILS)
class TestToCustomers:
    def test_can_be_read_and_paid_from(self, tab: Page, template: Template, moment: Moment, language: str) -> None:
        turn = MAILS.index((template, moment)) + LANGUAGES.index(language)
        for number in (turn % PAIRS, (turn + 4) % PAIRS):  # two pairs of amount and brand; all mails together show all
            rendered, amount = mail(template, moment, language, number)
            assert faults(tab, rendered.html, action=PAY, way_out=STOP) == {}
            assert amount in tab.inner_text("body")


class TestInOtherWords:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_banner_of_a_test_can_be_read(self, tab: Page, language: str) -> None:
        rendered, _ = mail(Template.FUNDS, Moment.FIRST, language, 0, is_test=True)
        assert faults(tab, rendered.html, action=PAY, way_out=STOP) == {}
        assert wording.frame(language).test_banner in tab.inner_text("body")

    def test_a_merchants_own_words_of_any_length_stay_inside(self, tab: Page) -> None:
        source = Source(
            subject="{{ merchant }}: {{ amount }}",
            heading=(ONE_WORD + " {{ amount }} ")[:120],
            body="\n\n".join(["{{ merchant }} {{ name }} {{ amount }} {{ card }} {{ when }}", ONE_WORD * 2]),
            button="Zahlungsaufforderungsbestätigung öffnen"[:40],
        )
        target = Target(ANY_GROUP, Moment.FIRST, EMAIL, "de")
        own = OwnWords({target: OwnTemplate(source, target)})
        for number in (1, 7):
            rendered, _ = mail(Template.FUNDS, Moment.FIRST, "de", number, own=own)
            assert faults(tab, rendered.html, action=PAY, way_out=STOP) == {}


class TestToTheTeam:
    """What a merchant's own people get: there is nothing to unsubscribe from, a role decides."""

    URL = "https://phantom.example/dashboard"

    @pytest.fixture
    def merchant(self, database: object, clock: ManualClock) -> str:
        """With ghosts in three currencies, one of each paid."""
        merchant = make_merchant(name=LONG_MERCHANT)
        for number, money in enumerate(AMOUNTS * 2):
            facts = {
                "currency": money.currency,
                "amount_due": money.amount,
                "amount_remaining": money.amount,
                "customer": {"id": f"cus_{number}", "email": LONG_ADDRESS, "name": (LONG_NAME, None)[number % 2]},
            }
            self.see(merchant, number, facts)
            if number < len(AMOUNTS):
                paid = {"status": "paid", "amount_remaining": 0, "amount_paid": money.amount}
                self.see(merchant, number, {**facts, **paid})
        return merchant

    def see(self, merchant: str, number: int, facts: dict[str, object]) -> None:
        with db.tenant_session(merchant) as session:
            invoice = parse_invoice(raw_invoice(number, **facts))
            observe(session, merchant_context(session, merchant), [invoice], FoundVia.WEBHOOK, core_clock.now())

    def test_the_weekly_digest(self, tab: Page, merchant: str) -> None:
        with db.tenant_session(merchant) as session:
            written = digest.weekly(session, merchant, core_clock.now().date() + timedelta(days=1), self.URL)
        assert written is not None
        assert faults(tab, written.html, action=self.URL) == {}
        seen = tab.inner_text("body")
        assert all(each in seen for each in (LONG_MERCHANT, "KWD", "JPY", "How it came back"))

    def test_the_alert_about_tasks_that_wait(self, tab: Page, merchant: str) -> None:
        with db.tenant_session(merchant) as session:
            waiting = [task.id for task in session.exec(select(ManualTask)).all()]
            written = alerts.written(session, merchant, waiting, self.URL)
        assert written is not None
        assert faults(tab, written.html, action=self.URL) == {}
        assert LONG_ADDRESS in tab.inner_text("body")


GOOD = """<body style="margin:0;background:#fff;color:#111;font:16px sans-serif"><p>Hello</p><p>Some words</p>
<table><tr><td style="border:1px solid #111"><a href="/pay" style="display:block;padding:16px;{button}">Pay now</a></td>
</tr></table><a href="/stop" style="color:#111">No more</a>{more}</body>"""


class TestTheJudge:
    """It finds what it is there for."""

    def judged(self, tab: Page, *, button: str = "color:#111", more: str = "") -> list[str]:
        found = faults(tab, GOOD.format(button=button, more=more), action="/pay", way_out="/stop")
        return sorted({wrong for each in found.values() for wrong in each})

    def test_has_nothing_to_say_of_a_good_one(self, tab: Page) -> None:
        assert self.judged(tab) == []

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ({"more": "<p style='color:#8a8a8a'>pale</p>"}, '"pale" has a contrast of 3.45'),
            ({"more": "<p style='color:rgb(0 0 0 / 0.4)'>thin</p>"}, '"thin" has a contrast of'),
            ({"more": "<div style='background:#222'><p>dark on dark</p></div>"}, '"dark on dark" has a contrast of'),
            ({"more": "<p style='font-size:9px'>small</p>"}, '"small" is 9px small'),
            ({"more": "<p style='width:700px'>" + "wide " * 200 + "</p>"}, "of 320 pixels"),
            ({"more": "<div style='width:700px'>x</div>"}, "it is 700 wide on 320 pixels"),
            ({"more": f"<div style='overflow:hidden;width:90px'>{'cut' * 99}</div>"}, "is cut off"),
            ({"more": f"<p style='width:40px;overflow-wrap:anywhere'>{'thin ' * 20}</p>"}, "is squeezed into"),
            ({"more": f"<img src='x' alt='{'Acme ' * 20}' width='200' height='40'>"}, "is cut off"),
            ({"more": "<img src='x' alt=''>"}, "a picture says nothing"),
            ({"more": "<p>{{ amount }}</p>"}, '"{{" is left'),
            ({"more": "<p>Dear {name}</p>"}, '"{name}" is left'),
            ({"more": "<p>Card None</p>"}, '"None" is left'),
            ({"more": "<a href='/pay'>Or here</a>"}, "2 buttons can be seen"),
            ({"button": "display:none"}, "0 buttons can be seen"),
            ({"button": "color:#aaa"}, '"Pay now" has a contrast of'),
            ({"button": "color:#111;padding:0"}, "the button is"),
            ({"button": "color:#111;width:20px;overflow:hidden;white-space:nowrap"}, "label does not fit"),
            ({"more": "<div style='position:fixed;inset:0;background:#fff'>x</div>"}, "lies over the button"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )  # fmt: skip
    def test_names_each_fault(self, tab: Page, fault: dict[str, str], said: str) -> None:
        assert any(said in wrong for wrong in self.judged(tab, **fault)), self.judged(tab, **fault)

    def test_misses_a_way_out_that_nobody_sees(self, tab: Page) -> None:
        html = GOOD.format(button="color:#111", more="").replace("No more", "")
        assert all(
            "no way out can be seen" in wrong for wrong in faults(tab, html, action="/pay", way_out="/stop").values()
        )

    def test_a_fault_of_the_dark_alone_is_found_there_alone(self, tab: Page) -> None:
        night = "p { color: #222 !important; } body { background: #111 !important; }"
        night = f"<style>@media (prefers-color-scheme: dark) {{ {night} }}</style>"
        found = faults(tab, GOOD.format(button="color:#111;background:#fff", more=night), action="/pay")
        assert set(found) == {str(view) for view in VIEWS if view.scheme == "dark"}
