"""Messages as people get them: escaped, on one subject line, without private reasons or promises."""

import re
from datetime import date

import pytest

from core.money import Money
from services.messaging.render import Brand, Occasion, Rendered, ink_on, render_mail
from services.messaging.wording import AHEAD_TEMPLATES, TEMPLATE_OF_GROUP

GROUPS = sorted(group for group, template in TEMPLATE_OF_GROUP.items() if template not in AHEAD_TEMPLATES)


def message(
    group: str = "funds", *, step: int = 1, name: str | None = "Ada", brand: str = "Acme", locale: str = ""
) -> Rendered:
    return render_mail(
        Occasion(group, step, 3, Money(123456, "usd"), name, locale),
        brand=Brand(brand),
        pay_url="https://phantom.example/r/token",
        unsubscribe_url="https://phantom.example/u/token",
    )


class TestEveryMessage:
    @pytest.mark.parametrize("step", [1, 2, 3])
    @pytest.mark.parametrize("group", GROUPS)
    def test_has_amount_merchant_link_and_way_out_in_both_parts(self, group: str, step: int):
        rendered = message(group, step=step)
        for part in (rendered.html, rendered.plain):
            for needed in ("$1,234.56", "Acme", "https://phantom.example/r/token", "https://phantom.example/u/token"):
                assert needed in part
        assert "{" not in rendered.subject + rendered.plain

    @pytest.mark.parametrize("step", [1, 2, 3])
    @pytest.mark.parametrize("group", GROUPS)
    def test_names_no_private_reason_and_sells_nothing(self, group: str, step: int):
        words = message(group, step=step).plain.lower()
        assert not re.search(r"lost|stolen|fraud|insufficient|suspicious|blocked|discount|offer|upgrade|% off", words)

    @pytest.mark.parametrize("group", GROUPS)
    def test_the_last_one_promises_no_other_attempt(self, group: str):
        assert not re.search(r"we (will|'ll) (re)?try|try again", message(group, step=3).plain.lower())


class TestBadInput:
    def test_html_in_a_name_is_escaped(self):
        rendered = message(name="<script>alert(1)</script>", brand="<img src=x>")
        assert "<script>" not in rendered.html
        assert "<img" not in rendered.html
        assert "&lt;script&gt;" in rendered.html

    @pytest.mark.parametrize("nasty", ["Acme\r\nBcc: all@example.com", "Acme\u2028x", "A\x00cme", "\u202emca"])
    def test_a_brand_cannot_break_the_subject_line(self, nasty: str):
        assert message(brand=nasty).subject.isprintable()

    def test_a_name_from_right_to_left_turns_nothing_beside_it_around(self):
        rendered = message(name="דוד", brand="שלום בע״מ")
        assert rendered.subject == "Your payment to \u2068שלום בע״מ\u2069 did not go through"
        assert "Hello \u2068דוד\u2069," in rendered.plain
        assert 'dir="auto"' not in rendered.html

    @pytest.mark.parametrize("name", [None, "", "   ", "\u200b"])
    def test_without_a_name_it_still_greets(self, name: str | None):
        assert "Hello," in message(name=name).plain

    def test_an_unknown_group_gets_neutral_words(self):
        assert message("something_new").template == "payment_did_not_go_through"

    def test_a_merchant_called_like_a_place_stays_what_it_is(self):
        assert message(brand="{amount}").subject == "Your payment to {amount} did not go through"

    def test_no_template_language_is_left_in_any_part(self):
        rendered = message(name="{{ 7 * 7 }}", brand="{% raw %}")
        assert "49" not in rendered.plain.replace("1,234.56", "")
        assert "{{ 7 * 7 }}" in rendered.plain


