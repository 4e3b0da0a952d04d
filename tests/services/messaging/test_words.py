"""The words in every language: whole, fillable, and free of what a customer must never read."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.messaging import wording
from services.messaging.wording import LANGUAGES, Moment, Template

FOLDER = Path(wording.__file__).parent / "words"
KNOWN = {"{merchant}", "{amount}", "{name}", "{link}"}

# A bank's private reasons; a promise of another charge; a sale: a recovery message is transactional only without one.
PRIVATE = {
    "en": r"\blost\b|stolen|fraud|insufficient|\bfunds\b|suspicious|blocked|limit",
    "de": r"verloren|gestohlen|betrug|deckung|guthaben|gesperrt|verdächtig|limit",
    "es": r"perdid|robad|fraude|insuficien|fondos|bloquead|sospech|límite",
    "fr": r"perdu|volée|fraud|insuffisan|provision|bloqu|suspect|plafond",
    "pt": r"perdid|roubad|fraude|insuficien|saldo|bloquead|suspeit|limite",
}
PROMISE = {
    "en": r"we (will|'ll|’ll)|try again|retry|another attempt|automatically",
    "de": r"versuchen wir|erneut|noch einmal|automatisch|werden wir",
    "es": r"volveremos|intentaremos|de nuevo|automáticamente|reintent",
    "fr": r"nous (allons|essaierons|tenterons)|à nouveau|automatiquement|réessay",
    "pt": r"tentaremos|vamos tentar|novamente|automaticamente|de novo",
}
SALE = {
    "en": r"discount|offer|upgrade|save|deal|% off|free",
    "de": r"rabatt|angebot|sparen|gratis|kostenlos|upgrade",
    "es": r"descuento|oferta|ahorr|gratis|promoción",
    "fr": r"remise|offre|économis|gratuit|promotion",
    "pt": r"desconto|oferta|economiz|grátis|promoção",
}


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

    def test_uses_no_place_that_nothing_fills(self, language: str) -> None:
        for text in texts(language):
            assert set(re.findall(r"\{[^}]*\}?", text)) <= KNOWN, text

    def test_names_no_private_reason_and_sells_nothing(self, language: str) -> None:
        for text in texts(language):
            assert not re.search(PRIVATE[language], text.lower()), text
            assert not re.search(SALE[language], text.lower()), text

    @pytest.mark.parametrize("template", list(Template))
    def test_the_last_one_promises_nothing_and_says_it_is_the_last(self, language: str, template: Template) -> None:
        words = wording.wording(template, Moment.LAST, language)
        said = " ".join((words.subject, words.heading, *words.lines)).lower()
        assert not re.search(PROMISE[language], said)
        assert re.search(r"\blast\b|letzte|último|última|dernier", said)

    def test_is_not_english(self, language: str) -> None:
        if language != "en":
            assert not set(texts(language)) & set(texts("en"))


class TestChoice:
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
        assert wording.language_of(tag) == language

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
        assert wording.locale_of(tag) == locale

    @pytest.mark.parametrize(
        ("step", "last", "moment"),
        [(1, 3, "first"), (2, 3, "reminder"), (3, 3, "last"), (1, 1, "first"), (2, 2, "last")],
    )
    def test_the_moment_of_a_step(self, step: int, last: int, moment: str) -> None:
        assert wording.moment_of(step, last) == moment
