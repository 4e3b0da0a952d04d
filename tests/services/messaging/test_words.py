"""The words in every language: whole, fillable, and free of what a customer must never read."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.messaging import languages, sms, wording
from services.messaging.languages import LANGUAGES
from services.messaging.lint import Source, Target, check
from services.messaging.markup import Problem
from services.messaging.own import ours_as_source
from services.messaging.wording import TEMPLATE_OF_GROUP, Moment, Template

FOLDER = Path(wording.__file__).parent / "words"
KNOWN = {"{merchant}", "{amount}", "{name}", "{link}", "{when}", "{date}"}

LONG = {
    "{merchant}": "Northwind Analytics GmbH & Co",
    "{amount}": "1.234.567,89 €",
    "{link}": "https://pay.northwind-analytics.com/r/" + "x" * 43,
    "{when}": "am 03.03.2027",
}
# The other form of address: a customer is never `du`, `tú` or `tu`; in Portuguese it is `você`.
FAMILIAR = {
    "en": r"\b(?:dude|mate)\b",
    "de": r"\b(?:du|dich|dir|dein\w*|euch|euer)\b|\b(?:sie|ihre?) (?:können|haben|möchten)\b",
    "es": r"\b(?:tú|ti|contigo|tus?|puedes|tienes|quieres|te)\b",
    "fr": r"\b(?:tu|toi|ton|ta|tes)\b",
    "pt": r"\b(?:tu|teus?|tuas?|contigo|vós|telemóvel|ecrã)\b",
}


def complaints(text: str, language: str) -> tuple[Problem, ...]:
    """What the lint has to say of one text of ours, wherever it stands."""
    return check(Source("x", "x", text, "x"), Target("*", Moment.LAST, "email", language))


def texts(language: str) -> list[str]:
    def walk(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        return [text for each in (value.values() if isinstance(value, dict) else value) for text in walk(each)]

    return walk(tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("language", LANGUAGES)
class TestEveryLanguage:
    def test_says_the_same_things_as_english(self, language: str) -> None:
        def shape(value: Any) -> Any:
            return {key: shape(each) for key, each in value.items()} if isinstance(value, dict) else type(value)

        mine, english = (
            tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")) for name in (language, "en")
        )
        assert shape(mine) == shape(english)

    @pytest.mark.parametrize("template", list(Template))
    @pytest.mark.parametrize("moment", list(Moment))
    def test_has_every_message_with_merchant_and_amount(
        self, language: str, template: Template, moment: Moment
    ) -> None:
        words = wording.wording(template, moment, language)
        assert "{merchant}" in words.subject
        assert any("{amount}" in line for line in words.lines)
        assert len(words.subject) <= 70
        assert words.button
        assert words.sms.startswith("{merchant}")
        assert words.sms.endswith("{link}")
        assert "{amount}" in words.sms
        assert "STOP" in wording.frame(language).opt_out

    @pytest.mark.parametrize("template", list(Template))
    @pytest.mark.parametrize("moment", list(Moment))
    def test_says_how_long_it_takes(self, language: str, template: Template, moment: Moment) -> None:
        said = " ".join(wording.wording(template, moment, language).lines)
        assert re.search(r"minute|minuto", said.lower())

    def test_uses_no_place_that_nothing_fills(self, language: str) -> None:
        for text in texts(language):
            assert set(re.findall(r"\{[^}]*\}?", text)) <= KNOWN, text

    def test_names_no_private_reason_and_sells_nothing(self, language: str) -> None:
        for text in texts(language):
            assert not {problem.code for problem in complaints(text, language)} & {"private_reason", "sales"}, text

    @pytest.mark.parametrize("template", [each for each in Template if Moment.LAST in wording.moments_of(each)])
    def test_the_last_one_says_it_is_the_last(self, language: str, template: Template) -> None:
        words = wording.wording(template, Moment.LAST, language)
        for said in (" ".join((words.subject, *words.lines)), words.sms):
            assert re.search(r"\blast\b|letzte|último|última|dernier|final", said.lower())

    @pytest.mark.parametrize("template", list(Template))
    def test_a_merchant_could_save_every_one_of_them(self, language: str, template: Template) -> None:
        """Nothing of ours is refused by our own lint, even with the rules of a last message for all."""
        group = next(group for group, each in TEMPLATE_OF_GROUP.items() if each is template)
        for moment in wording.moments_of(template):
            for channel in ("email", "sms"):
                target = Target(group, Moment.LAST, channel, language)
                source = ours_as_source(template, moment, channel, language)
                assert check(source, target, wording.frame(language).opt_out) == ()

    def test_sms_are_in_gsm7_and_two_segments_with_a_long_link(self, language: str) -> None:
        for template in Template:
            for moment in wording.moments_of(template):
                text = wording.wording(template, moment, language).sms + " " + wording.frame(language).opt_out
                for place, value in LONG.items():
                    text = text.replace(place, value)
                length = sms.length_of(text)
                assert (length.encoding, length.segments <= 2) == ("GSM-7", True), (text, sms.outside_gsm(text))

    def test_keeps_to_one_form_of_address(self, language: str) -> None:
        for text in texts(language):
            assert not re.search(FAMILIAR[language], text), text

    def test_is_not_english(self, language: str) -> None:
        if language != "en":
            assert not set(texts(language)) & set(texts("en"))


class TestChoice:
    @pytest.mark.parametrize(
        ("tag", "country", "default", "language", "locale"),
        [
            ("de-AT", "US", "fr", "de", "de_AT"),  # the customer's own first
            ("ja", "AT", "fr", "de", "de_AT"),  # then the country's
            ("", "BE", "en", "fr", "fr_BE"),  # the first of several that PHANTOM writes
            ("", "CH", "en", "de", "de_CH"),
            ("", "br", "en", "pt", "pt_BR"),
            ("ja", "JP", "fr", "fr", "fr"),  # then the merchant's
            ("", "GB", "de", "en", "en_GB"),
            ("ja", "", "xx", "en", "en_US"),  # then English
            ("xx-!!", "..", "", "en", "en_US"),
        ],
    )
    def test_customer_then_country_then_merchant_then_english(
        self, tag: str, country: str, default: str, language: str, locale: str
    ) -> None:
        assert languages.language_of(tag, country, default) == language
        assert languages.locale_of(tag, country, default) == locale

    @pytest.mark.parametrize(
        ("tag", "language"),
        [
            ("", "en"),
            ("de", "de"),
            ("de-AT", "de"),
            ("pt-BR", "pt"),
            ("fr_CA", "fr"),
            ("ES", "es"),
            ("ja", "en"),
            ("x", "en"),
        ],
    )
    def test_a_customer_is_written_to_in_their_language_or_in_english(self, tag: str, language: str) -> None:
        assert languages.language_of(tag) == language

    @pytest.mark.parametrize(
        ("tag", "locale"),
        [
            ("", "en_US"),
            ("en-GB", "en_GB"),
            ("de-AT", "de_AT"),
            ("pt-BR", "pt_BR"),
            ("ja", "en_US"),
            ("de-zz-!!", "de"),
        ],
    )
    def test_amounts_follow_the_customers_own_country(self, tag: str, locale: str) -> None:
        assert languages.locale_of(tag) == locale

    @pytest.mark.parametrize(
        ("step", "last", "moment"),
        [(1, 3, "first"), (2, 3, "reminder"), (3, 3, "last"), (1, 1, "first"), (2, 2, "last")],
    )
    def test_the_moment_of_a_step(self, step: int, last: int, moment: str) -> None:
        assert wording.moment_of(step, last) == moment