class TestLanguages:
    @pytest.mark.parametrize(
        ("locale", "greeting", "amount"),
        [
            ("de-AT", "Guten Tag Ada,", "$\u00a01.234,56"),
            ("fr", "Bonjour Ada,", "1\u202f234,56\u00a0$US"),
            ("es-MX", "Hola, Ada:", "USD\u00a01,234.56"),
            ("pt-BR", "Olá, Ada,", "US$\u00a01.234,56"),
            ("ja-JP", "Hello Ada,", "$1,234.56"),
        ],
    )
    def test_words_and_amounts_are_the_customers(self, locale: str, greeting: str, amount: str):
        rendered = message(locale=locale)
        assert greeting in rendered.plain
        assert amount in rendered.plain
        assert f'lang="{rendered.language}"' in rendered.html

    @pytest.mark.parametrize("step", [1, 2, 3])
    @pytest.mark.parametrize("group", GROUPS)
    def test_no_line_of_a_french_mail_can_begin_with_a_mark(self, group: str, step: int):
        read = re.sub(
            r"<style.*?</style>|<[^>]+>|<!--.*?-->", "\n", message(group, step=step, locale="fr").html, flags=re.S
        )
        assert "Stripe\u00a0; personne" in read
        assert not re.search(r"\w [;:?!](?:\s|$)", read)


class TestLook:
    @pytest.mark.parametrize(
        ("accent", "ink"), [("#ffee00", "#000000"), ("#123456", "#ffffff"), ("#ffffff", "#000000")]
    )
    def test_the_button_can_be_read_on_any_accent(self, accent: str, ink: str):
        assert ink_on(accent) == ink

    def test_styles_stand_inline_and_dark_mode_in_its_own_sheet(self):
        html = message().html
        assert "prefers-color-scheme: dark" in html
        assert "<mj-" not in html
        assert re.search(r'<p style="[^"]*margin: 0 0 12px', html)
        # What MJML leaves in its sheet alone, which some mail programs throw away: only the inliner puts it here.
        assert re.search(r'<body style="[^"]*margin: 0', html)

    def test_a_logo_is_a_picture_with_the_name_for_whom_it_is_blocked(self):
        html = render_mail(
            Occasion("funds", 1, 3, Money(4900, "usd"), "Ada"),
            brand=Brand("Acme & Söhne", logo_url="https://cdn.acme.com/logo.png"),
            pay_url="https://phantom.example/r/token",
            unsubscribe_url="https://phantom.example/u/token",
        ).html
        [picture] = re.findall(r"<img[^>]*>", html)
        assert 'src="https://cdn.acme.com/logo.png"' in picture
        assert 'alt="Acme &amp; Söhne"' in picture

    def test_the_brand_stands_in_both_parts(self):
        rendered = render_mail(
            Occasion("funds", 1, 3, Money(4900, "usd"), "Ada"),
            brand=Brand("Acme", signature=("Yours", "<b>Ada</b>"), address="Street 1, Town"),
            pay_url="https://phantom.example/r/token",
            unsubscribe_url="https://phantom.example/u/token",
        )
        assert "Yours\n<b>Ada</b>" in rendered.plain
        assert "&lt;b&gt;Ada&lt;/b&gt;" in rendered.html
        assert all("Street 1, Town" in part for part in (rendered.plain, rendered.html))

    def test_what_is_ahead_says_so_and_when(self):
        said = render_mail(
            Occasion("charge_ahead", 1, 1, Money(4900, "eur"), "Ada", locale="de", day=date(2027, 3, 3)),
            brand=Brand("Acme"),
            pay_url="https://phantom.example/r/token",
            unsubscribe_url="https://phantom.example/u/token",
        ).plain
        assert "ist am 3. März 2027 fällig" in said
        assert "eine Zahlung für Ihr Abonnement bevorsteht" in said

    @pytest.mark.parametrize(
        ("language", "said"),
        [
            ("en", "the next payment of about €49.00"),
            ("de", "die nächste Zahlung von etwa 49,00\u00a0€"),
            ("es", "el próximo pago de unos 49,00\u00a0€"),
            ("fr", "le prochain paiement de 49,00\u00a0€ environ"),
            ("pt", "no próximo pagamento de cerca de €\u00a049,00"),
        ],
    )
    def test_an_amount_not_known_to_the_cent_is_said_so(self, language: str, said: str):
        about = Occasion("card_expiring", 0, 3, Money(4900, "eur"), "Ada", locale=language, is_about=True)
        links = {"pay_url": "https://phantom.example/r/token", "unsubscribe_url": "https://phantom.example/u/token"}
        assert said in render_mail(about, brand=Brand("Acme"), **links).plain

    def test_nothing_is_loaded_from_anywhere(self):
        assert not re.search(r"<(img|link|script|iframe)|url\(|@import", message().html)
