"""What a merchant cannot save, and where it says so; the same rules hold for PHANTOM's own words (test_words.py)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messaging.languages import LANGUAGES
from services.messaging.lint import LONGEST, VARIABLES, Source, Target, check, paragraphs, promises_again
from services.messaging.markup import fill, parse
from services.messaging.wording import Moment

FINE = Source("Your payment to {{ merchant }}", "Still open", "{{ amount }} is open.\n\nThank you.", "Pay now")
SMS = "{{ merchant }}: {{ amount }} is open. {{ pay_link }} {{ opt_out }}"


def mail(language: str = "en", moment: Moment = Moment.FIRST, group: str = "funds") -> Target:
    return Target(group, moment, "email", language)


def found(body: str, target: Target | None = None) -> list[tuple[str, int, int]]:
    """(code, line, column) of what is wrong with a body."""
    source = Source("x", "x", body, "x")
    return [(each.code, each.line, each.column) for each in check(source, target or mail())]


def sms(body: str, language: str = "en") -> list[str]:
    return [each.code for each in check(Source(body=body), Target("*", Moment.FIRST, "sms", language))]


class TestFine:
    def test_what_is_fine_is_not_complained_about(self):
        assert check(FINE, mail()) == ()
        assert sms(SMS) == []

    @pytest.mark.parametrize(
        "body",
        [
            'Hello {{ name | default("there") }}, {{ merchant | upper }} writes about {{ amount }}, due {{ when }}.',
            "{{amount}} and {{   amount   }}",
            "Write to help@example.com or call +49 30 1234567, 9.30 to 17.00, e.g. on Mondays.",
            "Feel free to reply. A single { or } is text, and so is 5 < 6 & 7.",
            "Ihre Zahlung z.B. über 1.234,56 € bis zum 3.12. zahlen",
        ],
    )
    def test_ordinary_texts_may_be_saved(self, body: str):
        assert found(body) == []

    def test_paragraphs_stand_between_empty_lines(self):
        assert paragraphs("One\nstill one.\n\n  \nTwo.\n") == ("One still one.", "Two.")


class TestBrokenVariablesAreRefusedWithLineAndColumn:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ("{{ amout }}", ("unknown_variable", 1, 4)),
            ("first\nsecond {{ amout }}", ("unknown_variable", 2, 11)),
            ("Grüße 🙂 {{ amout }}", ("unknown_variable", 1, 12)),  # letters, not bytes
            ("日本語\r\n🇩🇪 {{amout}}", ("unknown_variable", 2, 6)),  # a flag is two characters
            ("e\u0301 {{ x }}", ("unknown_variable", 1, 6)),  # one letter once it is composed
            ("a {{ amount", ("unclosed", 1, 3)),
            ("a {{ amount }\n{{ amount }}", ("unclosed", 1, 3)),
            ("{{ {{ amount }}", ("unclosed", 1, 1)),
            ("a amount }} b", ("unopened", 1, 10)),
            ("{{ }}", ("unknown_variable", 1, 1)),
            ("{{ amount | money }}", ("bad_filter", 1, 13)),
            ("{{ amount | }}", ("bad_filter", 1, 13)),
            ('{{ name | default("a") | upper }}', ("bad_filter", 1, 11)),
            ("{{ name }}", ("no_default", 1, 4)),  # not every customer has a name
            ("{amount}", ("one_brace", 1, 1)),
            ("{% for x in y %}", ("not_allowed", 1, 1)),
            ("{{ config.items() }}", ("unknown_variable", 1, 4)),
            ("{{ ''.__class__.__mro__ }}", ("unknown_variable", 1, 4)),
            ("{{ amount * 1000000000 }}", ("unknown_variable", 1, 4)),
        ],
    )
    def test_place_of_a_mistake(self, body: str, expected: tuple[str, int, int]):
        normalised = Source("x", "x", body, "x").normalised().body
        assert expected in found(normalised)

    def test_a_near_miss_is_named(self):
        [problem] = check(Source("x", "x", "{{ ammount }}", "x"), mail())
        assert problem.message == "There is no “ammount” here. Did you mean amount?"

    def test_every_mistake_of_every_field_is_told_at_once(self):
        problems = check(Source("{{ a }}", "", "{{ b }}\n{{ c", "{{ d }}"), mail())
        assert [(each.field, each.line, each.column) for each in problems] == [
            ("subject", 1, 4),
            ("heading", 1, 1),
            ("body", 1, 4),
            ("body", 2, 1),
            ("button", 1, 4),
        ]

    def test_the_link_to_pay_is_the_buttons_in_a_mail(self):
        assert found("{{ pay_link }}") == [("unknown_variable", 1, 4)]

    @given(st.text(alphabet='{}%#| "()\n amoutde🙂é', max_size=80))
    def test_whatever_is_typed_is_told_a_place_inside_it(self, text: str):
        for problem in parse(text, VARIABLES["email"]).problems:
            lines = text.split("\n")
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1

    @given(st.text(max_size=200))
    def test_a_text_without_mistakes_comes_back_letter_for_letter(self, text: str):
        parsed = parse(text, VARIABLES["email"])
        if not parsed.problems and not parsed.places:
            assert fill(parsed.pieces, {}) == text


class TestPrivateReasonsAreNeverNamedInAnyLanguage:
    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize(
        "said",
        [
            "Your card was reported lost.",
            "a stolen card",
            "suspected Fraud",
            "insufficient funds",
            "your card is blocked",
            "over your limit",
            "Ihre Karte ist gestohlen gemeldet",
            "mangelnde Deckung",
            "Ihre Karte wurde gesperrt",
            "Betrugsverdacht",
            "tarjeta robada",
            "fondos insuficientes",
            "su límite",
            "carte volée",
            "provision insuffisante",
            "votre carte est bloquée",
            "saldo insuficiente",
            "cartão roubado",
            "cartão bloqueado",
            "suspeita de fraude",
            "Not enough money in your account",
            "Your bank says the card was reported missing",
            "Ihr Konto hat nicht genug Geld",
            "als vermisst gemeldet",
            "No hay suficiente dinero en su cuenta",
            "No tiene saldo suficiente",
            "Votre compte n'a pas assez d'argent",
            "Não tem dinheiro suficiente na conta",
            "There isn't enough money in your account.",
            "Your balance is too low.",
            "Your account balance was not sufficient.",
            "Your bank thinks the card was misused.",
            "Your bank flagged this payment.",
            "Your card was declined for lack of money.",
            "Ihr Konto war nicht ausreichend gedeckt.",
            "Ihr Saldo ist zu niedrig.",
            "Ihr Kreditrahmen ist ausgeschöpft.",
            "Su saldo es demasiado bajo.",
            "Le falta dinero en la cuenta.",
            "Il manque de l'argent sur votre compte.",
            "Votre compte n'est pas assez approvisionné.",
            "O seu saldo é muito baixo.",
            "Falta dinheiro na conta.",
            "There was not sufficient balance.",
            "Your card ran out of money.",
            "Your credit line is used up.",
            "You were short of money.",
            "Das Geld reichte nicht.",
            "Das Geld auf dem Konto hat nicht gereicht.",
            "El saldo no alcanza.",
            "Vous étiez à court d'argent.",
            "A sua linha de crédito acabou.",
            "Code: insufficient_funds",
            "do_not_honor",
            "STOLEN",
            "ｓｔｏｌｅｎ",
            "sto\u00adlen",
            "frau\u200bd",
            "f\u0301raud",
        ],
    )
    def test_named(self, language: str, said: str):
        text = Source("x", "x", said, "x").normalised()
        assert "private_reason" in {each.code for each in check(text, mail(language))}

    def test_a_word_of_two_alphabets_is_no_way_around(self):
        assert found("fr\u0430ud")[0][0] == "mixed_letters"  # a Cyrillic a

    @pytest.mark.parametrize(
        "said",
        [
            "refunds", "la date limite", "la fecha límite", "a data limite", "frauen", "Tiene un saldo pendiente.",
            "The balance of your invoice is {{ amount }}.", "One look is enough.", "Ihr Saldo: {{ amount }}",
            "Le solde de votre facture est de {{ amount }}.", "O saldo da fatura é {{ amount }}.",
            "The first line is in short order.", "Das Geld ist angekommen.", "One look is sufficient.",
        ],
    )  # fmt: skip
    def test_what_only_looks_like_one(self, said: str):
        assert found(said) == []


class TestTheLastMessageNeverPromisesAnotherAttempt:
    PROMISES = {
        "en": [
            "We will retry your card.",
            "We'll try again on Monday",
            "Your card will be charged again",
            "The charge will be repeated tomorrow",
            "We'll run your card once more",
            "A new attempt follows",
            "Your card will be charged on Friday.",
            "Stripe charges your card again on Monday.",
            "We'll give it another go tomorrow.",
            "The charge will go through on Monday.",
            "Expect the payment to be taken on Friday.",
            "The payment is scheduled again for Monday.",
            "On Friday we charge you again.",
            "Expect a new charge on Friday.",
        ],
        "de": [
            "Wir versuchen es erneut.",
            "Wir buchen noch einmal ab",
            "Der Betrag wird automatisch eingezogen",
            "Ein neuer Versuch folgt",
            "Eine weitere Abbuchung folgt am Freitag",
            "Ihre Karte wird am Freitag belastet.",
            "Der Betrag wird am Montag abgebucht.",
            "Die Abbuchung erfolgt am Freitag.",
        ],
        "es": [
            "Volveremos a intentarlo.",
            "Se cobrará de nuevo",
            "Haremos otro intento",
            "Habrá un nuevo cobro",
            "Se repetirá",
            "Su tarjeta se cargará el viernes.",
            "El cargo se realizará el lunes.",
            "Le cobrará Stripe el lunes.",
        ],
        "fr": [
            "Nous allons réessayer.",
            "Le paiement sera à nouveau présenté",
            "une nouvelle tentative",
            "Un autre essai suivra",
            "Le prélèvement sera répété",
            "Votre carte sera débitée vendredi.",
            "Le prélèvement aura lieu lundi.",
            "Le paiement sera prélevé lundi.",
        ],
        "pt": [
            "Tentaremos novamente.",
            "Vamos cobrar outra vez",
            "uma nova tentativa",
            "Haverá nova cobrança",
            "Será repetida",
            "O seu cartão será cobrado na sexta-feira.",
            "A cobrança será feita na segunda-feira.",
            "O débito será feito amanhã.",
        ],
    }

    @pytest.mark.parametrize(("language", "said"), [(lang, text) for lang, texts in PROMISES.items() for text in texts])
    def test_we_will_retry_on_the_last_message(self, language: str, said: str):
        assert "promise" in {code for code, *_ in found(said, mail(language, Moment.LAST))}
        assert found(said, mail(language, Moment.FIRST)) == []
        assert promises_again(Source("x", "x", said, "x"), mail(language))

    @pytest.mark.parametrize(
        ("language", "said"),
        [
            ("en", "Thank you once more. Your next charge is due {{ when }}."), ("en", "Toll-free: 0800 123456"),
            ("de", "Ihre nächste Abbuchung ist {{ when }} fällig."), ("es", "Gracias una vez más."),
            ("es", "El próximo cobro vence {{ when }}."),
            ("fr", "Merci une fois de plus. Prochain prélèvement {{ when }}"),
            ("pt", "Obrigado mais uma vez. A próxima cobrança vence {{ when }}."),
            ("en", "Nothing will be charged twice, and no fee will be charged."),
            ("en", "You will not be charged twice."), ("en", "We charge nothing. Thank you again."),
            ("en", "The button takes you to a page where you will be taken through it."),
            ("en", "Once you confirm, your payment will go through."),
            ("de", "Ihre Karte wird nicht belastet."), ("de", "Es wird nichts abgebucht, und keine Gebühr."),
            ("de", "Ihre Karte wird erst geprüft."), ("es", "No se cobrará nada."),
            ("es", "No se le cobrará dos veces."),
            ("fr", "Rien ne sera prélevé."), ("fr", "Votre carte ne sera pas débitée."),
            ("pt", "Nada será cobrado."), ("pt", "Não será cobrado nada."),
        ],
    )  # fmt: skip
    def test_thanks_and_the_next_payment_promise_nothing(self, language: str, said: str):
        assert found(said, mail(language, Moment.LAST)) == []

    def test_a_message_that_is_sent_once_is_a_last_one(self):
        assert "promise" in {code for code, *_ in found("We will try again.", mail(group="customer_stopped"))}

    @pytest.mark.parametrize(
        ("language", "said"),
        [
            ("en", "Your card will be charged {{ when }}."), ("de", "Ihre Karte wird {{ when }} belastet."),
            ("es", "Su tarjeta se cargará {{ when }}."), ("fr", "Votre carte sera débitée {{ when }}."),
            ("pt", "O seu cartão será cobrado {{ when }}."),
        ],
    )  # fmt: skip
    def test_before_a_charge_that_it_comes_is_what_there_is_to_say(self, language: str, said: str):
        ahead = mail(language, group="charge_ahead")
        assert found(said, ahead) == []
        assert not promises_again(Source("x", "x", said, "x"), ahead)
        last = mail(language, Moment.LAST)
        assert "promise" in {code for code, *_ in found(said, last)}
        assert promises_again(Source("x", "x", said, "x"), last)

    def test_english_in_another_languages_slot_is_read_too(self):
        assert "promise" in {code for code, *_ in found("We will try again.", mail("de", Moment.LAST))}


class TestWhatElseIsRefused:
    @pytest.mark.parametrize(
        ("language", "said"),
        [
            ("en", "Your subscription was cancelled."), ("en", "Your plan has ended"), ("de", "Ihr Abo ist gekündigt"),
            ("es", "Su suscripción ha sido cancelada"), ("fr", "Votre abonnement est résilié"),
            ("pt", "A sua assinatura foi cancelada"), ("de", "Your subscription was canceled"),
            ("en", "Your subscription is over."), ("en", "You no longer have access."),
            ("de", "Ihr Abo ist abgelaufen."),
            ("en", "Your subscription has been paused."), ("en", "Your account has been locked."),
            ("es", "Su suscripción ha terminado."), ("es", "Ya no tiene acceso."), ("pt", "A sua assinatura terminou."),
            ("fr", "Votre abonnement est terminé."), ("fr", "Vous n’avez plus accès."), ("pt", "Já não tem acesso."),
        ],
    )  # fmt: skip
    def test_mail_says_cancelled_while_past_due(self, language: str, said: str):
        assert "cancelled" in {code for code, *_ in found(said, mail(language))}

    @pytest.mark.parametrize(
        ("language", "said"),
        [
            ("en", "If nothing is paid, you will no longer have access."), ("de", "Ihre Karte ist abgelaufen."),
            ("es", "Su tarjeta ha vencido."), ("fr", "Votre carte est arrivée au terme."),
            ("pt", "O seu cartão venceu."),
            ("en", "You depend on us, and we on you."), ("de", "Das Auge wird nicht nachlassen."),
            ("en", "Enter the code 482913 of your bank, or switch to another card."),
            ("de", "Wechseln Sie bitte zu einer anderen Karte."), ("es", "Cambie a otra tarjeta."),
            ("fr", "Passez à une autre carte."), ("pt", "Mude para outro cartão."),
        ],
    )  # fmt: skip
    def test_a_card_that_ended_and_what_may_come_are_no_ending_and_no_sale(self, language: str, said: str):
        assert found(said, mail(language)) == []

    @pytest.mark.parametrize(
        ("language", "said"),
        [
            ("en", "Get 20% off"), ("en", "A discount for you"), ("en", "Upgrade to Pro"), ("de", "10 € Rabatt"),
            ("de", "Unser Sonderangebot"), ("es", "un descuento"), ("es", "Ahorre hoy"), ("fr", "une remise"),
            ("fr", "notre offre"), ("pt", "um desconto"), ("pt", "Economize já"), ("de", "Discount!"),
            ("en", "20 percent cheaper with the annual plan"), ("en", "20 percent off"), ("de", "Jährlich günstiger"),
            ("en", "Your next month is half price."), ("en", "Switch to our yearly plan and pay less."),
            ("en", "Try our new Pro plan."), ("en", "Pay today and get one month on us."),
            ("de", "Sie erhalten 20 % Nachlass."), ("de", "Der nächste Monat geht auf uns."),
            ("de", "Wechseln Sie in den Jahrestarif und zahlen Sie weniger."), ("de", "Testen Sie unseren Pro-Tarif."),
            ("es", "20 % menos en su próximo mes."), ("es", "Pruebe nuestro plan Pro."),
            ("es", "El próximo mes corre por nuestra cuenta."), ("fr", "20 % de rabais."),
            ("fr", "Le mois prochain est offert."), ("fr", "Essayez notre formule Pro."),
            ("pt", "20 % a menos no próximo mês."), ("pt", "Experimente o plano Pro."),
            ("pt", "O próximo mês é por nossa conta."),
            ("en", "Use code SAVE10."), ("de", "Mit dem Code SPAR20 zahlen Sie."), ("pt", "Poupe 20 %."),
            ("de", "Wechseln Sie jetzt zum Jahresabo."), ("en", "Switch to the annual plan."),
            ("es", "Cámbiese ahora al plan anual."), ("fr", "Passez à l’abonnement annuel."),
            ("pt", "Mude agora para o plano anual."),
            ("es", "Más barato por año"), ("fr", "Moins cher à l’année"), ("pt", "Mais barato por ano"),
        ],
    )  # fmt: skip
    def test_a_notice_sells_nothing(self, language: str, said: str):
        assert "sales" in {code for code, *_ in found(said, mail(language))}

    @pytest.mark.parametrize(
        ("language", "said", "named"),
        [("en", "Upgrade now", "“Upgrade” sells"), ("de", "Tolle Rabatte!", "“Rabatte” sells")],
    )
    def test_a_rule_that_knows_a_stem_names_the_word(self, language: str, said: str, named: str):
        assert any(each.message.startswith(named) for each in check(Source("x", "x", said, "x"), mail(language)))

    @pytest.mark.parametrize(
        "said",
        [
            "https://evil.example/pay", "http://x", "www.evil.com", "evil.com/pay", "See pay.evil.io.", "javascript://x",
            "[here](x)", "mailto:a@b.com", "EVIL.COM", "evil。com".replace("。", "."), "https://{{ merchant }}.com",
        ],
    )  # fmt: skip
    def test_a_link_of_ones_own(self, said: str):
        assert "link" in {code for code, *_ in found(said)}

    @pytest.mark.parametrize("said", ["<b>hi</b>", "<script>x</script>", "<!-- x -->", "&nbsp;", "&#60;b"])
    def test_html(self, said: str):
        assert "html" in {code for code, *_ in found(said)}

    @pytest.mark.parametrize("odd", ["\u202e", "\u200b", "\x00", "\x1b", "\ud800", "\u2028", "\u00ad"])
    def test_what_cannot_be_seen(self, odd: str):
        assert ("invisible", 1, 2) in found(f"a{odd}b")

    def test_what_is_too_long_is_told_where(self):
        for field, most in LONGEST.items():
            source = Source(**{**dict.fromkeys(LONGEST, "x"), field: "y" * (most + 1)})
            [problem] = check(source, mail())
            assert (problem.field, problem.code, problem.column) == (field, "too_long", most + 1)

    def test_a_subject_is_one_line(self):
        [problem] = check(Source("a\nb", "x", "x", "x"), mail())
        assert (problem.field, problem.code) == ("subject", "line_break")

    def test_a_mail_needs_every_part(self):
        assert [each.field for each in check(Source(), mail())] == ["subject", "heading", "body", "button"]

    def test_words_in_a_default_are_read_too(self):
        assert ("private_reason", 1, 20) in found('{{ name | default("stolen") }}')

    def test_a_page_of_braces_is_read_in_linear_time(self):
        began = time.process_time()
        for nasty in ("{{" * 1_000, "{{ a | " * 250, "try " * 500, "a." * 1_000, "we " * 600, "<" * 2_000):
            check(Source("x", "x", nasty[: LONGEST["body"]], "x"), mail(moment=Moment.LAST))
        assert time.process_time() - began < 2


class TestSms:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ("{{ amount }} is open. {{ pay_link }} {{ opt_out }}", "missing"),  # who writes?
            ("{{ merchant }}: {{ amount }} is open. {{ opt_out }}", "missing"),  # where to pay?
            ("{{ merchant }}: {{ pay_link }} {{ pay_link }} {{ opt_out }}", "missing"),
            ("{{ merchant }}: {{ amount }} is open. {{ pay_link }}", "missing"),  # how to stop it?
            (SMS + " thank you" * 20, "too_long"),
            (SMS + " ç" + " merci" * 5, "too_long"),  # one letter halves what fits
        ],
    )
    def test_refused(self, body: str, code: str):
        assert sms(body) == [code]

    def test_stop_may_be_said_in_other_words(self):
        assert sms("{{ merchant }}: {{ amount }} {{ pay_link }} STOP ends this.") == []

    def test_the_letter_that_doubles_the_cost_is_pointed_at(self):
        [problem] = check(
            Source(body="{{ merchant }}: reçu {{ amount }} {{ pay_link }} {{ opt_out }}"),
            Target("*", Moment.FIRST, "sms", "fr"),
        )
        assert (problem.line, problem.column) == (1, 19)
        assert "ç" in problem.message
